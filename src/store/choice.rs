//! What stands for a curve: of each cell the tuned values with the lowest validation loss, of each scale the cell.

use std::collections::{BTreeMap, HashMap};

use super::points::{LeftOut, Why};
use super::query::Run;
use super::state::State;
use crate::budget::LEFT_OVER;
use crate::point::Axis;
use crate::run::Settings;

/// Seconds that differ by less than this factor are one scale.
const ALIKE: f64 = 1.1;

/// Runs of a cell with equal tuned values, one for each seed.
#[derive(Clone)]
pub(super) struct Candidate<'r> {
    pub tuned: Settings,
    pub runs: Vec<&'r Run>,
    /// Runs without a final validation loss: they diverged or failed.
    pub lost: usize,
    pub val_loss: f64,
}

/// A cell by the best of its candidates.
#[derive(Clone)]
pub(super) struct Chosen<'r> {
    pub cell: Vec<&'r Run>,
    pub best: Candidate<'r>,
    /// Training seconds, the mean over the best candidate's runs; only where they are the scale.
    pub seconds: Option<f64>,
    /// Cells of the curve at this scale, itself among them.
    pub best_of: usize,
}

/// What was chosen among, where one cell stands for others at its scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contest {
    /// Scales at which some curve had more than one cell.
    pub scales: usize,
    /// The most cells that a curve had at one scale.
    pub most: usize,
    /// Whether they differed in the model, in the training steps, in the number of examples.
    pub sizes: bool,
    pub budgets: bool,
    pub examples: bool,
}

/// Of each cell whose runs have ended the best candidate; the others are left out: choosing from a part of its grid
/// would be a choice among fewer.
pub(super) fn best_of_cells<'r>(
    runs: &'r [Run],
    tuned: &[String],
    val_loss: &HashMap<String, f64>,
    left_out: &mut Vec<LeftOut>,
) -> Vec<Chosen<'r>> {
    let mut chosen = Vec::new();
    for cell in cells(runs) {
        let waiting = cell.iter().filter(|run| !settled(run)).count();
        if waiting > 0 && (waiting == cell.len() || !tuned.is_empty()) {
            left_out.push(LeftOut { what: name(cell[0]), why: Why::Waiting { waiting, of: cell.len() } });
        } else if let Some(best) = best(candidates(&cell, tuned, val_loss)) {
            chosen.push(Chosen { cell, best, seconds: None, best_of: 1 });
        }
    }
    chosen
}

/// Of the cells of a curve at one scale the one with the lowest validation loss; the others are `outshone`.
pub(super) fn best_at_each_scale<'r>(
    cells: Vec<Chosen<'r>>,
    axis: Axis,
    curve: impl Fn(&Run) -> String,
    outshone: &mut Vec<LeftOut>,
) -> (Vec<Chosen<'r>>, Contest) {
    let mut lowest: Vec<Chosen<'r>> = Vec::new();
    let mut at: HashMap<(String, u64), usize> = HashMap::new();
    let mut contest = Contest::default();
    let mut contested: Vec<u64> = Vec::new();
    let budgets = budgets(&cells, axis, &curve);
    for chosen in cells {
        let curve = curve(chosen.cell[0]);
        let scale = budget(budgets.get(&curve), chosen.scale(axis)).to_bits();
        let place = *at.entry((curve, scale)).or_insert(lowest.len());
        let Some(rival) = lowest.get_mut(place) else {
            lowest.push(chosen);
            continue;
        };
        contest.met(rival.cell[0], chosen.cell[0]);
        contested.push(scale);
        let best_of = rival.best_of + 1;
        let wins = (chosen.best.lost, chosen.best.val_loss) < (rival.best.lost, rival.best.val_loss);
        let loser = if wins { std::mem::replace(rival, chosen) } else { chosen };
        rival.best_of = best_of;
        contest.most = contest.most.max(best_of);
        outshone.push(LeftOut { what: name(loser.cell[0]), why: Why::Outshone { by: name(rival.cell[0]) } });
    }
    if axis == Axis::Seconds {
        lowest = unbeaten(lowest, &curve, outshone);
    }
    contested.sort_unstable();
    contested.dedup();
    contest.scales = contested.len();
    (lowest, contest)
}

/// Without the cells that another size of their curve beats in no more seconds: sizes do not meet at a time as they do at
/// a budget, and what a curve can do by then is the best of all that took no longer.
fn unbeaten<'r>(
    cells: Vec<Chosen<'r>>,
    curve: &impl Fn(&Run) -> String,
    outshone: &mut Vec<LeftOut>,
) -> Vec<Chosen<'r>> {
    let beats = |a: &Chosen, b: &Chosen| {
        curve(a.cell[0]) == curve(b.cell[0])
            && a.cell[0].config.model != b.cell[0].config.model
            && a.seconds <= b.seconds
            && (a.best.lost, a.best.val_loss) < (b.best.lost, b.best.val_loss)
    };
    let winner: Vec<Option<String>> = (cells.iter())
        .map(|cell| cells.iter().find(|other| beats(other, cell)).map(|other| name(other.cell[0])))
        .collect();
    let mut left = Vec::new();
    for (cell, winner) in cells.into_iter().zip(winner) {
        match winner {
            Some(by) => outshone.push(LeftOut { what: name(cell.cell[0]), why: Why::Outshone { by } }),
            None => left.push(cell),
        }
    }
    left
}

/// The scales at which cells of a curve meet, in order. Whole steps spend a FLOP budget to within a share
/// ([`LEFT_OVER`]), and differently for each size, so compute that differs by less is one budget: its smallest. So are
/// seconds, which are measured.
fn budgets(cells: &[Chosen], axis: Axis, curve: &impl Fn(&Run) -> String) -> HashMap<String, Vec<f64>> {
    let mut budgets: HashMap<String, Vec<f64>> = HashMap::new();
    for chosen in cells {
        budgets.entry(curve(chosen.cell[0])).or_default().push(chosen.scale(axis));
    }
    let most = match axis {
        Axis::Compute => 1.0 / (1.0 - LEFT_OVER),
        Axis::Seconds => ALIKE,
        Axis::Params | Axis::Data => 1.0,
    };
    for scales in budgets.values_mut() {
        scales.sort_by(f64::total_cmp);
        scales.dedup_by(|next, first| *next <= *first * most);
    }
    budgets
}

fn budget(budgets: Option<&Vec<f64>>, scale: f64) -> f64 {
    let below = budgets.and_then(|all| all.get(all.partition_point(|budget| *budget <= scale).checked_sub(1)?));
    below.copied().unwrap_or(scale)
}

impl Contest {
    /// Of two studies together.
    pub fn with(self, other: &Contest) -> Contest {
        Contest {
            scales: self.scales + other.scales,
            most: self.most.max(other.most),
            sizes: self.sizes || other.sizes,
            budgets: self.budgets || other.budgets,
            examples: self.examples || other.examples,
        }
    }

    fn met(&mut self, a: &Run, b: &Run) {
        self.sizes |= a.config.model != b.config.model;
        self.budgets |= a.config.steps != b.config.steps;
        self.examples |= a.config.data() != b.config.data();
    }
}

impl Chosen<'_> {
    pub fn scale(&self, axis: Axis) -> f64 {
        let run = self.cell[0];
        match axis {
            Axis::Params => run.costs.params as f64,
            Axis::Data => run.config.data() as f64,
            Axis::Compute => run.train_flops,
            Axis::Seconds => self.seconds.unwrap_or(f64::NAN),
        }
    }
}

fn settled(run: &Run) -> bool {
    run.state.is_final() || matches!(run.state, State::Failed { .. })
}

pub(super) fn name(run: &Run) -> String {
    format!("{}, {} params, {} examples, {} steps", run.curve, run.costs.params, run.config.data(), run.config.steps)
}

/// Runs by curve and cell, in the plan's order.
fn cells(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut index = HashMap::new();
    let mut cells: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        let at = *index.entry((&run.curve, &run.cell)).or_insert(cells.len());
        if at == cells.len() {
            cells.push(Vec::new());
        }
        cells[at].push(run);
    }
    cells
}

fn candidates<'r>(cell: &[&'r Run], tuned: &[String], val_loss: &HashMap<String, f64>) -> Vec<Candidate<'r>> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for &run in cell {
        let values: Settings = tuned.iter().map(|key| (key.clone(), run.setting(key).unwrap_or_default())).collect();
        match candidates.iter_mut().find(|candidate| candidate.tuned == values) {
            Some(candidate) => candidate.runs.push(run),
            None => candidates.push(Candidate { tuned: values, runs: vec![run], lost: 0, val_loss: f64::NAN }),
        }
    }
    for candidate in &mut candidates {
        let losses: Vec<f64> = candidate.runs.iter().filter_map(|run| val_loss.get(&run.id).copied()).collect();
        candidate.lost = candidate.runs.len() - losses.len();
        candidate.val_loss = losses.iter().sum::<f64>() / losses.len() as f64;
    }
    candidates
}

/// A value that loses a seed is worse than any that loses fewer: its mean is over the lucky ones.
fn best(candidates: Vec<Candidate>) -> Option<Candidate> {
    candidates.into_iter().min_by(|a, b| a.lost.cmp(&b.lost).then(a.val_loss.total_cmp(&b.val_loss)))
}

/// Tuned keys whose chosen value is the smallest or the largest tried.
pub(super) fn at_edge(chosen: &Chosen, tuned: &[String]) -> Vec<String> {
    let is_at_edge = |key: &&String| {
        let tried = chosen.cell.iter().filter_map(|run| run.setting(key).as_ref().and_then(serde_json::Value::as_f64));
        let (low, high) = tried.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        let value = chosen.best.tuned.get(*key).and_then(serde_json::Value::as_f64);
        low < high && (value == Some(low) || value == Some(high))
    };
    tuned.iter().filter(is_at_edge).cloned().collect()
}

/// The axes over which each run stands for its curve; no entry for runs of cells that wait for others, an empty one
/// for runs whose tuned values were not chosen and those that others outshine.
pub(super) type StandsFor = BTreeMap<String, Standing>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// Whether its tuned values are the best of its cell.
    pub chosen: bool,
    pub over: Vec<Axis>,
}

pub(super) fn standing(runs: &[Run], tuned: &[String], val_loss: &HashMap<String, f64>) -> StandsFor {
    let cells = best_of_cells(runs, tuned, val_loss, &mut Vec::new());
    let of_cell = cells.iter().flat_map(|chosen| chosen.cell.iter().map(|run| (run.id.clone(), Standing::default())));
    let mut standing: StandsFor = of_cell.collect();
    let mut mark = |cells: &[Chosen], mark: &dyn Fn(&mut Standing)| {
        for run in cells.iter().flat_map(|chosen| &chosen.best.runs) {
            standing.entry(run.id.clone()).and_modify(mark);
        }
    };
    mark(&cells, &|standing| standing.chosen = true);
    for axis in [Axis::Params, Axis::Data, Axis::Compute] {
        let (best, _) = best_at_each_scale(cells.clone(), axis, |run| run.curve.clone(), &mut Vec::new());
        mark(&best, &|standing| standing.over.push(axis));
    }
    standing
}
