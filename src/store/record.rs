//! What a store's folder says without the database: each run's config, each sweep's text and members. With the event
//! logs this is enough to make the database again (`ingest --rebuild`), here or on another machine.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::rename::REPLACED;
use crate::error::{Context, Error, Result};
use crate::model::{Costs, Io};
use crate::plan::{Plan, Planned};
use crate::run::RunConfig;
use crate::units::Flops;

/// `<id>/run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub id: String,
    pub config: RunConfig,
    pub io: Io,
    pub costs: Costs,
    pub train_flops: Flops,
}

/// `sweeps/<name>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    pub name: String,
    pub question: Option<String>,
    /// Keys minimised over on the validation split.
    pub tuned: Vec<String>,
    /// The sweep file's text.
    pub source: String,
    /// Seconds since the Unix epoch.
    pub created: f64,
    pub runs: Vec<Member>,
}

/// A run's place in a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    pub label: String,
    pub cell: String,
}

impl RunRecord {
    pub(super) fn new(run: &Planned) -> RunRecord {
        RunRecord {
            id: run.id.clone(),
            config: run.config.clone(),
            io: run.io,
            costs: run.costs,
            train_flops: run.train_flops,
        }
    }

    fn file(dir: &Path, id: &str) -> PathBuf {
        dir.join(id).join("run.json")
    }

    /// A run's config never changes (its id is the hash of it), so a record that is there is right.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = Self::file(dir, &self.id);
        if path.metadata().is_ok_and(|found| found.len() > 0) {
            return Ok(());
        }
        write(&path, self, false)
    }

    /// The records of all run folders in `dir`, by id, and the files that cannot be read.
    pub(super) fn read_all(dir: &Path) -> Result<(Vec<RunRecord>, Vec<Error>)> {
        let mut paths: Vec<_> = entries(dir)?.into_iter().map(|folder| folder.join("run.json")).collect();
        paths.retain(|path| path.exists());
        Ok(read_each(paths))
    }
}

impl SweepRecord {
    pub(super) fn new(plan: &Plan, created: f64) -> SweepRecord {
        let member = |run: &Planned| Member { id: run.id.clone(), label: run.label.clone(), cell: run.cell.clone() };
        SweepRecord {
            name: plan.sweep.clone(),
            question: plan.question.clone(),
            tuned: plan.tuned.clone(),
            source: plan.source.clone(),
            created,
            runs: plan.runs.iter().map(member).collect(),
        }
    }

    /// Written in one piece and on the disk before it returns.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        check_name(self.name.rsplit_once(REPLACED).map_or(&self.name, |(name, _)| name))?;
        write(&Self::file(dir, &self.name), self, true)
    }

    pub(super) fn file(dir: &Path, name: &str) -> PathBuf {
        dir.join("sweeps").join(format!("{name}.json"))
    }

    pub(super) fn read_all(dir: &Path) -> Result<(Vec<SweepRecord>, Vec<Error>)> {
        let folder = dir.join("sweeps");
        let mut paths = if folder.exists() { entries(&folder)? } else { Vec::new() };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        Ok(read_each(paths))
    }
}

/// Refuses what cannot name a folder or file of the store.
pub(super) fn check_name(name: &str) -> Result<()> {
    let safe = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(safe) {
        return Err(Error::bad_input(format!("'{name}' cannot name a sweep: its results are kept under it"))
            .hint("use letters, digits, '-', '_' and '.'"));
    }
    Ok(())
}

/// Sorted by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().context(|| format!("cannot read {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn read_each<T: DeserializeOwned>(paths: Vec<PathBuf>) -> (Vec<T>, Vec<Error>) {
    let mut found = (Vec::new(), Vec::new());
    for path in paths {
        let read = std::fs::read(&path).map_err(|error| error.to_string());
        match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
            Ok(record) => found.0.push(record),
            Err(error) => found.1.push(Error::failed(format!("cannot read {}: {error}", path.display()))),
        }
    }
    found
}

/// Whole or not at all: beside it, then renamed.
pub(super) fn write(path: &Path, record: &impl Serialize, sync: bool) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let put = || {
        std::fs::create_dir_all(folder)?;
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        let partial = path.with_extension("json.partial");
        std::fs::write(&partial, text)?;
        if sync {
            std::fs::File::open(&partial)?.sync_all()?;
        }
        std::fs::rename(&partial, path)
    };
    put().context(|| format!("cannot write {}", path.display()))
}
