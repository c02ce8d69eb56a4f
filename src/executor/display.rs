//! What a person sees of an execution: progress on stderr, failures at once with the end of the worker's log.

use super::jobs::{Pending, PlannedJob};
use super::{Decision, Observer, tail};
use crate::event::Outcome;
use crate::out;
use crate::progress::{Amount, Progress, Running};
use crate::run::Recipe;
use crate::units::all_ended;
use crate::worker;

/// Bars on a terminal, lines elsewhere.
#[derive(Default)]
pub struct Display {
    /// From the first job on; a finished sweep shows none.
    progress: Option<Progress>,
}

impl Display {
    /// Takes the bars away and says how far the sweep got.
    pub fn finish(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }
}

impl Observer for Display {
    fn sweep_started(&mut self, decision: &Decision) {
        if decision.jobs.is_empty() {
            return self.say(&format!("{}: {}, nothing to do", decision.sweep, all_ended(decision.runs)));
        }
        let left: f64 = decision.jobs.iter().map(PlannedJob::train_flops).sum();
        let total = Amount { runs: decision.runs as u64, work: decision.ended_flops + left };
        let done = Amount { runs: decision.ended as u64, work: decision.ended_flops };
        self.progress = Some(Progress::new(&decision.sweep, total, done));
    }

    fn job_started(&mut self, slot: usize, job: &PlannedJob) {
        let (Some(progress), [first, others @ ..]) = (&mut self.progress, job.runs.as_slice()) else { return };
        let pack = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let label = format!("{}{pack}", name(first));
        let work = job.leaders().map(Pending::own_flops).sum();
        let (step, steps) = (first.step.min(first.shared_steps), first.config.steps);
        progress.slot_started(slot, Running { label, step, from: step, steps, work });
    }

    fn progress(&mut self, slot: usize, now: &worker::Progress) {
        if let Some(progress) = &mut self.progress {
            progress.slot_progress(slot, now.step, now.loss, now.examples_per_second);
        }
    }

    fn run_finished(&mut self, slot: usize, run: &Pending, outcome: &Outcome, retry: bool, log: &str) {
        let said = match outcome {
            Outcome::Done | Outcome::Stopped { .. } => None,
            Outcome::Diverged { step } => Some(format!("diverged: its loss was not finite at step {step}")),
            Outcome::Failed { reason } => {
                let again = if retry { "; trying again" } else { "" };
                Some(format!("attempt {} failed: {reason}{again}{}", run.attempt, tail::indented(log)))
            }
        };
        if let Some(said) = said {
            self.say(&format!("run {} ({}): {said}", run.id, name(run)));
        }
        let Some(progress) = &mut self.progress else { return };
        match outcome {
            Outcome::Done => progress.run_finished(slot, &name(run), run.own_flops()),
            Outcome::Diverged { .. } => progress.run_lost(slot, run.own_flops()),
            Outcome::Failed { .. } if !retry => progress.run_lost(slot, run.own_flops()),
            Outcome::Failed { .. } | Outcome::Stopped { .. } => {}
        }
    }

    fn slot_idle(&mut self, slot: usize) {
        if let Some(progress) = &mut self.progress {
            progress.slot_idle(slot);
        }
    }

    fn tick(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.tick();
        }
    }

    fn say(&mut self, line: &str) {
        match &mut self.progress {
            Some(progress) => progress.say(line),
            None => out::say(line),
        }
    }
}

fn name(run: &Pending) -> String {
    let config = &run.config;
    let Recipe { lr, .. } = config.train;
    format!("{}, {} examples, {} steps, lr {lr}, seed {}", run.label, config.examples, config.steps, config.seed)
}
