//! Batches of a set on disk, read by a thread of their own while the batch before is trained on.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::{Images, OnDisk};
use crate::error::{Context, Error, Result};

#[derive(Debug)]
pub struct Ahead {
    set: OnDisk,
    /// What the thread was asked for last and has not yet been taken.
    asked: RefCell<Option<Vec<usize>>>,
    ask: Sender<Vec<usize>>,
    read: Receiver<Result<Images>>,
}

impl Ahead {
    /// # Errors
    /// There can be no thread more.
    pub fn new(set: OnDisk) -> Result<Self> {
        let (ask, to_read) = channel::<Vec<usize>>();
        let (to_take, read) = channel();
        let own = set.clone();
        // It ends when what asks is dropped.
        let work = move || to_read.iter().try_for_each(|places| to_take.send(own.read(&places)));
        thread::Builder::new()
            .name("ahead".into())
            .spawn(work)
            .context(|| "cannot start a thread that reads images")?;
        Ok(Self { set, asked: RefCell::new(None), ask, read })
    }

    /// The images at `places`; those at `then` are read from now on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn take(&self, places: Vec<usize>, then: Vec<usize>) -> Result<Images> {
        let images = match self.asked.take() {
            None => self.set.read(&places)?,
            Some(asked) => {
                let read = self.read.recv().map_err(|_| Error::failed("the thread that reads images has ended"))?;
                if asked == places { read? } else { self.set.read(&places)? }
            }
        };
        if !then.is_empty() && self.ask.send(then.clone()).is_ok() {
            self.asked.replace(Some(then));
        }
        Ok(images)
    }

    pub fn set(&self) -> &OnDisk {
        &self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_asked_for_whatever_was_read_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set");
        // Three bytes before the first of ten images of two.
        std::fs::write(&path, (0..23).map(|at| at as u8).collect::<Vec<_>>()).unwrap();
        let order: Vec<u32> = (0..10).rev().collect();
        let set = OnDisk::new(path.clone(), 3, 2, order).unwrap();
        let ahead = Ahead::new(set.clone()).unwrap();
        let image = |place: usize| [2 * (9 - place) as u8 + 3, 2 * (9 - place) as u8 + 4];
        let images = |places: &[usize]| Images::U8(places.iter().flat_map(|&place| image(place)).collect());
        let take = |places: &[usize], then: &[usize]| ahead.take(places.to_vec(), then.to_vec()).unwrap();
        assert_eq!(take(&[0, 4], &[9, 9]), images(&[0, 4]));
        assert_eq!(take(&[9, 9], &[1]), images(&[9, 9]));
        assert_eq!(take(&[7], &[3, 2]), images(&[7]), "another batch than the one that was said to come");
        assert_eq!(take(&[3, 2], &[]), images(&[3, 2]));
        assert_eq!(take(&[5], &[]), images(&[5]));
        let pieces: Vec<_> = set.pieces().map(Result::unwrap).collect();
        assert_eq!(pieces, [((0..10).rev().collect(), images(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))]);
        // A file that becomes shorter is an error, ahead and at once.
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(12).unwrap();
        assert_eq!(take(&[9], &[0]), images(&[9]));
        for _ in 0..2 {
            assert!(ahead.take(vec![0], vec![1]).unwrap_err().message.starts_with("cannot read "));
        }
    }
}
