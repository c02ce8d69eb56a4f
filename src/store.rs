//! Everything a sweep leaves behind, in one folder: run folders with event logs and checkpoints, and an SQLite
//! database that indexes them. The folders are the truth; the database can always be made again.
//!
//! ```text
//! runs/crossover.db            the index: one writer, many readers, a checksum on each page
//! runs/sweeps/<name>.json      a sweep's text and members
//! runs/sweeps/<name>.backend   who trained it last, where that was not this machine all the time
//! runs/imports/<name>/         a file of another program, and how it is read
//! runs/<id>/run.json           a run's config and costs
//! runs/<id>/events.jsonl       what happened, appended by the worker
//! runs/<id>/worker.log         the last words of a worker that failed
//! runs/<id>/kept-1/            what the run left before it was to be done again
//! runs/crossover.db.kept-1     an index that held more than the one that a rebuild made
//! runs/crossover.db.host       on a network's file system, the host that has the index
//! runs/slurm/<batch>/          jobs for pilots, and what became of them
//! ```

mod again;
mod backend;
mod choice;
mod difference;
mod export;
mod given;
mod host;
mod identity;
mod imports;
mod ingest;
mod lock;
mod points;
mod prune;
mod query;
mod rebuild;
mod record;
mod register;
mod rename;
#[cfg(test)]
pub mod sample;
mod schema;
mod sizes;
mod state;
mod summary;
mod sums;
mod timing;
mod worker_log;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;

pub use choice::Contest;
pub use difference::{Difference, Part};
pub use export::{Export, Format};
pub use imports::ImportRecord;
pub use ingest::{Ingested, Skipped};
pub use lock::Writer;
pub use points::{Choice, LeftOut, Points, Why};
pub use prune::{Prunable, Waste, sums};
pub use query::{Attempt, BadLines, Measured, Place, Run, Sweep};
pub use rebuild::Rebuilt;
pub use record::{Damaged, Member, RunRecord, SweepRecord};
pub use register::Registered;
pub use rename::is_replaced;
pub use sizes::{Shapes, Sizes};
pub use state::State;
pub use summary::{Counts, Failure, Summary};
pub use timing::Timing;

use crate::error::{Context, Error, Result, nearest};
use identity::Identity;
use lock::Lock;

/// A store open for reading; works while another process writes.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    connection: Connection,
    identity: Option<Identity>,
    /// Held while it is read.
    _copy: Option<TempDir>,
}

/// A store open for writing: the only one, held by a lock file until it is dropped.
#[derive(Debug)]
pub struct Store {
    reader: Reader,
    lock: Lock,
}

impl Store {
    /// Opens the store in `dir`, made if absent.
    ///
    /// # Errors
    /// Another process writes to it; it cannot be written; it is damaged or of a newer version.
    pub fn open(dir: &Path) -> Result<Store> {
        let (dir, lock) = Store::lock(dir)?;
        let store = Store::locked(dir, lock)?;
        store.reader.refuse_without_runs()?;
        Ok(store)
    }

    fn lock(dir: &Path) -> Result<(PathBuf, Lock)> {
        std::fs::create_dir_all(dir)
            .context(|| format!("cannot make the store {}", dir.display()))
            .map_err(|error| error.hint("--store DIR names a folder that you may write to"))?;
        // Workers are given absolute paths; nothing absolute is kept in the store, so it can be moved.
        let dir = dir.canonicalize().context(|| format!("cannot open the store {}", dir.display()))?;
        let lock = Lock::take(&dir)?;
        Ok((dir, lock))
    }

    fn locked(dir: PathBuf, lock: Lock) -> Result<Store> {
        host::alone(&dir)?;
        let connection = schema::open(&dir)?;
        Ok(Store { reader: Reader::over(dir, connection, None), lock })
    }

    /// The same store, to read what was written so far.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn transaction(&mut self) -> Result<rusqlite::Transaction<'_>> {
        let Reader { dir, connection, .. } = &mut self.reader;
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| schema::explain(dir, error))
    }
}

impl Reader {
    /// Whether `dir` is a store: it holds a database, or folders of runs whose database is lost.
    pub fn exists(dir: &Path) -> bool {
        schema::file(dir).exists() || schema::has_runs(dir)
    }

    fn over(dir: PathBuf, connection: Connection, copy: Option<TempDir>) -> Reader {
        let identity = Identity::of(&dir).ok();
        Reader { dir, connection, identity, _copy: copy }
    }

    /// # Errors
    /// There is no store in `dir`, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Reader> {
        let reader = Reader::of_any(dir)?;
        reader.refuse_without_runs()?;
        Ok(reader)
    }

    /// Also where it knows of no run.
    fn of_any(dir: &Path) -> Result<Reader> {
        if schema::file(dir).exists() {
            host::alone(dir)?;
        }
        let schema::Opened { connection, copy } = schema::open_to_read(dir)?;
        Ok(Reader::over(dir.to_path_buf(), connection, copy))
    }

    /// Also where bits of it have flipped: for what is known by its hash.
    fn unchecked(dir: &Path) -> Result<Reader> {
        let schema::Opened { connection, copy } = schema::open_unchecked(dir)?;
        Ok(Reader::over(dir.to_path_buf(), connection, copy))
    }

    /// The folder of the store.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// The folder of a run.
    pub fn run_folder(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// The process that writes to this store now: `Some(None)` is one that has not said who it is.
    pub fn writer(&self) -> Option<Option<Writer>> {
        Lock::holder(&self.dir)
    }

    /// How surely transactions are on the disk when they are over: FULL, or NORMAL, which may lose the last ones.
    fn synchronous(&self, how: &str) -> Result<()> {
        self.connection.pragma_update(None, "synchronous", how).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: rusqlite::Error) -> Error {
        schema::explain(&self.dir, error)
    }

    /// The key of a sweep.
    fn sweep_key(&self, name: &str) -> Result<i64> {
        use rusqlite::OptionalExtension;
        let found = self
            .connection
            .query_row("SELECT key FROM sweeps WHERE name = ?", [name], |row| row.get(0))
            .optional()
            .map_err(|error| self.explain(error))?;
        if let Some(key) = found {
            return Ok(key);
        }
        let imports: Vec<String> = self.imports()?.into_iter().map(|import| import.name).collect();
        if imports.iter().any(|import| import == name) {
            return Err(Error::bad_input(format!(
                "'{name}' is an import, not a sweep: it has points, and no runs of this store"
            ))
            .hint(format!("'crossover fit {name}' and 'crossover plot {name}' take it")));
        }
        let names: Vec<String> = self.sweep_names()?.into_iter().chain(imports).collect();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'?"),
            None if names.is_empty() => "'crossover run SWEEP.toml' trains one".to_string(),
            None => format!("there are: {}", names.join(", ")),
        };
        Err(Error::bad_input(format!("no sweep '{name}' in {}", self.dir.display())).hint(hint))
    }
}

/// SQLite's integers have 63 bits and a sign.
fn integer(what: &str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::bad_input(format!("{what} is {value}; the largest is {}", i64::MAX)))
}

#[cfg(test)]
mod tests;
