//! What a store can do without: checkpoints of runs that have ended, what was put aside, folders that no sweep names, and
//! sweeps that a person gives up.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Transaction;
use serde::Serialize;

use super::again::is_kept;
use super::record::{SweepRecord, entries};
use super::{Reader, Store, backend, imports, schema};
use crate::error::{Context, Error, Result};
use crate::event::EventLog;
use crate::worker::checkpoint;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Waste {
    /// Of runs that are done or diverged
    Checkpoints,
    /// What runs left that were to be done again
    Kept,
    /// Of runs that no sweep names
    Folders,
    /// That a rebuild kept
    Databases,
    /// Of jobs that pilots of Slurm have done, once the pilots are gone
    Batches,
    /// A sweep that was named, and its runs that no other sweep names
    #[value(skip)]
    Sweep,
    /// An import that was named, or what one left that was killed
    #[value(skip)]
    Import,
}

/// A file or folder that can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prunable {
    pub what: Waste,
    /// The run, the sweep, the import or the batch that it is of.
    #[serde(rename = "of")]
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

impl Prunable {
    /// # Errors
    /// It cannot be read.
    pub fn of(what: Waste, name: &str, path: PathBuf) -> Result<Prunable> {
        prunable(what, name, path)
    }
}

impl Reader {
    /// All of runs and of the index that can go, but for sweeps and imports.
    ///
    /// # Errors
    /// The store cannot be read; it has sweeps that the index does not know.
    pub fn waste(&self) -> Result<Vec<Prunable>> {
        self.refuse_unknown_sweeps()?;
        let named: HashSet<String> = self.ids("SELECT id FROM runs WHERE key IN (SELECT run FROM sweep_runs)")?;
        let ended: HashSet<String> = self.ids("SELECT id FROM runs WHERE state IN ('done', 'diverged')")?;
        let mut waste = Vec::new();
        for path in entries(&self.dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(schema::FILE) && name.contains(".kept-") {
                waste.push(prunable(Waste::Databases, &name, path)?);
            } else if !is_id(&name) || !path.is_dir() || EventLog::is_open(&path) {
                continue;
            } else if !named.contains(&name) {
                waste.push(prunable(Waste::Folders, &name, path)?);
            } else {
                for left in entries(&path)? {
                    if is_kept(&left) {
                        waste.push(prunable(Waste::Kept, &name, left)?);
                    } else if ended.contains(&name) && checkpoint::is_one(&left) {
                        waste.push(prunable(Waste::Checkpoints, &name, left)?);
                    }
                }
            }
        }
        for left in imports::unfinished(&self.dir)? {
            let name = left.file_name().unwrap_or_default().to_string_lossy().into_owned();
            waste.push(prunable(Waste::Import, &name, left)?);
        }
        waste.sort_by(|a, b| (a.what, &a.path).cmp(&(b.what, &b.path)));
        Ok(waste)
    }

    /// A sweep, and the folders of its runs that no other sweep names; or an import.
    ///
    /// # Errors
    /// There is no such sweep.
    pub fn whole_sweep(&self, name: &str) -> Result<Vec<Prunable>> {
        if let Some((_, file)) = self.import(name)? {
            let folder = file.parent().unwrap_or(&file).to_owned();
            return Ok(vec![prunable(Waste::Import, name, folder)?]);
        }
        self.sweep_key(name)?;
        let record = SweepRecord::file(&self.dir, name);
        let mut waste = vec![prunable(Waste::Sweep, name, record)?];
        for run in self.runs(name)? {
            let folder = self.run_folder(&run.id);
            if self.sweeps_of(&run.id)?.len() == 1 {
                waste.push(prunable(Waste::Folders, &run.id, folder)?);
            }
        }
        Ok(waste)
    }

    /// A sweep that the index does not know would lose all of its runs.
    fn refuse_unknown_sweeps(&self) -> Result<()> {
        let known: HashSet<String> = self.sweeps()?.into_iter().map(|sweep| sweep.name).collect();
        let folder = self.dir.join("sweeps");
        let records = if folder.exists() { entries(&folder)? } else { Vec::new() };
        let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_record = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "json");
        match records.iter().filter(is_record).find(|path| !known.contains(&stem(path))) {
            None => Ok(()),
            Some(path) => Err(Error::failed(format!("{} is not in the index of the store", path.display()))
                .hint("'crossover ingest --rebuild' takes it in, or says what is wrong with it")),
        }
    }

    fn ids(&self, query: &str) -> Result<HashSet<String>> {
        Ok(self.rows(query, [], |row| row.get(0))?.into_iter().collect())
    }
}

impl Store {
    /// Removes them, from the index first: what is left of them after a kill is found again.
    ///
    /// # Errors
    /// The index cannot be written, or a file not be removed.
    pub fn prune(&mut self, waste: &[Prunable]) -> Result<()> {
        let dir = self.reader.dir.clone();
        let transaction = self.transaction()?;
        let removed = waste.iter().try_for_each(|one| match one.what {
            Waste::Sweep => remove_sweep(&transaction, &one.name),
            Waste::Folders => remove_run(&transaction, &one.name),
            Waste::Checkpoints | Waste::Kept | Waste::Databases | Waste::Batches | Waste::Import => Ok(()),
        });
        removed.and_then(|()| transaction.commit()).map_err(|error| schema::explain(&dir, error))?;
        for Prunable { path, what, name, .. } in waste {
            if *what == Waste::Sweep {
                backend::forget(&dir, name)?;
            }
            if *what == Waste::Import {
                imports::remove(path)?;
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn remove_sweep(index: &Transaction, name: &str) -> rusqlite::Result<()> {
    index.execute("DELETE FROM sweep_runs WHERE sweep = (SELECT key FROM sweeps WHERE name = ?)", [name])?;
    index.execute("DELETE FROM sweeps WHERE name = ?", [name]).map(|_| ())
}

fn remove_run(index: &Transaction, id: &str) -> rusqlite::Result<()> {
    for table in ["attempts", "metrics", "logs"] {
        let delete = format!("DELETE FROM {table} WHERE run = (SELECT key FROM runs WHERE id = ?)");
        index.prepare_cached(&delete)?.execute([id])?;
    }
    index.prepare_cached("DELETE FROM runs WHERE id = ?")?.execute([id]).map(|_| ())
}

fn prunable(what: Waste, name: &str, path: PathBuf) -> Result<Prunable> {
    let bytes = size(&path).context(|| format!("cannot read {}", path.display()))?;
    Ok(Prunable { what, name: name.to_owned(), path, bytes })
}

/// Bytes of a file, or of all files in a folder; none where it is gone.
fn size(path: &Path) -> std::io::Result<u64> {
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        found => found?,
    };
    if !found.is_dir() {
        return Ok(found.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// What runs are called: no other folder of a store is.
fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// How many there are of each kind, and their bytes.
pub fn sums(waste: &[Prunable]) -> Vec<(Waste, usize, u64)> {
    let mut sums: HashMap<Waste, (usize, u64)> = HashMap::new();
    for one in waste {
        let (count, bytes) = sums.entry(one.what).or_default();
        *count += 1;
        *bytes += one.bytes;
    }
    let mut sums: Vec<_> = sums.into_iter().map(|(what, (count, bytes))| (what, count, bytes)).collect();
    sums.sort_unstable();
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn what_no_sweep_names_can_go_and_what_another_names_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = sample::plan(&["vit"], &[100], &[1e-3], &[0, 1]);
        store.register(&plan).unwrap();
        let other = crate::plan::Plan { sweep: "other".into(), runs: plan.runs[..1].to_vec(), ..plan.clone() };
        store.register(&other).unwrap();
        assert_eq!(store.reader().waste().unwrap(), []);
        let waste = store.reader().whole_sweep("small").unwrap();
        let names: Vec<&str> = waste.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["small", &plan.runs[1].id]);
        store.prune(&waste).unwrap();
        assert_eq!(store.reader().runs("other").unwrap().len(), 1);
        assert!(store.reader().run(&plan.runs[1].id).is_err() && !dir.path().join(&plan.runs[1].id).exists());
        // A folder that nobody knows, beside one that is no run's.
        std::fs::create_dir(dir.path().join("0123456789abcdef")).unwrap();
        std::fs::create_dir(dir.path().join("my-notes")).unwrap();
        let waste = store.reader().waste().unwrap();
        assert_eq!((waste.len(), waste[0].what, waste[0].name.as_str()), (1, Waste::Folders, "0123456789abcdef"));
        // A record that the index does not know: its runs would all be without a sweep.
        std::fs::write(dir.path().join("sweeps/lost.json"), "").unwrap();
        assert!(store.reader().waste().unwrap_err().message.contains("lost.json is not in the index"));
    }
}
