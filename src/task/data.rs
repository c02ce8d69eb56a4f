//! Examples as tensors on a device: uploaded once, or a batch at a time where they are too many; gathered and normalised
//! there. Only the worker links this.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::random::stream;
use crate::run::Named;
use crate::task::examples::{Ahead, Images, Moments, OnDisk, Split, held};
use crate::task::transform::{Augment, Move};
use crate::task::{self, files};

/// A task on a device.
#[derive(Debug)]
pub struct Data {
    pub io: Io,
    pub train: Set,
    pub validation: Set,
    pub test: Set,
    augment: Augment,
    moments: Moments,
}

/// One split on a device.
#[derive(Debug)]
pub struct Set {
    images: Held,
    /// `[C, H, W]`.
    shape: [i64; 3],
    /// `[n]`, 64-bit integers.
    pub labels: Tensor,
    pub len: u64,
}

/// Images, bytes or floats, not normalised.
#[derive(Debug)]
enum Held {
    /// `[n, C, H, W]`.
    Here(Tensor),
    /// Read and uploaded a batch at a time: the values are the same.
    OnDisk(Ahead),
}

/// Shift and scale of each row of a pack, from that row's own training examples; both `[R, 1, C, 1, 1]`.
#[derive(Debug)]
pub struct Normal {
    mean: Tensor,
    inverse_deviation: Tensor,
}

impl Data {
    /// Normalisation of rows that train on these numbers of examples.
    pub fn normal(&self, examples: &[u64]) -> Result<Normal> {
        let (mut means, mut inverses) = (Vec::new(), Vec::new());
        for &count in examples {
            for (mean, deviation) in self.moments.first(count)? {
                means.push(mean as f32);
                inverses.push((1.0 / deviation) as f32);
            }
        }
        let shape = [examples.len() as i64, 1, self.io.channels as i64, 1, 1];
        let column = |values: &[f32]| Tensor::from_slice(values).view(shape).to_device(self.train.labels.device());
        Ok(Normal { mean: column(&means), inverse_deviation: column(&inverses) })
    }

    /// Training images `[R, B, C, H, W]` and labels `[R, B]` at `indices`, B for each of R seeds, augmented by draws that
    /// are keyed by each row's seed and the step. Those at `then` are expected next.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn batch(
        &self,
        [indices, then]: [&[i64]; 2],
        seeds: &[u64],
        step: u64,
        normal: &Normal,
    ) -> Result<(Tensor, Tensor)> {
        let size = [seeds.len() as i64, (indices.len() / seeds.len().max(1)) as i64]; // [R, B]
        let flat = Tensor::from_slice(indices).to_device(self.train.labels.device());
        let mut images = match &self.train.images {
            Held::Here(images) => images.index_select(0, &flat),
            Held::OnDisk(ahead) => {
                let places = |indices: &[i64]| indices.iter().map(|&index| index as usize).collect();
                self.train.upload(&ahead.take(places(indices), places(then))?)?
            }
        }; // [R B, C, H, W]
        if self.augment == Augment::ShiftFlip {
            let moves = seeds.iter().flat_map(|&seed| {
                let mut rng = stream(seed, "augment", step);
                (0..size[1]).map(|_| Move::draw(&mut rng, self.io)).collect::<Vec<_>>()
            });
            images = shift_flip(&images, &moves.collect::<Vec<_>>());
        }
        let shape = [&size[..], &images.size()[1..]].concat();
        Ok((normal.apply(&images.view(&shape[..])), self.train.labels.index_select(0, &flat).view(&size[..])))
    }
}

/// Each image `[n, C, H, W]` moved and mirrored on its own, zeros moving in.
fn shift_flip(images: &Tensor, moves: &[Move]) -> Tensor {
    let (n, channels, height, width) = images.size4().unwrap_or_default();
    let (mut from, mut inside) = (Vec::new(), Vec::new());
    for shift in moves {
        for y in 0..height {
            for x in 0..width {
                let x = if shift.mirrored { width - 1 - x } else { x };
                let (y, x) = (y - shift.down, x - shift.right);
                let within = (0..height).contains(&y) && (0..width).contains(&x);
                inside.push(within);
                from.push(if within { y * width + x } else { 0 });
            }
        }
    }
    let device = images.device();
    let from = Tensor::from_slice(&from).to_device(device).view([n, 1, height * width]);
    let inside = Tensor::from_slice(&inside).to_device(device).view([n, 1, height * width]);
    let moved = images.view([n, channels, height * width]).gather(2, &from.expand([n, channels, -1], false), false);
    (moved * inside.to_kind(images.kind())).view([n, channels, height, width])
}

impl Set {
    /// Images `[R, B, C, H, W]` and labels `[1, B]` from `start` on, the same for every row before normalising. As many
    /// behind them are expected next.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn slice(&self, start: u64, count: u64, normal: &Normal) -> Result<(Tensor, Tensor)> {
        let images = match &self.images {
            Held::Here(images) => images.narrow(0, start as i64, count as i64),
            Held::OnDisk(ahead) => {
                let places = |from: u64| (from..self.len.min(from + count)).map(|place| place as usize).collect();
                self.upload(&ahead.take(places(start), places(start + count))?)?
            }
        };
        let labels = self.labels.narrow(0, start as i64, count as i64);
        Ok((normal.apply(&images.unsqueeze(0)), labels.unsqueeze(0))) // [1, B, C, H, W], [1, B]
    }

    /// Values of an image.
    pub fn values(&self) -> i64 {
        self.shape.iter().product()
    }

    /// `[n, C, H, W]`, on the device.
    fn upload(&self, images: &Images) -> Result<Tensor> {
        upload(images, self.shape, self.labels.device())
    }
}

impl Normal {
    /// Normalises `[R or 1, B, C, H, W]` to floats `[R, B, C, H, W]`.
    fn apply(&self, images: &Tensor) -> Tensor {
        (images.to_kind(Kind::Float) - &self.mean) * &self.inverse_deviation
    }
}

/// Loads a task with at least `train` training examples onto a device.
pub fn load(task: &Named, train: u64, device: Device) -> Result<Data> {
    let io = task::io(task)?;
    let examples = task::examples(task, train, &files::data_dir()?)?;
    if (examples.train.len() as u64) < train {
        let have = examples.train.len();
        return Err(Error::bad_input(format!(
            "task '{}' has {have} training examples, and {train} were asked for",
            task.name
        )));
    }
    let moments = Moments::of(&examples.train.images, io.channels as usize, (io.height * io.width) as usize)?;
    let shape = [io.channels, io.height, io.width].map(|side| side as i64);
    let splits = [&examples.train, &examples.validation, &examples.test];
    let fits = splits.iter().map(|split| split.images.len() as u64).sum::<u64>() <= held();
    let set = |split: Split| -> Result<Set> {
        Ok(Set {
            len: split.len() as u64,
            labels: Tensor::from_slice(&split.labels).to_device(device),
            shape,
            images: match split.images {
                Images::OnDisk(set) if !fits => Held::OnDisk(Ahead::new(set)?),
                images => Held::Here(upload(&images, shape, device)?),
            },
        })
    };
    let (train, validation, test) = (set(examples.train)?, set(examples.validation)?, set(examples.test)?);
    Ok(Data { io, train, validation, test, augment: task::augment(task)?, moments })
}

/// Images as `[n, C, H, W]` on a device.
fn upload(images: &Images, shape: [i64; 3], device: Device) -> Result<Tensor> {
    let values = match images {
        Images::U8(values) => Tensor::from_slice(values),
        Images::F32(values) => Tensor::from_slice(values),
        Images::OnDisk(set) => return gathered(set, shape, device),
    };
    Ok(values.view([&[-1], &shape[..]].concat().as_slice()).to_device(device))
}

/// Piece by piece, so that there is one copy of them in memory.
fn gathered(set: &OnDisk, shape: [i64; 3], device: Device) -> Result<Tensor> {
    let size = [&[set.count() as i64], &shape[..]].concat();
    let mut all = None;
    for piece in set.pieces() {
        let (places, images) = piece?;
        let images = upload(&images, shape, device)?;
        let places: Vec<i64> = places.into_iter().map(|place| place as i64).collect();
        let all = all.get_or_insert_with(|| Tensor::zeros(&size[..], (images.kind(), device)));
        let _ = all.index_copy_(0, &Tensor::from_slice(&places).to_device(device), &images);
    }
    Ok(all.unwrap_or_else(|| Tensor::zeros(&size[..], (Kind::Uint8, device))))
}

/// Tasks kept on a device between runs, since runs that follow each other mostly share one.
#[derive(Debug)]
pub struct Loaded {
    device: Device,
    /// The last used is the last.
    tasks: Vec<(Named, Rc<Data>)>,
}

impl Loaded {
    const KEPT: usize = 2;

    pub fn new(device: Device) -> Self {
        Self { device, tasks: Vec::new() }
    }

    pub fn device(&self) -> Device {
        self.device
    }

    /// The task with at least `train` training examples, loaded or kept.
    pub fn get(&mut self, task: &Named, train: u64) -> Result<Rc<Data>> {
        let kept = self.tasks.iter().position(|(named, data)| named == task && data.train.len >= train);
        let entry = match kept {
            Some(place) => self.tasks.remove(place),
            None => {
                self.tasks.retain(|(named, _)| named != task);
                self.tasks.truncate(Self::KEPT - 1);
                (task.clone(), Rc::new(load(task, train, self.device)?))
            }
        };
        let data = entry.1.clone();
        self.tasks.push(entry);
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_move_and_mirror() {
        let images = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6]).view([1, 1, 2, 3]);
        let moved = |down, right, mirrored| {
            let shift = Move { down, right, mirrored };
            Vec::<u8>::try_from(shift_flip(&images, &[shift]).view(-1)).unwrap()
        };
        assert_eq!(moved(0, 0, false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(moved(1, 0, false), [0, 0, 0, 1, 2, 3]);
        assert_eq!(moved(0, -1, false), [2, 3, 0, 5, 6, 0]);
        assert_eq!(moved(0, 0, true), [3, 2, 1, 6, 5, 4]);
        assert_eq!(moved(-1, 1, true), [5, 4, 0, 0, 0, 0]);
    }
}
