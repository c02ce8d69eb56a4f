//! What the examples of a task look like, as tiles of a contact sheet.

use crate::error::Result;
use crate::model::Io;
use crate::plot::Tile;
use crate::run::Named;
use crate::task::{self, examples::Images, files};

pub const COLUMNS: usize = 8;
/// Pixels of a curve: at least so many across, and down.
const CURVE: (usize, usize) = (160, 64);
const PAPER: u8 = 255;
const LINE: u8 = 30;

/// The first `count` training examples, by class, transforms applied. Images of one or three channels as they are; a
/// signal of one channel as a curve, of several as a row for each channel; else the channels under each other.
pub fn tiles(task: &Named, count: u64) -> Result<Vec<Tile>> {
    let (io, classes) = (task::io(task)?, task::classes(task)?);
    let train = task::examples(task, count, &files::data_dir()?)?.train;
    let size = (io.channels * io.height * io.width) as usize;
    let shown = train.len().min(count as usize);
    let train = train.select(&(0..shown as u32).collect::<Vec<_>>(), size)?;
    let scale = Scale::of(&train.images, shown * size);
    let mut order: Vec<usize> = (0..shown).collect();
    order.sort_by_key(|&index| train.labels[index]);
    let tile = |index: usize| {
        let label = classes.get(train.labels[index] as usize).cloned().unwrap_or_default();
        let values: Vec<f64> =
            (index * size..(index + 1) * size).map(|at| scale.unit(train.images.value(at))).collect();
        draw(io, &values, label)
    };
    Ok(order.into_iter().map(tile).collect())
}

/// What is black and what is white, the same for all tiles of a sheet.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Bytes are brightness, but for those that only say yes or no; floats have the range that they take.
    fn of(images: &Images, count: usize) -> Self {
        let values = (0..count).map(|at| images.value(at));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        match images {
            Images::U8(_) | Images::OnDisk(_) => Self { low: 0.0, high: if high > 1.0 { 255.0 } else { 1.0 } },
            Images::F32(_) => Self { low, high: if high > low { high } else { low + 1.0 } },
        }
    }

    fn unit(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// One example `[C, H, W]` of values in 0 to 1.
fn draw(io: Io, values: &[f64], label: String) -> Tile {
    let (channels, height, width) = (io.channels as usize, io.height as usize, io.width as usize);
    if (channels, height) == (1, 1) && width > 1 {
        return curve(values, label);
    }
    // A row for each symbol is a score, read as ink on paper.
    let ink = |value: &f64| PAPER - 20 - (value * f64::from(PAPER - 20 - LINE)).round() as u8;
    if height == 1 {
        return Tile { width, height: channels, channels: 1, pixels: values.iter().map(ink).collect(), label };
    }
    let bytes = values.iter().map(|value| (255.0 * value).round() as u8);
    if channels != 3 {
        return Tile { width, height: channels * height, channels: 1, pixels: bytes.collect(), label };
    }
    let planes: Vec<u8> = bytes.collect();
    let plane = height * width;
    let pixels = (0..plane).flat_map(|at| [planes[at], planes[plane + at], planes[2 * plane + at]]).collect();
    Tile { width, height, channels, pixels, label }
}

/// Values joined by lines, each column of pixels inked from its value to the next column's.
fn curve(values: &[f64], label: String) -> Tile {
    let (width, height) = (values.len() * CURVE.0.div_ceil(values.len()), CURVE.1);
    let row = |x: usize| {
        let place = x as f64 * (values.len() - 1) as f64 / (width - 1) as f64;
        let left = (place as usize).min(values.len() - 2);
        let value = values[left] + (values[left + 1] - values[left]) * (place - left as f64);
        ((1.0 - value) * (height - 1) as f64).round() as usize
    };
    let mut pixels = vec![PAPER; width * height];
    for x in 0..width {
        let (from, to) = (row(x), row((x + 1).min(width - 1)));
        for y in from.min(to)..=from.max(to) {
            pixels[y * width + x] = LINE;
        }
    }
    Tile { width, height, channels: 1, pixels, label }
}
