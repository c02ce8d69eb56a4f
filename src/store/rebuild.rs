//! `ingest --rebuild`: makes the index again from the folders, and destroys nothing. The new one is built beside the old
//! one and checked, and only then takes its place, in one step; until then readers see the old one.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::host;
use super::imports;
use super::ingest::Ingested;
use super::record::{self, Damaged, RunRecord, SweepRecord};
use super::{Reader, Store, schema, sums};
use crate::error::{Context, Error, Result};
use crate::event::EventLog;

/// Behind the index's name while it is built, and before the number of one that was kept.
const BUILDING: &str = ".rebuilding";
const KEPT: &str = ".kept-";

/// What `ingest --rebuild` found, and what it did.
#[derive(Debug)]
pub struct Rebuilt {
    pub sweeps: usize,
    pub runs: usize,
    pub ingested: Ingested,
    /// Records that cannot be used and that nothing else knows; their runs are not in the index.
    pub damaged: Vec<Damaged>,
    /// Records that the old index knew: they were written again.
    pub mended: Vec<PathBuf>,
    /// Where the old index is, if it was kept.
    pub kept: Option<PathBuf>,
    /// What the old index has more than the folders hold.
    pub less: Option<String>,
}

/// The records of a store, from its folders and from what its old index knows.
struct Records {
    runs: Vec<RunRecord>,
    sweeps: Vec<SweepRecord>,
    damaged: Vec<Damaged>,
    mended: Vec<PathBuf>,
}

impl Store {
    /// Makes the database of the store in `dir` again, from the folders alone, whatever state it is in. The old one is
    /// kept where the new one holds less, but for `force`, and where it cannot be read.
    ///
    /// # Errors
    /// Another process writes to the store; its database is of a newer version; the new one cannot be written.
    pub fn rebuild(dir: &Path, force: bool) -> Result<(Store, Rebuilt)> {
        if !dir.is_dir() {
            return Err(Error::bad_input(format!("there is no folder {}", dir.display()))
                .hint("--store names the folder that holds the folders of runs"));
        }
        let (dir, lock) = Store::lock(dir)?;
        host::take(&dir)?;
        schema::refuse_newer(&dir)?;
        let old = Reader::of_any(&dir).ok();
        let whole = old.as_ref().is_some_and(Reader::is_whole);
        let old = if whole { old } else { Reader::unchecked(&dir).ok() };
        let Records { runs, sweeps, damaged, mended } = Records::of(&dir, old.as_ref(), whole)?;
        let old = old.filter(|_| whole);
        let building = beside(&dir, BUILDING);
        remove(&building)?;
        let reader = Reader::over(dir.clone(), schema::create(&dir, &building)?, None);
        let mut new = Store { reader, lock };
        new.index(&runs, &sweeps)?;
        let ingested = new.ingest()?;
        let less = new.check(&runs, old.as_ref())?;
        let Store { reader, lock } = new;
        drop(reader);
        let kept = match old {
            Some(old) => {
                let kept = if less.is_some() && !force { Some(keep(&dir, &old)?) } else { None };
                drop(old);
                overwrite(&dir, &building)?;
                kept
            }
            None => replace(&dir, &building, force)?,
        };
        let (sweeps, runs) = (sweeps.len(), runs.len());
        let rebuilt = Rebuilt { sweeps, runs, ingested, damaged, mended, kept, less: less.filter(|_| !force) };
        Ok((Store::locked(dir, lock)?, rebuilt))
    }

    /// What the old index has more than this new one.
    ///
    /// # Errors
    /// The new one is not whole.
    fn check(&self, runs: &[RunRecord], old: Option<&Reader>) -> Result<Option<String>> {
        let new = self.reader.holds()?;
        if !self.reader.is_whole() || new[1].0 != runs.len() as u64 {
            return Err(Error::failed(format!("the new index of {} is damaged", self.reader.dir.display()))
                .hint("is the disk or the memory failing? The old index is as it was"));
        }
        let Some(old) = old else { return Ok(None) };
        let fewer = new.iter().zip(old.holds()?).filter(|((new, _), (old, _))| new < old);
        let fewer: Vec<String> = fewer.map(|((new, what), (old, _))| format!("{new} of {old} {what}")).collect();
        Ok((!fewer.is_empty()).then(|| fewer.join(", ")))
    }
}

impl Reader {
    /// An index that knows no run, beside runs that have begun and that a rebuild would find. (Records alone are what a kill
    /// leaves before the first plan is in the index.)
    pub(super) fn refuse_without_runs(&self) -> Result<()> {
        let known = self.connection.query_row("SELECT EXISTS (SELECT 1 FROM runs)", [], |row| row.get(0));
        if known.map_err(|error| self.explain(error))? {
            return Ok(());
        }
        let begun = |folder: &PathBuf| folder.join(EventLog::FILE).exists();
        let id = |folder: PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match schema::folders(&self.dir).filter(begun).any(|folder| RunRecord::is_whole(&self.dir, &id(folder))) {
            true => Err(schema::no_index(&self.dir)),
            false => Ok(()),
        }
    }

    /// Whether SQLite finds nothing wrong with the database.
    fn is_whole(&self) -> bool {
        let found: rusqlite::Result<String> = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        found.is_ok_and(|found| found == "ok")
    }

    /// How many of each it holds.
    fn holds(&self) -> Result<[(u64, &'static str); 4]> {
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            self.connection.query_row(&query, [], |row| super::query::unsigned(row, 0))
        };
        let holds = || {
            Ok([
                (count("sweeps")?, "sweeps"),
                (count("runs")?, "runs"),
                (count("attempts")?, "attempts"),
                (count("metrics")?, "values of metrics"),
            ])
        };
        holds().map_err(|error| self.explain(error))
    }
}

impl Records {
    /// What is damaged or gone is written again from the old index, where that knows it. One that is not `whole` still
    /// knows configs, which are known by their hash.
    fn of(dir: &Path, old: Option<&Reader>, whole: bool) -> Result<Records> {
        let (runs, mut damaged) = RunRecord::read_all(dir)?;
        let (sweeps, more) = SweepRecord::read_all(dir)?;
        damaged.extend(more);
        damaged.extend(imports::read_all(dir)?.1);
        let mut records = Records { runs, sweeps, damaged, mended: Vec::new() };
        if let Some(old) = old.filter(|_| whole) {
            // What cannot be read of it is not known: that is no reason to have no new one.
            let _ = records.mend_sweeps(dir, old);
        }
        let known = old.and_then(|old| old.records().ok()).unwrap_or_default();
        records.mend_runs(dir, known)?;
        records.runs.sort_by(|a, b| a.id.cmp(&b.id));
        records.sweeps.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    fn mend_sweeps(&mut self, dir: &Path, old: &Reader) -> Result<()> {
        let known: HashSet<String> = self.sweeps.iter().map(|sweep| sweep.name.clone()).collect();
        for name in old.sweeps()?.into_iter().map(|sweep| sweep.name).filter(|name| !known.contains(name)) {
            let sweep = old.record(&name)?;
            let file = SweepRecord::file(dir, &name);
            // A bit of a name in the index may have flipped: then the sweep is there under its own.
            let is_there = self.sweeps.iter().any(|known| known.source == sweep.source);
            if is_there && !self.damaged.iter().any(|damaged| damaged.file == file) {
                continue;
            }
            if self.write(file, sweep.write(dir)) {
                self.sweeps.push(sweep);
            }
        }
        Ok(())
    }

    fn mend_runs(&mut self, dir: &Path, known: Vec<RunRecord>) -> Result<()> {
        let named: HashSet<&str> =
            self.sweeps.iter().flat_map(|sweep| sweep.runs.iter().map(|run| run.id.as_str())).collect();
        let found: HashSet<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        // A run whose folder was deleted is to do again, if a sweep names it.
        let is_wanted = |id: &str| !found.contains(id) && (named.contains(id) || dir.join(id).is_dir());
        let wanted: Vec<RunRecord> = known.into_iter().filter(|run| is_wanted(&run.id)).collect();
        for run in wanted {
            if self.write(RunRecord::file(dir, &run.id), run.write(dir)) {
                self.runs.push(run);
            }
        }
        if self.mended.is_empty() { Ok(()) } else { record::sync(dir) }
    }

    /// Notes what became of a record that was written again.
    fn write(&mut self, file: PathBuf, written: Result<()>) -> bool {
        match written {
            Ok(()) => {
                self.damaged.retain(|damaged| damaged.file != file);
                self.mended.push(file);
                true
            }
            Err(error) => {
                self.damaged.retain(|damaged| damaged.file != file);
                self.damaged.push(Damaged { file, reason: error.message });
                false
            }
        }
    }
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    with(&schema::file(dir), suffix)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}

/// A database and what SQLite keeps beside it.
fn remove(database: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = with(database, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The first name that is free for an index that is kept.
fn free_name(dir: &Path) -> PathBuf {
    let names = (1u32..).map(|number| beside(dir, &format!("{KEPT}{number}")));
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| beside(dir, KEPT))
}

/// A copy of an index that can be read, whole or not at all.
fn keep(dir: &Path, old: &Reader) -> Result<PathBuf> {
    let (kept, partial) = (free_name(dir), beside(dir, ".keeping"));
    remove(&partial)?;
    let name = partial.to_string_lossy();
    old.connection.execute("VACUUM INTO ?", [&name]).map_err(|error| schema::explain(dir, error))?;
    let put = || {
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, &kept)?;
        File::open(dir)?.sync_all()
    };
    put().context(|| format!("cannot write {}", kept.display()))?;
    Ok(kept)
}

/// Puts the new index in the place of one that can be read: in one transaction, so that whoever reads it goes on reading,
/// and a kill leaves one or the other. A renamed file would meet the log and the locks of the old one.
fn overwrite(dir: &Path, new: &Path) -> Result<()> {
    let copy = || {
        let source = sums::open(new, OpenFlags::default())?;
        let mut index = sums::open(&schema::file(dir), OpenFlags::default())?;
        index.busy_timeout(std::time::Duration::from_secs(30))?;
        let backup = Backup::new(&source, &mut index)?;
        while backup.step(-1)? != StepResult::Done {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(())
    };
    copy().map_err(|error| schema::explain(dir, error))?;
    remove(new)
}

/// Puts the new index in the place of none, or of one that cannot be read, which is kept. A log that lies beside the old
/// one must not meet the new one: it goes first.
fn replace(dir: &Path, new: &Path, force: bool) -> Result<Option<PathBuf>> {
    let (index, kept) = (schema::file(dir), free_name(dir));
    let held = !schema::is_empty(&index);
    let put = || {
        File::open(new)?.sync_all()?;
        if held && !force {
            match fs::rename(with(&index, "-wal"), with(&kept, "-wal")) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => fs::hard_link(&index, &kept).or_else(|_| fs::rename(&index, &kept))?,
            }
        }
        for suffix in ["-wal", "-shm"] {
            match fs::remove_file(with(&index, suffix)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(new, &index)?;
        File::open(dir)?.sync_all()
    };
    put().context(|| format!("cannot put the new index in the place of {}", index.display()))?;
    remove(new)?;
    Ok((held && !force).then_some(kept))
}
