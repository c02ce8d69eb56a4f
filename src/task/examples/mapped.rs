//! Images of a set that is too large to be held: they stay in a mapped file, in an order of their own, and are read and
//! transformed when a batch asks for them. The system keeps of the file what fits into memory, once for all workers.

use std::sync::Arc;

use memmap2::{Advice, Mmap};
use rayon::prelude::*;

use super::Images;
use crate::task::change::Change;

/// A split whose images have more bytes than this stays in its file.
const HELD: u64 = 2 << 30;
/// Bytes of images that are looked at in one piece.
const PIECE: usize = 1 << 26;

/// Whether a split of so many bytes is held in memory. `$CROSSOVER_HOLD_BYTES` is another limit.
pub fn keeps(bytes: u64) -> bool {
    let given = std::env::var("CROSSOVER_HOLD_BYTES").ok().and_then(|limit| limit.parse().ok());
    bytes <= given.unwrap_or(HELD)
}

#[derive(Clone, Debug)]
pub struct Mapped {
    map: Arc<Mmap>,
    /// Where the first image of the file is, and bytes of each.
    start: usize,
    size: usize,
    /// Images of the file, in the order of the split.
    order: Vec<u32>,
    changes: Vec<Change>,
    /// Values of an image once it is changed.
    changed: usize,
}

impl PartialEq for Mapped {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map) && self.order == other.order && self.changes == other.changes
    }
}

impl Mapped {
    pub fn new(map: Arc<Mmap>, start: usize, size: usize, order: Vec<u32>) -> Self {
        // Its neighbours are not what is read next. Without the advice it is slower, and right.
        let _ = map.advise(Advice::Random);
        Self { map, start, size, order, changes: Vec::new(), changed: size }
    }

    /// Values of all images.
    pub fn len(&self) -> usize {
        self.order.len() * self.changed
    }

    /// Images.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Put behind what is done to images already.
    pub fn change(&mut self, change: &Change) {
        if let Change::Resize { from, to, .. } = change {
            self.changed = self.changed / (from.height * from.width) as usize * (to.height * to.width) as usize;
        }
        self.changes.push(change.clone());
    }

    /// The images at these places of the split, changed.
    pub fn select(&self, places: impl Iterator<Item = usize>) -> Images {
        let mut bytes = Vec::with_capacity(places.size_hint().0 * self.size);
        for place in places {
            bytes.extend_from_slice(self.image(self.order[place]));
        }
        let mut images = Images::U8(bytes);
        self.changes.iter().for_each(|change| change.apply(&mut images));
        images
    }

    /// All images, so many at a time that memory hardly notices.
    pub fn pieces(&self) -> impl Iterator<Item = Images> {
        let (count, step) = (self.order.len(), (PIECE / self.size.max(1)).max(1));
        (0..count).step_by(step).map(move |from| self.select(from..count.min(from + step)))
    }

    pub fn value(&self, index: usize) -> f64 {
        let place = index / self.changed;
        self.select(place..place + 1).value(index % self.changed)
    }

    pub fn are_binary(&self) -> bool {
        self.order.par_iter().all(|&index| self.image(index).iter().all(|byte| *byte <= 1))
    }

    fn image(&self, index: u32) -> &[u8] {
        &self.map[self.start + index as usize * self.size..][..self.size]
    }
}
