//! On how many runs a fit rests, scale by scale: what the checkpoints of one run tell of another.
//!
//! Runs differ as a whole (initial values, order of data), so the checkpoints of one run are wrong together, and the fit
//! follows them. Resampling can only show that where several runs hold the curve: with the signs of one run's residuals
//! flipped, or one run drawn again and again, the resamples lie where the estimate does. How strongly each run holds a
//! statistic s is W_g = ∇s · (Xᵀ X)⁻¹ Σ_i x_i over its observations, by how much s moves where all of that run moves;
//! (Σ W²)² / Σ W⁴ is then the number of equally strong runs that it rests on (as Satterthwaite counts degrees of freedom).
//! Where it is too small nothing is established and no interval made. A point for each run is another case: their
//! residuals stand for one another.

use std::collections::HashMap;

use crate::fit::laws::frontier::unbeaten;
use crate::fit::laws::law::{Domain, Law, MAX_PARAMS, Theta};
use crate::fit::solve::objective::Objective;
use crate::fit::solve::search::{Matrix, cholesky, solve_factored};
use crate::fit::uncertainty::bootstrap::{FEWEST_DRAWN, Fitted, Resampling, distinct};
use crate::fit::verdict::Verdict;

/// Runs that flipping signs takes; see `PAIRED_FROM` of `bootstrap`.
const FEWEST_FLIPPED: usize = 2;

/// Runs that hold a statistic nearly alike count as many.
const SLACK: f64 = 0.9;

/// Runs beyond this number are dealt into as many blocks.
const BLOCKS: usize = 1000;

/// Scales at which a curve is asked what it rests on.
const STEPS: usize = 96;

/// How strongly each run holds the parameters; empty where nothing is held against the resamples.
#[derive(Clone, Debug, Default)]
pub struct Support {
    pulls: Vec<Theta>,
    runs: usize,
    /// Of runs that hold a statistic.
    need: usize,
}

impl Support {
    pub fn of(curve: &Fitted<'_>, way: Resampling) -> Self {
        let runs = distinct(curve.units);
        let single = runs == curve.units.len();
        let need = if way == Resampling::Runs { FEWEST_DRAWN } else { FEWEST_FLIPPED };
        if single && (way != Resampling::Runs || runs >= need) {
            return Self::default();
        }
        let pulls = if single { vec![Theta::default()] } else { pulls(curve) };
        Self { pulls, runs, need }
    }

    /// Whether enough runs hold a statistic with this gradient by the parameters.
    pub fn holds(&self, gradient: &Theta) -> bool {
        if self.pulls.is_empty() {
            return true;
        }
        let (mut squares, mut fourths) = (0.0, 0.0);
        for pull in &self.pulls {
            let square = pull.iter().zip(gradient).map(|(a, b)| a * b).sum::<f64>().powi(2);
            squares += square;
            fourths += square * square;
        }
        squares * squares >= SLACK * self.need as f64 * fourths && fourths > 0.0
    }

    /// The same of any function of the parameters.
    pub fn tells(&self, theta: &Theta, statistic: &dyn Fn(&Theta) -> f64) -> bool {
        let slope = |i: usize| {
            let step = 1e-4 * (theta[i].abs() + 1e-2);
            let at = |by: f64| {
                let mut moved = *theta;
                moved[i] += by;
                statistic(&moved)
            };
            (at(step) - at(-step)) / (2.0 * step)
        };
        self.pulls.is_empty() || self.holds(&std::array::from_fn(slope))
    }

    /// Whether a curve at ln x is held.
    pub fn holds_at(&self, law: &dyn Law, theta: &Theta, ln_x: f64) -> bool {
        let mut slope = Theta::default();
        self.pulls.is_empty() || {
            law.ln_loss(theta, &[ln_x, 0.0, 0.0], &mut slope);
            self.holds(&slope)
        }
    }

    /// Whether none of the observations lies where the fit is held.
    pub fn nowhere(&self, curve: &Fitted<'_>) -> bool {
        let mut slope = Theta::default();
        let apart = curve.sample.len().div_ceil(STEPS).max(1);
        !self.pulls.is_empty()
            && curve.sample.ln_x.iter().step_by(apart).all(|ln_x| {
                curve.solver.law.ln_loss(&curve.best, ln_x, &mut slope);
                !self.holds(&slope)
            })
    }

    /// That nothing is tested, or of a curve between which of its scales.
    pub fn verdicts(&self, law: &dyn Law, theta: &Theta, range: (f64, f64), nowhere: bool) -> Vec<Verdict> {
        let untested = |scales: Option<(f64, f64)>| Verdict::Untested {
            runs: self.runs,
            need: self.need,
            from: scales.map(|scales| scales.0.exp()),
            to: scales.map(|scales| scales.1.exp()),
        };
        if nowhere {
            return vec![untested(None)];
        }
        if self.pulls.is_empty() || !matches!(law.domain(), Domain::Curve | Domain::Frontier) {
            return Vec::new();
        }
        let at = |i: usize| range.0 + (range.1 - range.0) * i as f64 / STEPS as f64;
        let mut open: Vec<(f64, f64)> = Vec::new();
        let mut held = true;
        for i in 0..=STEPS {
            let here = self.holds_at(law, theta, at(i));
            match open.last_mut() {
                Some(last) if !here && !held => last.1 = at(i),
                _ if !here => open.push((at(i), at(i))),
                _ => {}
            }
            held = here;
        }
        open.into_iter().map(|scales| untested(Some(scales))).collect()
    }
}

/// By how much the parameters move where all observations of a run move, run by run.
fn pulls(curve: &Fitted<'_>) -> Vec<Theta> {
    let Fitted { solver, sample, units, best, .. } = curve;
    let count = solver.law.params().len();
    let used: Vec<usize> = match solver.law.domain() {
        Domain::Frontier => unbeaten(sample),
        Domain::Curve | Domain::Surface | Domain::Repeated => (0..sample.len()).collect(),
    };
    let mut number: HashMap<usize, usize> = HashMap::new();
    let mut scores: Vec<Theta> = Vec::new();
    let mut information: Matrix = [[0.0; MAX_PARAMS]; MAX_PARAMS];
    let mut slope = Theta::default();
    for i in used {
        let ln_f = solver.law.ln_loss(best, &sample.ln_x[i], &mut slope);
        let weight = match solver.objective {
            // Which runs lie below the curve is their noise.
            Objective::Asymmetric => 1.0,
            other => other.weight(ln_f, sample.ln_y[i]),
        };
        let next = number.len();
        let block = *number.entry(units[i]).or_insert(next) % BLOCKS;
        if block == scores.len() {
            scores.push(Theta::default());
        }
        for j in 0..count {
            scores[block][j] += weight * slope[j];
            (0..=j).for_each(|k| information[j][k] += weight * slope[j] * slope[k]);
        }
    }
    // What the observations leave open is held by none of them.
    let ridge = 1e-9 * (0..count).map(|i| information[i][i]).sum::<f64>();
    (0..count).for_each(|i| information[i][i] += ridge);
    match cholesky(&information, count) {
        Some(factor) => scores.iter().map(|score| solve_factored(&factor, score, count)).collect(),
        None => vec![Theta::default()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::data::sample::Sample;
    use crate::fit::laws::law::theta_of;
    use crate::fit::solve::search::Solver;

    /// Whether a power law over runs with so many checkpoints each is held at its first and at its last scale.
    fn held(lengths: &[usize], way: Resampling) -> [bool; 2] {
        let (mut sample, mut units) = (Sample::default(), Vec::new());
        for (run, length) in lengths.iter().enumerate() {
            for step in 1..=*length {
                let ln_x = (step as f64).ln();
                sample.push([ln_x, 0.0, 0.0], 1.0 - 0.4 * ln_x);
                units.push(run);
            }
        }
        let law = crate::fit::laws::by_name("power").unwrap();
        let solver = Solver { law, objective: Objective::SquaredLog, max_steps: 1 };
        let best = theta_of(&[1.0, 0.4]);
        let curve = Fitted { solver, sample: &sample, units: &units, best, minima: Vec::new() };
        let support = Support::of(&curve, way);
        let last = sample.ln_range(0).1;
        assert_eq!(support.nowhere(&curve), ![0.0, last].iter().any(|t| support.holds_at(law, &best, *t)));
        [0.0, last].map(|ln_x| support.holds_at(law, &best, ln_x))
    }

    #[test]
    fn a_curve_is_held_where_several_runs_hold_it() {
        let flipped = |lengths: &[usize]| held(lengths, Resampling::Residuals);
        assert_eq!(flipped(&[15]), [false, false]);
        assert_eq!(flipped(&[15, 15]), [true, true]);
        assert_eq!(flipped(&[15, 15, 15]), [true, true]);
        // Beyond the fourth checkpoint there is one run.
        assert_eq!(flipped(&[15, 4, 4]), [true, false]);
        assert!(!flipped(&[15, 1, 1, 1, 1, 1])[1]);
        assert_eq!(held(&[15; 3], Resampling::Runs), [false, false]);
        assert_eq!(held(&[15; 10], Resampling::Runs), [true, true]);
        // A point a run: as many runs as points.
        assert_eq!(held(&[1; 5], Resampling::Residuals), [true, true]);
        assert_eq!(held(&[1; 5], Resampling::Runs), [false, false]);
    }
}
