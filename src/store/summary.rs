//! How a sweep stands: what `status` prints, from the store alone.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use serde::Serialize;

use super::Reader;
use super::query::{BadLines, Run};
use super::state::State;
use crate::error::{Context, Result};
use crate::trunk;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub done: usize,
    pub diverged: usize,
    pub failed: usize,
    pub running: usize,
    /// Taken up and not ended; the next `run` goes on from its checkpoint.
    pub interrupted: usize,
    pub to_do: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    pub run: String,
    #[serde(flatten, serialize_with = "super::query::both_names")]
    pub curve: String,
    pub attempts: u32,
    pub reason: String,
}

/// A run of the sweep, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    pub run: String,
    pub curve: String,
    pub examples: u64,
    pub steps: u64,
    pub seed: u64,
    pub state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub sweep: String,
    pub question: Option<String>,
    pub runs: usize,
    pub counts: Counts,
    /// Training FLOPs a second of the slots that work now together; none while none is known.
    pub flops_per_second: Option<f64>,
    /// Seconds until nothing is left to do, at that rate.
    pub seconds_left: Option<f64>,
    pub failures: Vec<Failure>,
    /// Every run, in the plan's order.
    pub members: Vec<Standing>,
    #[serde(flatten)]
    pub bad_lines: BadLines,
    /// Runs that were taken up and whose folders were deleted: they count as to do.
    pub deleted: usize,
}

impl Counts {
    fn count(&mut self, state: &State, writer: bool) {
        match state {
            State::Done => self.done += 1,
            State::Diverged { .. } => self.diverged += 1,
            State::Failed { .. } => self.failed += 1,
            State::Running if writer => self.running += 1,
            State::Running | State::Stopped { .. } => self.interrupted += 1,
            State::ToDo => self.to_do += 1,
        }
    }
}

impl Reader {
    /// # Errors
    /// No such sweep.
    pub fn summary(&self, sweep: &str) -> Result<Summary> {
        let info = self.sweep(sweep)?;
        let mut runs = self.runs(sweep)?;
        let deleted = self.without_folders(&mut runs)?;
        let writer = self.writer().is_some();
        let mut counts = Counts::default();
        runs.iter().for_each(|run| counts.count(&run.state, writer));
        let speeds = self.speeds(sweep)?;
        let (flops_per_second, seconds_left) = outlook(&runs, &speeds, counts.running);
        let failures = runs.iter().filter_map(|run| match &run.state {
            State::Failed { reason } => Some((run, reason.clone())),
            State::Diverged { step } => Some((run, format!("its loss was not finite at step {step}"))),
            _ => None,
        });
        Ok(Summary {
            sweep: info.name,
            question: info.question,
            runs: runs.len(),
            counts,
            flops_per_second,
            seconds_left,
            failures: failures
                .map(|(run, reason)| Failure {
                    run: run.id.clone(),
                    curve: run.curve.clone(),
                    attempts: run.attempts,
                    reason,
                })
                .collect(),
            members: runs.iter().map(standing).collect(),
            bad_lines: self.bad_lines_in(sweep)?,
            deleted,
        })
    }

    /// Training FLOPs a second of one slot, per arch, over the attempts that went from start to end.
    fn speeds(&self, sweep: &str) -> Result<HashMap<String, f64>> {
        let rows = self.rows(
            "SELECT arch, sum(train_flops) / sum(seconds) FROM sweeps JOIN sweep_runs ON sweep = sweeps.key
             JOIN runs ON runs.key = sweep_runs.run JOIN attempts ON attempts.run = runs.key
             WHERE name = ? AND from_step = 0 AND state = 'done' AND seconds > 0 AND outcome LIKE '%\"done\"%'
             GROUP BY arch",
            [sweep],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Makes the runs to do that the next `run` will find to be: those whose folders are gone. How many they are.
    fn without_folders(&self, runs: &mut [Run]) -> Result<usize> {
        let folders = std::fs::read_dir(&self.dir).context(|| format!("cannot read {}", self.dir.display()))?;
        let folders: HashSet<OsString> = folders.flatten().map(|entry| entry.file_name()).collect();
        let gone = |run: &&mut Run| run.state != State::ToDo && !folders.contains(OsStr::new(&run.id));
        Ok(runs.iter_mut().filter(gone).map(|run| run.state = State::ToDo).count())
    }

    fn bad_lines_in(&self, sweep: &str) -> Result<BadLines> {
        let rows = self.rows(
            "SELECT coalesce(sum(skipped), 0), coalesce(sum(repeated), 0) FROM sweeps
             JOIN sweep_runs ON sweep = sweeps.key JOIN logs ON logs.run = sweep_runs.run WHERE name = ?",
            [sweep],
            BadLines::read,
        )?;
        Ok(rows.first().copied().unwrap_or_default())
    }
}

fn standing(run: &Run) -> Standing {
    Standing {
        run: run.id.clone(),
        curve: run.curve.clone(),
        examples: run.config.examples,
        steps: run.config.steps,
        seed: run.config.seed,
        state: run.state.word(),
    }
}

/// FLOPs a second of `slots` slots on what is left, and the seconds it takes. An arch without a finished run counts
/// with the mean speed of the others.
fn outlook(runs: &[Run], speeds: &HashMap<String, f64>, slots: usize) -> (Option<f64>, Option<f64>) {
    let left: Vec<_> = runs.iter().filter(|run| !run.state.is_final()).collect();
    if left.is_empty() || speeds.is_empty() || slots == 0 {
        return (None, if left.is_empty() { Some(0.0) } else { None });
    }
    let mean = speeds.values().sum::<f64>() / speeds.len() as f64;
    let standing: Vec<_> = left.iter().map(|run| (&run.config, run.state.step())).collect();
    let own = left.iter().zip(trunk::shared_steps(&standing)).map(|(run, shared)| {
        let share = 1.0 - shared as f64 / run.config.steps as f64;
        (run.train_flops * share, *speeds.get(&run.config.model.name).unwrap_or(&mean))
    });
    let (flops, seconds) = own.fold((0.0, 0.0), |(flops, seconds), (own, speed)| (flops + own, seconds + own / speed));
    let seconds = seconds / slots as f64;
    (Some(flops / seconds), Some(seconds))
}
