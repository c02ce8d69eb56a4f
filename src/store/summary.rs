//! How a sweep stands: what `status` prints, from the store alone.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use serde::Serialize;

use super::Reader;
use super::query::{BadLines, Run, unsigned};
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
    fn count(&mut self, state: &State, is_alive: bool) {
        match state {
            State::Done => self.done += 1,
            State::Diverged { .. } => self.diverged += 1,
            State::Failed { .. } => self.failed += 1,
            State::Running if is_alive => self.running += 1,
            State::Running | State::Stopped { .. } => self.interrupted += 1,
            State::ToDo => self.to_do += 1,
        }
    }
}

impl Reader {
    /// # Errors
    /// No such sweep.
    pub fn summary(&self, sweep: &str) -> Result<Summary> {
        self.summary_with(sweep, &|_| false)
    }

    /// The same where somebody else than the store's writer may train: `held` are the runs that are trained so.
    ///
    /// # Errors
    /// No such sweep.
    pub fn summary_with(&self, sweep: &str, held: &dyn Fn(&str) -> bool) -> Result<Summary> {
        let key = self.sweep_key(sweep)?;
        let mut stands = self.stands(key)?;
        let deleted = self.without_folders(&mut stands)?;
        let writer = self.writer().is_some();
        let mut counts = Counts::default();
        stands.iter().for_each(|run| counts.count(&run.state, writer || held(&run.member.run)));
        let left = || stands.iter().filter(|run| !run.state.is_final()).map(|run| run.member.run.as_str());
        let (flops_per_second, seconds_left) = match (left().next(), counts.running) {
            (None, _) => (None, Some(0.0)),
            (Some(_), 0) => (None, None),
            (Some(_), slots) => outlook(&self.runs_among(sweep, left())?, &self.speeds(key)?, slots),
        };
        let question = self.rows("SELECT question FROM sweeps WHERE key = ?", [key], |row| row.get(0))?.pop();
        Ok(Summary {
            sweep: sweep.to_owned(),
            question: question.flatten(),
            runs: stands.len(),
            counts,
            flops_per_second,
            seconds_left,
            failures: stands.iter().filter_map(Stand::failure).collect(),
            bad_lines: self.bad_lines_in(key)?,
            deleted,
            members: stands.into_iter().map(|run| Standing { state: run.state.word(), ..run.member }).collect(),
        })
    }

    /// Of all runs of a sweep, in its order; without their configs, which take longer to read than all the rest.
    fn stands(&self, sweep: i64) -> Result<Vec<Stand>> {
        let query = "SELECT id, label, examples, steps, seed, state, step, reason,
             CASE WHEN state IN ('failed', 'diverged')
                 THEN (SELECT coalesce(max(attempt), 0) FROM attempts WHERE run = runs.key) ELSE 0 END
             FROM sweep_runs JOIN runs ON runs.key = run WHERE sweep = ? ORDER BY position";
        self.rows(query, [sweep], |row| {
            let state = State::from_columns(row.get_ref(5)?.as_str()?, row.get(6)?, row.get(7)?);
            let member = Standing {
                run: row.get(0)?,
                curve: row.get(1)?,
                examples: unsigned(row, 2)?,
                steps: unsigned(row, 3)?,
                seed: unsigned(row, 4)?,
                state: state.word(),
            };
            Ok(Stand { member, state, attempts: row.get(8)? })
        })
    }

    /// Training FLOPs a second of one slot, per arch, over the attempts that went from start to end.
    fn speeds(&self, sweep: i64) -> Result<HashMap<String, f64>> {
        let rows = self.rows(
            "SELECT arch, sum(train_flops) / sum(seconds) FROM sweep_runs
             JOIN runs ON runs.key = sweep_runs.run JOIN attempts ON attempts.run = runs.key
             WHERE sweep = ? AND from_step = 0 AND state = 'done' AND seconds > 0 AND train_flops > 0 AND outcome LIKE '%\"done\"%'
             GROUP BY arch",
            [sweep],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Makes the runs to do that the next `run` will find to be: those whose folders are gone. How many they are.
    fn without_folders(&self, runs: &mut [Stand]) -> Result<usize> {
        let folders = self.folders()?;
        let gone = |run: &&mut Stand| run.state != State::ToDo && !folders.contains(OsStr::new(&run.member.run));
        Ok(runs.iter_mut().filter(gone).map(|run| run.state = State::ToDo).count())
    }

    /// The names of all that is in the store's folder: one look at it, where a look at each run's takes as many as there are.
    pub(super) fn folders(&self) -> Result<HashSet<OsString>> {
        let folders = std::fs::read_dir(&self.dir).context(|| format!("cannot read {}", self.dir.display()))?;
        Ok(folders.flatten().map(|entry| entry.file_name()).collect())
    }

    fn bad_lines_in(&self, sweep: i64) -> Result<BadLines> {
        let rows = self.rows(
            "SELECT coalesce(sum(skipped), 0), coalesce(sum(repeated), 0) FROM sweep_runs
             JOIN logs ON logs.run = sweep_runs.run WHERE sweep = ?",
            [sweep],
            BadLines::read,
        )?;
        Ok(rows.first().copied().unwrap_or_default())
    }
}

/// A run of the sweep with all that is counted and told of it.
struct Stand {
    member: Standing,
    state: State,
    attempts: u32,
}

impl Stand {
    fn failure(&self) -> Option<Failure> {
        let reason = match &self.state {
            State::Failed { reason } => reason.clone(),
            State::Diverged { step } => format!("its loss was not finite at step {step}"),
            _ => return None,
        };
        let Standing { run, curve, .. } = &self.member;
        Some(Failure { run: run.clone(), curve: curve.clone(), attempts: self.attempts, reason })
    }
}

/// FLOPs a second of `slots` slots on what is left, and the seconds it takes. An arch without a finished run counts
/// with the mean speed of the others.
fn outlook(left: &[Run], speeds: &HashMap<String, f64>, slots: usize) -> (Option<f64>, Option<f64>) {
    if speeds.is_empty() {
        return (None, None);
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
