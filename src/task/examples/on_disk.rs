//! Images of a set that is too large to be held: they stay in their file, in an order of their own, and are read and
//! transformed when a batch asks for them. They are read and not mapped: pages of a map count as the worker's memory, and a
//! disk that fails would end it with a signal. The system keeps of the file what fits, once for all workers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::Images;
use crate::error::{Context, Result};
use crate::task::change::Change;

/// Splits that together have at most so many bytes of images are held while they are trained on.
const HELD: u64 = 2 << 30;
/// And those of a set of at most so many are read when the set is opened.
const SMALL: u64 = 1 << 26;
/// Bytes of images that are looked at in one piece.
const PIECE: usize = 1 << 24;

/// Bytes of images that training holds. `$CROSSOVER_HOLD_BYTES` is another limit.
pub fn held() -> u64 {
    std::env::var("CROSSOVER_HOLD_BYTES").ok().and_then(|limit| limit.parse().ok()).unwrap_or(HELD)
}

/// Whether a set of so many bytes is in memory from the start.
pub fn is_small(bytes: u64) -> bool {
    bytes <= SMALL.min(held())
}

#[derive(Clone, Debug)]
pub struct OnDisk {
    file: Arc<File>,
    path: Arc<Path>,
    /// Where the first image of the file is, and bytes of each.
    start: u64,
    size: usize,
    /// Images of the file, in the order of the split.
    order: Arc<[u32]>,
    changes: Vec<Change>,
    /// Values of an image once it is changed.
    changed: usize,
}

impl PartialEq for OnDisk {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.order, &self.changes) == (&other.path, &other.order, &other.changes)
    }
}

impl OnDisk {
    pub fn new(path: PathBuf, start: u64, size: usize, order: Vec<u32>) -> Result<Self> {
        let file = File::open(&path).context(|| format!("cannot read {}", path.display()))?;
        // Its neighbours are not what is read next. Without the advice it is slower, and right.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM);
        let (file, path) = (Arc::new(file), path.into());
        Ok(Self { file, path, start, size, order: order.into(), changes: Vec::new(), changed: size })
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
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, places: &[usize]) -> Result<Images> {
        let at = |place: usize| self.start + u64::from(self.order[place]) * self.size as u64;
        // All of them are on their way before the first is waited for.
        for &place in places {
            let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
            let _ = posix_fadvise(&*self.file, at(place) as i64, self.size as i64, advice);
        }
        let mut bytes = vec![0; places.len() * self.size];
        for (image, &place) in bytes.chunks_exact_mut(self.size.max(1)).zip(places) {
            self.file.read_exact_at(image, at(place)).context(|| format!("cannot read {}", self.path.display()))?;
        }
        let mut images = Images::U8(bytes);
        self.changes.iter().for_each(|change| change.apply(&mut images));
        Ok(images)
    }

    /// All images with their places, as they follow one another in the file, so many at a time that memory hardly notices.
    pub fn pieces(&self) -> impl Iterator<Item = Result<(Vec<usize>, Images)>> {
        let mut places: Vec<usize> = (0..self.order.len()).collect();
        places.sort_unstable_by_key(|&place| self.order[place]);
        let (count, step) = (places.len(), (PIECE / self.size.max(1)).max(1));
        (0..count).step_by(step).map(move |from| {
            let places = places[from..count.min(from + step)].to_vec();
            Ok((places.clone(), self.read(&places)?))
        })
    }
}
