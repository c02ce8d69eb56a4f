//! Runs of about the same compute, which make one profile.

use std::collections::HashSet;

use crate::fit::data::curve::Curve;

/// Budgets that differ by less than this share are one cell.
const SAME_BUDGET: f64 = 0.1;

/// No cell spans more, as a difference of logarithms: half as much again.
const WIDEST_BUDGET: f64 = 0.405;

/// The runs of one budget, by N.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Mean of ln C.
    pub ln_compute: f64,
    /// (ln N, loss).
    pub points: Vec<(f64, f64)>,
    /// The place of each in the curve's sample.
    pub observations: Vec<usize>,
}

struct Run {
    ln_compute: f64,
    ln_n: f64,
    loss: f64,
    observation: usize,
}

pub fn budgets(curve: &Curve) -> Vec<Budget> {
    let sample = &curve.sample;
    let columns = sample.ln_x.iter().zip(&sample.ln_y).enumerate();
    let mut runs: Vec<Run> = columns
        .map(|(observation, (ln_x, ln_y))| Run { ln_compute: ln_x[0], ln_n: ln_x[1], loss: ln_y.exp(), observation })
        .collect();
    let by_size = |a: &Run, b: &Run| a.ln_n.total_cmp(&b.ln_n).then(a.loss.total_cmp(&b.loss));
    runs.sort_by(|a, b| a.ln_compute.total_cmp(&b.ln_compute).then(by_size(a, b)));
    runs.chunk_by(|a, b| b.ln_compute - a.ln_compute < SAME_BUDGET)
        .flat_map(narrow)
        .map(|cell| {
            let ln_compute = cell.iter().map(|run| run.ln_compute).sum::<f64>() / cell.len() as f64;
            let mut cell: Vec<&Run> = cell.iter().collect();
            cell.sort_by(|a, b| by_size(a, b));
            Budget {
                ln_compute,
                points: cell.iter().map(|run| (run.ln_n, run.loss)).collect(),
                observations: cell.iter().map(|run| run.observation).collect(),
            }
        })
        .collect()
}

/// Budgets in a row that lie near each other and reach far: parted at the widest gap until none spans too much. Not near
/// an end: each part is narrower by a quarter at least, however many there are.
fn narrow(cell: &[Run]) -> Vec<&[Run]> {
    let (low, high) = (cell[0].ln_compute, cell[cell.len() - 1].ln_compute);
    let margin = 0.25 * (high - low);
    let gap = |i: &usize| cell[*i].ln_compute - cell[i - 1].ln_compute;
    let middle =
        (1..cell.len()).filter(|i| cell[*i].ln_compute > low + margin && cell[i - 1].ln_compute < high - margin);
    match middle.max_by(|a, b| gap(a).total_cmp(&gap(b))) {
        Some(widest) if high - low > WIDEST_BUDGET => {
            let (smaller, larger) = cell.split_at(widest);
            [narrow(smaller), narrow(larger)].concat()
        }
        _ => vec![cell],
    }
}

impl Budget {
    /// The budget without some of the sample's observations.
    pub fn without(&self, out: &HashSet<usize>) -> Budget {
        let both = self.points.iter().zip(&self.observations).filter(|(_, observation)| !out.contains(observation));
        let (points, observations) = both.map(|(point, observation)| (*point, *observation)).unzip();
        Budget { ln_compute: self.ln_compute, points, observations }
    }

    /// Each size once: (ln N, mean of ln loss, runs).
    pub fn sizes(&self) -> Vec<(f64, f64, f64)> {
        sizes(&self.points)
    }
}

/// Each size of (ln N, loss), which are in order, once: (ln N, mean of ln loss, runs).
pub fn sizes(points: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
    let mean = |same: &[(f64, f64)]| {
        let count = same.len() as f64;
        (same[0].0, same.iter().map(|point| point.1.ln()).sum::<f64>() / count, count)
    };
    points.chunk_by(|a, b| a.0 == b.0).map(mean).collect()
}
