//! Jobs for a pilot: those of its pool that nobody has, claimed as its slots want them. What is left of a job is what the
//! logs of its runs say, so a run that is over is never trained again, whoever had it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::super::super::jobs::{self, Pending, PlannedJob};
use super::super::source::Source;
use super::asking;
use super::batch::{Batch, Job};
use super::claim::{Claim, Claims};
use super::pilots::{PilotId, Pilots};
use crate::error::Result;
use crate::event::{Logged, Outcome};
use crate::store::RunRecord;

pub(super) struct Taking<'a> {
    batch: &'a Batch,
    claims: Claims,
    id: PilotId,
    /// Of its pool, by number.
    jobs: BTreeMap<usize, Job>,
    /// Jobs that nobody had when it last looked, and the generation to claim.
    free: VecDeque<(usize, u32)>,
    /// What it has claimed and is not through with.
    held: HashMap<usize, Held>,
    /// The job of each run that it has claimed.
    job_of: HashMap<String, usize>,
}

struct Held {
    generation: u32,
    /// Runs that are not over.
    left: BTreeSet<String>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(batch: &'a Batch, id: PilotId, pool: usize) -> Result<Taking<'a>> {
        let jobs = batch.jobs()?.into_iter().enumerate().filter(|(_, job)| job.pool == pool).collect();
        let claims = Claims::of(&batch.folder);
        Ok(Taking { batch, claims, id, jobs, free: VecDeque::new(), held: HashMap::new(), job_of: HashMap::new() })
    }

    /// Looks which jobs nobody has; asks Slurm about pilots that are silent where none is left.
    fn look(&mut self) -> Result<()> {
        self.free = self.nobodys()?;
        if self.free.is_empty() && asking::of_one_batch(self.batch)? {
            self.free = self.nobodys()?;
        }
        Ok(())
    }

    fn nobodys(&self) -> Result<VecDeque<(usize, u32)>> {
        let standing = self.claims.standing()?;
        let mut pilots = None;
        let mut found = VecDeque::new();
        for number in self.jobs.keys() {
            let standing = standing.get(number).copied().unwrap_or_default();
            if standing.over || self.held.contains_key(number) {
                continue;
            }
            if !standing.is_free() {
                let pilots = match &pilots {
                    Some(known) => known,
                    None => pilots.insert(Pilots::of(&self.batch.folder).all()?),
                };
                let holder = self.claims.read(*number, standing.generation).ok();
                let is_gone = |claim: Claim| pilots.get(&claim.pilot).is_some_and(|pilot| pilot.is_gone());
                if !holder.is_some_and(is_gone) {
                    continue;
                }
            }
            found.push_back((*number, standing.generation + 1));
        }
        Ok(found)
    }

    /// What is left of a job, if it is this pilot's from here on.
    fn claim(&mut self, number: usize, generation: u32) -> Result<Vec<PlannedJob>> {
        let Some(job) = self.jobs.get(&number) else { return Ok(Vec::new()) };
        let before = if generation > 1 { self.claims.read(number, generation - 1).ok() } else { None };
        let fence = before.map_or(BTreeMap::new(), |claim| claim.attempts);
        let mut left = Vec::new();
        for run in &job.runs {
            left.extend(pending(self.batch, &run.id, &run.label, fence.get(&run.id).copied().unwrap_or(0))?);
        }
        let attempts = left.iter().map(|run| (run.id.clone(), run.attempt)).collect();
        if !self.claims.take(number, generation, &Claim::new(self.id, attempts))? {
            return Ok(Vec::new());
        }
        if left.is_empty() {
            self.claims.is_over(number)?;
            return Ok(Vec::new());
        }
        self.job_of.extend(left.iter().map(|run| (run.id.clone(), number)));
        let ids = left.iter().map(|run| run.id.clone()).collect();
        self.held.insert(number, Held { generation, left: ids });
        let together = left.len();
        Ok(jobs::jobs(left, self.batch.record()?.how.trunks, together, 1))
    }

    /// Lets others have what is not done; whether there is any.
    pub(super) fn give_back(&mut self) -> Result<bool> {
        for (number, held) in self.held.drain() {
            self.claims.give_back(number, held.generation)?;
        }
        let standing = self.claims.standing()?;
        Ok(self.jobs.keys().any(|number| !standing.get(number).is_some_and(|standing| standing.over)))
    }
}

impl Source for Taking<'_> {
    fn take(&mut self, most: usize) -> Result<Vec<PlannedJob>> {
        let mut taken = Vec::new();
        let mut looked = false;
        while taken.len() < most && !self.is_called_off() {
            match self.free.pop_front() {
                Some((number, generation)) => taken.extend(self.claim(number, generation)?),
                None if looked || !taken.is_empty() => break,
                None => {
                    self.look()?;
                    looked = true;
                }
            }
        }
        Ok(taken)
    }

    fn is_over(&mut self, run: &Pending, _outcome: &Outcome) -> Result<()> {
        let Some(number) = self.job_of.remove(&run.id) else { return Ok(()) };
        let Some(held) = self.held.get_mut(&number) else { return Ok(()) };
        held.left.remove(&run.id);
        if held.left.is_empty() {
            self.held.remove(&number);
            self.claims.is_over(number)?;
        }
        Ok(())
    }

    fn is_called_off(&self) -> bool {
        // Over: sbatch was taken to have failed, and somebody else may do it.
        self.batch.is_cancelled() || self.batch.is_over()
    }

    fn hears_once(&self) -> bool {
        true
    }
}

/// The next attempt at a run, after those that its log knows of and those that were claimed; none where it is over.
fn pending(batch: &Batch, id: &str, label: &str, claimed: u32) -> Result<Option<Pending>> {
    let record = RunRecord::read(batch.store(), id)?;
    let logged = Logged::read_if_there(&batch.store().join(id), &record.config)?;
    if logged.end().is_some() {
        return Ok(None);
    }
    let (last, ended) = logged.last();
    let step = if let Some(Outcome::Stopped { step }) = ended { *step } else { 0 };
    Ok(Some(Pending {
        id: id.to_owned(),
        label: label.to_owned(),
        attempt: last.max(claimed) + 1,
        train_flops: record.train_flops.as_f64(),
        step,
        shared_steps: 0,
        io: record.io,
        config: record.config,
    }))
}
