//! Pilots as they are known from files: who came, who left and why, and who was found gone. Nothing else is believed of a
//! pilot: a silence is no death, and what Slurm does not know for sure is alive.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::batch;
use crate::error::{Context, Result};
use crate::files;
use crate::here::{hostname, now};

/// One allocation: a task of an array, and which of its lives it is, counted by who came before. (Slurm's own count is no
/// number of it: a controller that was killed may have forgotten that it had started a task.) As text `12_3.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PilotId {
    pub job: u64,
    pub task: u32,
    pub life: u32,
}

/// What a pilot says when it comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Came {
    pub submission: u32,
    /// As Slurm calls it.
    pub node: String,
    pub host: String,
    pub pid: u32,
    /// Seconds since the Unix epoch.
    pub time: f64,
}

/// What a pilot says when it leaves: no process of it is there any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Left {
    pub time: f64,
    pub done: usize,
    pub failed: usize,
    /// It was told to stop, and is to be started again.
    pub goes_on: bool,
    pub error: Option<String>,
}

/// What somebody else found out about a pilot that did not say that it leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Gone {
    pub time: f64,
    /// As squeue says it, or that it does not know it.
    pub state: String,
    pub found_by: String,
    /// From what came later, and not written down yet.
    #[serde(skip)]
    pub is_inferred: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pilot {
    pub came: Came,
    pub left: Option<Left>,
    pub gone: Option<Gone>,
}

impl Gone {
    fn now(state: &str) -> Gone {
        Gone { time: now(), state: state.to_owned(), found_by: hostname(), is_inferred: false }
    }
}

impl Pilot {
    /// It has no process any more: what it claimed may be claimed again.
    pub(super) fn is_gone(&self) -> bool {
        self.left.is_some() || self.gone.is_some()
    }

    /// Nobody has written down how it ended.
    pub(super) fn is_unsettled(&self) -> bool {
        self.left.is_none() && self.gone.as_ref().is_none_or(|gone| gone.is_inferred)
    }
}

/// The pilots of a batch.
pub(super) struct Pilots {
    folder: PathBuf,
}

impl Pilots {
    pub(super) fn of(batch: &Path) -> Pilots {
        Pilots { folder: batch.join("pilots") }
    }

    pub(super) fn all(&self) -> Result<BTreeMap<PilotId, Pilot>> {
        let failed = || format!("cannot read {}", self.folder.display());
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).context(failed)? {
            let name = entry.context(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".came")).and_then(|id| id.parse().ok());
            let Some(id) = id else { continue };
            let pilot = Pilot {
                came: batch::read(&self.file(id, "came"))?,
                left: self.said(id, "left"),
                gone: self.said(id, "gone"),
            };
            found.insert(id, pilot);
        }
        let ids: Vec<PilotId> = found.keys().copied().collect();
        // Slurm starts a task again when the last one is over.
        for pair in ids.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            if (one.job, one.task) == (next.job, next.task)
                && let Some(pilot) = found.get_mut(&one).filter(|pilot: &&mut Pilot| !pilot.is_gone())
            {
                pilot.gone = Some(Gone { is_inferred: true, ..Gone::now("STARTED AGAIN") });
            }
        }
        Ok(found)
    }

    fn said<T: serde::de::DeserializeOwned>(&self, id: PilotId, what: &str) -> Option<T> {
        batch::read(&self.file(id, what)).ok()
    }

    /// Who comes as a task of a job: another than all that came as it before.
    pub(super) fn comes(&self, job: u64, task: u32, came: &Came) -> Result<PilotId> {
        let before = self.all()?.into_keys().filter(|id| (id.job, id.task) == (job, task)).map(|id| id.life + 1).max();
        let id = PilotId { job, task, life: before.unwrap_or(0) };
        files::write_atomically(&self.file(id, "came"), &batch::json(came)?)?;
        Ok(id)
    }

    pub(super) fn leaves(&self, id: PilotId, left: &Left) -> Result<()> {
        files::write_atomically(&self.file(id, "left"), &batch::json(left)?)
    }

    pub(super) fn is_found_gone(&self, id: PilotId, state: &str) -> Result<()> {
        files::write_atomically(&self.file(id, "gone"), &batch::json(&Gone::now(state))?)
    }

    fn file(&self, id: PilotId, what: &str) -> PathBuf {
        self.folder.join(format!("{id}.{what}"))
    }

    /// Where its workers' stderr goes.
    pub(super) fn slot_logs(&self, id: PilotId) -> PathBuf {
        self.folder.join(format!("{id}.workers"))
    }
}

impl fmt::Display for PilotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, task, life } = self;
        write!(f, "{job}_{task}.{life}")
    }
}

impl FromStr for PilotId {
    type Err = String;

    fn from_str(text: &str) -> Result<PilotId, String> {
        let read = || {
            let (job, rest) = text.split_once('_')?;
            let (task, life) = rest.split_once('.')?;
            Some(PilotId { job: job.parse().ok()?, task: task.parse().ok()?, life: life.parse().ok()? })
        };
        read().ok_or_else(|| format!("'{text}' is no pilot"))
    }
}

impl Serialize for PilotId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PilotId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pilot_is_gone_where_it_says_so_or_was_started_again() {
        let batch = tempfile::tempdir().unwrap();
        std::fs::create_dir(batch.path().join("pilots")).unwrap();
        let pilots = Pilots::of(batch.path());
        let id = |task: u32, life: u32| PilotId { job: 12, task, life };
        let came = Came { submission: 1, node: "a".into(), host: "h".into(), pid: 9, time: 1.0 };
        for id in [id(0, 0), id(0, 1), id(1, 0), id(10, 0)] {
            assert_eq!(pilots.comes(id.job, id.task, &came).unwrap(), id);
        }
        pilots.is_found_gone(id(1, 0), "NODE_FAIL").unwrap();
        pilots.leaves(id(10, 0), &Left { time: 2.0, done: 1, failed: 0, goes_on: false, error: None }).unwrap();
        let all = pilots.all().unwrap();
        let gone: Vec<bool> = all.values().map(Pilot::is_gone).collect();
        assert_eq!(gone, [true, false, true, true]);
        assert_eq!(all[&id(1, 0)].gone.as_ref().unwrap().state, "NODE_FAIL");
        assert_eq!("12_3.4".parse(), Ok(PilotId { job: 12, task: 3, life: 4 }));
        assert!("12_3".parse::<PilotId>().is_err());
    }
}
