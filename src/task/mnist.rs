//! `mnist`: 70,000 grey 28x28 images of handwritten digits (LeCun, Cortes and Burges 1998). Split as `fashion-mnist`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::Io;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::Examples;
use crate::task::fashion_mnist::read_mnist_like;
use crate::task::files::File;
use crate::task::holdout::Holdout;

const NAME: &str = "mnist";

pub const ENTRY: Entry = Entry::from_files::<Mnist>(
    NAME,
    "grey 28x28 images of handwritten digits",
    &FILES,
    &["https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"],
);

/// Training images and labels, then test images and labels.
const FILES: [File; 4] = [
    File {
        name: "train-images-idx3-ubyte.gz",
        bytes: 9_912_422,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        others: &[],
    },
    File {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 28_881,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        others: &[],
    },
    File {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 1_648_877,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        others: &[],
    },
    File {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 4_542,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        others: &[],
    },
];

const TRAIN: u64 = 60_000;
const TEST: u64 = 10_000;

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mnist(Holdout);

impl Source for Mnist {
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
        (0..10).map(|digit| digit.to_string()).collect()
    }

    fn load(&self, data: &Path, _train: u64) -> Result<Examples> {
        let [train, test] = read_mnist_like(data, NAME, &FILES)?;
        self.0.apply(train, test, 28 * 28)
    }
}
