//! Appends events to a run's log: whole lines only, so that a reader never mistakes a torn line for a result.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error as IoError, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Event, line};
use crate::error::{Context, Result};
use crate::files;

/// Longer than a worker whose orchestrator was killed takes to write its checkpoint and end.
const PATIENCE: Duration = Duration::from_secs(45);

/// `runs/<id>/events.jsonl`, open for appending. One writer at a time, held by a lock until this is dropped: the worker
/// that trains the run, or the orchestrator once that worker is gone. Open it before reading the run's checkpoint: who
/// waited here for the last worker to end then sees what that one wrote.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
    line: Vec<u8>,
}

impl EventLog {
    pub const FILE: &str = "events.jsonl";

    /// Opens the log in the folder `run`, which has to be there: a store that was moved or removed in the middle is not
    /// made again at its old place. A last line that a killed writer left half-written is cut off: nobody has read it,
    /// since readers wait for the end of a line.
    ///
    /// # Errors
    /// The folder is gone; the log is no file, or cannot be opened; another process still trains the run.
    pub fn open(run: &Path) -> Result<EventLog> {
        let path = run.join(Self::FILE);
        let opened = (|| {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            files::refuse_other(&file.metadata()?)?;
            lock(&file)?;
            let whole = whole_lines(&mut file)?;
            if whole < file.metadata()?.len() {
                file.set_len(whole)?;
            }
            Ok::<_, std::io::Error>(file)
        })();
        let file = opened.context(|| format!("cannot open {}", path.display()));
        let file = file.map_err(|error| match run.is_dir() {
            true => error,
            false => error.hint("the run's folder is gone: was the store moved? --store DIR names where it is now"),
        })?;
        Ok(EventLog { file, path, line: Vec::new() })
    }

    /// Whether a process has the log of the folder `run` open for appending now.
    pub fn is_open(run: &Path) -> bool {
        let file = files::open(&run.join(Self::FILE));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// One line, handed to the kernel in one write: it outlives this process, though not a power cut before `sync`.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let written = line::write(event, &mut self.line).and_then(|()| self.file.write_all(&self.line));
        written.context(|| format!("cannot write to {}", self.path.display()))
    }

    /// Puts all lines so far on the disk. Call it before a checkpoint is renamed into place, so that a checkpoint never
    /// knows of steps whose metrics are lost.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().context(|| format!("cannot write to {}", self.path.display()))
    }
}

fn lock(file: &File) -> std::io::Result<()> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => {
                return Err(IoError::new(ErrorKind::WouldBlock, "another process still trains this run"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Bytes up to and with the last line feed, found from the end.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn metrics(step: u64) -> Event {
        Event::Metrics { step, values: BTreeMap::from([("val_loss".into(), 0.5)]) }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_whole_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EventLog::FILE);
        EventLog::open(folder.path()).unwrap().append(&metrics(1)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        for torn in ["{\"event\":\"metr", &"x".repeat(10_000)] {
            std::fs::write(&path, format!("{whole}{torn}")).unwrap();
            EventLog::open(folder.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        }
        EventLog::open(folder.path()).unwrap().append(&metrics(2)).unwrap();
        let lines: Vec<Event> =
            std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [metrics(1), metrics(2)]);
    }

    #[test]
    fn a_log_of_one_torn_line_becomes_empty() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(EventLog::FILE), "{").unwrap();
        EventLog::open(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(folder.path().join(EventLog::FILE)).unwrap().len(), 0);
    }
}
