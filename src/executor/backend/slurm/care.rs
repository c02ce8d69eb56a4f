//! Looks after batches from a login host: which jobs are left, which pilots there are and what they wait for, what was
//! lost and is submitted again. No process has to stay for it: any command that is typed does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::asking::{self, Seen};
use super::batch::{self, Batch, How, Job, Submission};
use super::claim::{Claims, Standing};
use super::pilots::{Pilot, PilotId, Pilots};
use super::profile::Pool;
use super::submit;
use crate::error::{Error, Result};

/// Pilots that have had a job, beyond which one that is lost with it is replaced only by a person.
const MOST_LOST: u32 = 8;

/// When lost pilots are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    Never,
    /// Those that were lost on their way, and not those that fail by themselves.
    Lost,
    /// All that are not there: a person has asked for it.
    All,
}

/// How a batch stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    pub batch: String,
    /// Jobs, and those that are not over.
    pub jobs: usize,
    pub open: usize,
    pub cancelled: bool,
    /// Tasks that have not ended, as far as it is known.
    pub pilots: Vec<PilotView>,
    /// Of pilots that ended in another way than by having done all.
    pub losses: Vec<String>,
    /// Seconds since the Unix epoch at which Slurm was asked.
    pub asked: Option<f64>,
    /// Why no pilots are submitted for what nobody has.
    #[serde(skip)]
    pub failing: Option<String>,
    /// Runs of jobs that a pilot has now.
    #[serde(skip)]
    pub held: BTreeSet<String>,
    /// Runs of jobs that are not over.
    #[serde(skip)]
    pub left: BTreeSet<String>,
    /// Why it is not known which those are.
    #[serde(skip)]
    pub unknown: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PilotView {
    /// Slurm's number: `12_3`.
    pub job: String,
    pub state: String,
    /// Why it waits.
    pub reason: Option<String>,
    pub node: Option<String>,
}

/// All that files say of a batch.
struct Known {
    /// None where they cannot be read, of a batch that was cancelled or is over: nobody begins them any more.
    jobs: Vec<Job>,
    unknown: Option<String>,
    standing: BTreeMap<usize, Standing>,
    pilots: BTreeMap<PilotId, Pilot>,
    submissions: Vec<Submission>,
    seen: Option<Seen>,
}

/// A task of an array that has not ended.
struct Living {
    pool: usize,
    view: PilotView,
}

/// Of the batches that have runs that `wanted` wants, or of which that is not known. Where `writes`, what is over is closed;
/// where Slurm may be asked, or `ask` says so, it is. What went wrong with Slurm is said, and is no error: pilots go on by
/// themselves. Of a batch with a file that cannot be read that is said, and the others are looked after.
///
/// # Errors
/// Pilots are to be submitted whatever was lost, and files of a batch cannot be read or written.
pub(super) fn look(
    store: &Path,
    wanted: &dyn Fn(&str) -> bool,
    ask: bool,
    replace: Replace,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<View>> {
    let is_wanted = |batch: &Batch| batch.runs().map_or(true, |runs| runs.iter().any(|run| wanted(run)));
    let batches: Vec<Batch> = Batch::all_open(store).into_iter().filter(is_wanted).collect();
    let due = batches.iter().map(|batch| Some((batch, asking::is_due(batch).ok()?)));
    let (readable, due): (Vec<&Batch>, Vec<bool>) = due.flatten().unzip();
    if !readable.is_empty()
        && (ask || due.contains(&true))
        && let Err(error) = asking::ask(&readable)
    {
        say(&format!("{}; pilots that are not known to be over count as alive", error.message));
    }
    let mut views = Vec::new();
    for batch in &batches {
        match look_after(batch, replace, say) {
            Ok(view) => views.extend(view),
            Err(error) if replace == Replace::All => return Err(error),
            Err(error) => {
                say(&in_a_line(&error));
                views.push(View {
                    batch: batch.id().into(),
                    cancelled: batch.is_cancelled(),
                    unknown: Some(error.message),
                    ..View::default()
                });
            }
        }
    }
    Ok(views)
}

fn in_a_line(error: &Error) -> String {
    error.hint.iter().fold(error.message.clone(), |told, hint| format!("{told}; {hint}"))
}

/// None once nothing is left to do of it.
fn look_after(batch: &Batch, replace: Replace, say: &mut dyn FnMut(&str)) -> Result<Option<View>> {
    let replace = if batch.is_own() { replace } else { Replace::Never };
    let known = Known::read(batch)?;
    let living = known.living();
    let mut view = known.view(batch, &living);
    let is_done = (view.open == 0 && known.unknown.is_none()) || (view.cancelled && living.is_empty());
    if is_done && replace != Replace::Never {
        batch.close()?;
        if living.iter().any(|one| one.view.node.is_none()) {
            // Nothing is left for those that wait. Where Slurm does not answer they come, find nothing and leave.
            let _ = super::queue::take_away(&known.submissions.iter().filter_map(|one| one.job).collect::<Vec<_>>());
        }
        return Ok(None);
    }
    let record = match batch.record() {
        Ok(record) => record,
        Err(error) if replace == Replace::All && !view.cancelled => return Err(error),
        Err(error) => {
            // Its pilots know what they do, and nobody submits more of them.
            if !view.cancelled {
                say(&in_a_line(&error));
            }
            return Ok(Some(view));
        }
    };
    if view.cancelled || replace == Replace::Never {
        return Ok(Some(view));
    }
    let (sweep, mut submitted) = (&record.sweep, Vec::new());
    for (pool, kind) in record.profile.pools.iter().enumerate() {
        let missing = known.missing(batch, (pool, kind), &record.how, &living);
        let failing = known.failing(batch, pool);
        match failing.filter(|_| missing > 0 && replace == Replace::Lost) {
            Some(why) => {
                say(&format!(
                    "{sweep}: {why}; 'crossover resume {}' submits pilots again",
                    crate::shell::quoted(sweep)
                ));
                view.failing = Some(why);
            }
            None if missing > 0 => match submit::pilots(batch, pool, missing) {
                Ok(more) => submitted.extend(more),
                Err(error) if replace == Replace::Lost => say(&format!("{sweep}: {}", error.message)),
                Err(error) => return Err(error),
            },
            None => {}
        }
    }
    if submitted.is_empty() {
        return Ok(Some(view));
    }
    say(&submit::told(sweep, &submitted));
    let known = Known::read(batch)?;
    Ok(Some(known.view(batch, &known.living())))
}

/// Whether no task waits and each pilot that came has left or was found gone. Slurm is asked where that is not known.
pub(super) fn is_nobody_left(batch: &Batch) -> bool {
    let is_known = || {
        let known = Known::read(batch);
        known.is_ok_and(|known| known.living().is_empty() && known.pilots.values().all(Pilot::is_gone))
    };
    is_known() || (asking::of_one_batch(batch).is_ok() && is_known())
}

impl Known {
    fn read(batch: &Batch) -> Result<Known> {
        let (jobs, unknown) = match batch.jobs() {
            Err(error) if batch.is_cancelled() || batch.is_over() => (Vec::new(), Some(error.message)),
            jobs => (jobs?, None),
        };
        Ok(Known {
            jobs,
            unknown,
            standing: Claims::of(&batch.folder).standing()?,
            pilots: Pilots::of(&batch.folder).all()?,
            submissions: batch.submissions()?,
            seen: asking::seen(batch),
        })
    }

    /// Tasks that have not ended: what squeue has not been asked about yet, or does not say for sure, has not.
    fn living(&self) -> Vec<Living> {
        let mut living = Vec::new();
        for submission in self.submissions.iter().filter(|submission| submission.refused.is_none()) {
            let is_seen = self.seen.as_ref().is_some_and(|seen| seen.time > submission.time);
            for task in 0..submission.tasks {
                let found = self.seen.iter().flat_map(|seen| &seen.tasks);
                let mut found = found.filter(|found| found.name == submission.name && found.task == task);
                let found = found.next();
                let pilot = submission.job.and_then(|job| self.last(job, task));
                let has_left = pilot.is_some_and(|pilot| pilot.left.as_ref().is_some_and(|left| !left.goes_on));
                let has_ended = found.map_or(is_seen, super::queue::Task::has_ended);
                if has_left || has_ended {
                    continue;
                }
                let came = pilot.filter(|pilot| !pilot.is_gone()).map(|pilot| pilot.came.node.clone());
                let state = match (found, &came) {
                    (Some(found), Some(_)) if found.is_waiting() => "RUNNING".into(),
                    (Some(found), _) => found.state.clone(),
                    (None, Some(_)) => "RUNNING".into(),
                    (None, None) => "SUBMITTED".into(),
                };
                let waits = found.filter(|found| found.is_waiting() && came.is_none() && found.reason != "None");
                let job = submission.job.map_or(submission.name.clone(), |job| job.to_string());
                let node = came.or_else(|| found.map(|found| found.nodes.clone())).filter(|node| !node.is_empty());
                let reason = waits.map(|found| found.reason.clone());
                let view = PilotView { job: format!("{job}_{task}"), state, reason, node };
                living.push(Living { pool: submission.pool, view });
            }
        }
        living
    }

    /// The last allocation of a task.
    fn last(&self, job: u64, task: u32) -> Option<&Pilot> {
        let (from, to) = (PilotId { job, task, life: 0 }, PilotId { job, task, life: u32::MAX });
        self.pilots.range(from..=to).next_back().map(|(_, pilot)| pilot)
    }

    fn is_over(&self, job: usize) -> bool {
        self.standing.get(&job).is_some_and(|standing| standing.over)
    }

    /// The pilot that has a job now, if one has.
    fn holder(&self, batch: &Batch, job: usize) -> Option<PilotId> {
        let standing = self.standing.get(&job).filter(|standing| !standing.over && !standing.is_free())?;
        let claim = Claims::of(&batch.folder).read(job, standing.generation).ok()?;
        self.pilots.get(&claim.pilot).is_some_and(|pilot| !pilot.is_gone()).then_some(claim.pilot)
    }

    /// Pilots of a pool that are to be submitted so that what nobody has is done.
    fn missing(&self, batch: &Batch, (pool, kind): (usize, &Pool), how: &How, living: &[Living]) -> u32 {
        let of_pool =
            || self.jobs.iter().enumerate().filter(|(number, job)| job.pool == pool && !self.is_over(*number));
        if of_pool().all(|(number, _)| self.holder(batch, number).is_some()) {
            return 0;
        }
        let together = self.jobs.iter().filter(|job| job.pool == pool).map(|job| job.gpus).max().unwrap_or(1);
        let slots = how.slots.unwrap_or_else(|| kind.slots(how.threads, together)).max(1) as usize;
        let wanted = of_pool().count().div_ceil(slots).min(kind.pilots as usize);
        let there = living.iter().filter(|one| one.pool == pool).count();
        wanted.saturating_sub(there) as u32
    }

    /// Why the last pilot of a pool failed, where none has done anything since: the next would fail too.
    fn failing(&self, batch: &Batch, pool: usize) -> Option<String> {
        if let Some(why) = self.deadly(batch, pool) {
            return Some(why);
        }
        let last = self.submissions.iter().rfind(|submission| submission.pool == pool)?;
        if let Some(refused) = &last.refused {
            return Some(refused.clone());
        }
        let job = last.job?;
        for task in 0..last.tasks {
            match self.last(job, task).map(|pilot| &pilot.left) {
                Some(Some(left)) => {
                    if let Some(error) = &left.error {
                        return Some(format!("pilot {job}_{task} failed: {error}"));
                    }
                }
                Some(None) => {}
                None => {
                    let mut seen = self.seen.iter().flat_map(|seen| &seen.tasks);
                    let ended = seen.find(|found| (found.job, found.task) == (job, task) && found.has_ended());
                    if let Some(ended) =
                        ended.filter(|ended| !["NODE_FAIL", "PREEMPTED", "CANCELLED"].contains(&ended.state.as_str()))
                    {
                        let log = batch.folder.join(format!("logs/{job}_{task}.log"));
                        let words = last_words(&log).map_or(String::new(), |words| format!(": {words}"));
                        let (state, log) = (&ended.state, log.display());
                        return Some(format!(
                            "pilot {job}_{task} ended before it began ({state}){words}; {log} has all"
                        ));
                    }
                }
            }
        }
        None
    }

    /// A job with which one pilot after the other was lost, as where it takes all memory.
    fn deadly(&self, batch: &Batch, pool: usize) -> Option<String> {
        let mut open = self.jobs.iter().enumerate().filter(|(number, job)| job.pool == pool && !self.is_over(*number));
        open.find_map(|(number, job)| {
            let standing = self.standing.get(&number).filter(|standing| !standing.is_free())?;
            let claim = Claims::of(&batch.folder).read(number, standing.generation).ok()?;
            let state = &self.pilots.get(&claim.pilot)?.gone.as_ref()?.state;
            let run = job.runs.first().map_or("", |run| run.id.as_str());
            let by_itself = !["NODE_FAIL", "PREEMPTED", "CANCELLED", "TIMEOUT", "REQUEUED"].contains(&state.as_str());
            (by_itself && standing.generation >= MOST_LOST).then(|| {
                format!(
                    "pilot {} was lost ({state}) with run {run}, which {} have had",
                    claim.pilot, standing.generation
                )
            })
        })
    }

    fn view(&self, batch: &Batch, living: &[Living]) -> View {
        let open: Vec<usize> = (0..self.jobs.len()).filter(|number| !self.is_over(*number)).collect();
        let runs = |jobs: &[usize]| -> BTreeSet<String> {
            batch::members(jobs.iter().map(|number| &self.jobs[*number])).into_iter().map(str::to_owned).collect()
        };
        let held: Vec<usize> = open.iter().copied().filter(|job| self.holder(batch, *job).is_some()).collect();
        let loss = |(id, pilot): (&PilotId, &Pilot)| match (&pilot.left, &pilot.gone) {
            (Some(left), _) => left.error.as_ref().map(|error| format!("pilot {id} failed: {error}")),
            (None, Some(gone)) => Some(format!("pilot {id} on {} was lost: {}", pilot.came.node, gone.state)),
            (None, None) => None,
        };
        View {
            batch: batch.id().into(),
            jobs: self.jobs.len(),
            open: open.len(),
            cancelled: batch.is_cancelled(),
            pilots: living.iter().map(|one| one.view.clone()).collect(),
            losses: self.pilots.iter().filter_map(loss).collect(),
            asked: self.seen.as_ref().map(|seen| seen.time).filter(|time| *time > 0.0),
            failing: None,
            held: runs(&held),
            left: runs(&open),
            unknown: self.unknown.clone(),
        }
    }
}

/// The last line that says something.
fn last_words(log: &Path) -> Option<String> {
    let text = super::super::super::tail::read(log, 0);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
