//! One writer a store: an advisory lock that the kernel gives back when its holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::files;
use crate::here::hostname;
use crate::shell::quoted;

const FILE: &str = "writer.lock";
/// A reader that asks whether there is a writer holds the lock for microseconds: worth waiting for.
const PATIENCE: (u32, Duration) = (10, Duration::from_millis(30));

/// Held while in scope.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Who holds a store's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    pub pid: u32,
    pub host: String,
    /// What it was started as.
    pub command: String,
    /// That it trains now.
    #[serde(default)]
    pub sweep: Option<String>,
}

impl Lock {
    /// # Errors
    /// Another process holds it: names its pid and host, and what to type.
    pub(super) fn take(dir: &Path) -> Result<Lock> {
        let path = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| files::refuse_other(&file.metadata()?).map(|()| file))
            .context(|| format!("cannot open {}", path.display()))
            .map_err(|error| {
                let shown = quoted(&dir.display().to_string());
                error.hint(format!("is it yours to write ('ls -ld {shown}')? --store names another"))
            })?;
        for _ in 0..PATIENCE.0 {
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Lock { file };
                    lock.introduce(None).context(|| format!("cannot write {}", path.display()))?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PATIENCE.1),
                Err(TryLockError::Error(error)) => {
                    return Err(Error::failed(format!("cannot lock {}: {error}", path.display()))
                        .hint("the file system must support flock; --store names a folder on another one"));
                }
            }
        }
        Err(refusal(dir, read(&mut file)))
    }

    /// Says who holds it, and what is trained.
    pub(super) fn introduce(&mut self, sweep: Option<&str>) -> std::io::Result<()> {
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        let sweep = sweep.map(str::to_owned);
        let writer = Writer { pid: std::process::id(), host: hostname(), command, sweep };
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(serde_json::to_string(&writer)?.as_bytes())
    }

    /// The process that writes to the store in `dir` now, if any; with no details where it has not said them.
    pub(super) fn holder(dir: &Path) -> Option<Option<Writer>> {
        let mut file = files::open(&dir.join(FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read(&mut file)),
            _ => None,
        }
    }
}

fn read(file: &mut File) -> Option<Writer> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

fn refusal(dir: &Path, writer: Option<Writer>) -> Error {
    let shown = dir.display();
    match writer {
        Some(writer) => Error::failed(format!(
            "another crossover writes to {shown}: process {} on {} ({})",
            writer.pid, writer.host, writer.command
        ))
        .hint(format!(
            "'crossover status --watch' follows it; 'crossover cancel' on {} stops it so that it can be resumed; --store DIR uses another store",
            writer.host
        )),
        None => Error::failed(format!("another crossover writes to {shown}"))
            .hint("'crossover status --watch' follows it; --store DIR uses another store"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_by_name_and_let_in_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()), None);
        let first = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err();
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.hint.unwrap().contains("crossover cancel"));
        assert_eq!(Lock::holder(dir.path()).unwrap().unwrap().pid, std::process::id());
        drop(first);
        assert_eq!(Lock::holder(dir.path()), None);
        Lock::take(dir.path()).unwrap();
    }
}
