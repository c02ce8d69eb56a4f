//! Opens `crossover.db`: settings, migrations, and what SQLite's errors mean to a person.

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rusqlite_migration::{M, Migrations};
use tempfile::TempDir;

use super::sums;
use crate::error::{Context, Error, Result, nearest};
use crate::event::EventLog;
use crate::files;
use crate::shell::quoted;

pub const FILE: &str = "crossover.db";
/// One a version, never changed once released.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/1-initial.sql")),
    M::up(include_str!("migrations/2-repeated.sql")),
    M::up(include_str!("migrations/3-written.sql")),
];
/// The first version whose pages have checksums.
const WITH_SUMS: i64 = 3;
/// What a reader of an older database has in place of what came later, by version: it may not be theirs to bring up to date.
const AS_NOW: [&[&str]; 3] = [&[], &[REPEATED, WRITTEN], &[WRITTEN]];
const REPEATED: &str = "CREATE TEMP VIEW logs AS SELECT run, consumed, lines, skipped, 0 AS repeated FROM main.logs;";
const WRITTEN: &str =
    "CREATE TEMP VIEW sweeps AS SELECT key, name, question, tuned, source, created, NULL AS written FROM main.sweeps;";
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
const VERSION: i64 = STEPS.len() as i64;

/// Where the database of the store in `dir` is.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Opens for writing, makes the database if there is none and brings an older one up to date.
///
/// # Errors
/// There is none, or an empty one, beside folders of runs: a new one would know nothing of them.
pub(super) fn open(dir: &Path) -> Result<Connection> {
    let path = file(dir);
    refuse_other(&path)?;
    if is_empty(&path) && has_runs(dir) {
        return Err(no_index(dir));
    }
    let connection = connect(&path).map_err(|error| explain(dir, error))?;
    up_to_date(dir, &path, connection)
}

/// Whether there is no database, or one without a table.
pub(super) fn is_empty(path: &Path) -> bool {
    let version = |connection: Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    match path.metadata() {
        Ok(found) => {
            found.len() == 0 || read(path, "", sums::open).and_then(version).is_ok_and(|version: i64| version == 0)
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// # Errors
/// The database is of a version that this program does not know.
pub(super) fn refuse_newer(dir: &Path) -> Result<()> {
    let path = file(dir);
    refuse_other(&path)?;
    match path.exists().then(|| read(&path, "", sums::open)) {
        Some(Ok(connection)) if version(dir, &connection)? > VERSION => Err(newer(dir, &connection)),
        _ => Ok(()),
    }
}

/// A new database in the store, beside the one that it has.
pub(super) fn create(dir: &Path, path: &Path) -> Result<Connection> {
    let connection = connect(path).map_err(|error| explain(dir, error))?;
    up_to_date(dir, path, connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = sums::open(path, OpenFlags::default())?;
    connection.busy_timeout(Duration::from_secs(30))?;
    // WAL lets readers work meanwhile. NORMAL may lose the last transactions in a power cut, never a part of one;
    // offset and rows go together, so the logs are then read again from there.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    Ok(connection)
}

fn up_to_date(dir: &Path, path: &Path, mut connection: Connection) -> Result<Connection> {
    match version(dir, &connection)? {
        found if found > VERSION => return Err(newer(dir, &connection)),
        // All pages are written anew, with room for checksums.
        found if (1..WITH_SUMS).contains(&found) => {
            connection.execute_batch("VACUUM").map_err(|error| explain(dir, error))?;
        }
        _ => {}
    }
    MIGRATIONS.to_latest(&mut connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => explain(dir, err),
        other => Error::failed(format!("cannot bring {} up to date: {other}", path.display())),
    })?;
    Ok(connection)
}

/// A database that is read, and the copy of it that is read in its place, if one had to be made.
#[derive(Debug)]
pub(super) struct Opened {
    pub connection: Connection,
    pub copy: Option<TempDir>,
}

/// Opens for reading alone; works while an orchestrator writes, and where nothing can be written.
pub(super) fn open_to_read(dir: &Path) -> Result<Opened> {
    open_by(dir, sums::open)
}

/// The same with pages taken as they are, checksums or not: for what is known to be right by itself.
pub(super) fn open_unchecked(dir: &Path) -> Result<Opened> {
    open_by(dir, |path, flags| Connection::open_with_flags(path, flags))
}

fn open_by(dir: &Path, open: Open) -> Result<Opened> {
    let path = file(dir);
    let unreadable = |error| {
        Error::failed(format!("cannot read {}: {error}", dir.display())).hint("--store names the folder of runs")
    };
    if !path.try_exists().map_err(unreadable)? {
        return Err(no_store(dir));
    }
    refuse_other(&path)?;
    let opened = match read(&path, "", open) {
        Err(error) if cannot_open(&error) => read_unwritable(&path, open).unwrap_or(Err(error)),
        opened => opened.map(|connection| Opened { connection, copy: None }),
    };
    let opened = opened.map_err(|error| explain(dir, error))?;
    match version(dir, &opened.connection)? {
        0 => Err(no_store(dir)),
        newer_one if newer_one > VERSION => Err(newer(dir, &opened.connection)),
        older => {
            let views = AS_NOW.get(older as usize).copied().unwrap_or_default().concat();
            let views = format!("PRAGMA temp_store = MEMORY; {views}");
            opened.connection.execute_batch(&views).map_err(|error| explain(dir, error))?;
            Ok(opened)
        }
    }
}

/// A log beside the database can be neither made nor read where nothing can be written. Without one, the file holds all
/// there is; a log that a killed writer left is read from a copy of both.
fn read_unwritable(path: &Path, open: Open) -> Option<rusqlite::Result<Opened>> {
    if !log(path).exists() {
        return Some(read(path, "?immutable=1", open).map(|connection| Opened { connection, copy: None }));
    }
    let copy = TempDir::with_prefix("crossover-index-").ok()?;
    let copied = copy.path().join(FILE);
    // No connection of ours has the database open: closing a copied file would take its locks.
    std::fs::copy(path, &copied).ok()?;
    std::fs::copy(log(path), log(&copied)).ok()?;
    Some(read(&copied, "", open).map(|connection| Opened { connection, copy: Some(copy) }))
}

/// By its name alone: to open and close a database takes the locks of other connections to it.
fn refuse_other(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(found) => files::refuse_other(&found)
            .context(|| format!("cannot open {}", path.display()))
            .map_err(|error| error.hint("move it away; 'crossover ingest --rebuild' then makes the index again")),
        Err(_) => Ok(()),
    }
}

/// How a file is opened: with its pages checked, or without.
type Open = fn(&Path, OpenFlags) -> rusqlite::Result<Connection>;

/// A connection that has read something.
fn read(path: &Path, how: &str, open: Open) -> rusqlite::Result<Connection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let path: String = (path.as_os_str().as_bytes().iter())
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = open(Path::new(&format!("file:{path}{how}")), flags)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Whether there are folders of runs in `dir`.
pub(super) fn has_runs(dir: &Path) -> bool {
    folders(dir).any(|folder| folder.join("run.json").exists() || folder.join(EventLog::FILE).exists())
}

pub(super) fn folders(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Folders of runs without an index.
pub(super) fn no_index(dir: &Path) -> Error {
    let how = if file(dir).exists() { "is empty" } else { "is not there" };
    Error::failed(format!("{} holds folders of runs, and their index {FILE} {how}", dir.display()))
        .hint("'crossover ingest --rebuild' makes it again from the run folders")
}

/// The nearest of the folders beside it that hold a store is the hint; else what makes one.
fn no_store(dir: &Path) -> Error {
    if has_runs(dir) {
        return no_index(dir);
    }
    let beside = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folders = std::fs::read_dir(beside).into_iter().flatten().flatten().map(|entry| entry.path());
    let stores = folders.filter(|folder| file(folder).exists());
    let mut stores: Vec<String> =
        stores.map(|folder| folder.strip_prefix(".").unwrap_or(&folder).display().to_string()).collect();
    stores.sort();
    let asked = dir.display().to_string();
    let hint = match nearest(&asked, stores.iter().map(String::as_str)).filter(|near| *near != asked) {
        Some(near) => format!("did you mean --store {}?", quoted(near)),
        None if stores.is_empty() => "'crossover run SWEEP.toml' makes one; --store names another".to_owned(),
        None => format!("--store names one; there are {}", stores.join(", ")),
    };
    let how = if file(dir).exists() { "is empty" } else { "is not there" };
    Error::bad_input(format!("{asked} holds no store: {FILE} {how}")).hint(hint)
}

fn version(dir: &Path, connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| explain(dir, error))
}

fn newer(dir: &Path, connection: &Connection) -> Error {
    let found = version(dir, connection).unwrap_or(-1);
    Error::failed(format!(
        "{} was written by a newer crossover (schema {found}, this program knows up to {VERSION})",
        file(dir).display()
    ))
    .hint("use that newer version, or another store: --store DIR")
}

/// What an SQLite error on the store in `dir` means, and what to do about it.
pub(super) fn explain(dir: &Path, error: rusqlite::Error) -> Error {
    let path = file(dir);
    let (shown, folder) = (path.display(), quoted(&dir.display().to_string()));
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::failed(format!("cannot write {shown}: the disk is full"))
            .hint("free some space and run the same command again: it goes on where it stopped"),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Error::failed(format!("cannot open {shown}: {error}"))
                .hint(format!("look at the owner and the permissions of its folder: 'ls -la {folder}'"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(&shown, &error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::failed(format!("{shown} is locked by another program: {error}"))
                .hint("close other programs that have it open, for example an sqlite3 shell in a transaction")
        }
        Some(ErrorCode::SystemIoFailure) if sums::is_mismatch(&error) => {
            damaged(&shown, &"its checksums say that a bit has flipped, or that another program wrote to it")
        }
        Some(ErrorCode::SystemIoFailure) => Error::failed(format!("cannot read or write {shown}: {error}"))
            .hint(format!("is the disk full ('df -h {folder}'), or the folder gone ('ls {folder}')?")),
        // A value that is not what its column holds: a bit has flipped.
        None if !matches!(error, rusqlite::Error::QueryReturnedNoRows) => damaged(&shown, &error),
        _ => Error::failed(format!("{shown}: {error}")),
    }
}

fn damaged(index: &dyn Display, why: &dyn Display) -> Error {
    Error::failed(format!("{index} is damaged: {why}"))
        .hint("'crossover ingest --rebuild' makes it again from the run folders, which hold everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid_and_counted() {
        MIGRATIONS.validate().unwrap();
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.to_latest(&mut connection).unwrap();
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, VERSION);
    }

    #[test]
    fn a_store_where_nothing_can_be_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        // What SQLite keeps beside a database cannot be made, as in a folder of someone else's.
        std::fs::create_dir(dir.path().join(format!("{FILE}-shm"))).unwrap();
        let connection = open_to_read(dir.path()).unwrap().connection;
        let sweeps: i64 = connection.query_row("SELECT count(*) FROM sweeps", [], |row| row.get(0)).unwrap();
        assert_eq!(sweeps, 0);
    }
}
