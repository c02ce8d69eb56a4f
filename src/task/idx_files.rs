//! `idx`: a user's own images and labels in the idx format, plain or gzip. Images of any size: `[n, W]` are signals, `[n, H, W]`
//! grey images, `[n, C, H, W]` have channels; there are as many classes as the largest label says. Without test files the
//! test split is held out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::task::config::Entry;
use crate::task::files::read_unpacked;
use crate::task::idx::{self, Array};
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
            read: Box::new(move |index, image| {
                image.copy_from_slice(&pixels[index * size..][..size]);
                Ok(())
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
