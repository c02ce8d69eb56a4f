//! Slurm: pilots on a cluster's nodes do the jobs, and nobody has to wait for them. A login host registers the sweep,
//! writes its jobs into a folder of the store and submits arrays of pilots; whoever types a command later takes in their
//! results and looks after what is left. docs/slurm.md tells it to users.

mod amount;
mod arrange;
mod asking;
mod batch;
mod care;
mod claim;
pub mod pilot;
mod pilots;
mod pool;
mod profile;
mod queue;
mod script;
mod submit;
mod taking;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::{Observer, Options, Tally, report_skipped};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::store::{Reader, Store};
use crate::task;
use crate::units::all_ended;
use arrange::Arranged;
use batch::{Batch, Submission};
use care::Replace;

pub use arrange::Wanted;
pub use care::{PilotView, View};
pub use profile::Profile;
pub use watch::wait;

/// Pilots have 35 s to write checkpoints, and Slurm's own pace beside that.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What would be submitted: what `--dry-run` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub sweep: String,
    /// Runs of the plan, and those of them that have ended.
    pub runs: usize,
    pub ended: usize,
    /// Runs that pilots have been submitted for.
    pub submitted: usize,
    pub jobs: usize,
    pub pools: Vec<Wanted>,
    /// A batch script for each pool.
    pub scripts: Vec<String>,
    pub notes: Vec<String>,
}

/// # Errors
/// A run fits no pool; the store cannot be read.
pub fn decide(
    plan: &Plan,
    reader: Option<&Reader>,
    store: &Path,
    options: &Options,
    profile: &Profile,
) -> Result<Decision> {
    let ids = || plan.runs.iter().map(|run| run.id.as_str());
    let standing = reader.map_or(Ok(Default::default()), |reader| reader.standing(ids()))?;
    let store = store.canonicalize().or_else(|_| std::path::absolute(store))?;
    let taken = taken(&store)?;
    let known = (store.as_path(), Batch::all(&store).len());
    let arranged = arrange::arrange(plan, &standing, &taken, options, profile, known)?;
    let batch = Batch::planned(&store, arranged.record);
    let script = |(at, wanted): (usize, &Wanted)| {
        let number = at as u32 + 1;
        let (name, tasks) = (submit::name(&batch, number), wanted.pilots);
        let submission = Submission { number, name, pool: wanted.number, tasks, time: 0.0, job: None, refused: None };
        submit::text(&batch, &submission)
    };
    Ok(Decision {
        sweep: plan.sweep.clone(),
        runs: plan.runs.len(),
        ended: Tally::of_ended(&standing).ended_before,
        submitted: ids().filter(|id| taken.contains(*id)).count(),
        jobs: arranged.jobs.len(),
        scripts: arranged.arrays.iter().enumerate().map(script).collect::<Result<_>>()?,
        pools: arranged.arrays,
        notes: arranged.notes,
    })
}

/// Registers the plan and submits pilots for what is not done of it and nobody has; looks after what was submitted before.
///
/// # Errors
/// A run fits no pool, sbatch refuses, files of a task are not there, or the store cannot be written.
pub fn run(
    store: &mut Store,
    plan: &Plan,
    options: &Options,
    profile: &Profile,
    observer: &mut dyn Observer,
) -> Result<(Tally, Vec<View>)> {
    let registered = store.register(plan)?;
    registered.told().for_each(|line| observer.say(&line));
    let ids: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
    let folder = store.reader().folder().to_path_buf();
    let wanted = |run: &str| ids.contains(run);
    let mut views = care::look(&folder, &wanted, true, Replace::All, &mut |line| observer.say(line))?;
    if let Some(view) = views.iter().find(|view| view.cancelled) {
        let error = Error::failed(format!("pilots of '{}' that were told to stop are still there", plan.sweep));
        let hint = format!("the same command in a moment submits what they leave (batch {})", view.batch);
        return Err(error.hint(hint));
    }
    for batch in Batch::all_open(&folder).iter().filter(|batch| views.iter().any(|view| view.batch == batch.id())) {
        if batch.record()?.profile != *profile {
            let id = batch.id();
            observer
                .say(&format!("batch {id} keeps the profile that it was submitted with ('crossover cancel' ends it)"));
        }
    }
    // In this order: what a pilot does meanwhile is then taken or done, and not to be submitted again.
    let taken = taken(&folder)?;
    report_skipped(&store.ingest_runs(ids.iter().copied())?.skipped, observer);
    let standing = store.reader().standing(ids.iter().copied())?;
    let known = (folder.as_path(), Batch::all(&folder).len());
    let arranged = arrange::arrange(plan, &standing, &taken, options, profile, known)?;
    if !arranged.jobs.is_empty() {
        let tasks: BTreeSet<&str> = plan.runs.iter().map(|run| run.config.task.name.as_str()).collect();
        tasks.into_iter().try_for_each(task::present::check_content)?;
        views.push(begin(&folder, arranged, observer)?);
    } else if views.is_empty() {
        observer.say(&format!("{}: {}, nothing to do", plan.sweep, all_ended(plan.runs.len())));
    }
    Ok((Tally::of_ended(&standing), views))
}

fn begin(store: &Path, arranged: Arranged, observer: &mut dyn Observer) -> Result<View> {
    arranged.notes.iter().for_each(|note| observer.say(note));
    let batch = Batch::create(store, arranged.record, &arranged.jobs)?;
    let mut submitted = Vec::new();
    for wanted in &arranged.arrays {
        match submit::pilots(&batch, wanted.number, wanted.pilots) {
            Ok(more) => submitted.extend(more),
            Err(error) => {
                let is_any_there = batch.submissions()?.iter().any(|submission| submission.refused.is_none());
                if !is_any_there {
                    // Nobody will do it: the same command with a better profile begins anew.
                    batch.close()?;
                }
                return Err(error);
            }
        }
    }
    observer.say(&submit::told(&batch.record()?.sweep, &submitted));
    let view = care::look(
        store,
        &|run| arranged.jobs.iter().flat_map(|job| &job.runs).any(|one| one.id == run),
        false,
        Replace::Never,
        &mut |_| {},
    )?;
    Ok(view.into_iter().find(|view| view.batch == batch.id()).unwrap_or_default())
}

/// How the batches of a store stand that have runs that `wanted` wants; results are taken in, and what was lost is
/// submitted again, where nobody else writes to the store.
///
/// # Errors
/// Files of a batch cannot be read or written.
pub fn look_after(store: &Path, wanted: &dyn Fn(&str) -> bool, say: &mut dyn FnMut(&str)) -> Result<Vec<View>> {
    if Batch::all_open(store).is_empty() {
        return Ok(Vec::new());
    }
    let Ok(mut writer) = Store::open(store) else {
        return care::look(store, wanted, false, Replace::Never, say);
    };
    let folder = writer.reader().folder().to_path_buf();
    let members: BTreeSet<String> =
        Batch::all_open(&folder).iter().filter_map(|batch| batch.runs().ok()).flatten().collect();
    let views = care::look(&folder, wanted, false, Replace::Lost, say)?;
    // Also of those that are closed now: what they did is in the logs.
    writer.ingest_runs(members.iter().map(String::as_str))?;
    Ok(views)
}

/// Runs of jobs that are not over, of batches that are not: pilots have them or will take them.
///
/// # Errors
/// A batch does not say which runs it has: they may be any.
pub fn taken(store: &Path) -> Result<BTreeSet<String>> {
    let views = care::look(store, &|_| true, false, Replace::Never, &mut |_| {})?;
    if let Some(why) = views.iter().find_map(|view| view.unknown.clone()) {
        return Err(Error::failed(why).context("pilots of Slurm may have these runs").hint(batch::DAMAGED));
    }
    Ok(views.into_iter().flat_map(|view| view.left).collect())
}

/// # Errors
/// Pilots have some of these runs or will take them, so nobody else may: says what to type.
pub fn refuse_taken<'a>(store: &Path, runs: impl IntoIterator<Item = &'a str>) -> Result<()> {
    if Batch::all_open(store).is_empty() {
        return Ok(());
    }
    let taken = taken(store)?;
    match runs.into_iter().filter(|run| taken.contains(*run)).count() {
        0 => Ok(()),
        count => Err(with_slurm(&if count == 1 { "1 run is".into() } else { format!("{count} runs are") })),
    }
}

/// # Errors
/// Something of a batch is left.
pub fn refuse_while_open(store: &Path) -> Result<()> {
    let open = Batch::all_open(store);
    if open.is_empty() { Ok(()) } else { Err(with_slurm(&format!("{} batches are", open.len()))) }
}

fn with_slurm(what: &str) -> Error {
    Error::failed(format!("{what} with Slurm: pilots have them, or will take them")).hint(
        "'crossover status' says how far they are and 'crossover run SWEEP.toml --executor slurm' goes on; 'crossover \
         cancel' stops the pilots, and what is left is then anybody's",
    )
}

/// Nodes that failed under pilots of the store, and that no pilot is sent to any more.
pub fn failed_nodes(store: &Path) -> Vec<String> {
    asking::failed_nodes(store)
}

/// The profile that a sweep of this name, with some of these runs, was last submitted with, if it was.
pub fn last_profile(store: &Path, sweep: &str, wanted: &dyn Fn(&str) -> bool) -> Option<Profile> {
    Batch::all(store).into_iter().rev().find_map(|batch| {
        let record = batch.record().ok().filter(|record| record.sweep == sweep)?;
        batch.runs().is_ok_and(|runs| runs.iter().any(|run| wanted(run))).then(|| record.profile.clone())
    })
}

/// A batch of which nothing is left.
pub struct Finished {
    pub id: String,
    pub folder: PathBuf,
    /// That it had, as far as that can be read.
    pub runs: BTreeSet<String>,
}

/// Those of a store that are over, and of which every pilot is known to be gone.
pub fn finished(store: &Path) -> Vec<Finished> {
    let mut batches = Batch::all(store);
    batches.retain(|batch| batch.is_over() && care::is_nobody_left(batch));
    let finished =
        |batch: Batch| Finished { id: batch.id().into(), runs: batch.runs().unwrap_or_default(), folder: batch.folder };
    batches.into_iter().map(finished).collect()
}

/// Stops the pilots of the batches that have runs that `wanted` wants; how many were told to, and those that are still
/// there after a while.
///
/// # Errors
/// Slurm does not answer: pilots stop by themselves at the latest when they want their next job.
pub fn cancel(store: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<(usize, Vec<View>)> {
    let mut jobs = Vec::new();
    let mut batches = Vec::new();
    for batch in Batch::all_open(store) {
        // One that does not say which runs it has may have these.
        if batch.runs().map_or(true, |runs| runs.iter().any(|run| wanted(run))) {
            // First: whoever looks at a job from here on leaves it alone.
            batch.cancel()?;
            batches.push(batch);
        }
    }
    if batches.is_empty() {
        return Ok((0, Vec::new()));
    }
    let batches: Vec<&Batch> = batches.iter().collect();
    asking::ask(&batches)
        .map_err(|error| error.context("pilots that run stop by themselves, those that wait do not"))?;
    let told: usize = views(store, wanted)?.iter().map(|view| view.pilots.len()).sum();
    for batch in &batches {
        jobs.extend(batch.submissions()?.iter().filter_map(|submission| submission.job));
    }
    queue::cancel(&jobs)?;
    let since = Instant::now();
    loop {
        let left = views(store, wanted)?;
        let came = |view: &View| view.pilots.iter().any(|pilot| pilot.node.is_some());
        if !left.iter().any(came) || since.elapsed() > STOPS_WITHIN {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    // Those that waited are gone from the queue, and are not known to have left.
    asking::ask(&batches)?;
    let members: BTreeSet<String> = batches.iter().filter_map(|batch| batch.runs().ok()).flatten().collect();
    let left = care::look(store, wanted, false, Replace::Lost, &mut |_| {})?;
    // Nobody looks after them any more: the last results are taken in.
    Store::open(store)?.ingest_runs(members.iter().map(String::as_str))?;
    Ok((told, left))
}

fn views(store: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<View>> {
    care::look(store, wanted, false, Replace::Never, &mut |_| {})
}
