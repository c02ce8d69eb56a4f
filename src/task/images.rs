//! `images:DIR`: a user's own photographs, JPEG or PNG, a folder for each class. The classes are the folders in the order
//! of their names. Where DIR has a folder `train`, the classes are in it, and `val` and `test` beside it are the other
//! splits; else those are held out.
//!
//! Of each image the centre square is taken, turned as its Exif says, laid on white where it is transparent, and resized
//! once to `size` pixels a side, antialiased (a triangle as wide as the pixels it covers, Pillow's BILINEAR).

use std::fs;
use std::io::{self, Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::task::config::Entry;
use crate::task::imported::{About, Import, MOST_CLASSES, Opened};

pub const ENTRY: Entry = Entry::imported::<ImageFolder>(
    "images",
    Some(("folder", "DIR")),
    "your own JPEG and PNG images, a folder for each class",
    &[
        ("folder", "a folder for each class, or train, val and test with a folder for each class"),
        ("size", "pixels of each side that the images are resized to"),
        ("channels", "3, or 1 for grey"),
    ],
);

const LARGEST: u64 = 1024;
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

#[derive(Clone, Serialize, Deserialize)]
pub struct ImageFolder {
    folder: Option<String>,
    size: u64,
    channels: u64,
}

impl Default for ImageFolder {
    fn default() -> Self {
        Self { folder: None, size: 64, channels: 3 }
    }
}

impl Import for ImageFolder {
    const PATHS: &'static [&'static str] = &["folder"];

    fn check(&self) -> Result<()> {
        if self.folder.is_none() {
            return Err(Error::bad_input("it needs a folder").hint("name it images:DIR, or give the key folder"));
        }
        if !(1..=LARGEST).contains(&self.size) {
            return Err(Error::bad_input(format!("size must be 1 to {LARGEST}, and is {}", self.size)));
        }
        match self.channels {
            1 | 3 => Ok(()),
            other => Err(Error::bad_input(format!("channels must be 1 or 3, and is {other}"))),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(Listing::of(self.folder())?.images.into_iter().map(|image| image.path).collect())
    }

    fn open(&self) -> Result<Opened> {
        let Listing { classes, images, others } = Listing::of(self.folder())?;
        let parts = [0, 1, 2].map(|part| images.iter().filter(|image| image.part == part).count() as u64);
        let (size, channels) = (self.size, self.channels);
        let left_out = others.first().map_or(String::new(), |other| {
            format!(", without {} that do not end in .jpg, .jpeg or .png, such as {}", others.len(), other.display())
        });
        Ok(Opened {
            what: format!("{} images of {}{left_out}", images.len(), self.folder().display()),
            about: About { channels, height: size, width: size, classes, parts },
            labels: images.iter().map(|image| image.class).collect(),
            read: Box::new(move |index, pixels| {
                let path = &images[index].path;
                read(path, size as u32, channels, pixels).context(|| path.display())
            }),
        })
    }
}

impl ImageFolder {
    fn folder(&self) -> &Path {
        Path::new(self.folder.as_deref().unwrap_or_default())
    }
}

struct Listed {
    path: PathBuf,
    class: u16,
    /// 0 training, 1 validation, 2 test.
    part: usize,
}

/// What is in a folder, by names alone.
#[derive(Default)]
struct Listing {
    classes: Vec<String>,
    /// By part, class and path.
    images: Vec<Listed>,
    /// Files within the classes that are no images by their names.
    others: Vec<PathBuf>,
}

impl Listing {
    fn of(root: &Path) -> Result<Self> {
        let folders = subfolders(root)?;
        let mut parts: [Vec<&str>; 3] = Default::default();
        for (folder, _) in &folders {
            match folder.to_lowercase().as_str() {
                "train" | "training" => parts[0].push(folder),
                "val" | "valid" | "validation" => parts[1].push(folder),
                "test" | "testing" => parts[2].push(folder),
                _ => (),
            }
        }
        let mut listing = Self::default();
        if parts[0].is_empty() {
            listing.add(root, 0)?;
            return Ok(listing);
        }
        if parts.iter().any(|part| part.len() > 1) || parts.iter().flatten().count() < folders.len() {
            let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::bad_input(format!(
                "{} has a folder train, so beside it only val and test are read, and it has {}",
                root.display(),
                names.join(", ")
            ))
            .hint("move the others away; or, if train is a class, call that class something else"));
        }
        for (part, folders) in parts.iter().enumerate() {
            folders.iter().try_for_each(|folder| listing.add(&root.join(folder), part))?;
        }
        Ok(listing)
    }

    /// The classes of one part; the training part comes first and says which there are.
    fn add(&mut self, folder: &Path, part: usize) -> Result<()> {
        let classes = subfolders(folder)?;
        if part == 0 {
            if !(2..=MOST_CLASSES).contains(&classes.len()) {
                let (count, folder) = (classes.len(), folder.display());
                return Err(Error::bad_input(format!(
                    "{folder} has {count} folders, and needs one for each of 2 to {MOST_CLASSES} classes"
                )));
            }
            self.classes = classes.iter().map(|(name, _)| name.clone()).collect();
        }
        for (name, path) in classes {
            let Ok(class) = self.classes.binary_search(&name) else {
                return Err(Error::bad_input(format!("{} is a class that train does not have", path.display()))
                    .hint(format!("its classes are {}", self.classes.join(", "))));
            };
            let before = self.images.len();
            let mut found = Vec::new();
            walk(&path, &mut found)?;
            found.sort();
            for path in found {
                let extension = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
                match extension.is_some_and(|end| EXTENSIONS.contains(&end.as_str())) {
                    true => self.images.push(Listed { path, class: class as u16, part }),
                    false => self.others.push(path),
                }
            }
            if part == 0 && self.images.len() == before {
                return Err(Error::bad_input(format!("{} has no .jpg, .jpeg or .png file", path.display()))
                    .hint("remove the folder, or put the images of its class there"));
            }
        }
        Ok(())
    }
}

/// Entries that are not hidden: name and path, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).context(failed)? {
        let entry = entry.context(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| Error::bad_input(format!("{}: {name:?} is not UTF-8", folder.display())))?;
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn subfolders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// Whether a link leads to this folder or one above it.
fn is_above(path: &Path, folder: &Path) -> Result<bool> {
    let real = |path: &Path| fs::canonicalize(path).context(|| format!("cannot open {}", path.display()));
    Ok(path.is_symlink() && real(folder)?.starts_with(real(path)?))
}

/// All files below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for (_, path) in entries(folder)? {
        match path.is_dir() {
            true if is_above(&path, folder)? => {
                let message = format!("{} is a link to a folder that it stands in", path.display());
                return Err(Error::bad_input(message).hint("remove the link: its images would be read many times"));
            }
            true => walk(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// Fills in `[channels, size, size]` from a file.
fn read(path: &Path, size: u32, channels: u64, pixels: &mut [u8]) -> image::ImageResult<()> {
    let bytes = fs::read(path)?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(&bytes) {
        // The decoder would fill up what is missing with grey.
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is cut off: a JPEG without its end").into());
    }
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let side = image.width().min(image.height());
    let square = image.crop_imm((image.width() - side) / 2, (image.height() - side) / 2, side, side);
    let colours = on_white(&square);
    if channels == 1 {
        let grey = resize(&grey(&colours), size, size, FilterType::Triangle);
        pixels.copy_from_slice(grey.as_raw());
        return Ok(());
    }
    let colours = resize(&colours, size, size, FilterType::Triangle);
    let plane = (size * size) as usize;
    for (place, pixel) in colours.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            pixels[channel * plane + place] = value;
        }
    }
    Ok(())
}

/// Whether the end marker of a JPEG follows its last scan. (A thumbnail within it has a scan and an end of its own; within
/// a scan no byte of a marker follows FF.)
fn has_end(jpeg: &[u8]) -> bool {
    let scan = jpeg.windows(2).rposition(|marker| marker == [0xff, 0xda]);
    scan.is_some_and(|at| jpeg[at..].windows(2).any(|marker| marker == [0xff, 0xd9]))
}

fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let transparent = image.to_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = transparent.get_pixel(x, y).0;
        let laid =
            |value: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        image::Rgb([laid(red), laid(green), laid(blue)])
    })
}

/// Brightness as in ITU-R BT.601, rounded as Pillow does.
fn grey(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue] = image.get_pixel(x, y).0.map(u32::from);
        image::Luma([((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::config::Source;
    use crate::task::imported::parse_in;
    use image::ImageEncoder;
    use image::codecs::jpeg::JpegEncoder;

    /// An image that is different everywhere.
    fn painted(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 53, 106].map(|c| ((x * x + 3 * y * x + c) % 256) as u8)))
    }

    fn save(folder: &Path, name: &str, image: impl Into<DynamicImage>) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.into().save(path).unwrap();
    }

    fn source(folder: &Path, more: &str) -> Result<Box<dyn Source>> {
        let data = folder.with_extension("cache");
        let given = format!(r#"{{"folder": {:?}{more}}}"#, folder.to_str().unwrap());
        Ok(parse_in::<ImageFolder>(&data, "images", &serde_json::from_str(&given).unwrap())?.0)
    }

    fn refused(folder: &Path, more: &str) -> String {
        source(folder, more).err().unwrap().message
    }

    /// y, x, c = np.meshgrid(range(23), range(37), range(3), indexing='ij')
    /// square = Image.fromarray(((x*x + 3*y*x + c*53) % 256).astype(np.uint8)).crop((7, 0, 30, 23))
    /// np.asarray(square.resize((4, 4), Image.BILINEAR)).transpose(2, 0, 1).ravel()
    /// np.asarray(square.convert('L').resize((4, 4), Image.BILINEAR)).ravel()
    #[test]
    fn resizing_is_pillows() {
        const COLOURS: [u8; 48] = [
            145, 130, 131, 125, 123, 132, 139, 116, 123, 125, 127, 130, 130, 123, 123, 127, 143, 128, 127, 124, 120,
            131, 136, 144, 122, 120, 128, 129, 122, 129, 134, 128, 125, 133, 127, 124, 129, 131, 125, 120, 135, 128,
            127, 118, 123, 136, 126, 123,
        ];
        const GREY: [u8; 16] = [141, 129, 128, 124, 122, 131, 135, 133, 124, 122, 127, 128, 125, 128, 130, 127];
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.png", painted(37, 23));
        let path = folder.path().join("a.png");
        let (mut colours, mut shades) = ([0; 48], [0; 16]);
        read(&path, 4, 3, &mut colours).unwrap();
        read(&path, 4, 1, &mut shades).unwrap();
        let furthest = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
        // Pillow rounds between the two passes.
        assert!(furthest(&colours, &COLOURS) <= Some(1), "{colours:?}");
        assert!(furthest(&shades, &GREY) <= Some(1), "{shades:?}");
    }

    #[test]
    fn transparency_is_white_and_exif_turns() {
        let folder = tempfile::tempdir().unwrap();
        let mut half = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 100, 200, 255]));
        half.put_pixel(0, 0, image::Rgba([0, 0, 0, 0]));
        half.put_pixel(1, 0, image::Rgba([0, 0, 0, 51]));
        save(folder.path(), "a.png", half);
        let mut pixels = [0; 12];
        read(&folder.path().join("a.png"), 2, 3, &mut pixels).unwrap();
        assert_eq!(pixels, [255, 204, 0, 0, 255, 204, 100, 100, 255, 204, 200, 200]);
        // Exif: little-endian TIFF of one entry, orientation (0x112) 6: the top of the picture is at the right.
        let exif = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), b"\x06\0\0\0\0\0\0\0"].concat();
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        encoder.set_exif_metadata(exif).unwrap();
        let left_is_black = GrayImage::from_fn(16, 16, |x, _| image::Luma([if x < 8 { 0 } else { 255 }]));
        encoder.write_image(left_is_black.as_raw(), 16, 16, image::ExtendedColorType::L8).unwrap();
        fs::write(folder.path().join("b.jpg"), file).unwrap();
        let mut pixels = [0; 4];
        read(&folder.path().join("b.jpg"), 2, 1, &mut pixels).unwrap();
        assert!(
            pixels[..2].iter().all(|&top| top < 60) && pixels[2..].iter().all(|&bottom| bottom > 195),
            "{pixels:?}"
        );
    }

    #[test]
    fn a_jpeg_that_is_cut_off_is_refused_wherever_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.jpg", painted(64, 64));
        let path = folder.path().join("a.jpg");
        let whole = fs::read(&path).unwrap();
        for kept in [whole.len() / 3, whole.len() * 9 / 10, whole.len() - 2] {
            fs::write(&path, &whole[..kept]).unwrap();
            let error = read(&path, 8, 3, &mut [0; 192]).unwrap_err().to_string();
            assert!(error.contains("it is cut off"), "{error}");
        }
        fs::write(&path, [whole, b"a comment behind it".to_vec()].concat()).unwrap();
        read(&path, 8, 3, &mut [0; 192]).unwrap();
    }

    #[test]
    fn splits_go_by_several_names_and_no_link_leads_upwards() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        for (split, count) in [("Training", 3), ("Val", 2), ("Testing", 1)] {
            for i in 0..count {
                save(&folder, &format!("{split}/ant/{i}.png"), painted(4, 4 + i));
                save(&folder, &format!("{split}/bee/{i}.png"), painted(4, 5 + i));
            }
        }
        let splits = source(&folder, "").unwrap().splits();
        assert_eq!((splits.train, splits.validation, splits.test), (Some(6), 4, 2));
        std::os::unix::fs::symlink("..", folder.join("Val/ant/self")).unwrap();
        assert!(refused(&folder, "").contains("self is a link to a folder that it stands in"));
    }

    #[test]
    fn classes_are_folders_and_splits_are_held_out_or_folders_too() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        for (class, count) in [("zebra", 6), ("ant", 14)] {
            for i in 0..count {
                let shade = if class == "ant" { 10 } else { 200 } + i as u8;
                save(&folder, &format!("{class}/deeper/{i}.PNG"), GrayImage::from_pixel(3, 5, image::Luma([shade])));
            }
        }
        fs::write(folder.join("ant/.hidden.png"), "no image").unwrap();
        fs::write(folder.join("ant/notes.txt"), "no image").unwrap();
        let task = source(&folder, r#", "size": 2, "channels": 1, "test": 5, "validation": 0.1"#).unwrap();
        assert_eq!(task.classes(), ["ant", "zebra"]);
        assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(13), 2, 5));
        let all = task.load(Path::new(""), 100).unwrap();
        let mut shades = Vec::new();
        for split in [&all.train, &all.validation, &all.test] {
            let crate::task::examples::Images::U8(pixels) = &split.images else { panic!("images are bytes") };
            for (image, &label) in pixels.chunks(4).zip(&split.labels) {
                assert_eq!((image, label), ([image[0]; 4].as_slice(), i64::from(image[0] >= 100)));
                shades.push(image[0]);
            }
        }
        assert!(!shades.is_sorted());
        shades.sort();
        assert_eq!(shades, (10..24).chain(200..206).collect::<Vec<u8>>(), "each image is in one split, once");
        assert_eq!(task.load(Path::new(""), 3).unwrap().train.labels[..], all.train.labels[..3]);

        for split in ["train", "val", "test"] {
            save(&folder, &format!("{split}/ant/0.png"), painted(4, 4));
            save(&folder, &format!("{split}/zebra/0.png"), painted(4, 4));
        }
        assert!(refused(&folder, "").contains("it has ant, test, train, val, zebra"));
        fs::remove_dir_all(folder.join("ant")).unwrap();
        fs::remove_dir_all(folder.join("zebra")).unwrap();
        let task = source(&folder, "").unwrap();
        assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(2), 2, 2));
        assert!(refused(&folder, r#", "test": 3"#).contains("have 2 test images of their own"));
        save(&folder, "test/bee/0.png", painted(4, 4));
        assert!(refused(&folder, "").contains("test/bee is a class that train does not have"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        save(&folder, "a/0.png", painted(4, 4));
        assert!(refused(&folder, "").contains("has 1 folders, and needs one for each of 2"));
        fs::create_dir(folder.join("b")).unwrap();
        assert!(refused(&folder, "").contains("b has no .jpg, .jpeg or .png file"));
        fs::write(folder.join("b/broken.jpg"), "no image").unwrap();
        save(&folder, "b/cut.png", painted(40, 40));
        let whole = fs::read(folder.join("b/cut.png")).unwrap();
        fs::write(folder.join("b/cut.png"), &whole[..whole.len() / 2]).unwrap();
        let message = refused(&folder, "");
        assert!(message.contains("2 of 3 images cannot be read"), "{message}");
        assert!(message.contains("b/broken.jpg: ") && message.contains("b/cut.png: "), "{message}");
        assert!(!folder.with_extension("cache").join("images/import.part").exists());
        assert_eq!(refused(&folder, r#", "size": 0"#), "task 'images': size must be 1 to 1024, and is 0");
        assert_eq!(refused(&folder, r#", "channels": 2"#), "task 'images': channels must be 1 or 3, and is 2");
        assert!(refused(&folder.join("nowhere"), "").contains("nowhere: No such file"));
    }
}
