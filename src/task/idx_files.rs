//! `idx`: a user's own images and labels in the idx format, plain or gzip. Images of any size: `[n, W]` are signals, `[n, H, W]`
//! grey images, `[n, C, H, W]` have channels; there are as many classes as the largest label says. Without test files the
//! test split is held out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::task::config::Entry;
use crate::task::files::read_unpacked;
use crate::task::idx::{self, Array};
use crate::task::imported::audit::Audit;
use crate::task::imported::picture::Seen;
use crate::task::imported::{About, Import, Opened};

pub const ENTRY: Entry = Entry::imported::<IdxFiles>(
    "idx",
    None,
    "your own images and labels in the idx format of MNIST",
    &[
        ("images", "file of the training images, [n, W], [n, H, W] or [n, C, H, W]"),
        ("labels", "file of their labels"),
        ("test_images", "file of the test images; without it the test split is held out"),
        ("test_labels", "file of their labels"),
    ],
);

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct IdxFiles {
    images: Option<String>,
    labels: Option<String>,
    test_images: Option<String>,
    test_labels: Option<String>,
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

    fn open(&self) -> Result<Opened> {
        let mut parts = Vec::new();
        for (images, labels) in [(&self.images, &self.labels), (&self.test_images, &self.test_labels)] {
            if let (Some(images), Some(labels)) = (images, labels) {
                parts.push(pair(images, labels)?);
            }
        }
        let (train, shape) = (parts[0].0.shape[0], parts[0].0.shape[1..].to_vec());
        if let Some((images, _)) = parts[1..].iter().find(|(images, _)| images.shape[1..] != shape) {
            return Err(Error::bad_input(format!(
                "training images are {:?} and test images {:?}: they must be alike",
                shape,
                &images.shape[1..]
            )));
        }
        let labels: Vec<u16> = parts.iter().flat_map(|(_, labels)| labels.iter().map(|&label| label.into())).collect();
        let classes = labels.iter().max().map_or(0, |most| most + 1);
        if train == 0 || classes < 2 || shape.contains(&0) {
            return Err(Error::bad_input(format!(
                "there are {train} images of {shape:?} in {classes} classes: nothing to learn"
            )));
        }
        let pixels: Vec<u8> = parts.into_iter().flat_map(|(images, _)| images.values).collect();
        let size = shape.iter().product::<usize>();
        // A row, a plane, or channels of planes.
        let side = |from_the_end: usize| shape.iter().rev().nth(from_the_end).map_or(1, |&side| side as u64);
        let sides = (side(0) as u32, side(1) as u32);
        Ok(Opened {
            what: format!("{} images of {}", labels.len(), self.images.as_deref().unwrap_or_default()),
            about: About {
                channels: side(2),
                height: side(1),
                width: side(0),
                classes: (0..classes).map(|class| class.to_string()).collect(),
                parts: [train as u64, 0, (labels.len() - train) as u64],
            },
            labels,
            files: Vec::new(),
            look: String::new(),
            audit: Audit::default(),
            read: Box::new(move |index, image| {
                image.copy_from_slice(&pixels[index * size..][..size]);
                Ok(Seen::of(image, sides))
            }),
        })
    }
}

/// Images and as many labels.
fn pair(images: &str, labels: &str) -> Result<(Array, Vec<u8>)> {
    let array = idx::parse(images, &read_unpacked(Path::new(images))?, 2..=4)?;
    let classes = idx::parse(labels, &read_unpacked(Path::new(labels))?, 1..=1)?;
    match array.shape[0] == classes.shape[0] {
        true => Ok((array, classes.values)),
        false => Err(Error::bad_input(format!(
            "{images} has {} images, and {labels} has {} labels",
            array.shape[0], classes.shape[0]
        ))),
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
        assert!(message.contains("training images are [2, 2] and test images [2, 3]"), "{message}");
    }
}
