//! A pilot: in one allocation, a worker for each GPU or group of cores, jobs taken one after the other until none is left
//! or the time is over. It reads and writes files of its batch and of the runs, and never the index.

use std::path::Path;

use nix::sys::signal::Signal;

use super::super::super::devices::{self, Devices, Machine, Slot};
use super::super::super::jobs::{Pending, PlannedJob};
use super::super::super::{Decision, Observer, Options, Tally, tail};
use super::super::local;
use super::super::results::Logs;
use super::batch::Batch;
use super::pilots::{Came, Left, PilotId, Pilots};
use super::profile::Pool;
use super::script;
use super::taking::Taking;
use crate::error::{Context, Error, Result};
use crate::event::Outcome;
use crate::files;
use crate::here::{hostname, now};
use crate::out;

/// What Slurm tells a task of an array about itself.
struct Allocation {
    job: u64,
    task: u32,
    node: String,
    cpus: Option<usize>,
}

/// Does jobs of the batch in `folder`; the exit code for the batch shell.
///
/// # Errors
/// It is not started by Slurm; the folder is no batch; the devices of the allocation are not there; no worker starts.
pub fn run(folder: &Path, submission: u32) -> Result<u8> {
    let allocation = Allocation::from_environment()?;
    // Where the batch shell is killed alone Slurm takes the task for over, and may leave its children alive.
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context(|| "cannot ask to be told when the batch shell dies")?;
    let batch = Batch::open(folder);
    let sweep = &batch.record()?.sweep;
    let (pilots, pid) = (Pilots::of(folder), std::process::id());
    let came = Came { submission, node: allocation.node.clone(), host: hostname(), pid, time: now() };
    let id = pilots.comes(allocation.job, allocation.task, &came)?;
    out::say(format_args!("pilot {id} on {}: sweep '{sweep}'", allocation.node));
    let worked = work(&batch, &allocation, id, submission);
    let (tally, left_behind, error) = match &worked {
        Ok((tally, left_behind)) => (*tally, *left_behind, None),
        Err(error) => (Tally::default(), false, Some(error.message.clone())),
    };
    let goes_on = tally.interrupted && left_behind && !batch.is_cancelled();
    let Tally { done, failed, .. } = tally;
    // Its workers are gone: what it had claimed may be claimed again.
    pilots.leaves(id, &Left { time: now(), done, failed, goes_on, error })?;
    worked?;
    out::say(format_args!("pilot {id}: {done} done, {failed} failed{}", if goes_on { "; it goes on" } else { "" }));
    Ok(if goes_on { script::GO_ON } else { 0 })
}

/// What was done, and whether there is more to do.
fn work(batch: &Batch, allocation: &Allocation, id: PilotId, submission: u32) -> Result<(Tally, bool)> {
    let submissions = batch.submissions()?;
    let Some(submission) = submissions.iter().find(|one| one.number == submission) else {
        return Err(Error::failed(format!("{} has no submission {submission}", batch.folder.display())));
    };
    let record = batch.record()?;
    let Some(pool) = record.profile.pools.get(submission.pool) else {
        return Err(Error::failed(format!("{} has no pool {}", batch.folder.display(), submission.pool)));
    };
    let how = &record.how;
    let decision = Decision {
        sweep: record.sweep.clone(),
        runs: 0,
        ended: 0,
        ended_flops: 0.0,
        slots: slots(batch, (submission.pool, pool), allocation)?,
        jobs: Vec::new(),
        retries: how.retries,
        hang_timeout: how.hang,
        max_failures: None,
        trunks: how.trunks,
        notes: Vec::new(),
    };
    let slot_logs = Pilots::of(&batch.folder).slot_logs(id);
    files::make_folder(&slot_logs)?;
    let mut results = Logs { store: batch.store().to_path_buf(), slots: slot_logs };
    let mut taking = Taking::new(batch, id, submission.pool)?;
    let worked = local::act_with(&mut results, &mut taking, &decision, &mut Told);
    let left_behind = taking.give_back()?;
    Ok((worked?, left_behind))
}

/// A slot for each GPU that Slurm has given, or for each group of the cores.
fn slots(batch: &Batch, (number, pool): (usize, &Pool), allocation: &Allocation) -> Result<Vec<Slot>> {
    let (how, gpus) = (&batch.record()?.how, pool.gpu_count());
    let together = batch.jobs()?.iter().filter(|job| job.pool == number).map(|job| job.gpus).max().unwrap_or(1);
    let together = if gpus > 0 { together } else { 1 };
    let options = Options {
        devices: if gpus > 0 { Devices::Auto } else { Devices::Cpu },
        slots: how.slots.or_else(|| (gpus == 0).then(|| pool.slots(how.threads, 1))),
        threads: how.threads,
        pack: None,
        no_trunks: !how.trunks,
        retries: how.retries,
        hang_timeout: how.hang,
        max_failures: None,
    };
    let mut machine = Machine::look(&options)?;
    if gpus > 0 && machine.gpus.is_empty() {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "not set".into());
        return Err(Error::failed(format!(
            "{} has no GPU that nvidia-smi shows; the pool has {gpus}, CUDA_VISIBLE_DEVICES is {visible}",
            allocation.node
        ))
        .hint(
            "does 'nvidia-smi' work on that node, in the container too (--nv)? the profile's `setup` lines come first",
        ));
    }
    // Nobody else uses what Slurm has given.
    machine.gpus.iter_mut().for_each(|gpu| gpu.used_mib = 0.0);
    let given = allocation.cpus.unwrap_or(pool.cpus as usize);
    // Where Slurm binds no task to its cores, pinned workers of several pilots would all sit on the first ones.
    let is_bound = machine.cores.len() <= given;
    let layout = devices::layout(&options, &machine, together)?;
    let free = |slot: Slot| Slot { cores: if is_bound { slot.cores } else { Vec::new() }, ..slot };
    Ok(layout.slots.into_iter().map(free).collect())
}

impl Allocation {
    fn from_environment() -> Result<Allocation> {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ids = number("SLURM_ARRAY_JOB_ID").zip(number("SLURM_ARRAY_TASK_ID"));
        let Some((job, Ok(task))) = ids.map(|(job, task)| (job, u32::try_from(task))) else {
            return Err(Error::bad_input("a pilot is a task of a Slurm array, and SLURM_ARRAY_TASK_ID is not set")
                .hint("'crossover run SWEEP.toml --executor slurm' submits pilots"));
        };
        Ok(Allocation {
            job,
            task,
            node: std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| hostname()),
            cpus: number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE")).map(|cpus| cpus as usize),
        })
    }
}

/// What a pilot says into its log.
struct Told;

impl Observer for Told {
    fn run_finished(&mut self, _slot: usize, run: &Pending, outcome: &Outcome, retry: bool, log: &str) {
        let (id, attempt) = (&run.id, run.attempt);
        match outcome {
            Outcome::Done => self.say(&format!("run {id}: done")),
            Outcome::Diverged { step } => self.say(&format!("run {id}: diverged at step {step}")),
            Outcome::Stopped { step } => self.say(&format!("run {id}: stopped at step {step}")),
            Outcome::Failed { reason } => {
                let again = if retry { "; trying again" } else { "" };
                self.say(&format!("run {id}: attempt {attempt} failed: {reason}{again}{}", tail::indented(log)));
            }
        }
    }

    fn job_started(&mut self, slot: usize, job: &PlannedJob) {
        if let Some(first) = job.runs.first() {
            let more = job.runs.len() - 1;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.say(&format!("slot {slot}: run {} ({}){more}", first.id, first.label));
        }
    }

    fn say(&mut self, line: &str) {
        out::say(line);
    }
}
