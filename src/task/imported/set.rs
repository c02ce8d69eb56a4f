//! A set in the cache folder, under its task: made once, found again by its content or by the files that it was made of.
//!
//! `<content>.examples` holds labels (two bytes each, little-endian), then images `[n, C, H, W]`, the training part
//! first, then validation, then test; `<content>.json` what they are and where they came from; `stamps/<stamp>` the
//! content of files of these names, sizes and times, so that a plan reads none of them again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use memmap2::MmapMut;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{About, Import, Opened};
use crate::error::{Context, Error, Result};
use crate::files::write_atomically;
use crate::run::Settings;
use crate::task::{config, files};

/// Part of the stamp: raised when the same files would be read into other pixels.
const FORMAT: u32 = 2;
pub const LABEL_BYTES: usize = 2;
/// Files named in the message about those that cannot be read.
const NAMED: usize = 10;

/// A set in the cache folder.
#[derive(Debug)]
pub struct Set {
    pub content: String,
    pub examples: PathBuf,
    pub kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    pub about: About,
    /// The importing keys, paths absolute.
    pub origin: Settings,
}

impl Set {
    /// Refuses a content that is not there.
    pub fn open(folder: &Path, content: &str) -> Result<Self> {
        let (about, examples) = (folder.join(format!("{content}.json")), folder.join(format!("{content}.examples")));
        let named = content.len() == 16 && content.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !named || !about.is_file() || !examples.is_file() {
            return Err(Error::failed(format!("{} has no imported set '{content}'", folder.display()))
                .hint("name the files again, as in 'crossover task show images:DIR': they are imported anew"));
        }
        let text = fs::read(&about).context(|| format!("cannot read {}", about.display()))?;
        let kept = serde_json::from_slice(&text).context(|| format!("cannot read {}", about.display()))?;
        Ok(Self { content: content.into(), examples, kept })
    }

    /// The set of what `origin` names: the one of the same files, sizes and times, or read now.
    pub fn import<T: Import>(folder: &Path, origin: Settings) -> Result<Self> {
        let import: T = config::from_settings(&origin).map_err(|reason| Error::bad_input(reason.to_string()))?;
        import.check()?;
        let stamp = stamp(&origin, &import.files()?)?;
        let known = || {
            let content = fs::read_to_string(folder.join("stamps").join(&stamp)).ok()?;
            let mut set = Self::open(folder, &content).ok()?;
            if set.kept.origin != origin {
                // Equal files lie elsewhere too, and were imported last.
                set.kept.origin = origin.clone();
                set.keep(folder).ok()?;
            }
            Some(set)
        };
        if let Some(set) = known() {
            return Ok(set);
        }
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
        let _lock = files::lock(folder, &mut |line| eprintln!("{line}"))?;
        if let Some(set) = known() {
            return Ok(set);
        }
        let opened = import.open()?;
        let part = folder.join("import.part");
        let content = write(&part, &opened).inspect_err(|_| drop(fs::remove_file(&part)))?;
        let examples = folder.join(format!("{content}.examples"));
        fs::rename(&part, &examples).context(|| format!("cannot write {}", examples.display()))?;
        let set = Self { content, examples, kept: Kept { about: opened.about, origin } };
        set.keep(folder)?;
        write_atomically(&folder.join("stamps").join(&stamp), set.content.as_bytes())?;
        Ok(set)
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec(&self.kept).context(|| "cannot write JSON")?;
        write_atomically(&folder.join(format!("{}.json", self.content)), &text)
    }
}

/// Equal while no file of the import was added, removed, renamed or written to.
fn stamp(origin: &Settings, files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT} {}", serde_json::to_string(origin).context(|| "cannot write JSON")?));
    for path in files {
        let found = fs::metadata(path).context(|| format!("cannot open {}", path.display()))?;
        hash.update(format!("\n{} {} {} {:?}", found.len(), found.mtime(), found.mtime_nsec(), path));
    }
    Ok(digits(hash))
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes labels and pixels; gives the content's hash.
fn write(path: &Path, opened: &Opened) -> Result<String> {
    let failed = || format!("cannot write {}", path.display());
    let (count, about) = (opened.labels.len(), &opened.about);
    let size = (about.channels * about.height * about.width) as usize;
    let bytes = count * (LABEL_BYTES + size);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).context(failed)?;
    // All of it now: a disk that is full is an error here and would be a signal in the map.
    nix::fcntl::posix_fallocate(&file, 0, bytes as i64).context(failed)?;
    // SAFETY: nothing else opens the part while the lock on its folder is held.
    let mut map = unsafe { MmapMut::map_mut(&file) }.context(failed)?;
    let (labels, pixels) = map.split_at_mut(count * LABEL_BYTES);
    for (place, label) in labels.chunks_exact_mut(LABEL_BYTES).zip(&opened.labels) {
        place.copy_from_slice(&label.to_le_bytes());
    }
    eprintln!("importing {}, once", opened.what);
    read(opened, pixels, size)?;
    map.flush().context(failed)?;
    file.sync_all().context(failed)?;
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(about).context(|| "cannot write JSON")?);
    hash.update(&map[..]);
    Ok(digits(hash))
}

/// Fills in all images, on all cores; every file that cannot be read is named.
fn read(opened: &Opened, pixels: &mut [u8], size: usize) -> Result<()> {
    let count = opened.labels.len();
    let (started, done) = (Instant::now(), AtomicUsize::new(0));
    let images = pixels.par_chunks_exact_mut(size).enumerate();
    let unreadable: Vec<String> = images
        .filter_map(|(index, image)| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(10_000) {
                eprintln!("{done} of {count} imported, {:.0} s", started.elapsed().as_secs_f64());
            }
            (opened.read)(index, image).err().map(|error| error.message)
        })
        .collect();
    if unreadable.is_empty() {
        return Ok(());
    }
    let more = unreadable.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let named = unreadable[..unreadable.len().min(NAMED)].join("\n");
    Err(Error::bad_input(format!("{} of {count} images cannot be read\n{named}{more}", unreadable.len()))
        .hint("repair or remove them: none is left out silently"))
}
