//! `npz:FILE`: a user's own arrays as numpy's savez and savez_compressed write them, named as MedMNIST names them
//! (`train_images`, `train_labels`, and the same with `val` and `test`) or as Keras does (`x_train`, `y_train`). A split that
//! the file does not have is held out.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use npyz::{DType, Endianness, NpyHeader, TypeChar};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::error::{Context, Error, Result};
use crate::files::and_is;
use crate::task::arrays::{self, Array, FIRST_LABEL, Kind, LAYOUT, Number, Part, Reading, TRANSPOSE};
use crate::task::config::Entry;
use crate::task::imported::{Import, Opened};
use crate::task::parts;

pub const ENTRY: Entry = Entry::imported::<Npz>(
    "npz",
    Some(("file", "FILE")),
    "your own arrays in NumPy's .npz, named as MedMNIST's or Keras's",
    &[
        ("file", "a .npz with train_images and train_labels (val_, test_), or x_train and y_train (x_test, y_test)"),
        FIRST_LABEL,
        LAYOUT,
        TRANSPOSE,
    ],
);

/// Names of images and labels that are read, `{}` being the split.
const NAMES: [(&str, &str); 4] =
    [("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("{}_x", "{}_y"), ("{}_data", "{}_labels")];
const NAMES_HINT: &str = "np.savez('set.npz', train_images=x, train_labels=y), and where there are any val_images, \
                          val_labels, test_images, test_labels";

const NUMBERED: &str = "labels are integers; names become such by classes, y = np.unique(names, return_inverse=True)";

/// The header of an array is a line of text; a longer one is damaged.
const LONGEST_HEADER: usize = 1 << 16;
/// Arrays that an archive may have: each is a name to look at.
const MOST_ARRAYS: usize = 1 << 16;

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Npz {
    file: Option<String>,
    #[serde(flatten)]
    reading: Reading,
}

impl Import for Npz {
    const PATHS: &'static [&'static str] = &["file"];

    fn check(&self) -> Result<()> {
        match self.file {
            Some(_) => Ok(()),
            None => Err(Error::bad_input("it needs a file").hint("name it npz:FILE, or give the key file")),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(self.file.iter().map(PathBuf::from).collect())
    }

    fn open(&self, scratch: &Path) -> Result<Opened> {
        let path = self.file.as_deref().unwrap_or_default();
        let archive = Archive::open(Path::new(path))?;
        let parts = parts::NAMES.map(|split| archive.pair(split));
        if parts[0].is_none() {
            let names: Vec<_> = archive.names.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::bad_input(format!(
                "{path} has no training images with labels that are known by their names: it has {}",
                if names.is_empty() { "no arrays".into() } else { names.join(", ") }
            ))
            .hint(NAMES_HINT));
        }
        let mut opened = [None, None, None];
        for (part, opened) in parts.into_iter().zip(&mut opened) {
            if let Some((images, labels)) = part {
                *opened =
                    Some(Part { images: archive.array(images, scratch)?, labels: archive.array(labels, scratch)? });
            }
        }
        self.reading.open(opened, path, false)
    }
}

/// A zip archive of `NAME.npy`.
struct Archive {
    path: PathBuf,
    /// Of the arrays, and their place in the archive.
    names: Vec<(String, usize)>,
}

type Zip = ZipArchive<BufReader<File>>;

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let mut zip = Self::zip(path)?;
        if zip.len() > MOST_ARRAYS {
            return Err(Error::bad_input(format!("{} has {} members: it is no .npz", path.display(), zip.len())));
        }
        let mut names = Vec::new();
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).context(|| format!("cannot read {}", path.display()))?;
            let name = member.name().context(|| format!("cannot read {}", path.display()))?;
            if name.ends_with("data.pkl") {
                return Err(Error::bad_input(format!("{} is a checkpoint of PyTorch, not arrays", path.display()))
                    .hint(NAMES_HINT));
            }
            if let Some(name) = name.strip_suffix(".npy") {
                names.push((name.to_owned(), index));
            }
        }
        Ok(Self { path: path.into(), names })
    }

    fn zip(path: &Path) -> Result<Zip> {
        let file = crate::files::open(path).context(|| format!("cannot open {}", path.display()))?;
        ZipArchive::new(BufReader::new(file)).map_err(|error| {
            let what = and_is(path);
            Error::bad_input(format!("{} is no .npz that can be read ({error}){what}", path.display())).hint(NAMES_HINT)
        })
    }

    /// Places of the images and the labels of a split, whatever it is called.
    fn pair(&self, split: &[&str]) -> Option<(usize, usize)> {
        let place = |name: &str, split: &str| {
            let name = name.replace("{}", split);
            self.names.iter().position(|(have, _)| have.eq_ignore_ascii_case(&name))
        };
        let named = NAMES.iter().flat_map(|names| split.iter().map(move |split| (names, split)));
        named.into_iter().find_map(|((images, labels), split)| Some((place(images, split)?, place(labels, split)?)))
    }

    /// The array at a place of the names, unpacked into a file without a name in the folder `scratch`. The archive's
    /// checksum is that of what was unpacked.
    fn array(&self, place: usize, scratch: &Path) -> Result<Array> {
        let (name, index) = &self.names[place];
        let what = format!("{name} of {}", self.path.display());
        let mut zip = Self::zip(&self.path)?;
        let mut member = zip.by_index(*index).map_err(|error| {
            Error::bad_input(format!("{what} cannot be read: {error}"))
                .hint("np.savez and np.savez_compressed write what is read here")
        })?;
        let (shape, number) = header(&what, &mut member)?;
        let file = arrays::unpack(&what, &shape, number, &mut member, scratch)?;
        Array::new(what, shape, number, file, 0)
    }
}

/// Reads the header of an array: its shape and what its numbers are.
fn header(what: &str, reader: &mut impl Read) -> Result<(Vec<u64>, Number)> {
    let damaged = |why: String| {
        Error::bad_input(format!("{what} is no array that can be read: {why}")).hint("np.savez writes it")
    };
    // Magic and version, then a length of two or four bytes: looked at here, since the reader would take any.
    let mut text = vec![0; 8];
    reader.read_exact(&mut text).map_err(|error| damaged(error.to_string()))?;
    let digits = if text[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..digits]).map_err(|error| damaged(error.to_string()))?;
    text.extend(&length[..digits]);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(damaged(format!("its header has {length} bytes")));
    }
    let start = text.len();
    text.resize(start + length, 0);
    reader.read_exact(&mut text[start..]).map_err(|error| damaged(error.to_string()))?;
    // Multiplies sizes, and panics where that overflows.
    let read =
        std::panic::catch_unwind(|| NpyHeader::from_reader(text.as_slice())).map_err(|_| arrays::too_large(what))?;
    let header = read.map_err(|error| damaged(error.to_string()))?;
    if header.uses_pickled_array() {
        let message = format!("{what} holds Python objects, not numbers, and reading those would run code");
        return Err(Error::bad_input(message).hint(match is_labels(what) {
            true => NUMBERED,
            false => "images of one size: np.stack(list(x)).astype('uint8')",
        }));
    }
    let number = number(&header.dtype()).ok_or_else(|| {
        let is = header.dtype().descr();
        Error::bad_input(format!("{what} is of type {is}, and integers and floats of 32 and 64 bits are read"))
            .hint(if is_labels(what) { NUMBERED } else { "images are uint8: x.astype('uint8')" })
    })?;
    if header.order() == npyz::Order::Fortran && header.shape().iter().filter(|&&side| side > 1).count() > 1 {
        return Err(Error::bad_input(format!("{what} is in Fortran order, and C order is read"))
            .hint("np.ascontiguousarray(x) before saving"));
    }
    Ok((header.shape().to_vec(), number))
}

/// Of an array that is called `NAME of FILE`.
fn is_labels(what: &str) -> bool {
    let name = what.split(" of ").next().unwrap_or_default().to_lowercase();
    name.ends_with("labels") || name.starts_with("y_") || name.ends_with("_y")
}

fn number(dtype: &DType) -> Option<Number> {
    let DType::Plain(plain) = dtype else { return None };
    let kind = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Bool, 1) => Kind::Bool,
        (TypeChar::Uint, 1) => Kind::U8,
        (TypeChar::Uint, 2) => Kind::U16,
        (TypeChar::Uint, 4) => Kind::U32,
        (TypeChar::Uint, 8) => Kind::U64,
        (TypeChar::Int, 1) => Kind::I8,
        (TypeChar::Int, 2) => Kind::I16,
        (TypeChar::Int, 4) => Kind::I32,
        (TypeChar::Int, 8) => Kind::I64,
        (TypeChar::Float, 4) => Kind::F32,
        (TypeChar::Float, 8) => Kind::F64,
        _ => return None,
    };
    Some(Number { kind, big_endian: plain.endianness() == Endianness::Big })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::run::Settings;
    use crate::task::config::Source;
    use crate::task::examples::Images;
    use crate::task::files::hex_sha256;
    use crate::task::imported::parse_in;

    /// An array as np.save writes it, in C order.
    fn npy(descr: &str, shape: &[usize], values: &[u8]) -> Vec<u8> {
        let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
        with_header(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}"), values)
    }

    fn with_header(text: &str, values: &[u8]) -> Vec<u8> {
        let text = format!("{text:<117}\n");
        [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), values].concat()
    }

    fn bytes(shape: &[usize]) -> Vec<u8> {
        npy("|u1", shape, &(0..shape.iter().product::<usize>()).map(|at| at as u8).collect::<Vec<_>>())
    }

    fn labels(n: usize) -> Vec<u8> {
        npy("<i8", &[n], &(0..n).flat_map(|at| (at as i64 % 3).to_le_bytes()).collect::<Vec<_>>())
    }

    fn npz(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn parse(&self, content: &[u8], more: &str) -> Result<Box<dyn Source>> {
            // Another name for other content: names, sizes and times tell whether a file was read before.
            let path = self.0.path().join(format!("{}.npz", hex_sha256(content)));
            std::fs::write(&path, content).unwrap();
            let given: Settings = serde_json::from_str(&format!(r#"{{"file": {path:?}{more}}}"#)).unwrap();
            Ok(parse_in::<Npz>(&self.0.path().join("data"), "npz", &given)?.0)
        }

        fn refused(&self, content: &[u8]) -> String {
            let error = self.parse(content, "").err().unwrap();
            assert!(error.hint.is_some(), "{error}");
            error.message
        }
    }

    fn pixels(images: &Images) -> &[u8] {
        let Images::U8(pixels) = images else { panic!("images are bytes") };
        pixels
    }

    /// np.savez_compressed(file, train_images=np.arange(4*2*2, dtype=np.uint8).reshape(4, 2, 2),
    ///                     train_labels=np.array([[0], [1], [2], [1]], dtype=np.int64))          # numpy 2.4.6
    const REAL: &str = "\
        504b03042d000000080000002100eb14fa4affffffffffffffff10001400747261696e5f696d616765732e6e707901001000900000000000\
        000058000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc29\
        4e058a17672416a402f91a263a0a4640a4a9a350ab401ee06260646266616563e7e0e4e2e6e1e5e30700504b03042d000000080000002100\
        9fe9b0fcffffffffffffffff10001400747261696e5f6c6162656c732e6e707901001000a0000000000000004e000000000000009bec17ea\
        1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a263a0a\
        869a3a0ab50a64032e06286084d24c687c00504b01022d032d0000000800000021\
        00eb14fa4a580000009000000010000000000000000000\
        0000800100000000747261696e5f696d616765732e6e7079504b01022d032d0000000800000021009fe9b0fc4e000000a000000010000000\
        000000000000000080019a000000747261696e5f6c6162656c732e6e7079504b050600000000020002007c0000002a0100000000";

    #[test]
    fn reads_what_numpy_wrote() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let content: Vec<u8> =
            (0..REAL.len()).step_by(2).map(|i| u8::from_str_radix(&REAL[i..i + 2], 16).unwrap()).collect();
        let task = folder.parse(&content, r#", "validation": 1, "test": 1"#).unwrap();
        assert_eq!((task.io().channels, task.io().height, task.io().width, task.io().classes), (1, 2, 2, 3));
        let all = task.load(Path::new(""), 9).unwrap();
        for split in [&all.train, &all.validation, &all.test] {
            for (image, &label) in pixels(&split.images).chunks(4).zip(&split.labels) {
                let n = image[0] / 4;
                assert_eq!(
                    (image, label),
                    ([4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3].as_slice(), [0, 1, 2, 1][n as usize])
                );
            }
        }
    }

    #[test]
    fn labels_that_are_no_numbers_say_how_they_become_such() {
        let folder = Folder(tempfile::tempdir().unwrap());
        for descr in ["|O", "<U5"] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (3, ), }}");
            for (x, y) in [("train_images", "train_labels"), ("x_train", "y_train")] {
                let arrays = [(x, bytes(&[3, 2, 2])), (y, with_header(&header, &[0; 60]))];
                let error = folder.parse(&npz(&arrays, CompressionMethod::Stored), "").err().unwrap();
                assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("np.unique(names")), "{error}");
            }
        }
    }

    #[test]
    fn splits_and_channels_are_known_by_names_and_sides_stored_or_deflated() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let rgb = |n| bytes(&[n, 2, 4, 3]);
        for (names, method) in [
            (["train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"], "stored"),
            (["x_train", "y_train", "X_VALID", "Y_VALID", "x_test", "y_test"], "deflated"),
        ] {
            let method = if method == "stored" { CompressionMethod::Stored } else { CompressionMethod::Deflated };
            let [a, b, c, d, e, f] = names;
            let arrays = [
                (a, rgb(6)),
                (b, labels(6)),
                (c, rgb(2)),
                (d, labels(2)),
                (e, rgb(3)),
                (f, labels(3)),
                ("more", vec![]),
            ];
            let task = folder.parse(&npz(&arrays, method), "").unwrap();
            assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(6), 2, 3));
            assert_eq!((task.io().channels, task.io().height, task.io().width), (3, 2, 4));
            let test = task.load(Path::new(""), 9).unwrap().test;
            assert_eq!(test.labels, [0, 1, 2]);
            // [H, W, C] became [C, H, W].
            let red: Vec<u8> = (0..8).map(|place| 3 * place).collect();
            assert_eq!(pixels(&test.images)[..8], red);
            assert_eq!(pixels(&test.images)[8..10], [1, 4]);
        }
    }

    #[test]
    fn floats_are_read_where_they_are_bytes() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let with = |descr: &str, values: &[u8]| {
            npz(&[("x_train", npy(descr, &[3, 1, 2], values)), ("y_train", labels(3))], CompressionMethod::Deflated)
        };
        let floats = |values: [f32; 6]| with("<f4", &values.map(f32::to_le_bytes).concat());
        let read = |content: &[u8]| {
            let all = folder.parse(content, r#", "validation": 1, "test": 1"#).unwrap().load(Path::new(""), 9).unwrap();
            let mut images: Vec<&[u8]> =
                [&all.train, &all.validation, &all.test].iter().map(|split| pixels(&split.images)).collect();
            images.sort();
            images.concat()
        };
        let shares = [0, 1, 127, 128, 254, 255].map(|byte| byte as f32 / 255.0);
        assert_eq!(read(&floats(shares)), [0, 1, 127, 128, 254, 255]);
        assert_eq!(read(&floats([0.0, 1.0, 127.0, 128.0, 254.0, 255.0])), [0, 1, 127, 128, 254, 255]);
        let big_endian = [0i16, 1, 127, 128, 254, 255].map(i16::to_be_bytes).concat();
        assert_eq!(read(&with(">i2", &big_endian)), [0, 1, 127, 128, 254, 255]);
        let says = |content: &[u8], what: &str| {
            let message = folder.refused(content);
            assert!(message.contains(what), "{message}");
        };
        says(
            &floats([0.0, 0.1, 0.2, 0.3, 0.4, 0.55]),
            "pixels are float32 from 0 to 0.55, and not 255ths; images are bytes",
        );
        says(&floats([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0]), "pixels are float32 from -1 to 1; images are bytes, 0 to 255");
        says(&floats([f32::NAN, 0.0, 0.0, 0.0, 0.0, 1.0]), "pixels are no numbers (NaN or infinite)");
        says(&with("<u2", &[0, 1].repeat(6)), "pixels are uint16 from 256 to 256; images are bytes");
        says(&with("<f2", &[0; 12]), "is of type '<f2'");
    }

    #[test]
    fn labels_are_whole_numbers_of_classes() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let with = |labels: Vec<u8>| {
            npz(&[("train_images", bytes(&[6, 2, 2])), ("train_labels", labels)], CompressionMethod::Stored)
        };
        let says = |content: &[u8], what: &str| {
            let error = folder.parse(content, "").err().unwrap();
            let whole = format!("{}; {}", error.message, error.hint.unwrap_or_default());
            assert!(whole.contains(what), "{whole}");
        };
        let from_one = with(npy("|u1", &[6, 1], &[1, 2, 3, 1, 2, 3]));
        says(&from_one, "labels are 1 to 3: none is of class 0; first_label = 1; or first_label = 0");
        assert_eq!(folder.parse(&from_one, r#", "first_label": 1"#).unwrap().classes(), ["1", "2", "3"]);
        assert_eq!(folder.parse(&from_one, r#", "first_label": 0"#).unwrap().classes(), ["0", "1", "2", "3"]);
        let error = folder.parse(&from_one, r#", "first_label": 2"#).err().unwrap().message;
        assert!(error.contains("there is a label 1, and with first_label = 2 labels are 2 to 65537"), "{error}");
        says(&with(npy("|i1", &[6], &[255, 0, 1, 255, 0, 1])), "there is a label -1, and with first_label = 0");
        says(&with(npy("<i4", &[6], &[0, 0, 1, 0].repeat(6))), "labels are 65536 to 65536: first_label = 65536");
        says(
            &with(npy("|u1", &[6, 3], &[0; 18])),
            "is [6, 3] of uint8; labels are one whole number an image; of one-hot",
        );
        says(&with(npy("<f8", &[6], &[0; 48])), "is [6] of float64; labels are whole numbers: y.astype('int64')");
        says(&with(npy("|u1", &[5], &[0, 1, 0, 1, 0])), "has 6 images, and train_labels of ");
        says(&with(npy("|u1", &[6], &[0; 6])), "in 1 classes: nothing to learn");
    }

    #[test]
    fn shapes_that_may_mean_two_things_are_asked_about() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let with =
            |shape: &[usize]| npz(&[("x_train", bytes(shape)), ("y_train", labels(6))], CompressionMethod::Stored);
        assert!(
            folder.refused(&with(&[6, 3, 2, 3])).contains("the channels may be the first side of an image or the last")
        );
        let first = folder.parse(&with(&[6, 3, 2, 3]), r#", "layout": "channels-first""#).unwrap().io();
        let last =
            folder.parse(&with(&[6, 3, 2, 3]), r#", "layout": "channels-last", "transpose": true"#).unwrap().io();
        assert_eq!([first.channels, first.height, first.width], [3, 2, 3]);
        assert_eq!([last.channels, last.height, last.width], [3, 2, 3]);
        assert!(
            folder.refused(&with(&[6, 5, 5, 5])).contains("neither the first nor the last side of an image is 1 or 3")
        );
        assert!(folder.refused(&with(&[6, 5, 5, 4])).contains("four channels, as with alpha"));
        assert!(folder.refused(&with(&[6])).contains("which is no set of images"));
        assert!(folder.refused(&with(&[6, 1, 2, 2, 2])).contains("which is no set of images"));
        let parts = [
            ("x_train", bytes(&[6, 2, 2])),
            ("y_train", labels(6)),
            ("x_test", bytes(&[6, 2, 3])),
            ("y_test", labels(6)),
        ];
        assert!(
            folder
                .refused(&npz(&parts, CompressionMethod::Stored))
                .contains("training images are [1, 2, 2] and others [1, 2, 3]")
        );
    }

    #[test]
    fn what_is_no_npz_is_called_what_it_is() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let stored = |arrays: &[(&str, Vec<u8>)]| npz(arrays, CompressionMethod::Stored);
        assert!(folder.refused(&bytes(&[2, 2])).contains("it is a single NumPy array (.npy)"));
        assert!(folder.refused(b"\x80\x04K\x01.").contains("it is a Python pickle"));
        assert!(folder.refused(b"").contains("it is empty"));
        assert!(
            folder
                .refused(&stored(&[("a", bytes(&[6])), ("b", labels(6))]))
                .contains("known by their names: it has a, b")
        );
        assert!(
            folder.refused(&stored(&[("x_train", bytes(&[6, 2, 2]))])).contains("known by their names: it has x_train")
        );
        let with = |images: Vec<u8>| stored(&[("x_train", images), ("y_train", labels(6))]);
        assert!(folder.refused(&with(b"hello".to_vec())).contains("is no array that can be read"));
        let object = with_header("{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", b"\x80\x03N.");
        assert!(
            folder
                .refused(&with(object))
                .contains("holds Python objects, not numbers, and reading those would run code")
        );
        let columns = with_header("{'descr': '|u1', 'fortran_order': True, 'shape': (6, 2, 2), }", &[0; 24]);
        assert!(folder.refused(&with(columns)).contains("is in Fortran order"));
        let huge =
            |n: &str| with_header(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}), }}"), &[0; 24]);
        assert!(
            folder.refused(&with(huge("6, 9223372036854775807"))).contains("tells of more values than there can be")
        );
        assert!(folder.refused(&with(huge("6, 2, 1"))).contains("and more follow"));
        assert!(folder.refused(&with(huge("6, 2, 3"))).contains("and fewer follow"));
        // A checksum that does not hold; an archive that is cut off.
        let mut bent = with(bytes(&[6, 2, 2]));
        let at = bent.windows(4).position(|four| four == [20, 21, 22, 23]).unwrap();
        bent[at] ^= 1;
        assert!(folder.refused(&bent).contains("cannot be unpacked: "), "{}", folder.refused(&bent));
        let whole = with(bytes(&[6, 2, 2]));
        assert!(folder.refused(&whole[..whole.len() / 2]).contains("is no .npz that can be read"));
        assert!(folder.parse(&whole, "").is_ok());
    }
}
