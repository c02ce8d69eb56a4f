//! `cifar10` and `cifar100`: 60,000 coloured 32x32 photographs in 10 or 100 classes (Krizhevsky 2009, "Learning Multiple
//! Layers of Features from Tiny Images"), from the binary files, or from the Python ones where torchvision left those: the
//! records are the same bytes. Of the 50,000 training images, 10,000 drawn by a seeded permutation are held out for
//! validation; `cifar100` uses the 100 fine labels.

mod pickle;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::{Examples, Images, Split};
use crate::task::files::{self, File, Other};
use crate::task::holdout::Holdout;

const ADDRESSES: &[&str] = &["https://www.cs.toronto.edu/~kriz/"];

pub const CIFAR10: Entry = Entry::from_archive::<Cifar10>(
    "cifar10",
    "coloured 32x32 photographs in ten classes",
    &FILES_10,
    File {
        name: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        others: &[],
    },
    ADDRESSES,
);

pub const CIFAR100: Entry = Entry::from_archive::<Cifar100>(
    "cifar100",
    "coloured 32x32 photographs in a hundred classes",
    &FILES_100,
    File {
        name: "cifar-100-binary.tar.gz",
        bytes: 168_513_733,
        sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        others: &[],
    },
    ADDRESSES,
);

const fn batch(name: &'static str, sha256: &'static str, others: &'static [Other; 2]) -> File {
    File { name, bytes: 10_000 * 3073, sha256, others }
}

/// The binary file in the folder of its archive, and the one of the Python version.
macro_rules! others {
    ($binary:literal, $python:literal, $name:literal, $labels:expr) => {
        &[
            Other { path: concat!($binary, "/", $name, ".bin"), unpack: |_, content| Ok(content) },
            Other {
                path: concat!($python, "/", $name),
                unpack: |what, content| pickle::records(what, &content, &$labels, IMAGE),
            },
        ]
    };
}

macro_rules! others_10 {
    ($name:literal) => {
        others!("cifar-10-batches-bin", "cifar-10-batches-py", $name, ["labels"])
    };
}

macro_rules! others_100 {
    ($name:literal) => {
        others!("cifar-100-binary", "cifar-100-python", $name, ["coarse_labels", "fine_labels"])
    };
}

/// The training files, then the test file.
const FILES_10: [File; 6] = [
    batch(
        "data_batch_1.bin",
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        others_10!("data_batch_1"),
    ),
    batch(
        "data_batch_2.bin",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        others_10!("data_batch_2"),
    ),
    batch(
        "data_batch_3.bin",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        others_10!("data_batch_3"),
    ),
    batch(
        "data_batch_4.bin",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        others_10!("data_batch_4"),
    ),
    batch(
        "data_batch_5.bin",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        others_10!("data_batch_5"),
    ),
    batch(
        "test_batch.bin",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        others_10!("test_batch"),
    ),
];

const FILES_100: [File; 2] = [
    File {
        name: "train.bin",
        bytes: 50_000 * 3074,
        sha256: "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        others: others_100!("train"),
    },
    File {
        name: "test.bin",
        bytes: 10_000 * 3074,
        sha256: "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
        others: others_100!("test"),
    },
];

const CLASSES_10: &str = "airplane automobile bird cat deer dog frog horse ship truck";

const CLASSES_100: &str = "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus \
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup \
    dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion \
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear \
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew \
    skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger \
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm";

const TRAIN: u64 = 50_000;
const TEST: u64 = 10_000;
const IMAGE: usize = 3 * 32 * 32;

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cifar10(Holdout);

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cifar100(Holdout);

impl Source for Cifar10 {
    fn check(&self) -> Result<()> {
        self.0.check(TRAIN)
    }

    fn io(&self) -> Io {
        Io { channels: 3, height: 32, width: 32, classes: 10 }
    }

    fn splits(&self) -> Splits {
        self.0.splits(TRAIN, TEST)
    }

    fn classes(&self) -> Vec<String> {
        CLASSES_10.split_whitespace().map(String::from).collect()
    }

    fn load(&self, data: &Path, _train: u64) -> Result<Examples> {
        load(&self.0, data, &CIFAR10, 1)
    }
}

impl Source for Cifar100 {
    fn check(&self) -> Result<()> {
        self.0.check(TRAIN)
    }

    fn io(&self) -> Io {
        Io { channels: 3, height: 32, width: 32, classes: 100 }
    }

    fn splits(&self) -> Splits {
        self.0.splits(TRAIN, TEST)
    }

    fn classes(&self) -> Vec<String> {
        CLASSES_100.split_whitespace().map(String::from).collect()
    }

    fn load(&self, data: &Path, _train: u64) -> Result<Examples> {
        load(&self.0, data, &CIFAR100, 2)
    }
}

fn load(holdout: &Holdout, data: &Path, entry: &Entry, label_bytes: usize) -> Result<Examples> {
    let classes = if label_bytes == 1 { 10 } else { 100 };
    let mut parts = Vec::new();
    for file in entry.files {
        parts.push(parse(file.name, &files::read(data, entry.name, file)?, label_bytes, classes)?);
    }
    let test = parts.pop().unwrap_or_else(empty);
    let train = parts.into_iter().fold(empty(), join);
    holdout.apply(train, test, IMAGE)
}

fn empty() -> Split {
    Split { images: Images::U8(Vec::new()), labels: Vec::new() }
}

fn join(mut all: Split, more: Split) -> Split {
    if let (Images::U8(all), Images::U8(more)) = (&mut all.images, more.images) {
        all.extend(more);
    }
    all.labels.extend(more.labels);
    all
}

/// Records of `label_bytes` labels, the last of which is the class, and an image `[3, 32, 32]` of bytes.
fn parse(what: &str, content: &[u8], label_bytes: usize, classes: u8) -> Result<Split> {
    let record = label_bytes + IMAGE;
    if content.is_empty() || !content.len().is_multiple_of(record) {
        let size = content.len();
        return Err(Error::failed(format!("{what} has {size} bytes, which is no whole number of records of {record}")));
    }
    let mut split = empty();
    let Images::U8(images) = &mut split.images else { return Ok(split) };
    for record in content.chunks_exact(record) {
        let (labels, image) = record.split_at(label_bytes);
        let label = labels[label_bytes - 1];
        if label >= classes {
            return Err(Error::failed(format!("{what} has a label {label}, and there are {classes} classes")));
        }
        images.extend(image);
        split.labels.push(label.into());
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the name that torchvision gives it, whose published hash is that of the records within.
    #[test]
    fn the_python_version_is_found_and_read_as_the_same_records() {
        let data = tempfile::tempdir().unwrap();
        let images: Vec<u8> = (0..2 * IMAGE).map(|at| (at % 251) as u8).collect();
        let labels = [("coarse_labels", vec![4, 1]), ("fine_labels", vec![30, 99])];
        let records = [&[4, 30], &images[..IMAGE], &[1, 99], &images[IMAGE..]].concat();
        let sha256: &'static str = files::hex_sha256(&records).leak();
        let file = File { sha256, ..FILES_100[1] };
        assert!(files::find(data.path(), "cifar100", &file).is_none());
        // Below the folder of all tasks, as with torchvision's root, or in the task's own.
        for folder in ["", "cifar100/"] {
            let folder = data.path().join(format!("{folder}cifar-100-python"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("test"), pickle::tests::written(&labels, &images, IMAGE)).unwrap();
            assert_eq!(files::find(data.path(), "cifar100", &file), Some(folder.join("test")));
            assert_eq!(files::read(data.path(), "cifar100", &file).unwrap(), records);
            let message = files::read(data.path(), "cifar100", &FILES_100[1]).unwrap_err().message;
            assert!(message.contains("is not the published file"), "{message}");
            std::fs::remove_dir_all(folder).unwrap();
        }
        let binary = data.path().join("cifar-100-binary");
        std::fs::create_dir_all(&binary).unwrap();
        std::fs::write(binary.join("test.bin"), &records).unwrap();
        assert_eq!(files::read(data.path(), "cifar100", &file).unwrap(), records);
    }

    #[test]
    fn records_are_read_and_corrupt_ones_refused() {
        let record = |labels: &[u8], pixel: u8| [labels, &[pixel; IMAGE]].concat();
        let content = [record(&[3], 7), record(&[9], 8)].concat();
        let split = parse("x", &content, 1, 10).unwrap();
        assert_eq!(split.labels, [3, 9]);
        assert_eq!(split.images, Images::U8([[7; IMAGE], [8; IMAGE]].concat()));
        // The coarse label comes first.
        assert_eq!(parse("x", &record(&[19, 99], 1), 2, 100).unwrap().labels, [99]);
        let refused = |content: &[u8]| parse("x", content, 1, 10).unwrap_err().message;
        assert!(refused(&content[..content.len() - 1]).contains("no whole number of records of 3073"));
        assert!(refused(&record(&[10], 0)).contains("a label 10, and there are 10 classes"));
        assert!(refused(&[]).contains("0 bytes"));
        assert_eq!((Cifar10::default().classes().len(), Cifar100::default().classes().len()), (10, 100));
    }
}
