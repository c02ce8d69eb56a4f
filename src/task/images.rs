//! `images:DIR`: a user's own photographs, JPEG or PNG, a folder for each class. The classes are the folders in the order
//! of their names. Where DIR has a folder `train`, the classes are in it, and `val` and `test` beside it are the other
//! splits; else those are held out.
//!
//! Of each image the centre square is taken, turned as its Exif says, laid on white where it is transparent, and resized
//! once to `size` pixels a side, antialiased (a triangle as wide as the pixels it covers, Pillow's BILINEAR).

mod listing;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::task::config::Entry;
use crate::task::imported::picture::{self, Look};
use crate::task::imported::{About, Import, Opened};
use listing::Listing;

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
        let look = Look { size: size as u32, channels };
        let left_out = others.first().map_or(String::new(), |other| {
            format!(", without {} that do not end in .jpg, .jpeg or .png, such as {}", others.len(), other.display())
        });
        Ok(Opened {
            what: format!("{} images of {}{left_out}", images.len(), self.folder().display()),
            about: About { channels, height: size, width: size, classes, parts },
            labels: images.iter().map(|image| image.class).collect(),
            read: Box::new(move |index, pixels| {
                let path = &images[index].path;
                let bytes = fs::read(path).context(|| path.display())?;
                picture::read(&bytes, &look, pixels).context(|| path.display())
            }),
        })
    }
}

impl ImageFolder {
    fn folder(&self) -> &Path {
        Path::new(self.folder.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::config::Source;
    use crate::task::imported::parse_in;
    use image::{DynamicImage, GrayImage, RgbImage};

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
