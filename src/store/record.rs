//! What a store's folder says without the database: each run's config, each sweep's text and members. With the event
//! logs this is enough to make the database again (`ingest --rebuild`), here or on another machine.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

use super::rename::REPLACED;
use crate::error::{Context, Error, Result};
use crate::files;
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
    /// Hash of what the id is not a hash of; none in records of the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
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
    /// Hash of the rest; none in records of the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// A record that says itself whether it is whole.
pub(super) trait Checked: DeserializeOwned {
    /// Why the record, found in a file of that name, is not what was written.
    fn damage(&self, name: &str) -> Option<String>;
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
        RunRecord::of(run.id.clone(), run.config.clone(), run.io, run.costs, run.train_flops)
    }

    pub(super) fn of(id: String, config: RunConfig, io: Io, costs: Costs, train_flops: Flops) -> RunRecord {
        let check = Some(hash(&(io, costs, train_flops)));
        RunRecord { id, config, io, costs, train_flops, check }
    }

    pub(super) fn file(dir: &Path, id: &str) -> PathBuf {
        dir.join(id).join("run.json")
    }

    /// Of the run in the store in `dir`, without its index.
    ///
    /// # Errors
    /// It is not there, or not what was written.
    pub fn read(dir: &Path, id: &str) -> Result<RunRecord> {
        let path = Self::file(dir, id);
        read(&path, id).map_err(|reason| Error::failed(format!("cannot read {}: {reason}", path.display())))
    }

    /// Whether the run has a record, and it is what was written. A run's config never changes: its id is the hash of it.
    pub(super) fn is_whole(dir: &Path, id: &str) -> bool {
        read::<RunRecord>(&Self::file(dir, id), id).is_ok()
    }

    /// In one piece; on the disk once [`sync`] has returned.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        write(&Self::file(dir, &self.id), self, false)
    }

    /// The records of all run folders in `dir`, by id, and those that cannot be used.
    pub(super) fn read_all(dir: &Path) -> Result<(Vec<RunRecord>, Vec<Damaged>)> {
        let mut folders = entries(dir)?;
        folders.retain(|folder| folder.join("run.json").symlink_metadata().is_ok());
        Ok(read_each(folders.into_iter().map(|folder| (folder.join("run.json"), folder)).collect()))
    }
}

impl Checked for RunRecord {
    fn damage(&self, name: &str) -> Option<String> {
        let found = self.config.id();
        if self.id != found || self.id != name {
            return Some(format!("its config is that of run {found}"));
        }
        let rest = hash(&(self.io, self.costs, self.train_flops));
        self.check.as_ref().filter(|check| **check != rest).map(|_| "its costs are not those that were written".into())
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
            check: None,
        }
    }

    fn hash(&self) -> String {
        hash(&SweepRecord { check: None, ..self.clone() })
    }

    fn sealed(&self) -> SweepRecord {
        SweepRecord { check: Some(self.hash()), ..self.clone() }
    }

    /// Its digest, with its file as [`SweepRecord::write`] leaves it; none of a record that has no text.
    pub(super) fn written(&self) -> Option<String> {
        let members = self.runs.iter().map(|run| [&run.id, &run.label, &run.cell]);
        let file = text(&self.sealed()).ok()?;
        Some(digest(&file, &self.source, self.question.as_ref(), &self.tuned, members))
    }

    /// Written in one piece and on the disk before it returns.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        check_name(self.name.rsplit_once(REPLACED).map_or(&self.name, |(name, _)| name))?;
        write(&Self::file(dir, &self.name), &self.sealed(), true)
    }

    pub(super) fn file(dir: &Path, name: &str) -> PathBuf {
        dir.join("sweeps").join(format!("{name}.json"))
    }

    pub(super) fn read_all(dir: &Path) -> Result<(Vec<SweepRecord>, Vec<Damaged>)> {
        let folder = dir.join("sweeps");
        let mut paths = if folder.exists() { entries(&folder)? } else { Vec::new() };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        Ok(read_each(paths.into_iter().map(|path| (path.clone(), path.with_extension(""))).collect()))
    }
}

/// Whether the index, where the sweep has this digest, and the file have the plan as it is.
pub(super) fn is_written(dir: &Path, plan: &Plan, written: &str) -> bool {
    let members = plan.runs.iter().map(|run| [&run.id, &run.label, &run.cell]);
    let file = files::read(&SweepRecord::file(dir, &plan.sweep));
    file.is_ok_and(|file| digest(&file, &plan.source, plan.question.as_ref(), &plan.tuned, members) == written)
}

/// Of a sweep's file and of what is in the file: thousands of runs are compared each time they are asked for.
fn digest<'a>(
    file: &[u8],
    source: &str,
    question: Option<&String>,
    tuned: &[String],
    members: impl Iterator<Item = [&'a String; 3]>,
) -> String {
    let mut hash = XxHash3_128::new();
    hash.write(file);
    let mut add = |text: &str| {
        hash.write(&text.len().to_le_bytes());
        hash.write(text.as_bytes());
    };
    add(source);
    question.into_iter().chain(tuned).for_each(|text| add(text));
    members.flatten().for_each(|text| add(text));
    format!("{:032x}", hash.finish_128())
}

impl Checked for SweepRecord {
    fn damage(&self, name: &str) -> Option<String> {
        if self.name != name {
            return Some(format!("it is of a sweep '{}'", self.name));
        }
        self.check.as_ref().filter(|check| **check != self.hash()).map(|_| "it is not what was written".into())
    }
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    pub file: PathBuf,
    pub reason: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

fn hash(of: &impl Serialize) -> String {
    let text = serde_json::to_string(of).unwrap_or_default();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses what cannot name a folder or file of the store, or could not be typed.
pub(super) fn check_name(name: &str) -> Result<()> {
    let safe = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(safe) {
        return Err(Error::bad_input(format!("'{name}' cannot name a sweep: its results are kept under it"))
            .hint("use letters, digits, '-', '_' and '.', a letter, a digit or '_' first"));
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

/// Records, each with the folder or file whose name is what it is of.
pub(super) fn read_each<T: Checked>(paths: Vec<(PathBuf, PathBuf)>) -> (Vec<T>, Vec<Damaged>) {
    let mut found = (Vec::new(), Vec::new());
    for (path, of) in paths {
        let name = of.file_name().unwrap_or_default().to_string_lossy();
        match read(&path, &name) {
            Ok(record) => found.0.push(record),
            Err(reason) => found.1.push(Damaged { file: path, reason }),
        }
    }
    found
}

fn read<T: Checked>(path: &Path, name: &str) -> Result<T, String> {
    let bytes = files::read(path).map_err(|error| error.to_string())?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(if bytes.is_empty() { "it is empty" } else { "it is nothing but NUL bytes" }.into());
    }
    let record: T = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    record.damage(name).map_or(Ok(record), Err)
}

/// Whole or not at all: beside it, then renamed. Its folder is made, the one that this is in has to be there.
pub(super) fn write(path: &Path, record: &impl Serialize, sync: bool) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let put = || {
        files::make_folder(folder)?;
        let partial = path.with_extension("json.partial");
        std::fs::write(&partial, text(record)?)?;
        if sync {
            File::open(&partial)?.sync_all()?;
        }
        std::fs::rename(&partial, path)?;
        if sync { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    put().context(|| format!("cannot write {}", path.display()))
}

fn text(record: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    Ok(text)
}

/// Puts all that was written on the file system of `dir` on the disk: once for a plan, since a sync of each of its
/// records takes minutes for thousands.
pub(super) fn sync(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|folder| Ok(nix::unistd::syncfs(folder)?));
    synced.context(|| format!("cannot write to {}", dir.display()))
}
