//! Tails the runs' event logs into the database. Rows and the offset they were read up to are one transaction, so every
//! line is taken exactly once, whatever is killed when.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Transaction};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::state::State;
use super::{Store, schema};
use crate::error::{Context, Error, Result};
use crate::event::{Event, EventLog};

/// Bytes of log that one transaction takes at most, about: bounds the WAL file.
const TRANSACTION: u64 = 32 << 20;
/// Bytes read at once; a longer line takes as many as it needs.
const CHUNK: u64 = 1 << 20;
/// How the writer begins a line of metrics, which nearly all are.
const METRICS: &[u8] = br#"{"event":"metrics","#;

/// What one pass over the logs took in.
#[derive(Debug, Default)]
pub struct Ingested {
    pub lines: u64,
    /// Values of metrics, also those that were there already.
    pub rows: u64,
    pub skipped: Vec<Skipped>,
}

/// A whole line that is no event. It stays in the log, is counted and not read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub file: PathBuf,
    pub line: u64,
    pub reason: String,
}

/// A log with unread bytes.
struct Tail {
    run: i64,
    path: PathBuf,
    file: File,
    position: Position,
}

#[derive(Clone, Copy, Default)]
struct Position {
    consumed: u64,
    lines: u64,
    skipped: u64,
}

impl Store {
    /// Takes in what is new in the logs of all runs that have not ended.
    ///
    /// # Errors
    /// A log cannot be read or the database not be written. What was committed before stays.
    pub fn ingest(&mut self) -> Result<Ingested> {
        let open = "SELECT id FROM runs WHERE state NOT IN ('done', 'diverged') ORDER BY key";
        let reader = &self.reader;
        let ids: Vec<String> = reader
            .connection
            .prepare_cached(open)
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .map_err(|error| reader.explain(error))?;
        self.ingest_runs(ids.iter().map(String::as_str))
    }

    /// Takes in what is new in the logs of these runs.
    pub fn ingest_runs<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<Ingested> {
        let mut done = Ingested::default();
        let mut tails = ids.into_iter().filter_map(|id| self.tail(id, &mut done).transpose());
        let mut pending = tails.by_ref().collect::<Result<Vec<_>>>()?.into_iter();
        let mut current = pending.next();
        let dir = self.reader.dir.clone();
        while current.is_some() {
            let transaction = self.transaction()?;
            let mut sink = Sink::new(&transaction).map_err(|error| schema::explain(&dir, error))?;
            let mut budget = TRANSACTION;
            while let Some(tail) = &mut current
                && budget > 0
            {
                match tail.advance(&mut sink, &mut done).map_err(|error| error.into_error(&dir))? {
                    0 => current = pending.next(),
                    taken => budget = budget.saturating_sub(taken),
                }
            }
            drop(sink);
            transaction.commit().map_err(|error| schema::explain(&dir, error))?;
        }
        Ok(done)
    }

    /// The log of a run, if it has bytes that were not read.
    fn tail(&self, id: &str, done: &mut Ingested) -> Result<Option<Tail>> {
        let path = self.reader.run_folder(id).join(EventLog::FILE);
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(|| format!("cannot read {}", path.display())),
        };
        let found = self
            .reader
            .connection
            .prepare_cached(
                "SELECT runs.key, consumed, lines, skipped FROM runs LEFT JOIN logs ON run = runs.key WHERE id = ?",
            )
            .and_then(|mut query| {
                query
                    .query_row([id], |row| {
                        let count =
                            |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0) as u64);
                        Ok((row.get(0)?, Position { consumed: count(1)?, lines: count(2)?, skipped: count(3)? }))
                    })
                    .optional()
            })
            .map_err(|error| self.reader.explain(error))?;
        let Some((run, mut position)) = found else { return Ok(None) };
        if length == position.consumed {
            return Ok(None);
        }
        let mut file = File::open(&path).context(|| format!("cannot read {}", path.display()))?;
        if !ends_a_line(&mut file, position.consumed, length).context(|| format!("cannot read {}", path.display()))? {
            let reason = format!(
                "the log was changed: {} bytes of it had been read, now it has {length}; it is read again from the start and what was known stays",
                position.consumed
            );
            done.skipped.push(Skipped { file: path.clone(), line: position.lines, reason });
            position = Position { consumed: 0, lines: 0, skipped: position.skipped };
        }
        Ok(Some(Tail { run, path, file, position }))
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

/// What stops a pass.
enum Stop {
    Log(Error),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Database(error)
    }
}

impl Stop {
    fn into_error(self, dir: &std::path::Path) -> Error {
        match self {
            Stop::Log(error) => error,
            Stop::Database(error) => schema::explain(dir, error),
        }
    }
}

impl Tail {
    /// Takes the next chunk of whole lines; returns its bytes, 0 when only a half-written line or nothing is left.
    fn advance(&mut self, sink: &mut Sink, done: &mut Ingested) -> Result<u64, Stop> {
        let chunk = self.read_lines().context(|| format!("cannot read {}", self.path.display())).map_err(Stop::Log)?;
        if chunk.is_empty() {
            return Ok(0);
        }
        for line in chunk[..chunk.len() - 1].split(|&byte| byte == b'\n') {
            self.position.lines += 1;
            match sink.take(self.run, line)? {
                Ok(rows) => done.rows += rows,
                Err(reason) => {
                    self.position.skipped += 1;
                    done.skipped.push(Skipped { file: self.path.clone(), line: self.position.lines, reason });
                }
            }
            done.lines += 1;
        }
        self.position.consumed += chunk.len() as u64;
        sink.remember(self.run, self.position)?;
        Ok(chunk.len() as u64)
    }

    fn read_lines(&mut self) -> std::io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(self.position.consumed))?;
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            let read = (&mut self.file).take(CHUNK).read_to_end(&mut bytes)?;
            if let Some(end) = bytes[before..].iter().rposition(|&byte| byte == b'\n') {
                bytes.truncate(before + end + 1);
                return Ok(bytes);
            }
            if (read as u64) < CHUNK {
                return Ok(Vec::new());
            }
        }
    }
}

/// The prepared statements of one transaction.
struct Sink<'t> {
    transaction: &'t Transaction<'t>,
    insert: rusqlite::CachedStatement<'t>,
    /// Keys of metric names; few, so they are read anew for each transaction and a rollback cannot make them wrong.
    metrics: HashMap<String, i64>,
}

/// A line's rows, or why it is no event.
type Taken = std::result::Result<u64, String>;

impl<'t> Sink<'t> {
    fn new(transaction: &'t Transaction<'t>) -> rusqlite::Result<Sink<'t>> {
        let insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO metrics (run, step, metric, value) VALUES (?, ?, ?, ?)")?;
        let mut names = transaction.prepare_cached("SELECT name, key FROM metric_names")?;
        let metrics = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        Ok(Sink { transaction, insert, metrics })
    }

    fn take(&mut self, run: i64, line: &[u8]) -> Result<Taken, rusqlite::Error> {
        if line.starts_with(METRICS) {
            return match serde_json::from_slice::<MetricsLine>(line) {
                Ok(line) => self.metrics(run, line.step, line.values.0),
                Err(error) => Ok(Err(error.to_string())),
            };
        }
        match serde_json::from_slice(line) {
            Ok(Event::Metrics { step, values }) => {
                self.metrics(run, step, values.into_iter().map(|(name, value)| (name.into(), value)).collect())
            }
            Ok(event) => self.attempt(run, &event).map(|()| Ok(0)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn metrics(&mut self, run: i64, step: u64, values: Vec<(Cow<str>, f64)>) -> Result<Taken, rusqlite::Error> {
        let Ok(step) = i64::try_from(step) else { return Ok(Err(format!("step {step} is beyond 63 bits"))) };
        for (name, value) in &values {
            let metric = match self.metrics.get(name.as_ref()) {
                Some(key) => *key,
                None => self.add_metric(name)?,
            };
            self.insert.execute((run, step, metric, value))?;
        }
        Ok(Ok(values.len() as u64))
    }

    fn add_metric(&mut self, name: &str) -> rusqlite::Result<i64> {
        self.transaction.execute("INSERT INTO metric_names (name) VALUES (?)", [name])?;
        let key = self.transaction.last_insert_rowid();
        self.metrics.insert(name.to_string(), key);
        Ok(key)
    }

    fn attempt(&mut self, run: i64, event: &Event) -> rusqlite::Result<()> {
        let state = match event {
            Event::Start { attempt, time, host, device, pid, from_step } => {
                self.transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO attempts (run, attempt, started, host, device, pid, from_step)
                         VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute((run, attempt, time, host, device, pid, *from_step as i64))?;
                State::Running
            }
            Event::End { attempt, time, seconds, examples_per_second, outcome } => {
                let outcome_text = serde_json::to_string(outcome).unwrap_or_default();
                self.transaction
                    .prepare_cached(
                        "INSERT INTO attempts (run, attempt, ended, seconds, examples_per_second, outcome)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run, attempt) DO UPDATE
                         SET ended = ?3, seconds = ?4, examples_per_second = ?5, outcome = ?6",
                    )?
                    .execute((run, attempt, time, seconds, examples_per_second, outcome_text))?;
                State::from(outcome)
            }
            Event::Metrics { .. } => return Ok(()),
        };
        let (step, reason) = match &state {
            State::Stopped { step } | State::Diverged { step } => (Some(*step as i64), None),
            State::Failed { reason } => (None, Some(reason)),
            _ => (None, None),
        };
        self.transaction
            .prepare_cached(
                "UPDATE runs SET state = ?2, step = ?3, reason = ?4
                 WHERE key = ?1 AND state NOT IN ('done', 'diverged')",
            )?
            .execute((run, state.word(), step, reason))?;
        Ok(())
    }

    fn remember(&self, run: i64, position: Position) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO logs (run, consumed, lines, skipped) VALUES (?, ?, ?, ?)")?
            .execute((run, position.consumed as i64, position.lines as i64, position.skipped as i64))?;
        Ok(())
    }
}

/// `Event::Metrics` without serde's buffering of tagged enums and without an allocation per name: 3 times as fast.
#[derive(Deserialize)]
struct MetricsLine<'a> {
    step: u64,
    #[serde(borrow)]
    values: Values<'a>,
}

struct Values<'a>(Vec<(Cow<'a, str>, f64)>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of metric names and numbers")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Values<'de>, M::Error> {
                let mut values = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry()? {
                    values.push((name, value));
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
