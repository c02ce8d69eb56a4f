//! The files of a task: where they are looked for, and reading them whole, unpacked and checked.

use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::cache;
use crate::error::{Context, Error, Result};

/// Where Debian's dataset packages put theirs, a folder for each.
const SYSTEM: &str = "/usr/share/datasets";

/// A file that a task reads.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// As it is fetched, with `.gz` where that is how it is published.
    pub name: &'static str,
    /// Bytes to fetch.
    pub bytes: u64,
    /// SHA-256 of the content, unpacked: the same for every packing of it.
    pub sha256: &'static str,
    /// Where other programs leave the same content, tried behind the file itself.
    pub others: &'static [Other],
}

/// A file that another program keeps a task's content in.
#[derive(Clone, Copy, Debug)]
pub struct Other {
    /// Below the folder of all tasks, or the task's own.
    pub path: &'static str,
    /// Makes the content of it; its name is for messages.
    pub unpack: fn(&str, Vec<u8>) -> Result<Vec<u8>>,
}

/// `$CROSSOVER_DATA`, else `data` in the cache folder: a folder of files for each task.
pub fn data_dir() -> Result<PathBuf> {
    match std::env::var_os("CROSSOVER_DATA").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => Ok(cache::dir()?.join("data")),
    }
}

/// The file on disk, packed or not; none when it is not there.
pub fn find(data: &Path, task: &str, file: &File) -> Option<PathBuf> {
    let plain = file.name.strip_suffix(".gz").unwrap_or(file.name);
    let folders = [data, Path::new(SYSTEM)];
    let own = folders
        .iter()
        .flat_map(|folder| [format!("{plain}.gz"), plain.to_owned()].map(|name| folder.join(task).join(name)));
    let others = folders.iter().flat_map(|folder| {
        file.others.iter().flat_map(|other| [folder.join(task).join(other.path), folder.join(other.path)])
    });
    own.chain(others).find(|path| path.is_file())
}

/// The names of a task's files that are not on disk.
pub fn missing(data: &Path, task: &str, files: &[File]) -> Vec<&'static str> {
    files.iter().filter(|file| find(data, task, file).is_none()).map(|file| file.name).collect()
}

/// The content of a task's file, unpacked. Refuses a file that is not there, cannot be unpacked or is not the one that
/// was published.
pub fn read(data: &Path, task: &str, file: &File) -> Result<Vec<u8>> {
    let path = find(data, task, file).ok_or_else(|| {
        Error::failed(format!("{} is not in {}", file.name, data.join(task).display()))
            .hint(format!("crossover task fetch {task}"))
    })?;
    let mut content = read_unpacked(&path)?;
    if let Some(other) = file.others.iter().find(|other| path.ends_with(other.path)) {
        content = (other.unpack)(&path.display().to_string(), content)?;
    }
    if hex_sha256(&content) != file.sha256 {
        return Err(Error::failed(format!("{} is not the published file: its SHA-256 differs", path.display()))
            .hint(format!("remove it, then: crossover task fetch {task}")));
    }
    Ok(content)
}

/// Bytes beyond which no published file that is read whole unpacks.
const LARGEST: u64 = 1 << 30;

/// A whole file, unpacked where it is gzip by its first bytes.
pub fn read_unpacked(path: &Path) -> Result<Vec<u8>> {
    let raw = crate::files::read(path).context(|| format!("cannot read {}", path.display()))?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok(raw);
    }
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(raw.as_slice())
        .take(LARGEST + 1)
        .read_to_end(&mut content)
        .context(|| format!("cannot unpack {}", path.display()))?;
    match content.len() as u64 > LARGEST {
        true => Err(Error::failed(format!("{} is no published file: it unpacks to more than 1 GiB", path.display()))
            .hint("remove it, and fetch it again: 'crossover task fetch' names what there is")),
        false => Ok(content),
    }
}

/// Holds a folder: two at once would write into each other's files.
pub fn lock(folder: &Path, say: &mut dyn FnMut(String)) -> Result<Flock<std::fs::File>> {
    let path = folder.join(".lock");
    let failed = || format!("cannot lock {}", path.display());
    let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path).context(failed);
    match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err(_) => {
            say(format!("another process holds {}; waiting for it", path.display()));
            Flock::lock(open()?, FlockArg::LockExclusive).map_err(|(_, errno)| errno).context(failed)
        }
    }
}

pub fn hex_sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
