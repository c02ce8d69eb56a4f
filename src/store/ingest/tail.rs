//! A run's event log as far as it has not been read: chunks of whole lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction};

use super::sink::{Line, Sink};
use super::{Ingested, Position, Run, Skipped, Stop};
use crate::error::{Context, Error, Result};
use crate::event::{EventLog, LONGEST_LINE};
use crate::files;

/// Bytes read at once; a longer line takes as many as it needs, within [`LONGEST_LINE`].
const CHUNK: u64 = 1 << 20;

/// A log with unread bytes.
pub(super) struct Tail {
    run: Run,
    path: PathBuf,
    file: File,
    position: Position,
    /// A log that is read again from its start repeats itself, and that was told.
    again: bool,
}

/// What comes next in a log.
enum Chunk {
    /// Whole ones.
    Lines(Vec<u8>),
    /// One that is too long for an event, and its bytes.
    Overlong(u64),
    /// Nothing, or the beginning of a line.
    None,
}

impl Tail {
    /// The log of a run, if it has bytes that were not read.
    pub(super) fn open(dir: &Path, index: &Transaction, id: &str, done: &mut Ingested) -> Result<Option<Tail>, Stop> {
        let path = dir.join(id).join(EventLog::FILE);
        let failed = || format!("cannot read {}", path.display());
        let length = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.and_then(|found| files::refuse_other(&found).map(|()| found.len())),
        };
        let moved = "move it away: the run is then done again";
        let stop = |error: Error| Stop::Log(error.hint(moved));
        let length = length.context(failed).map_err(stop)?;
        let found = index
            .prepare_cached(
                "SELECT runs.key, steps, consumed, lines, skipped, repeated FROM runs LEFT JOIN logs ON run = runs.key
                 WHERE id = ?",
            )?
            .query_row([id], |row| {
                let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0) as u64);
                let (consumed, lines, skipped, repeated) = (count(2)?, count(3)?, count(4)?, count(5)?);
                let run = Run { key: row.get(0)?, steps: count(1)? };
                Ok((run, Position { consumed, lines, skipped, repeated }))
            })
            .optional()?;
        let Some((run, mut position)) = found else { return Ok(None) };
        if length == position.consumed {
            return Ok(None);
        }
        let open = || {
            let mut file = files::open(&path)?;
            let whole = ends_a_line(&mut file, position.consumed, length)?;
            Ok::<_, std::io::Error>((file, whole))
        };
        let (file, whole) = open().context(failed).map_err(stop)?;
        if !whole {
            let reason = format!(
                "the log was changed: {} bytes of it had been read, now it has {length}; it is read again from the start and what was known stays",
                position.consumed
            );
            done.skipped.push(Skipped { file: path.clone(), line: position.lines, reason });
            position = Position { consumed: 0, lines: 0, ..position };
        }
        Ok(Some(Tail { run, path, file, position, again: !whole }))
    }

    /// Takes the next chunk of whole lines; returns its bytes, 0 when only a half-written line or nothing is left.
    pub(super) fn advance(&mut self, sink: &mut Sink, done: &mut Ingested) -> Result<u64, Stop> {
        let chunk = self.read_lines().context(|| format!("cannot read {}", self.path.display())).map_err(Stop::Log)?;
        let chunk = match chunk {
            Chunk::Lines(lines) => lines,
            Chunk::Overlong(bytes) => {
                self.position.lines += 1;
                self.position.skipped += 1;
                self.position.consumed += bytes;
                let reason = format!("a line of {} MiB; an event has no more than {}", bytes >> 20, LONGEST_LINE >> 20);
                done.skipped.push(Skipped { file: self.path.clone(), line: self.position.lines, reason });
                done.lines += 1;
                sink.remember(self.run.key, self.position)?;
                return Ok(bytes);
            }
            Chunk::None => return Ok(0),
        };
        for line in chunk[..chunk.len() - 1].split(|&byte| byte == b'\n') {
            self.position.lines += 1;
            match sink.take(self.run, line)? {
                Ok(Line { rows, new }) => {
                    done.rows += rows;
                    let repeated = u64::from(!new && !self.again);
                    done.repeated += repeated;
                    self.position.repeated += repeated;
                }
                Err(reason) => {
                    self.position.skipped += 1;
                    done.skipped.push(Skipped { file: self.path.clone(), line: self.position.lines, reason });
                }
            }
            done.lines += 1;
        }
        self.position.consumed += chunk.len() as u64;
        sink.remember(self.run.key, self.position)?;
        Ok(chunk.len() as u64)
    }

    fn read_lines(&mut self) -> std::io::Result<Chunk> {
        self.file.seek(SeekFrom::Start(self.position.consumed))?;
        // Of an overlong line nothing is kept but its length.
        let (mut bytes, mut dropped) = (Vec::new(), 0);
        loop {
            let before = bytes.len();
            let read = (&mut self.file).take(CHUNK).read_to_end(&mut bytes)? as u64;
            let new = &bytes[before..];
            if dropped > 0 {
                if let Some(end) = new.iter().position(|&byte| byte == b'\n') {
                    return Ok(Chunk::Overlong(dropped + end as u64 + 1));
                }
            } else if let Some(end) = new.iter().rposition(|&byte| byte == b'\n') {
                bytes.truncate(before + end + 1);
                return Ok(Chunk::Lines(bytes));
            }
            if dropped > 0 || bytes.len() > LONGEST_LINE {
                dropped += bytes.len() as u64;
                bytes.clear();
            }
            if read < CHUNK {
                return Ok(Chunk::None);
            }
        }
    }
}

/// Whether what was read up to `consumed` still ends in a line feed there.
fn ends_a_line(file: &mut File, consumed: u64, length: u64) -> std::io::Result<bool> {
    if consumed == 0 || consumed > length {
        return Ok(consumed == 0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(consumed - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
