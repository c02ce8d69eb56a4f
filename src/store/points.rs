//! From runs to what analysis eats: final evaluations, with tuned keys chosen on the validation split. What is
//! left out is said, with the reason; nothing is dropped in silence.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::query::Run;
use super::state::State;
use super::{Reader, Sweep};
use crate::error::{Error, Result, nearest};
use crate::point::{Axis, Point};

/// Tuned values are compared by this metric, the mean over seeds after the last step.
const CHOSEN_BY: &str = "val_loss";

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    pub points: Vec<Point>,
    /// One for each cell with tuned keys.
    pub choices: Vec<Choice>,
    pub left_out: Vec<LeftOut>,
    /// Cells of which another with the same label and scale has a lower validation loss.
    pub outshone: Vec<LeftOut>,
}

/// What was chosen for one cell: the tuned values with the lowest mean validation loss over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    pub label: String,
    pub cell: String,
    pub tuned: BTreeMap<String, serde_json::Value>,
    /// Mean over seeds, in nats per example.
    pub val_loss: f64,
    /// Tuned keys whose chosen value is the smallest or the largest tried: the best may lie beyond.
    pub at_edge: Vec<String>,
    /// The runs reported.
    pub runs: Vec<String>,
}

/// A run or a whole cell that gives no point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    pub what: String,
    pub reason: String,
}

/// Runs of a cell with equal tuned values, one for each seed.
struct Candidate<'r> {
    tuned: BTreeMap<String, serde_json::Value>,
    runs: Vec<&'r Run>,
    /// Runs without a final validation loss: they diverged or failed.
    lost: usize,
    val_loss: f64,
}

impl Reader {
    /// `metric` after the last step of each run that was chosen. A cell with unfinished runs is left out: choosing from
    /// a part of its grid would be a choice among fewer. With an axis, the cells of a label that share a scale (other
    /// sizes at equal data, other data at equal compute) are minimised over too: what the label can do at that scale.
    ///
    /// # Errors
    /// No such sweep, or no run of it has this metric.
    pub fn points(&self, sweep: &str, metric: &str, axis: Option<Axis>) -> Result<Points> {
        let Sweep { tuned, .. } = self.sweep(sweep)?;
        let runs = self.runs(sweep)?;
        let values = self.final_values(sweep, metric)?;
        if values.is_empty() && runs.iter().any(|run| run.state == State::Done) {
            return Err(self.unknown_metric(sweep, metric));
        }
        let val_loss = self.final_values(sweep, CHOSEN_BY)?;
        let mut found = Points::default();
        let mut chosen = Vec::new();
        for cell in cells(&runs) {
            let waiting = cell.iter().filter(|run| !settled(run)).count();
            if waiting > 0 && (waiting == cell.len() || !tuned.is_empty()) {
                let reason = format!("{waiting} of its {} runs have not ended", cell.len());
                found.left_out.push(LeftOut { what: name(cell[0]), reason });
                continue;
            }
            if let Some(best) = best(candidates(&cell, &tuned, &val_loss)) {
                chosen.push((cell, best));
            }
        }
        if let Some(axis) = axis {
            chosen = lowest_at_each_scale(chosen, axis, &mut found.outshone);
        }
        for (cell, best) in chosen {
            found.add(&best, &values, metric);
            if !tuned.is_empty() && best.val_loss.is_finite() {
                found.choices.push(choice(&cell, &best, &tuned));
            }
        }
        Ok(found)
    }

    /// The value after the last step of each run of the sweep that has one.
    fn final_values(&self, sweep: &str, metric: &str) -> Result<HashMap<String, f64>> {
        let rows = self.rows(
            "SELECT runs.id, value FROM sweeps JOIN sweep_runs ON sweep = sweeps.key
             JOIN runs ON runs.key = sweep_runs.run
             JOIN metric_names ON metric_names.name = ?2
             JOIN metrics ON metrics.run = runs.key AND metrics.step = runs.steps AND metric = metric_names.key
             WHERE sweeps.name = ?1 AND state = 'done'",
            (sweep, metric),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    fn unknown_metric(&self, sweep: &str, metric: &str) -> Error {
        let names: Vec<String> =
            self.rows("SELECT name FROM metric_names ORDER BY name", [], |row| row.get(0)).unwrap_or_default();
        let hint = match nearest(metric, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'? There are: {}", names.join(", ")),
            None => format!("there are: {}", names.join(", ")),
        };
        Error::bad_input(format!("no run of sweep '{sweep}' has a final value of '{metric}'")).hint(hint)
    }
}

impl Points {
    fn add(&mut self, chosen: &Candidate, values: &HashMap<String, f64>, metric: &str) {
        for run in &chosen.runs {
            match (values.get(&run.id), &run.state) {
                (Some(value), _) => self.points.push(point(run, *value)),
                (None, State::Diverged { step }) => {
                    self.leave_out(run, format!("its loss was not finite at step {step}"));
                }
                (None, State::Failed { reason }) => self.leave_out(run, format!("it failed: {reason}")),
                (None, State::Done) => self.leave_out(run, format!("it has no '{metric}' after its last step")),
                (None, _) => self.leave_out(run, "it has not ended".into()),
            }
        }
    }

    fn leave_out(&mut self, run: &Run, reason: String) {
        self.left_out.push(LeftOut { what: format!("run {} ({})", run.id, name(run)), reason });
    }
}

fn point(run: &Run, value: f64) -> Point {
    Point {
        curve: run.label.clone(),
        params: Some(run.costs.params as f64),
        data: Some(run.config.examples as f64),
        compute: Some(run.train_flops),
        value,
        seed: i64::try_from(run.config.seed).ok(),
        source: run.id.clone(),
    }
}

type Chosen<'r> = (Vec<&'r Run>, Candidate<'r>);

/// Of the cells of a label at one scale, the one with the lowest validation loss.
fn lowest_at_each_scale<'r>(cells: Vec<Chosen<'r>>, axis: Axis, outshone: &mut Vec<LeftOut>) -> Vec<Chosen<'r>> {
    let mut lowest: Vec<Chosen<'r>> = Vec::new();
    for (cell, best) in cells {
        let scale = |run: &Run| (run.label.clone(), point(run, 0.0).x(axis).map(f64::to_bits));
        let Some(rival) = lowest.iter_mut().find(|(other, _)| scale(other[0]) == scale(cell[0])) else {
            lowest.push((cell, best));
            continue;
        };
        let wins = (best.lost, best.val_loss) < (rival.1.lost, rival.1.val_loss);
        let loser = if wins { std::mem::replace(rival, (cell, best)) } else { (cell, best) };
        let reason = format!("{} has a lower validation loss at this scale", name(rival.0[0]));
        outshone.push(LeftOut { what: name(loser.0[0]), reason });
    }
    lowest
}

fn settled(run: &Run) -> bool {
    run.state.is_final() || matches!(run.state, State::Failed { .. })
}

fn name(run: &Run) -> String {
    format!("{}, {} params, {} examples, {} steps", run.label, run.costs.params, run.config.examples, run.config.steps)
}

/// Runs by label and cell, in the plan's order.
fn cells(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut index = HashMap::new();
    let mut cells: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        let at = *index.entry((&run.label, &run.cell)).or_insert(cells.len());
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
        let values: BTreeMap<_, _> =
            tuned.iter().map(|key| (key.clone(), run.setting(key).unwrap_or_default())).collect();
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

fn choice(cell: &[&Run], best: &Candidate, tuned: &[String]) -> Choice {
    let at_edge = tuned.iter().filter(|key| {
        let grid: Vec<f64> =
            cell.iter().filter_map(|run| run.setting(key).as_ref().and_then(serde_json::Value::as_f64)).collect();
        let (low, high) = grid.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
        let chosen = best.tuned.get(*key).and_then(serde_json::Value::as_f64);
        low < high && (chosen == Some(low) || chosen == Some(high))
    });
    Choice {
        label: cell[0].label.clone(),
        cell: cell[0].cell.clone(),
        tuned: best.tuned.clone(),
        val_loss: best.val_loss,
        at_edge: at_edge.cloned().collect(),
        runs: best.runs.iter().map(|run| run.id.clone()).collect(),
    }
}
