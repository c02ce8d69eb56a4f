//! `idx`: a user's own images and labels in the idx format, plain or gzip. Images of any size: `[n, W]` are signals, `[n, H, W]`
//! grey images, `[n, C, H, W]` and `[n, H, W, 3]` have channels; there are as many classes as the largest label says. Without
//! test files the test split is held out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::task::arrays::{FIRST_LABEL, LAYOUT, Part, Reading, TRANSPOSE};
use crate::task::config::Entry;
use crate::task::idx;
use crate::task::imported::{Import, Opened};

pub const ENTRY: Entry = Entry::imported::<IdxFiles>(
    "idx",
    None,
    "your own images and labels in the idx format of MNIST",
    &[
        ("images", "file of the training images, [n, W], [n, H, W], [n, C, H, W] or [n, H, W, 3]"),
        ("labels", "file of their labels"),
        ("test_images", "file of the test images; without it the test split is held out"),
        ("test_labels", "file of their labels"),
        FIRST_LABEL,
        LAYOUT,
        TRANSPOSE,
    ],
);

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct IdxFiles {
    images: Option<String>,
    labels: Option<String>,
    test_images: Option<String>,
    test_labels: Option<String>,
    #[serde(flatten)]
    reading: Reading,
}

impl Import for IdxFiles {
    const PATHS: &'static [&'static str] = &["images", "labels", "test_images", "test_labels"];

    fn check(&self) -> Result<()> {
        if self.images.is_none() || self.labels.is_none() {
            return Err(Error::bad_input("it needs the files images and labels")
                .hint("for example images = \"train-images.gz\", labels = \"train-labels.gz\""));
        }
        match self.test_images.is_some() == self.test_labels.is_some() {
            true => Ok(()),
            false => Err(Error::bad_input("one of test_images and test_labels is given without the other")),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let all = [&self.images, &self.labels, &self.test_images, &self.test_labels];
        Ok(all.into_iter().flatten().map(PathBuf::from).collect())
    }

    fn open(&self, scratch: &Path) -> Result<Opened> {
        let part = |images: &Option<String>, labels: &Option<String>| -> Result<Option<Part>> {
            let (Some(images), Some(labels)) = (images, labels) else { return Ok(None) };
            let images = idx::open(Path::new(images), 2..=4, scratch)?;
            Ok(Some(Part { images, labels: idx::open(Path::new(labels), 1..=1, scratch)? }))
        };
        let parts = [part(&self.images, &self.labels)?, None, part(&self.test_images, &self.test_labels)?];
        self.reading.open(parts, self.images.as_deref().unwrap_or_default(), true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::run::Settings;
    use crate::task::config::Source;
    use crate::task::examples::Images;
    use crate::task::idx::written;
    use crate::task::imported::parse_in;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, name: &str, content: &[u8]) -> serde_json::Value {
            let path = self.0.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().into()
        }

        fn parse(&self, given: &[(&str, &serde_json::Value)]) -> Result<Box<dyn Source>> {
            let given: Settings = given.iter().map(|(key, value)| ((*key).into(), (*value).clone())).collect();
            Ok(parse_in::<IdxFiles>(&self.0.path().join("data"), "idx", &given)?.0)
        }
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn shapes_and_classes_are_read_from_the_files_packed_or_not() {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (shape, expected) in [(vec![4], (1, 1, 4)), (vec![2, 3], (1, 2, 3)), (vec![2, 3, 5], (2, 3, 5))] {
            let size: u32 = shape.iter().product();
            let pixels = |n: u32| (0..n * size).map(|at| (at / size) as u8).collect::<Vec<u8>>();
            let images = |n: u32| written(&[&[n], shape.as_slice()].concat(), &pixels(n));
            let given = [
                ("images", &folder.write("images.gz", &packed(&images(10)))),
                ("labels", &folder.write("labels", &written(&[10], &[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]))),
                ("test_images", &folder.write("test-images", &images(3))),
                ("test_labels", &folder.write("test-labels.gz", &packed(&written(&[3], &[6, 0, 1])))),
                ("validation", &3.into()),
            ];
            let task = folder.parse(&given).unwrap();
            let io = task.io();
            assert_eq!(((io.channels, io.height, io.width), io.classes), (expected, 7));
            assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(7), 3, 3));
            let all = task.load(Path::new(""), 100).unwrap();
            assert_eq!(all.test.labels, [6, 0, 1]);
            let Images::U8(values) = &all.train.images else { panic!("images are bytes") };
            for (image, &label) in values.chunks(size as usize).zip(&all.train.labels) {
                assert_eq!((image[0] as i64 % 5, image.iter().all(|pixel| *pixel == image[0])), (label, true));
            }
            // Without test files, the test split is held out.
            let task = folder.parse(&given[..2]).unwrap();
            assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(8), 1, 1));
        }
    }

    /// struct.pack('>2BBB', 0, 0, code, x.ndim) + struct.pack(f'>{x.ndim}I', *x.shape) + x.astype('>f4').tobytes()
    #[test]
    fn other_numbers_are_read_where_they_are_bytes() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let labels = folder.write("labels", &written(&[4], &[0, 1, 0, 1]));
        let read = |name: &str, code: u8, values: Vec<u8>| {
            let mut content = written(&[4, 2, 1], &values);
            content[2] = code;
            let images = folder.write(name, &content);
            let given = [("images", &images), ("labels", &labels), ("validation", &1.into()), ("test", &1.into())];
            let all = folder.parse(&given).map_err(|error| error.message)?.load(Path::new(""), 9).unwrap();
            let splits = [all.train, all.validation, all.test].map(|split| split.images);
            let mut pixels: Vec<u8> =
                splits.iter().flat_map(|images| (0..images.len()).map(|at| images.value(at) as u8)).collect();
            pixels.sort();
            Ok::<_, String>(pixels)
        };
        let pixels = [0, 1, 2, 3, 125, 126, 127, 128];
        assert_eq!(read("i16", 0x0b, pixels.map(i16::to_be_bytes).concat()).unwrap(), pixels.map(|x| x as u8));
        assert_eq!(
            read("i32", 0x0c, pixels.map(|x| i32::to_be_bytes(x.into())).concat()).unwrap(),
            pixels.map(|x| x as u8)
        );
        let shares = pixels.map(|x| f32::to_be_bytes(f32::from(x) / 255.0)).concat();
        assert_eq!(read("f32", 0x0d, shares).unwrap(), pixels.map(|x| x as u8));
        assert_eq!(
            read("f64", 0x0e, pixels.map(|x| f64::to_be_bytes(x.into())).concat()).unwrap(),
            pixels.map(|x| x as u8)
        );
        let message = read("i8", 0x09, vec![0, 1, 2, 3, 255, 254, 0, 0]).unwrap_err();
        assert!(message.contains("i8: pixels are int8 from -2 to 3; images are bytes, 0 to 255"), "{message}");
        let message = read("half", 0x0a, vec![0; 16]).unwrap_err();
        assert!(message.contains("its values have type 0x0a, which idx does not have"), "{message}");
        let message = read("short", 0x0b, vec![0; 15]).unwrap_err();
        assert!(message.contains("tells of [4, 2, 1] values of int16, and 15 bytes follow"), "{message}");
    }

    #[test]
    fn channels_may_come_last_and_images_may_lie_on_their_side() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let labels = folder.write("labels", &written(&[4], &[1, 2, 1, 2]));
        let last = folder.write("last", &written(&[4, 5, 2, 3], &(0..120).collect::<Vec<u8>>()));
        let letters = folder.write("letters", &written(&[4, 2, 3], &(0..24).collect::<Vec<u8>>()));
        let first = 1.into();
        let load = |images, more: &[(&str, &serde_json::Value)]| {
            let given = [&[("images", images), ("labels", &labels), ("first_label", &first)], more].concat();
            let task = folder.parse(&given).unwrap();
            let (io, all) = (task.io(), task.load(Path::new(""), 9).unwrap());
            let Images::U8(pixels) = all.train.images else { panic!("images are bytes") };
            assert_eq!(task.classes(), ["1", "2"]);
            (vec![io.channels, io.height, io.width], pixels)
        };
        let (sides, pixels) = load(&last, &[]);
        assert_eq!((sides, pixels[1] - pixels[0]), (vec![3, 5, 2], 3));
        let (sides, pixels) = load(&last, &[("layout", &"channels-first".into())]);
        assert_eq!((sides, pixels[1] - pixels[0]), (vec![5, 2, 3], 1));
        let (sides, pixels) = load(&letters, &[("transpose", &true.into())]);
        let first = pixels[0] - pixels[0] % 6;
        assert_eq!((sides, &pixels[..6]), (vec![1, 3, 2], [0, 3, 1, 4, 2, 5].map(|at| first + at).as_slice()));
    }

    /// Keys that came later are in the settings only where they are given: runs keep their ids.
    #[test]
    fn settings_are_what_they_were() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let images = folder.write("images", &written(&[4, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7]));
        let labels = folder.write("labels", &written(&[4], &[0, 1, 0, 1]));
        let given: Settings = [("images".into(), images), ("labels".into(), labels)].into();
        let settings = parse_in::<IdxFiles>(&folder.0.path().join("data"), "idx", &given).unwrap().1;
        let expected = r#"{"content":"CONTENT","images":null,"labels":null,"seed":0,"stratified":true,"test":null,"test_images":null,"test_labels":null,"validation":null}"#;
        let content = settings["content"].as_str().unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), expected.replace("CONTENT", content));
        assert_eq!(content, "b8b36293fd3f6e8a");
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let images = folder.write("images", &written(&[4, 2, 2], &[0; 16]));
        let labels = folder.write("labels", &written(&[4], &[0, 1, 0, 1]));
        let refused = |given: &[(&str, &serde_json::Value)]| folder.parse(given).err().unwrap().message;
        assert!(refused(&[("images", &images)]).contains("it needs the files images and labels"));
        let base = [("images", &images), ("labels", &labels)];
        let with = |key, name: &str, content: Vec<u8>| {
            let file = folder.write(name, &content);
            refused(&[base[0], base[1], (key, &file)])
        };
        assert!(with("labels", "few", written(&[3], &[0, 1, 0])).contains("images has 4 images, and "));
        assert!(with("labels", "one", written(&[4], &[0; 4])).contains("in 1 classes: nothing to learn"));
        assert!(with("images", "flat", written(&[4], &[0; 4])).contains("has 1 dimensions where 2 to 4 are needed"));
        assert!(with("images", "cut.gz", packed(&[0; 9])[..12].to_vec()).contains("cannot unpack"));
        assert!(with("test_images", "t", written(&[1, 2, 2], &[0; 4])).contains("one of test_images and test_labels"));
        let wide = folder.write("wide", &written(&[1, 2, 3], &[0; 6]));
        let test_labels = folder.write("test-labels", &written(&[1], &[0]));
        let message = refused(&[base[0], base[1], ("test_images", &wide), ("test_labels", &test_labels)]);
        assert!(message.contains("training images are [1, 2, 2] and others [1, 2, 3]"), "{message}");
    }
}
