//! Tails the runs' event logs into the database. Rows and the offset they were read up to are one transaction, so every
//! line is taken exactly once, whatever is killed when.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::state::State;
use super::{Store, schema};
use crate::error::{Context, Error, Result};
use crate::event::{Event, EventLog, LONGEST_LINE, Outcome, essential, line};
use crate::files;
use crate::run::RunConfig;

/// Bytes of log that one transaction takes at most, about: bounds the WAL file.
const TRANSACTION: u64 = 32 << 20;
/// Bytes read at once; a longer line takes as many as it needs, within [`LONGEST_LINE`].
const CHUNK: u64 = 1 << 20;
/// Attempts of one run beyond which a line is garbled.
const MOST_ATTEMPTS: u32 = 1_000_000;
/// How the writer begins a line of metrics, which nearly all are.
const METRICS: &[u8] = br#"{"event":"metrics","#;

/// What one pass over the logs took in.
#[derive(Debug, Default)]
pub struct Ingested {
    pub lines: u64,
    /// Values of metrics, also those that were there already.
    pub rows: u64,
    /// Lines that say nothing that was not known.
    pub repeated: u64,
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

/// Whose log it is.
#[derive(Clone, Copy)]
struct Run {
    key: i64,
    steps: u64,
}

#[derive(Clone, Copy, Default)]
struct Position {
    consumed: u64,
    lines: u64,
    skipped: u64,
    repeated: u64,
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

    /// Takes in what is new in the logs of those of these runs that have not ended, one log after the other.
    pub fn ingest_runs<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<Ingested> {
        let ids: Vec<&str> = ids.into_iter().collect();
        let standing = self.reader.standing(ids.iter().copied())?;
        let has_ended = |id: &&str| standing.get(*id).is_some_and(|(state, _)| state.is_final());
        let mut ids = ids.into_iter().filter(|id| !has_ended(id)).peekable();
        let (mut done, mut current) = (Ingested::default(), None);
        if ids.peek().is_none() {
            return Ok(done);
        }
        let dir = self.reader.dir.clone();
        let explain = |error| schema::explain(&dir, error);
        loop {
            let transaction = self.transaction()?;
            let mut sink = Sink::new(&transaction).map_err(explain)?;
            let mut budget = TRANSACTION;
            while budget > 0 {
                let Some(tail) = &mut current else {
                    let Some(id) = ids.next() else { break };
                    current = Tail::open(&dir, &transaction, id, &mut done).map_err(|error| error.into_error(&dir))?;
                    continue;
                };
                match tail.advance(&mut sink, &mut done).map_err(|error| error.into_error(&dir))? {
                    0 => current = None,
                    taken => budget = budget.saturating_sub(taken),
                }
            }
            drop(sink);
            transaction.commit().map_err(explain)?;
            if budget > 0 {
                return Ok(done);
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
    fn into_error(self, dir: &Path) -> Error {
        match self {
            Stop::Log(error) => error,
            Stop::Database(error) => schema::explain(dir, error),
        }
    }
}

impl Tail {
    /// The log of a run, if it has bytes that were not read.
    fn open(dir: &Path, index: &Transaction, id: &str, done: &mut Ingested) -> Result<Option<Tail>, Stop> {
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
    fn advance(&mut self, sink: &mut Sink, done: &mut Ingested) -> Result<u64, Stop> {
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

/// The prepared statements of one transaction.
struct Sink<'t> {
    transaction: &'t Transaction<'t>,
    insert: rusqlite::CachedStatement<'t>,
    /// Keys of metric names; few, so they are read anew for each transaction and a rollback cannot make them wrong.
    metrics: HashMap<String, i64>,
}

/// What a line held: its values, and whether anything of it was not known.
struct Line {
    rows: u64,
    new: bool,
}

/// Or why it is no event of its run.
type Taken = std::result::Result<Line, String>;

impl<'t> Sink<'t> {
    fn new(transaction: &'t Transaction<'t>) -> rusqlite::Result<Sink<'t>> {
        let insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO metrics (run, step, metric, value) VALUES (?, ?, ?, ?)")?;
        let mut names = transaction.prepare_cached("SELECT name, key FROM metric_names")?;
        let metrics = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        Ok(Sink { transaction, insert, metrics })
    }

    fn take(&mut self, run: Run, line: &[u8]) -> Result<Taken, rusqlite::Error> {
        if !line::is_whole(line) {
            return Ok(Err("its checksum is not that of its content".into()));
        }
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
            Ok(event) => match refusal(run, &event) {
                Some(reason) => Ok(Err(reason)),
                None => self.attempt(run.key, &event).map(|new| Ok(Line { rows: 0, new })),
            },
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn metrics(&mut self, run: Run, step: u64, values: Vec<(Cow<str>, f64)>) -> Result<Taken, rusqlite::Error> {
        if let Some(reason) = beyond(run, step) {
            return Ok(Err(reason));
        }
        let mut new = 0;
        for (name, value) in &values {
            let metric = match self.metrics.get(name.as_ref()) {
                Some(key) => *key,
                None => self.add_metric(name)?,
            };
            // Steps of a run are numbers of the index, which has 63 bits for them.
            new += self.insert.execute((run.key, step as i64, metric, value))?;
        }
        Ok(Ok(Line { rows: values.len() as u64, new: new > 0 || values.is_empty() }))
    }

    fn add_metric(&mut self, name: &str) -> rusqlite::Result<i64> {
        self.transaction.execute("INSERT INTO metric_names (name) VALUES (?)", [name])?;
        let key = self.transaction.last_insert_rowid();
        self.metrics.insert(name.to_string(), key);
        Ok(key)
    }

    /// False where it was known: what was said first stays.
    fn attempt(&mut self, run: i64, event: &Event) -> rusqlite::Result<bool> {
        let (state, new) = match event {
            Event::Start { attempt, time, host, device, pid, from_step, .. } => {
                let new = self
                    .transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO attempts (run, attempt, started, host, device, pid, from_step)
                         VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute((run, attempt, time, host, device, pid, *from_step as i64))?;
                (State::Running, new)
            }
            Event::End { attempt, time, seconds, examples_per_second, outcome } => {
                let missing = if *outcome == Outcome::Done { self.missing(run)? } else { None };
                let outcome = &missing.map_or_else(|| outcome.clone(), |reason| Outcome::Failed { reason });
                let text = serde_json::to_string(outcome).unwrap_or_default();
                let new = self
                    .transaction
                    .prepare_cached(
                        "INSERT INTO attempts (run, attempt, ended, seconds, examples_per_second, outcome)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run, attempt) DO UPDATE
                         SET ended = ?3, seconds = ?4, examples_per_second = ?5, outcome = ?6 WHERE outcome IS NULL",
                    )?
                    .execute((run, attempt, time, seconds, examples_per_second, text))?;
                (State::from(outcome), new)
            }
            Event::Metrics { .. } => return Ok(true),
        };
        if new == 0 {
            return Ok(false);
        }
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
        Ok(true)
    }

    /// Why a run that says it is done is not: the log lost lines, and with them what it measured.
    fn missing(&self, run: i64) -> rusqlite::Result<Option<String>> {
        let config = "SELECT config FROM runs WHERE key = ?";
        let config: String = self.transaction.prepare_cached(config)?.query_row([run], |row| row.get(0))?;
        let Ok(config) = serde_json::from_str::<RunConfig>(&config) else { return Ok(None) };
        let measured = "SELECT 1 FROM metrics JOIN metric_names ON metric_names.key = metric
             WHERE run = ?1 AND metrics.step = ?2 AND name = ?3";
        let mut measured = self.transaction.prepare_cached(measured)?;
        let mut missing = Vec::new();
        for step in config.evaluations() {
            for name in essential(step, config.steps) {
                if !measured.exists((run, step as i64, name))? {
                    missing.push(step);
                    break;
                }
            }
        }
        let mut missing = missing.into_iter();
        let Some(step) = missing.next() else { return Ok(None) };
        let others = match missing.count() {
            0 => String::new(),
            others => format!(" and of {others} more evaluations"),
        };
        Ok(Some(format!("the metrics of step {step}{others} are missing: its log lost lines")))
    }

    fn remember(&self, run: i64, position: Position) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO logs (run, consumed, lines, skipped, repeated) VALUES (?, ?, ?, ?, ?)",
            )?
            .execute((
                run,
                position.consumed as i64,
                position.lines as i64,
                position.skipped as i64,
                position.repeated as i64,
            ))?;
        Ok(())
    }
}

/// Why an event cannot be one of this run's.
fn refusal(run: Run, event: &Event) -> Option<String> {
    let (attempt, step) = match event {
        Event::Start { attempt, from_step, .. } => (*attempt, *from_step),
        Event::End { attempt, outcome: Outcome::Stopped { step } | Outcome::Diverged { step }, .. } => {
            (*attempt, *step)
        }
        Event::End { attempt, .. } => (*attempt, 0),
        Event::Metrics { step, .. } => (0, *step),
    };
    let many = (attempt > MOST_ATTEMPTS).then(|| format!("attempt {attempt} is beyond {MOST_ATTEMPTS}"));
    many.or_else(|| beyond(run, step))
}

fn beyond(run: Run, step: u64) -> Option<String> {
    (step > run.steps).then(|| format!("step {step} is beyond the {} of the run", run.steps))
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
