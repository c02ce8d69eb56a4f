//! What an import had read when it was refused: the next try takes it from there, so that one bad file in a million costs
//! one file more to read, not a million.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Opened;
use super::picture::Seen;
use super::set::{FORMAT, LABEL_BYTES, digits, file_stamp};
use crate::files::write_atomically;

/// Slot of an image, and what was seen of it.
type ByStamp = HashMap<String, (usize, Seen)>;

/// Nothing, or pixels by the stamp of the file that they were read from.
#[derive(Default)]
pub struct Leftover {
    base: PathBuf,
    kept: Option<(Mmap, ByStamp)>,
    size: usize,
    /// Where pixels begin.
    start: usize,
}

#[derive(Serialize, Deserialize)]
struct Index {
    count: usize,
    read: Vec<(String, usize, Seen)>,
}

impl Leftover {
    /// Of files that become the same pixels.
    pub fn find(folder: &Path, opened: &Opened, size: usize) -> Self {
        let base = base(folder, opened);
        let open = || {
            let index: Index = serde_json::from_slice(&fs::read(base.with_extension("json")).ok()?).ok()?;
            let file = File::open(base.with_extension("pixels")).ok()?;
            // SAFETY: it is written once, and its folder is locked.
            let map = unsafe { Mmap::map(&file) }.ok()?;
            (map.len() == index.count * (LABEL_BYTES + size)).then_some((index, map))
        };
        match open() {
            Some((index, map)) if !opened.files.is_empty() => {
                let start = index.count * LABEL_BYTES;
                let by_stamp = index.read.into_iter().map(|(stamp, slot, seen)| (stamp, (slot, seen))).collect();
                Self { base, kept: Some((map, by_stamp)), size, start }
            }
            _ => Self { base, ..Self::default() },
        }
    }

    /// Fills in an image that was read before.
    pub fn copy(&self, opened: &Opened, index: usize, image: &mut [u8]) -> Option<Seen> {
        let (map, by_stamp) = self.kept.as_ref()?;
        let (slot, seen) = by_stamp.get(&file_stamp(opened.files.get(index)?))?;
        let from = self.start + slot * self.size;
        image.copy_from_slice(map.get(from..from + self.size)?);
        Some(seen.clone())
    }

    /// Makes a leftover of the part file. If that fails the next try reads all again, which is no error.
    pub fn keep(folder: &Path, opened: &Opened, part: &Path, seen: &[Option<&Seen>]) {
        if opened.files.is_empty() {
            return;
        }
        let base = base(folder, opened);
        let read =
            |(slot, seen): (usize, &Option<&Seen>)| Some((file_stamp(&opened.files[slot]), slot, (*seen)?.clone()));
        let index = Index { count: seen.len(), read: seen.iter().enumerate().filter_map(read).collect() };
        let Ok(text) = serde_json::to_vec(&index) else { return };
        let _ = fs::remove_file(base.with_extension("json"));
        if fs::rename(part, base.with_extension("pixels")).is_ok() {
            let _ = write_atomically(&base.with_extension("json"), &text);
        }
    }

    pub fn remove(self) {
        for extension in ["json", "pixels"] {
            let _ = fs::remove_file(self.base.with_extension(extension));
        }
    }
}

fn base(folder: &Path, opened: &Opened) -> PathBuf {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT} {}", opened.look));
    folder.join(format!("leftover-{}", digits(hash)))
}
