//! Does what a plan has not done yet. First it decides, as a value that `--dry-run` prints; then a scheduler says what
//! is done when, and a backend does it.

mod backend;
pub mod devices;
pub mod display;
mod failure;
pub mod jobs;
mod scheduler;
mod tail;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::plan::Plan;
use crate::store::{Reader, State, Store};
use crate::task;
use crate::units;
use crate::worker::Progress;
pub use backend::slurm;
use devices::{Devices, Machine, Slot};
use jobs::{Pending, PlannedJob, Standing};

/// How to execute, as the command line says it; what is absent follows from the machine.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to train: auto (free GPUs, else CPU), cpu, or GPUs by number such as cuda:0,cuda:2
    #[arg(long, value_name = "LIST", default_value = "auto")]
    pub devices: Devices,
    /// Workers side by side [default: one a GPU, or as many as the cores allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub slots: Option<u32>,
    /// Threads of one worker [default: 1 on CPU]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub threads: Option<u32>,
    /// Runs of one shape trained together as one batched model [default: 1 on CPU, 16 on a GPU]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub pack: Option<u32>,
    /// Train every run from its beginning to its end, also where runs that differ in their budget alone could share
    #[arg(long)]
    pub no_trunks: bool,
    /// Tries again after a failed attempt; a diverged run is final
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub retries: u32,
    /// Silence of a worker that counts as a hang, in seconds [default: 50 times the longest seen, 10 minutes at least]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hang_timeout: Option<Duration>,
    /// End the sweep once K runs have failed
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_failures: Option<u32>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("'{text}' is no number of seconds above 0"))
}

/// What would be done: exactly what `--dry-run` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub sweep: String,
    /// Runs of the plan.
    pub runs: usize,
    /// Runs that are done or diverged already.
    pub ended: usize,
    /// Training FLOPs of the runs that have ended.
    pub ended_flops: f64,
    pub slots: Vec<Slot>,
    /// In the order in which slots take them.
    pub jobs: Vec<PlannedJob>,
    #[serde(skip)]
    pub retries: u32,
    #[serde(skip)]
    pub hang_timeout: Option<Duration>,
    #[serde(skip)]
    pub max_failures: Option<usize>,
    /// Whether runs of one trunk train it once.
    pub trunks: bool,
    /// What a person should know about the choice of devices.
    pub notes: Vec<String>,
}

impl Decision {
    /// Names of the tasks of the runs to do.
    pub fn tasks(&self) -> BTreeSet<&str> {
        self.jobs.iter().flat_map(|job| &job.runs).map(|run| run.config.task.name.as_str()).collect()
    }
}

/// How the runs of a sweep stand once it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub done: usize,
    pub diverged: usize,
    /// Runs whose last attempt failed.
    pub failed: usize,
    /// Of those that are done or diverged, how many were so before.
    pub ended_before: usize,
    /// A signal ended it before all was done.
    pub interrupted: bool,
}

/// Who is told how it goes: a terminal, a log, a test.
pub trait Observer {
    fn sweep_started(&mut self, _decision: &Decision) {}
    fn job_started(&mut self, _slot: usize, _job: &PlannedJob) {}
    fn progress(&mut self, _slot: usize, _progress: &Progress) {}
    /// `retry`: another attempt follows. `log` is the end of the worker's stderr, for an attempt that failed.
    fn run_finished(&mut self, _slot: usize, _run: &Pending, _outcome: &Outcome, _retry: bool, _log: &str) {}
    /// No job on this slot now.
    fn slot_idle(&mut self, _slot: usize) {}
    /// Called several times a second.
    fn tick(&mut self) {}
    fn say(&mut self, line: &str);
}

/// Decides what to do about a plan, from how its runs stand in the store (none: nothing is done yet).
///
/// # Errors
/// Devices that are not there; a store that cannot be read.
pub fn decide(plan: &Plan, store: Option<&Reader>, options: &Options) -> Result<Decision> {
    let standing = match store {
        Some(store) => store.standing(plan.runs.iter().map(|run| run.id.as_str()))?,
        None => Standing::new(),
    };
    decide_from(plan, &standing, options)
}

fn decide_from(plan: &Plan, standing: &Standing, options: &Options) -> Result<Decision> {
    let pending = jobs::pending(plan, standing);
    let all: f64 = plan.runs.iter().map(|run| run.train_flops.as_f64()).sum();
    let mut decision = Decision {
        sweep: plan.sweep.clone(),
        runs: plan.runs.len(),
        ended: plan.runs.len() - pending.len(),
        ended_flops: all - pending.iter().map(|run| run.train_flops).sum::<f64>(),
        slots: Vec::new(),
        jobs: Vec::new(),
        retries: options.retries,
        hang_timeout: options.hang_timeout,
        max_failures: options.max_failures.map(|most| most as usize),
        trunks: !options.no_trunks,
        notes: Vec::new(),
    };
    if pending.is_empty() {
        return Ok(decision);
    }
    let together = pending.iter().map(Pending::gpus).max().unwrap_or(1);
    let layout = devices::layout(options, &Machine::look(options)?, together)?;
    jobs::check_precision(&pending, &layout.slots)?;
    let pack = options.pack.unwrap_or(if layout.slots.iter().any(Slot::is_gpu) { 16 } else { 1 });
    decision.jobs = jobs::jobs(pending, decision.trunks, pack as usize, layout.slots.len());
    decision.slots = layout.slots;
    decision.slots.truncate(decision.jobs.iter().map(PlannedJob::parts).sum());
    decision.notes = layout.notes;
    Ok(decision)
}

/// Registers the plan, does what is not done of it on this machine, and takes every result into the store. A finished
/// sweep starts nothing.
///
/// Call it from the program's main thread: workers end when the thread that started them does.
///
/// # Errors
/// Devices, the worker program or the files of a task are not there, no worker starts, or the store cannot be written.
/// Runs that fail are no error: they are counted.
pub fn run(store: &mut Store, plan: &Plan, options: &Options, observer: &mut dyn Observer) -> Result<Tally> {
    let registered = store.register(plan)?;
    registered.told().for_each(|line| observer.say(&line));
    let mut standing = registered.standing;
    let ids = || plan.runs.iter().map(|run| run.id.as_str());
    // Before results are taken in: what a pilot does meanwhile is not taken for undone.
    slurm::refuse_taken(store.reader().folder(), ids())?;
    if !ids().all(|id| standing.get(id).is_some_and(|(state, _)| state.is_final())) {
        report_skipped(&store.ingest_runs(ids())?.skipped, observer);
        standing = store.reader().standing(ids())?;
    }
    let (decision, before) = (decide_from(plan, &standing, options)?, Tally::of_ended(&standing));
    decision.notes.iter().for_each(|note| observer.say(note));
    // What every run would fail for, once and before any is started.
    decision.tasks().into_iter().try_for_each(task::present::check_content)?;
    observer.sweep_started(&decision);
    if decision.jobs.is_empty() {
        return Ok(before);
    }
    Ok(before.and(backend::local::act(store, &decision, observer)?))
}

fn report_skipped(skipped: &[crate::store::Skipped], observer: &mut dyn Observer) {
    for line in skipped {
        observer.say(&format!("warning: {}:{}: skipped: {}", line.file.display(), line.line, line.reason));
    }
}

/// For tests and programs that do not want to hear anything.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn say(&mut self, _line: &str) {}
}

impl Tally {
    /// Of runs that have ended.
    fn of_ended(standing: &Standing) -> Tally {
        let mut tally = Tally::default();
        for (state, _) in standing.values() {
            match state {
                State::Done => tally.done += 1,
                State::Diverged { .. } => tally.diverged += 1,
                _ => {}
            }
        }
        tally.ended_before = tally.done + tally.diverged;
        tally
    }

    /// Of both; interrupted if one was.
    pub fn and(self, other: Tally) -> Tally {
        Tally {
            done: self.done + other.done,
            diverged: self.diverged + other.diverged,
            failed: self.failed + other.failed,
            ended_before: self.ended_before + other.ended_before,
            interrupted: self.interrupted || other.interrupted,
        }
    }

    /// # Errors
    /// Runs failed, with what to type next.
    pub fn into_result(self, sweep: &str) -> Result<Tally> {
        match self.failed {
            0 => Ok(self),
            failed => Err(Error::failed(format!("{} of '{sweep}' failed", units::runs(failed)))
                .hint(format!("'crossover status {sweep}' says why; the same command again tries only them"))),
        }
    }
}
