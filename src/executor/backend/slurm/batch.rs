//! What a login host writes for pilots and for who looks after them later: a folder of the store, in which nothing is ever
//! changed, only added, so that no file system has to agree on more than names.
//!
//! ```text
//! slurm/<batch>/batch.json            how the jobs are to be done, and what pools there are
//! slurm/<batch>/jobs.jsonl            a job a line: its pool and its runs
//! slurm/<batch>/submissions/1.json    an sbatch call, written before it; 1.sh is its script, 1.id what it answered
//! slurm/<batch>/claims/               who does which job (claim.rs)
//! slurm/<batch>/pilots/               who came, left and was found gone (pilots.rs)
//! slurm/<batch>/logs/                 what pilots say, by Slurm's number
//! slurm/<batch>/cancelled, over       somebody has cancelled it; nothing is left to do of it
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::super::jobs::{Pending, PlannedJob};
use super::profile::Profile;
use crate::error::{Context, Error, Result};
use crate::files;

/// Of the store.
const FOLDER: &str = "slurm";
const CANCELLED: &str = "cancelled";
const OVER: &str = "over";

/// What helps where a file of a batch is not what was written.
pub(super) const DAMAGED: &str = "it is of another version, or damaged; 'crossover cancel' stops the pilots of its batch, \
                                  'crossover run' then submits what they leave";

/// A batch and where it is.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub folder: PathBuf,
    /// What `batch.json` says, or why that is not known: its jobs and its pilots have files of their own.
    record: std::result::Result<Record, String>,
}

/// `batch.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub id: String,
    /// That it was submitted for, by the name that it had.
    pub sweep: String,
    /// Seconds since the Unix epoch.
    pub created: f64,
    /// The program that wrote this, and where it was started: commands of scripts may be relative.
    pub program: PathBuf,
    pub directory: PathBuf,
    pub profile: Profile,
    pub how: How,
}

/// As the command line said it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct How {
    pub retries: u32,
    pub trunks: bool,
    pub slots: Option<u32>,
    pub threads: Option<u32>,
    pub hang: Option<Duration>,
}

/// Runs that one pilot takes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// In `Profile::pools`.
    pub pool: usize,
    /// Of one run, where it is trained on GPUs.
    pub gpus: usize,
    pub runs: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub id: String,
    pub label: String,
}

/// An sbatch call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Submission {
    pub number: u32,
    /// Of its jobs in the queue.
    pub name: String,
    pub pool: usize,
    pub tasks: u32,
    /// Seconds since the Unix epoch.
    pub time: f64,
    /// That Slurm has given it; none: it has not been answered, or that is not known.
    #[serde(skip)]
    pub job: Option<u64>,
    /// Why there is none and will be none.
    #[serde(skip)]
    pub refused: Option<String>,
}

impl Batch {
    /// Written, with its jobs; nothing is submitted yet.
    pub(super) fn create(store: &Path, record: Record, jobs: &[Job]) -> Result<Batch> {
        let folder = folder(store, &record.id);
        let failed = || format!("cannot write {}", folder.display());
        for part in ["submissions", "claims", "pilots", "logs"] {
            std::fs::create_dir_all(folder.join(part)).context(failed)?;
        }
        let mut lines = Vec::new();
        for job in jobs {
            serde_json::to_writer(&mut lines, job).context(failed)?;
            lines.push(b'\n');
        }
        files::write_atomically(&folder.join("jobs.jsonl"), &lines)?;
        // Last: a folder without it is no batch.
        files::write_atomically(&folder.join("batch.json"), &json(&record)?)?;
        Ok(Batch { folder, record: Ok(record) })
    }

    /// One that is nowhere yet.
    pub(super) fn planned(store: &Path, record: Record) -> Batch {
        Batch { folder: folder(store, &record.id), record: Ok(record) }
    }

    pub(super) fn open(folder: &Path) -> Batch {
        let record = read(&folder.join("batch.json")).map_err(|error: Error| error.message);
        Batch { folder: folder.to_path_buf(), record }
    }

    pub(super) fn id(&self) -> Cow<'_, str> {
        self.folder.file_name().unwrap_or_default().to_string_lossy()
    }

    /// # Errors
    /// It cannot be read.
    pub(super) fn record(&self) -> Result<&Record> {
        self.record.as_ref().map_err(|why| Error::failed(why).hint(DAMAGED))
    }

    /// Those of a store of which something is left, the oldest first.
    pub(super) fn all_open(store: &Path) -> Vec<Batch> {
        let mut found = Batch::all(store);
        found.retain(|batch| !batch.is_over());
        found
    }

    /// Those of a store, the oldest first.
    pub(super) fn all(store: &Path) -> Vec<Batch> {
        let folders = std::fs::read_dir(store.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<Batch> =
            folders.filter(|folder| is_one(folder)).map(|folder| Batch::open(&folder)).collect();
        let created = |batch: &Batch| batch.record.as_ref().map_or(0.0, |record| record.created);
        found.sort_by(|a, b| created(a).total_cmp(&created(b)));
        found
    }

    /// The store that it is in.
    pub(super) fn store(&self) -> &Path {
        self.folder.ancestors().nth(2).unwrap_or(&self.folder)
    }

    pub(super) fn jobs(&self) -> Result<Vec<Job>> {
        let path = self.folder.join("jobs.jsonl");
        let failed = || format!("cannot read {}", path.display());
        let read = || {
            let text = files::read_text(&path).context(failed)?;
            text.lines().map(|line| serde_json::from_str(line).context(failed)).collect::<Result<_>>()
        };
        read().map_err(|error| error.hint(DAMAGED))
    }

    /// Runs of its jobs.
    pub(super) fn runs(&self) -> Result<BTreeSet<String>> {
        Ok(members(&self.jobs()?).into_iter().map(str::to_owned).collect())
    }

    /// What was submitted, or was about to be.
    pub(super) fn submissions(&self) -> Result<Vec<Submission>> {
        let folder = self.folder.join("submissions");
        let mut found = Vec::new();
        for path in std::fs::read_dir(&folder).context(|| format!("cannot read {}", folder.display()))?.flatten() {
            let path = path.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let forgets = "remove it once 'squeue' shows no job of it: pilots that came are known without it";
            let mut submission: Submission = read(&path).map_err(|error| error.hint(forgets))?;
            let answer = |kind: &str| files::read_text(&path.with_extension(kind)).ok();
            submission.job = answer("id").and_then(|text| text.trim().parse().ok());
            submission.refused = answer("refused");
            found.push(submission);
        }
        found.sort_by_key(|submission: &Submission| submission.number);
        Ok(found)
    }

    /// The script of a submission, written before sbatch is called.
    pub(super) fn about_to_submit(&self, submission: &Submission, script: &str) -> Result<PathBuf> {
        let path = self.submission_file(submission.number, "sh");
        files::write_atomically(&path, script.as_bytes())?;
        files::write_atomically(&self.submission_file(submission.number, "json"), &json(submission)?)?;
        Ok(path)
    }

    pub(super) fn submitted(&self, number: u32, job: u64) -> Result<()> {
        files::write_atomically(&self.submission_file(number, "id"), format!("{job}\n").as_bytes())
    }

    pub(super) fn refused(&self, number: u32, reason: &str) -> Result<()> {
        files::write_atomically(&self.submission_file(number, "refused"), reason.as_bytes())
    }

    fn submission_file(&self, number: u32, kind: &str) -> PathBuf {
        self.folder.join("submissions").join(format!("{number}.{kind}"))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.folder.join(CANCELLED).exists()
    }

    pub(super) fn cancel(&self) -> Result<()> {
        files::write_atomically(&self.folder.join(CANCELLED), b"")
    }

    /// Whether it is of who runs this program: others only look.
    pub(super) fn is_own(&self) -> bool {
        let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid()).ok();
        owner(&self.folder).is_some_and(|uid| Some(uid) == owner(Path::new("/proc/self")))
    }

    pub(super) fn is_over(&self) -> bool {
        self.folder.join(OVER).exists()
    }

    pub(super) fn close(&self) -> Result<()> {
        files::write_atomically(&self.folder.join(OVER), b"")
    }
}

/// `batch.json` is written last, and before anything is submitted: one that is not there may have been removed.
fn is_one(folder: &Path) -> bool {
    let submitted = || std::fs::read_dir(folder.join("submissions")).is_ok_and(|mut found| found.next().is_some());
    folder.join("batch.json").exists() || submitted()
}

/// Where a batch of a store is.
fn folder(store: &Path, id: &str) -> PathBuf {
    store.join(FOLDER).join(id)
}

/// Runs of the jobs.
pub(super) fn members<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> BTreeSet<&'a str> {
    jobs.into_iter().flat_map(|job| &job.runs).map(|run| run.id.as_str()).collect()
}

impl Job {
    pub(super) fn of(job: &PlannedJob, pool: usize) -> Job {
        let member = |run: &Pending| Member { id: run.id.clone(), label: run.label.clone() };
        let gpus = job.runs.iter().map(Pending::gpus).max().unwrap_or(1);
        Job { pool, gpus, runs: job.runs.iter().map(member).collect() }
    }
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let failed = || format!("cannot read {}", path.display());
    let text = files::read(path).context(failed)?;
    serde_json::from_slice(&text).context(failed).map_err(|error: Error| error.hint(DAMAGED))
}

pub(super) fn json(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(record).context(|| "cannot write a record")?;
    text.push(b'\n');
    Ok(text)
}
