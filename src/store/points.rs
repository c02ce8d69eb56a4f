//! From runs to what analysis eats: final evaluations, with tuned keys chosen on the validation split. What is
//! left out is said, with the reason; nothing is dropped in silence.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::choice::{self, Chosen, Contest};
use super::query::Run;
use super::sizes::{Shapes, Sizes};
use super::state::State;
use super::timing::Timing;
use super::{Reader, Sweep};
use crate::error::{Error, Result, nearest};
use crate::point::{Axis, Made, Point};
use crate::run::Settings;

/// Tuned values are compared by this metric, the mean over seeds after the last step.
pub(super) const CHOSEN_BY: &str = "val_loss";

#[derive(Clone, Debug, Default)]
pub struct Points {
    pub points: Vec<Point>,
    /// All curves of the sweep in its order, also those without a point.
    pub curves: Vec<String>,
    pub shapes: Shapes,
    /// One for each cell with tuned keys.
    pub choices: Vec<Choice>,
    pub left_out: Vec<LeftOut>,
    /// Cells of which another of the same curve and scale has a lower validation loss.
    pub outshone: Vec<LeftOut>,
    pub contest: Contest,
    /// What the runs were trained on, where seconds are the scale.
    pub devices: BTreeSet<String>,
}

/// What was chosen for one cell: the tuned values with the lowest mean validation loss over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub curve: String,
    pub cell: String,
    pub tuned: Settings,
    /// Mean over seeds, in nats per example.
    pub val_loss: f64,
    /// Tuned keys whose chosen value is the smallest or the largest tried: the best may lie beyond.
    pub at_edge: Vec<String>,
    /// The runs reported.
    pub runs: Vec<String>,
}

/// A run or a whole cell that gives no point.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    pub what: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// A cell of which these many runs have not ended.
    Waiting {
        waiting: usize,
        of: usize,
    },
    NotEnded,
    NotFinite {
        step: u64,
    },
    Failed {
        reason: String,
    },
    NoMetric {
        metric: String,
    },
    /// No attempt of its runs says how long it took.
    NoTime,
    /// Its script does not say what this axis is of it.
    NoScale {
        axis: Axis,
    },
    /// Another cell of its curve is better at its scale.
    Outshone {
        by: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Waiting { waiting, of } => write!(f, "{waiting} of its {of} runs have not ended"),
            Why::NotEnded => write!(f, "it has not ended"),
            Why::NotFinite { step } => write!(f, "its loss was not finite at step {step}"),
            Why::Failed { reason } => write!(f, "it failed: {reason}"),
            Why::NoMetric { metric } => write!(f, "it has no '{metric}' after its last step"),
            Why::NoScale { axis } => {
                let key = if *axis == Axis::Params { "params" } else { "forward_flops" };
                write!(f, "its script does not say its `{key}`, so it has no place along this axis")
            }
            Why::NoTime => write!(f, "no attempt of its runs says how long it took"),
            Why::Outshone { by } => write!(f, "{by} has a lower validation loss at this scale"),
        }
    }
}

impl Reader {
    /// `metric` after the last step of each run that was chosen. A cell with unfinished runs is left out. With an axis,
    /// the cells of a curve that share a scale (other sizes at equal data, other data at equal compute) are minimised
    /// over too: what the curve can do at that scale.
    ///
    /// # Errors
    /// No such sweep, or no run of it has this metric.
    pub fn points(&self, sweep: &str, metric: &str, axis: Option<Axis>, sizes: Sizes) -> Result<Points> {
        let Sweep { tuned, .. } = self.sweep(sweep)?;
        let runs = self.runs(sweep)?;
        let values = self.final_values(sweep, metric)?;
        if values.is_empty() && runs.iter().any(|run| run.state == State::Done) {
            return Err(self.unknown_metric(sweep, metric));
        }
        let val_loss = self.final_values(sweep, CHOSEN_BY)?;
        let shapes = Shapes::of(&runs);
        let curve = |run: &Run| shapes.curve(&run.curve, &run.config.model, sizes);
        let mut found = Points { curves: in_order(runs.iter().map(&curve)), ..Points::default() };
        let mut chosen = choice::best_of_cells(&runs, &tuned, &val_loss, &mut found.left_out);
        if axis == Some(Axis::Seconds) {
            chosen = self.timed(chosen, &mut found)?;
        }
        if let Some(axis) = axis {
            let (known, unknown) = chosen.into_iter().partition(|chosen| chosen.scale(axis) > 0.0);
            chosen = known;
            let why = |chosen: Chosen| LeftOut { what: choice::name(chosen.cell[0]), why: Why::NoScale { axis } };
            found.left_out.extend(Vec::into_iter(unknown).map(why));
            (chosen, found.contest) = choice::best_at_each_scale(chosen, axis, curve, &mut found.outshone);
        }
        for chosen in chosen {
            let made = Made {
                size: shapes.size(&chosen.cell[0].curve, &chosen.cell[0].config.model),
                tuned: chosen.best.tuned.clone(),
                steps: Some(chosen.cell[0].config.steps),
                best_of: chosen.best_of,
            };
            found.add(&chosen, &curve(chosen.cell[0]), Arc::new(made), &values, metric);
            if !tuned.is_empty() && chosen.best.val_loss.is_finite() {
                found.choices.push(choice(&chosen, &tuned));
            }
        }
        found.shapes = shapes;
        Ok(found)
    }

    /// The cells with how long their runs took; those of which no run says it are left out.
    fn timed<'r>(&self, cells: Vec<Chosen<'r>>, found: &mut Points) -> Result<Vec<Chosen<'r>>> {
        let mut timed = Vec::new();
        for mut chosen in cells {
            let mut seconds = Vec::new();
            for run in &chosen.best.runs {
                if let Some(timing) = Timing::of(run, &self.attempts(&run.id)?) {
                    seconds.push(timing.seconds);
                    found.devices.extend(timing.devices);
                }
            }
            if seconds.is_empty() {
                found.left_out.push(LeftOut { what: choice::name(chosen.cell[0]), why: Why::NoTime });
                continue;
            }
            chosen.seconds = Some(seconds.iter().sum::<f64>() / seconds.len() as f64);
            timed.push(chosen);
        }
        Ok(timed)
    }

    /// The value after the last step of each run of the sweep that has one.
    pub(super) fn final_values(&self, sweep: &str, metric: &str) -> Result<HashMap<String, f64>> {
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
    fn add(&mut self, chosen: &Chosen, curve: &str, made: Arc<Made>, values: &HashMap<String, f64>, metric: &str) {
        for run in &chosen.best.runs {
            match (values.get(&run.id), &run.state) {
                (Some(value), _) => self.points.push(point(run, chosen, curve, &made, *value)),
                (None, State::Diverged { step }) => self.leave_out(run, Why::NotFinite { step: *step }),
                (None, State::Failed { reason }) => self.leave_out(run, Why::Failed { reason: reason.clone() }),
                (None, State::Done) => self.leave_out(run, Why::NoMetric { metric: metric.to_owned() }),
                (None, _) => self.leave_out(run, Why::NotEnded),
            }
        }
    }

    fn leave_out(&mut self, run: &Run, why: Why) {
        self.left_out.push(LeftOut { what: format!("run {} ({})", run.id, choice::name(run)), why });
    }
}

fn point(run: &Run, chosen: &Chosen, curve: &str, made: &Arc<Made>, value: f64) -> Point {
    // 0 is what a script does not say.
    let scale = |axis| Some(chosen.scale(axis)).filter(|scale| *scale > 0.0);
    Point {
        curve: curve.to_owned(),
        params: scale(Axis::Params),
        data: scale(Axis::Data),
        seen: Some(run.config.seen() as f64),
        compute: scale(Axis::Compute),
        seconds: chosen.seconds,
        value,
        seed: i64::try_from(run.config.seed).ok(),
        source: run.id.clone(),
        made: Some(made.clone()),
    }
}

fn choice(chosen: &Chosen, tuned: &[String]) -> Choice {
    Choice {
        curve: chosen.cell[0].curve.clone(),
        cell: chosen.cell[0].cell.clone(),
        tuned: chosen.best.tuned.clone(),
        val_loss: chosen.best.val_loss,
        at_edge: choice::at_edge(chosen, tuned),
        runs: chosen.best.runs.iter().map(|run| run.id.clone()).collect(),
    }
}

fn in_order(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}
