//! Who does which job, on a file system that many hosts share, NFS included.
//!
//! A job is taken by making the name `claims/<job>.<generation>`: link(2) of a file of the pilot's own to it. The server
//! makes a name once, so of many pilots one has it. Where the answer to a link is lost and the request sent again, NFS
//! says that the name is there already, so a pilot that hears that reads whose it is: content is its own only if its own
//! link made it. (open with O_EXCL has no such second look; rename would put the later one in the first one's place.)
//!
//! Names are only added, so there is nothing that could be released twice or by the wrong one: the next generation of a
//! claim may be taken where this one was given back (`<job>.<generation>.free`) or its pilot is known to be gone
//! (pilots.rs), and none where the job is over (`<job>.over`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::batch;
use super::pilots::PilotId;
use crate::error::{Context, Error, Result};
use crate::here::{hostname, now};

/// The claims of a batch.
pub(super) struct Claims {
    folder: PathBuf,
}

/// What a claim says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub pilot: PilotId,
    pub host: String,
    /// Seconds since the Unix epoch.
    pub time: f64,
    /// Of the first attempt at each run: what tells this claim's events from an earlier one's.
    pub attempts: BTreeMap<String, u32>,
}

/// How the claims of a job stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Of the last claim; 0: there was none.
    pub generation: u32,
    /// That one was given back.
    pub freed: bool,
    pub over: bool,
}

impl Standing {
    /// Nobody has it, and somebody may.
    pub(super) fn is_free(self) -> bool {
        !self.over && (self.generation == 0 || self.freed)
    }
}

impl Claims {
    pub(super) fn of(batch: &Path) -> Claims {
        Claims { folder: batch.join("claims") }
    }

    /// Of every job that was ever taken, by one look at the folder.
    pub(super) fn standing(&self) -> Result<BTreeMap<usize, Standing>> {
        let failed = || format!("cannot read {}", self.folder.display());
        let mut found = BTreeMap::<usize, (Standing, u32)>::new();
        for entry in std::fs::read_dir(&self.folder).context(failed)? {
            let name = entry.context(failed)?.file_name();
            let Some((job, what)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Ok(job) = job.parse() else { continue };
            let (standing, freed) = found.entry(job).or_default();
            match what.split_once('.') {
                None if what == "over" => standing.over = true,
                None => standing.generation = standing.generation.max(what.parse().unwrap_or(0)),
                Some((generation, "free")) => *freed = (*freed).max(generation.parse().unwrap_or(0)),
                Some(_) => {}
            }
        }
        let settled = |(job, (standing, freed)): (usize, (Standing, u32))| {
            (job, Standing { freed: freed >= standing.generation, ..standing })
        };
        Ok(found.into_iter().map(settled).collect())
    }

    /// Whether the job is this pilot's from here on.
    ///
    /// # Errors
    /// The folder cannot be written, or its file system has no links.
    pub(super) fn take(&self, job: usize, generation: u32, claim: &Claim) -> Result<bool> {
        let (name, own) = (self.name(job, generation), self.own_name(job, generation));
        let failed = || format!("cannot claim {}", name.display());
        let content = batch::json(claim)?;
        std::fs::write(&own, &content).context(failed)?;
        let linked = std::fs::hard_link(&own, &name);
        let removed = std::fs::remove_file(&own);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let theirs = std::fs::read(&name).context(failed)?;
                return Ok(theirs == content);
            }
            Err(error) => {
                return Err(Error::failed(format!("{}: {error}", failed()))
                    .hint("jobs are claimed by hard links: put the store on a file system that has them (--store)"));
            }
        }
        removed.context(failed)?;
        Ok(true)
    }

    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self, job: usize, generation: u32) -> Result<Claim> {
        batch::read(&self.name(job, generation))
    }

    /// It may be taken again.
    pub(super) fn give_back(&self, job: usize, generation: u32) -> Result<()> {
        self.note(&format!("{job}.{generation}.free"))
    }

    /// Nobody is to take it again.
    pub(super) fn is_over(&self, job: usize) -> Result<()> {
        self.note(&format!("{job}.over"))
    }

    fn note(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        std::fs::write(&path, b"").context(|| format!("cannot write {}", path.display()))
    }

    fn name(&self, job: usize, generation: u32) -> PathBuf {
        self.folder.join(format!("{job}.{generation}"))
    }

    /// That no other process of any host uses.
    fn own_name(&self, job: usize, generation: u32) -> PathBuf {
        self.folder.join(format!(".{job}.{generation}-{}-{}", hostname(), std::process::id()))
    }
}

impl Claim {
    pub(super) fn new(pilot: PilotId, attempts: BTreeMap<String, u32>) -> Claim {
        Claim { pilot, host: hostname(), time: now(), attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(task: u32) -> Claim {
        Claim::new(PilotId { job: 7, task, life: 0 }, BTreeMap::from([("ab".into(), task + 1)]))
    }

    fn claims() -> (tempfile::TempDir, Claims) {
        let batch = tempfile::tempdir().unwrap();
        std::fs::create_dir(batch.path().join("claims")).unwrap();
        let claims = Claims::of(batch.path());
        (batch, claims)
    }

    #[test]
    fn of_many_pilots_one_has_a_job() {
        let (_batch, claims) = claims();
        let (first, second) = (claim(0), claim(1));
        assert!(claims.take(3, 1, &first).unwrap());
        assert!(!claims.take(3, 1, &second).unwrap());
        assert_eq!(claims.read(3, 1).unwrap(), first);
        // As NFS answers a request that it has done already and whose answer was lost.
        assert!(claims.take(3, 1, &first).unwrap());
        let left: Vec<_> = std::fs::read_dir(&claims.folder).unwrap().flatten().map(|file| file.file_name()).collect();
        assert_eq!(left, ["3.1"]);
    }

    #[test]
    fn a_race_has_one_winner_each_time() {
        let (_batch, claims) = claims();
        let won = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for task in 0..4 {
                let (claims, won) = (&claims, &won);
                scope.spawn(move || {
                    for job in 0..50 {
                        // In one process the files of their own have one name: each waits for its turn to have it.
                        let mut won = won.lock().unwrap();
                        if claims.take(job, 1, &claim(task)).unwrap() {
                            won.push(job);
                        }
                    }
                });
            }
        });
        let mut won = won.into_inner().unwrap();
        won.sort_unstable();
        assert_eq!(won, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_given_back_may_be_taken_again_and_what_is_over_may_not() {
        let (_batch, claims) = claims();
        assert!(claims.standing().unwrap().is_empty());
        assert!(claims.take(0, 1, &claim(0)).unwrap() && claims.take(1, 1, &claim(0)).unwrap());
        let of = |job: usize| claims.standing().unwrap()[&job];
        assert!(!of(0).is_free());
        claims.give_back(0, 1).unwrap();
        assert!(of(0).is_free() && !of(1).is_free());
        assert!(claims.take(0, 2, &claim(1)).unwrap());
        assert_eq!(of(0), Standing { generation: 2, freed: false, over: false });
        claims.is_over(0).unwrap();
        claims.give_back(0, 2).unwrap();
        assert!(!of(0).is_free(), "over is over");
    }
}
