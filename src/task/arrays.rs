//! A user's own images and labels as arrays of numbers (npz, idx). Values stay in the file, or in an unpacked copy without
//! a name beside the cache, and are read an image at a time, so a set may be larger than memory.

mod labels;
mod number;
mod pixels;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::posix_fallocate;
use serde::{Deserialize, Serialize};

pub use labels::number_classes;
pub use number::{Kind, Number};
use pixels::{Layout, Order, Pixels};

use crate::error::{Context, Error, Result};
use crate::task::imported::audit::Audit;
use crate::task::imported::picture::Seen;
use crate::task::imported::{About, Opened};
use crate::units;

/// An array whose header is read.
pub struct Array {
    /// `train_images of FILE`, for messages.
    pub what: String,
    pub shape: Vec<u64>,
    pub number: Number,
    file: File,
    /// Where in the file its first value is.
    start: u64,
}

impl Array {
    /// Refuses a file that has not as many values as the shape tells of.
    pub fn new(what: String, shape: Vec<u64>, number: Number, file: File, start: u64) -> Result<Self> {
        let have = file.metadata().context(|| format!("cannot read {what}"))?.len().saturating_sub(start);
        let told = shape.iter().try_fold(number.bytes() as u64, |product, &side| product.checked_mul(side));
        match told == Some(have) {
            true => Ok(Self { what, shape, number, file, start }),
            false => Err(miscounted(&what, &shape, number, &format!("{have} bytes"))),
        }
    }

    /// Values, all of them.
    fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    fn is_bytes(&self) -> bool {
        matches!(self.number.kind, Kind::U8 | Kind::Bool)
    }

    /// Fills `raw` with the bytes of the values from number `first` on.
    fn read(&self, first: u64, raw: &mut [u8]) -> Result<()> {
        let at = self.start + first * self.number.bytes() as u64;
        self.file.read_exact_at(raw, at).context(|| format!("cannot read {}", self.what))
    }

    /// One whole number an image, of `[n]` or `[n, 1]`.
    fn labels(&self) -> Result<Vec<i64>> {
        let one = |hint: &str| {
            Error::bad_input(format!("{} is {:?} of {}", self.what, self.shape, self.number.name())).hint(hint)
        };
        match self.shape[..] {
            [_] | [_, 1] => (),
            [_, _] => return Err(one("labels are one whole number an image; of one-hot rows that is y.argmax(1)")),
            _ => return Err(one("labels are one whole number an image: [n] or [n, 1]")),
        }
        if self.number.is_float() {
            return Err(one("labels are whole numbers: y.astype('int64')"));
        }
        let mut raw = vec![0; self.len() as usize * self.number.bytes()];
        self.read(0, &mut raw)?;
        let mut values = Vec::with_capacity(self.len() as usize);
        self.number.decode(&raw, &mut values);
        Ok(values.into_iter().map(|value| value as i64).collect())
    }
}

/// Unpacks the values of an array into a file without a name in `folder`, which is gone when it is closed. Refuses another
/// number of bytes than the shape tells of.
pub fn unpack(what: &str, shape: &[u64], number: Number, packed: &mut dyn Read, folder: &Path) -> Result<File> {
    let bytes = shape.iter().try_fold(number.bytes() as u64, |product, &side| product.checked_mul(side));
    let bytes = bytes.filter(|&bytes| i64::try_from(bytes).is_ok()).ok_or_else(|| too_large(what))?;
    std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    let mut file = tempfile::tempfile_in(folder).context(|| format!("cannot write into {}", folder.display()))?;
    if bytes > 0 {
        // Sizes for which there is no room are met here, before anything is unpacked.
        posix_fallocate(&file, 0, bytes as i64)
            .context(|| format!("{what} has {} and does not fit into {}", units::bytes(bytes), folder.display()))?;
    }
    // One byte more than there should be, to see that there is none.
    let unpacked = io::copy(&mut packed.take(bytes + 1), &mut file).map_err(|error| {
        Error::bad_input(format!("{what} cannot be unpacked: {error}"))
            .hint("it may be damaged: fetch or write it again")
    })?;
    match unpacked == bytes {
        true => Ok(file),
        false => Err(miscounted(what, shape, number, if unpacked > bytes { "more" } else { "fewer" })),
    }
}

pub fn too_large(what: &str) -> Error {
    Error::bad_input(format!("{what} is damaged: its header tells of more values than there can be"))
        .hint("fetch or write it again")
}

fn miscounted(what: &str, shape: &[u64], number: Number, have: &str) -> Error {
    Error::bad_input(format!("{what}: its header tells of {shape:?} values of {}, and {have} follow", number.name()))
        .hint("it may be cut off: fetch or write it again")
}

/// Keys of all tasks of arrays; none of them is in the settings unless it is given, so ids are what they were.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reading {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_label: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Order>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    transpose: bool,
}

/// What the keys of [`Reading`] mean.
pub const FIRST_LABEL: (&str, &str) = ("first_label", "label of the first class; 0, or 1 where labels start from 1");
pub const LAYOUT: (&str, &str) =
    ("layout", "channels-first or channels-last; not given: the side that is 1 or 3 tells which");
pub const TRANSPOSE: (&str, &str) = ("transpose", "true: swap height and width, as of EMNIST; not given: false");

/// Images and labels of one split.
pub struct Part {
    pub images: Array,
    pub labels: Array,
}

impl Reading {
    /// Training, validation and test part, understood and checked against one another; `from` names the file. Channels
    /// may be of any number where that has always been so (`any_channels`).
    pub fn open(&self, parts: [Option<Part>; 3], from: &str, any_channels: bool) -> Result<Opened> {
        let (mut pixels, mut labels, mut counts) = (Vec::new(), Vec::new(), [0; 3]);
        for (Part { images, labels: of_part }, count) in
            parts.into_iter().zip(&mut counts).filter_map(|(part, count)| Some((part?, count)))
        {
            let (n, many) = (images.shape.first().copied().unwrap_or(0), of_part.shape.first().copied().unwrap_or(0));
            if n != many {
                return Err(Error::bad_input(format!(
                    "{} has {n} images, and {} has {many} labels",
                    images.what, of_part.what
                )));
            }
            labels.extend(of_part.labels()?);
            let layout = Layout::of(&images, self.layout, self.transpose, any_channels)?;
            pixels.push((*count..*count + n, Pixels::of(images, layout)?));
            *count = n;
        }
        // Where each part starts in the set.
        let mut start = 0;
        for (range, _) in &mut pixels {
            *range = start..start + (range.end - range.start);
            start = range.end;
        }
        let sides = alike(&pixels.iter().map(|(_, pixels)| pixels.layout.sides).collect::<Vec<_>>())?;
        let (labels, classes) = number_classes(&labels, self.first_label)?;
        if counts[0] == 0 || classes.len() < 2 || sides.contains(&0) {
            return Err(Error::bad_input(format!(
                "there are {} training images of {sides:?} in {} classes: nothing to learn",
                counts[0],
                classes.len()
            )));
        }
        let note =
            pixels.iter().find_map(|(_, pixels)| pixels.note()).map_or(String::new(), |note| format!(" ({note})"));
        let [channels, height, width] = sides.map(|side| side as u64);
        Ok(Opened {
            what: format!("{} images of {from}{note}", labels.len()),
            about: About { channels, height, width, classes, parts: counts },
            labels,
            files: Vec::new(),
            look: String::new(),
            audit: Audit::default(),
            read: Box::new(move |index, image| {
                let index = index as u64;
                let (range, pixels) = pixels
                    .iter()
                    .find(|(range, _)| range.contains(&index))
                    .ok_or_else(|| Error::failed(format!("there is no image {index}")))?;
                pixels.read(index - range.start, image)?;
                Ok(Seen::of(image, (width as u32, height as u32)))
            }),
        })
    }
}

/// The sides of all parts; they must be alike.
fn alike(sides: &[[usize; 3]]) -> Result<[usize; 3]> {
    let first = sides.first().copied().unwrap_or_default();
    match sides.iter().find(|sides| **sides != first) {
        None => Ok(first),
        Some(other) => Err(Error::bad_input(format!(
            "training images are {first:?} and others {other:?} (channels, height, width): they must be alike"
        ))
        .hint("crop or resize them alike before they are saved")),
    }
}
