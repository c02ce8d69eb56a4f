//! `fashion-mnist`: 70,000 grey 28x28 images of clothing in 10 classes (Xiao, Rasul and Vollgraf 2017,
//! arXiv:1708.07747). Real images that train in minutes on a CPU.
//!
//! Of the 60,000 training images, 10,000 drawn by a seeded permutation are held out for validation, and 50,000 are
//! there to train on. The test split is the published one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::{Examples, Split};
use crate::task::files::{self, File};
use crate::task::holdout::{Holdout, split_from_idx};

const NAME: &str = "fashion-mnist";

pub const ENTRY: Entry = Entry::from_files::<FashionMnist>(
    NAME,
    "grey 28x28 images of clothing",
    &FILES,
    &["https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"],
);

/// Training images and labels, then test images and labels.
const FILES: [File; 4] = [
    File {
        name: "train-images-idx3-ubyte.gz",
        bytes: 26_421_880,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        others: &[],
    },
    File {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 29_515,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        others: &[],
    },
    File {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 4_422_102,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        others: &[],
    },
    File {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 5_148,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        others: &[],
    },
];

const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

const TRAIN: u64 = 60_000;
const TEST: u64 = 10_000;

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FashionMnist(Holdout);

impl Source for FashionMnist {
    fn check(&self) -> Result<()> {
        self.0.check(TRAIN)
    }

    fn io(&self) -> Io {
        Io { channels: 1, height: 28, width: 28, classes: 10 }
    }

    fn splits(&self) -> Splits {
        self.0.splits(TRAIN, TEST)
    }

    fn classes(&self) -> Vec<String> {
        CLASSES.map(String::from).into()
    }

    fn load(&self, data: &Path, _train: u64) -> Result<Examples> {
        let [train, test] = read_mnist_like(data, NAME, &FILES)?;
        self.0.apply(train, test, 28 * 28)
    }
}

/// The training and the test part of an image set that is published as MNIST was.
pub fn read_mnist_like(data: &Path, task: &str, files: &[File; 4]) -> Result<[Split; 2]> {
    let part = |images: &File, labels: &File| -> Result<Split> {
        let contents = (files::read(data, task, images)?, files::read(data, task, labels)?);
        let split = split_from_idx((images.name, &contents.0), (labels.name, &contents.1), (28, 28))?;
        match split.labels.iter().find(|&&label| label > 9) {
            Some(label) => Err(Error::failed(format!("{} has a label {label}, and there are 10 classes", labels.name))),
            None => Ok(split),
        }
    };
    Ok([part(&files[0], &files[1])?, part(&files[2], &files[3])?])
}
