//! Examples as plain arrays, and the statistics that normalise them. No libtorch here, so that `crossover task show`
//! can draw them.

mod ahead;
mod on_disk;

pub use ahead::Ahead;
pub use on_disk::{OnDisk, held, is_small};

use crate::error::{Error, Result};
use crate::task::change::Change;

/// Images of one split, `[n, C, H, W]` in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    U8(Vec<u8>),
    F32(Vec<f32>),
    /// Of a set too large to be held: they are read when they are asked for.
    OnDisk(OnDisk),
}

impl Images {
    pub fn len(&self) -> usize {
        match self {
            Images::U8(values) => values.len(),
            Images::F32(values) => values.len(),
            Images::OnDisk(set) => set.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of images that are in memory; of others there is none.
    pub fn value(&self, index: usize) -> f64 {
        match self {
            Images::U8(values) => values[index].into(),
            Images::F32(values) => values[index].into(),
            Images::OnDisk(_) => f64::NAN,
        }
    }

    /// Whether there is nothing but bytes of 0 and 1.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn are_binary(&self) -> Result<bool> {
        match self {
            Images::U8(values) => Ok(values.iter().all(|value| *value <= 1)),
            Images::F32(_) => Ok(false),
            Images::OnDisk(set) => {
                let mut pieces = set.pieces().map(|piece| piece?.1.are_binary());
                pieces.find(|binary| !matches!(binary, Ok(true))).unwrap_or(Ok(true))
            }
        }
    }

    /// Now, or when they are asked for.
    pub fn change(&mut self, change: &Change) {
        match self {
            Images::OnDisk(set) => set.change(change),
            images => change.apply(images),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub images: Images,
    /// One class a image, from 0.
    pub labels: Vec<i64>,
}

impl Split {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The examples at `indices`, in that order; each image has `size` values.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn select(&self, indices: &[u32], size: usize) -> Result<Split> {
        let images = match &self.images {
            Images::U8(values) => Images::U8(gather(values, indices, size)),
            Images::F32(values) => Images::F32(gather(values, indices, size)),
            Images::OnDisk(set) => set.read(&indices.iter().map(|&index| index as usize).collect::<Vec<_>>())?,
        };
        Ok(Split { images, labels: indices.iter().map(|&i| self.labels[i as usize]).collect() })
    }
}

/// Runs of `size` values at `indices`, in that order.
pub fn gather<T: Copy>(values: &[T], indices: &[u32], size: usize) -> Vec<T> {
    let mut gathered = Vec::with_capacity(indices.len() * size);
    for &index in indices {
        gathered.extend_from_slice(&values[index as usize * size..][..size]);
    }
    gathered
}

/// The three splits; `train` is in training order, so a subset of D examples is its first D.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    pub train: Split,
    pub validation: Split,
    pub test: Split,
}

/// Mean and standard deviation of each channel over the first D training examples, for any D.
#[derive(Clone, Debug)]
pub struct Moments {
    channels: usize,
    pixels: usize,
    /// `[n + 1, C]` of (sum, sum of squares) over the examples before the n-th.
    sums: Vec<(f64, f64)>,
}

impl Moments {
    /// Of images `[n, C, pixels]`. Sums of bytes are exact; sums of floats are taken in order, so they do not depend
    /// on the number of threads.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn of(images: &Images, channels: usize, pixels: usize) -> Result<Self> {
        let count = images.len() / (channels * pixels).max(1);
        let mut moments = Self { channels, pixels, sums: vec![(0.0, 0.0); (count + 1) * channels] };
        match images {
            Images::OnDisk(set) => set.pieces().try_for_each(|piece| {
                let (places, images) = piece?;
                moments.add(&images, places.into_iter());
                Ok::<_, Error>(())
            })?,
            images => moments.add(images, 0..count),
        }
        for at in channels..moments.sums.len() {
            let (sum, squares) = moments.sums[at - channels];
            let own = &mut moments.sums[at];
            *own = (sum + own.0, squares + own.1);
        }
        Ok(moments)
    }

    /// Notes what each image adds, behind its place.
    fn add(&mut self, images: &Images, places: impl Iterator<Item = usize>) {
        let (channels, pixels) = (self.channels, self.pixels);
        for (index, place) in places.enumerate() {
            for channel in 0..channels {
                let at = (index * channels + channel) * pixels;
                self.sums[(place + 1) * channels + channel] = match images {
                    Images::U8(bytes) => sums_of_bytes(&bytes[at..at + pixels]),
                    Images::F32(floats) => sums_of_floats(&floats[at..at + pixels]),
                    Images::OnDisk(_) => (0.0, 0.0),
                };
            }
        }
    }

    /// (mean, standard deviation) of each channel over the first `examples`; a constant channel has a deviation of 1,
    /// so that normalising it gives zeros. Refuses more examples than there are, and none.
    pub fn first(&self, examples: u64) -> Result<Vec<(f64, f64)>> {
        let have = (self.sums.len() / self.channels - 1) as u64;
        if examples == 0 || examples > have {
            return Err(Error::bad_input(format!("{examples} training examples of {have} were asked for")));
        }
        let count = (examples * self.pixels as u64) as f64;
        let row = examples as usize * self.channels;
        let channels = self.sums[row..row + self.channels].iter();
        Ok(channels
            .map(|(sum, squares)| {
                let mean = sum / count;
                let variance = (squares / count - mean * mean).max(0.0);
                (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
            })
            .collect())
    }
}

fn sums_of_bytes(bytes: &[u8]) -> (f64, f64) {
    let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
    let squares: u64 = bytes.iter().map(|&byte| u64::from(byte) * u64::from(byte)).sum();
    (sum as f64, squares as f64)
}

fn sums_of_floats(floats: &[f32]) -> (f64, f64) {
    let sum = floats.iter().map(|&float| f64::from(float)).sum();
    (sum, floats.iter().map(|&float| f64::from(float).powi(2)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_of_the_first_examples_alone() {
        // Two examples of two channels of two pixels.
        let images = Images::U8(vec![0, 2, 7, 7, 100, 200, 7, 7]);
        let moments = Moments::of(&images, 2, 2).unwrap();
        assert_eq!(moments.first(1).unwrap(), [(1.0, 1.0), (7.0, 1.0)]);
        let mean: f64 = (0.0 + 2.0 + 100.0 + 200.0) / 4.0;
        let variance = [0.0, 2.0, 100.0, 200.0].map(|x: f64| (x - mean).powi(2)).iter().sum::<f64>() / 4.0;
        let (got_mean, got_deviation) = moments.first(2).unwrap()[0];
        assert!((got_mean - mean).abs() < 1e-12 && (got_deviation - variance.sqrt()).abs() < 1e-12);
        assert!(moments.first(3).is_err() && moments.first(0).is_err());
        let floats = Images::F32(vec![0.0, 2.0, 7.0, 7.0, 100.0, 200.0, 7.0, 7.0]);
        assert_eq!(Moments::of(&floats, 2, 2).unwrap().first(2).unwrap(), moments.first(2).unwrap());
    }
}
