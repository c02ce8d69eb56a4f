//! Which runs are trained when and with whom: pure, so that a dry run is exact.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::devices::Slot;
use crate::error::{Error, Result};
use crate::model::Io;
use crate::plan::Plan;
use crate::run::{Precision, RunConfig};
use crate::store::State;
use crate::trunk;
use crate::worker::program::TrainedBy;

/// A run that is not done yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pending {
    pub id: String,
    pub label: String,
    /// Of the next attempt, counted from 1.
    pub attempt: u32,
    /// Of the whole run.
    pub train_flops: f64,
    /// Steps done, as far as its log says.
    pub step: u64,
    /// Steps that a longer run of its job does for it too. After them it is a job of its own, which any slot may take.
    pub shared_steps: u64,
    pub io: Io,
    pub config: RunConfig,
}

impl Pending {
    pub fn trained_by(&self) -> TrainedBy {
        if self.config.model.is_script() { TrainedBy::Script } else { TrainedBy::Libtorch }
    }

    /// That it takes; what is not a script's takes one.
    pub fn gpus(&self) -> usize {
        let given = self.config.model.settings.get("gpus").filter(|_| self.config.model.is_script());
        given.and_then(|gpus| gpus.as_u64()).unwrap_or(1) as usize
    }

    /// Without the steps that it shares.
    pub fn own_flops(&self) -> f64 {
        self.train_flops * (1.0 - self.shared_steps as f64 / self.config.steps as f64)
    }
}

/// Runs that one worker trains together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedJob {
    pub runs: Vec<Pending>,
}

impl PlannedJob {
    /// All of its runs are of one kind: a script's run is a job by itself.
    pub fn trained_by(&self) -> TrainedBy {
        self.runs.first().map_or(TrainedBy::Libtorch, Pending::trained_by)
    }

    pub fn train_flops(&self) -> f64 {
        self.runs.iter().map(Pending::own_flops).sum()
    }

    /// The runs that it trains to the end, a model each; the others share theirs and branch off.
    pub fn leaders(&self) -> impl Iterator<Item = &Pending> {
        let first = self.runs.first().map(|run| run.shared_steps);
        self.runs.iter().filter(move |run| Some(run.shared_steps) == first)
    }

    /// Jobs that come of it: itself, and one wherever runs branch off.
    pub fn parts(&self) -> usize {
        self.runs.iter().map(|run| run.shared_steps).collect::<BTreeSet<_>>().len()
    }
}

/// # Errors
/// A run is to be computed in what a slot's device does not have.
pub fn check_precision(pending: &[Pending], slots: &[Slot]) -> Result<()> {
    let Some(run) = pending.iter().find(|run| run.config.train.precision == Precision::Tf32) else { return Ok(()) };
    let Some(slot) = slots.iter().find(|slot| !slot.is_gpu()) else { return Ok(()) };
    let message =
        format!("run {} ({}) has precision = \"tf32\", which GPUs have: a slot is {}", run.id, run.label, slot.device);
    Err(Error::bad_input(message).hint("--devices cuda:0 takes GPUs alone; a CPU computes in \"fp32\" or \"bf16\""))
}

/// How a run stands and how many attempts it had, by id.
pub type Standing = HashMap<String, (State, u32)>;

/// The runs of the plan that have not ended, in its order.
pub(super) fn pending(plan: &Plan, standing: &Standing) -> Vec<Pending> {
    let left = plan.runs.iter().filter_map(|run| {
        let (state, attempts) = standing.get(&run.id).map_or((None, 0), |(state, attempts)| (Some(state), *attempts));
        (!state.is_some_and(State::is_final)).then(|| Pending {
            id: run.id.clone(),
            label: run.label.clone(),
            attempt: attempts + 1,
            train_flops: run.train_flops.as_f64(),
            step: state.map_or(0, State::step),
            shared_steps: 0,
            io: run.io,
            config: run.config.clone(),
        })
    });
    left.collect()
}

/// Groups runs of one trunk into lanes (none where `trunks` is false), lanes of one shape and length into packs of at
/// most `pack`, no fewer packs than keep `slots` busy, and puts the longest first so that the last slots finish
/// together. The same runs always give the same jobs.
pub(super) fn jobs(runs: Vec<Pending>, trunks: bool, pack: usize, slots: usize) -> Vec<PlannedJob> {
    let lanes = if trunks { lanes(&runs) } else { runs.into_iter().map(|run| vec![run]).collect() };
    let pack = pack.min(lanes.len().div_ceil(slots.max(1))).max(1);
    let mut jobs: Vec<PlannedJob> = Vec::new();
    // The last job of each shape that still takes lanes, and how many it has.
    let mut open: HashMap<(String, u64), (usize, usize)> = HashMap::new();
    for lane in lanes {
        let alone = pack == 1 || lane[0].trained_by() == TrainedBy::Script;
        let shape = if alone { lane[0].id.clone() } else { lane[0].config.shape_id() };
        let key = (shape, lane[0].config.steps);
        match open.get_mut(&key) {
            Some((at, lanes)) if *lanes < pack => {
                *lanes += 1;
                jobs[*at].runs.extend(lane);
            }
            _ => {
                open.insert(key, (jobs.len(), 1));
                jobs.push(PlannedJob { runs: lane });
            }
        }
    }
    jobs.sort_by(|a, b| b.train_flops().total_cmp(&a.train_flops()));
    jobs
}

/// Runs of one trunk together, the longest first.
fn lanes(runs: &[Pending]) -> Vec<Vec<Pending>> {
    let standing: Vec<_> = runs.iter().map(|run| (&run.config, run.step)).collect();
    let lane = |group: Vec<usize>| {
        let mut lane: Vec<Pending> = group.into_iter().map(|index| runs[index].clone()).collect();
        for (place, run) in lane.iter_mut().enumerate().filter(|(_, run)| run.step < run.config.trunk_steps()) {
            run.shared_steps = if place == 0 { 0 } else { run.config.trunk_steps() };
        }
        lane
    };
    trunk::groups(&standing).into_iter().map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Named, Schedule};
    use crate::store::sample;

    fn runs() -> Vec<Pending> {
        let plan = sample::plan(&["convnet", "vit"], &[100, 1000], &[1e-3, 3e-3], &[0, 1]);
        pending(&plan, &Standing::new())
    }

    #[test]
    fn the_longest_come_first_and_ties_keep_the_plans_order() {
        let mut runs = runs();
        let expected: Vec<String> = [5, 0, 1].map(|at| runs[at].id.clone()).into();
        runs[5].train_flops *= 2.0;
        let first: Vec<String> = jobs(runs, true, 1, 2).into_iter().take(3).map(|job| job.runs[0].id.clone()).collect();
        assert_eq!(first, expected);
    }

    #[test]
    fn packs_hold_one_shape_and_leave_no_slot_idle() {
        let sizes = |pack, slots| jobs(runs(), true, pack, slots).iter().map(|job| job.runs.len()).collect::<Vec<_>>();
        assert_eq!(sizes(16, 1), [8, 8]);
        assert_eq!(sizes(6, 1), [6, 6, 2, 2]);
        assert_eq!(sizes(16, 4), [4, 4, 4, 4]);
        assert_eq!(sizes(1, 2), [1; 16]);
        for job in jobs(runs(), true, 16, 1) {
            assert!(job.runs.iter().all(|run| run.label == job.runs[0].label));
        }
    }

    /// Three budgets for each seed.
    fn budgets(seeds: &[u64]) -> Vec<Pending> {
        let plan = sample::plan(&["vit"], &[100], &[1e-3], seeds);
        let of = |run: Pending, steps: u64| {
            let mut config = RunConfig { steps, ..run.config };
            config.train.schedule = Schedule::Wsd { cooldown: 0.2 };
            Pending { id: config.id(), train_flops: steps as f64, config, ..run }
        };
        let runs = pending(&plan, &Standing::new());
        runs.into_iter().flat_map(|run| [50, 200, 100].map(|steps| of(run.clone(), steps))).collect()
    }

    #[test]
    fn runs_of_one_trunk_are_one_job_and_count_once() {
        let shape = |jobs: &[PlannedJob]| -> Vec<Vec<(u64, u64)>> {
            let job = |job: &PlannedJob| job.runs.iter().map(|run| (run.config.steps, run.shared_steps)).collect();
            jobs.iter().map(job).collect()
        };
        let lane = [(200, 0), (100, 80), (50, 40)];
        let alone = jobs(budgets(&[0, 1]), true, 1, 2);
        assert_eq!(shape(&alone), [lane, lane]);
        assert_eq!((alone[0].train_flops(), alone[0].parts(), alone[0].leaders().count()), (200.0 + 20.0 + 10.0, 3, 1));
        let packed = jobs(budgets(&[0, 1]), true, 16, 1);
        assert_eq!(shape(&packed), [[lane, lane].concat()]);
        assert_eq!((packed[0].parts(), packed[0].leaders().count()), (3, 2));
        assert_eq!(shape(&jobs(budgets(&[0]), false, 1, 2)), [[(200, 0)], [(100, 0)], [(50, 0)]]);
        // A run that has left the trunk is a job of its own, also when the rest is tried again.
        let mut runs = budgets(&[0]);
        (runs[2].step, runs[2].shared_steps) = (80, 80);
        assert_eq!(shape(&jobs(runs, true, 1, 1)), [vec![(200, 0), (50, 40)], vec![(100, 80)]]);
    }

    #[test]
    fn a_run_of_a_script_is_a_job_by_itself() {
        let mut runs = budgets(&[0, 1]);
        runs.iter_mut().for_each(|run| run.config.model.name = Named::SCRIPT.into());
        let jobs = jobs(runs, true, 16, 1);
        assert_eq!(jobs.len(), 6);
        assert!(jobs.iter().all(|job| job.runs.len() == 1 && job.trained_by() == TrainedBy::Script));
        assert!(jobs.iter().all(|job| job.runs[0].shared_steps == 0));
    }

    #[test]
    fn ended_runs_are_left_alone_and_attempts_are_counted_on() {
        let plan = sample::plan(&["convnet"], &[100], &[1e-3], &[0, 1, 2, 3]);
        let states = [State::Done, State::Diverged { step: 3 }, State::Failed { reason: "x".into() }, State::Running];
        let standing =
            plan.runs.iter().zip(states).map(|(run, state)| (run.id.clone(), (state, 2))).collect::<Standing>();
        let left: Vec<_> = pending(&plan, &standing).into_iter().map(|run| (run.id, run.attempt)).collect();
        assert_eq!(left, [(plan.runs[2].id.clone(), 3), (plan.runs[3].id.clone(), 3)]);
    }
}
