//! Tails the runs' event logs into the database. Rows and the offset they were read up to are one transaction, so every
//! line is taken exactly once, whatever is killed when.

mod sink;
mod tail;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Store, schema};
use crate::error::{Error, Result};
use sink::Sink;
use tail::Tail;

/// Bytes of log that one transaction takes at most, about: bounds the WAL file.
const TRANSACTION: u64 = 32 << 20;

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
