//! Finds the parameters with the smallest objective: damped Gauss-Newton steps (exact gradients; of the curvature, what
//! the law's own bending adds is left out) inside a box, from many starts.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::fit::data::sample::{LnX, Sample};
use crate::fit::laws::frontier::unbeaten;
use crate::fit::laws::law::{Domain, Law, MAX_PARAMS, Theta};
use crate::fit::solve::objective::Objective;

pub type Matrix = [[f64; MAX_PARAMS]; MAX_PARAMS];

/// Observations beyond which the starts are compared on a thinned sample and only the best is polished on all.
const SEARCH_SIZE: usize = 2000;

/// An objective that no rounding error can tell from zero.
const PERFECT: f64 = 1e-27;

#[derive(Clone, Copy, Debug)]
pub struct Solution {
    pub theta: Theta,
    pub objective: f64,
    pub converged: bool,
}

pub struct Search {
    pub best: Solution,
    /// Share of the starts that ended at the best objective.
    pub agree: f64,
    /// The distinct minima, best first.
    pub minima: Vec<Solution>,
}

/// A law, an objective and the limits of the search.
#[derive(Clone, Copy)]
pub struct Solver {
    pub law: &'static dyn Law,
    pub objective: Objective,
    pub max_steps: usize,
}

/// One observation against a fit.
pub struct Residual {
    pub ln_f: f64,
    /// How far ln of the measured loss lies above that.
    pub above: f64,
    /// How much the observation pulls the fit to itself, from 0 to 1, by the weights of the objective.
    pub leverage: f64,
    /// The residual's variance over the noise's, where the noise of log loss is of one size: 1 - leverage where the
    /// objective weighs all observations alike.
    pub kept: f64,
}

/// The objective, its gradient and its Gauss-Newton curvature; of the matrices the lower half.
pub struct Local {
    pub objective: f64,
    pub gradient: Theta,
    /// Second derivatives without the law's own: Σ penalty'' (∇ ln f)(∇ ln f)ᵀ.
    pub gauss_newton: Matrix,
    /// Of the parabola that bounds the objective from above.
    pub bound: Matrix,
}

/// Which parameters stay where they are.
pub type Held = [bool; MAX_PARAMS];

impl Solver {
    /// Runs every start and compares. `None` when no start has a finite objective.
    pub fn search(&self, sample: &Sample) -> Option<Search> {
        let sample = &*self.fitted(sample);
        let thinned;
        let scanned = if sample.len() > SEARCH_SIZE {
            thinned = sample.thinned(SEARCH_SIZE);
            &thinned
        } else {
            sample
        };
        let mut minima: Vec<Solution> =
            self.law.starts(scanned).par_iter().map(|start| self.descend(scanned, start)).collect();
        minima.retain(|solution| solution.objective.is_finite());
        minima.sort_by(|a, b| a.objective.total_cmp(&b.objective)); // stable: the order of starts breaks ties
        let best = *minima.first()?;
        let near = |a: f64, b: f64| same_minimum(a, b, scanned.len());
        let agree = minima.iter().filter(|solution| near(solution.objective, best.objective)).count() as f64
            / minima.len() as f64;
        minima.dedup_by(|later, earlier| near(later.objective, earlier.objective));
        let best = if sample.len() > SEARCH_SIZE { self.descend(sample, &best.theta) } else { best };
        Some(Search { best, agree, minima })
    }

    /// Follows one start down to a minimum.
    pub fn descend(&self, sample: &Sample, start: &Theta) -> Solution {
        self.minimise(start, &Held::default(), |theta| self.local(sample, theta))
    }

    /// Follows one start down to a minimum of any function of the law's parameters, some of them held.
    pub fn minimise(&self, start: &Theta, held: &Held, mut evaluate: impl FnMut(&Theta) -> Local) -> Solution {
        let count = self.law.params().len();
        let mut theta = self.boxed(start);
        let mut local = evaluate(&theta);
        let (mut damping, mut small_steps) = (1e-3, 0);
        let mut converged = false;
        for _ in 0..self.max_steps {
            if !local.objective.is_finite() {
                break;
            }
            let free = self.free(&theta, &local.gradient, held);
            let Some(step) = damped_step(&local, damping, free, count) else {
                damping *= 10.0;
                if damping > 1e12 {
                    break;
                }
                continue;
            };
            let mut trial = theta;
            (0..count).for_each(|i| trial[i] += step[i]);
            let trial = self.boxed(&trial);
            let next = evaluate(&trial);
            let gain = local.objective - next.objective;
            if next.objective.is_finite() && gain >= 0.0 {
                let settled = gain <= 1e-13 * local.objective || next.objective <= PERFECT;
                (theta, local) = (trial, next);
                small_steps = if settled { small_steps + 1 } else { 0 };
                damping = (damping * 0.2).max(1e-10);
            } else {
                damping *= 4.0;
            }
            if small_steps >= 2 || damping > 1e12 {
                converged = true;
                break;
            }
        }
        Solution { theta, objective: local.objective, converged }
    }

    /// Moved into the law's box.
    pub fn boxed(&self, theta: &Theta) -> Theta {
        let mut inside = *theta;
        for (value, param) in inside.iter_mut().zip(self.law.params()) {
            let (low, high) = param.bounds();
            *value = value.clamp(low, high);
        }
        inside
    }

    /// Which parameters may move: all but those that are held or that the gradient pushes against their bound.
    pub fn free(&self, theta: &Theta, gradient: &Theta, held: &Held) -> [bool; MAX_PARAMS] {
        let mut free = [true; MAX_PARAMS];
        for (i, param) in self.law.params().iter().enumerate() {
            let (low, high) = param.bounds();
            let pushed = theta[i] <= low && gradient[i] > 0.0 || theta[i] >= high && gradient[i] < 0.0;
            free[i] = !held[i] && !pushed;
        }
        free
    }

    /// The observations that the law is fitted to: all of them, or those on the frontier.
    pub fn fitted<'a>(&self, sample: &'a Sample) -> Cow<'a, Sample> {
        match self.law.domain() {
            Domain::Curve | Domain::Surface | Domain::Repeated => Cow::Borrowed(sample),
            Domain::Frontier => Cow::Owned(sample.only(&unbeaten(sample))),
        }
    }

    /// Every observation against the fit. Where the objective is a sum of w r² of residuals of log loss (near the fit, for
    /// squares of loss), the hat matrix is P = X (Xᵀ W X)⁻¹ Xᵀ W with X = ∇ ln f, the leverage is its diagonal, and a
    /// residual keeps (1 - P)(1 - P)ᵀ of the noise's variance.
    pub fn residuals(&self, sample: &Sample, theta: &Theta) -> Vec<Residual> {
        let count = self.law.params().len();
        let weighted =
            |power: i32| self.summed(sample, theta, |ln_f, ln_y| self.objective.weight(ln_f, ln_y).powi(power));
        let (mut once, twice) = (weighted(1), weighted(2));
        (0..count).for_each(|i| once[i][i] *= 1.0 + 1e-12);
        let factor = cholesky(&once, count);
        let mut slope = Theta::default();
        let of = |((ln_x, ln_y), times): ((&LnX, &f64), &f64)| {
            let ln_f = self.law.ln_loss(theta, ln_x, &mut slope);
            let (leverage, spread) = factor.as_ref().map_or((0.0, 0.0), |factor| {
                let solved = solve_factored(factor, &slope, count);
                let pull: f64 = (0..count).map(|i| slope[i] * solved[i]).sum();
                let entry = |i: usize, j: usize| if i >= j { twice[i][j] } else { twice[j][i] };
                let row = |i: usize| (0..count).map(|j| entry(i, j) * solved[j]).sum::<f64>();
                let spread: f64 = (0..count).map(|i| solved[i] * row(i)).sum();
                (times * self.objective.weight(ln_f, *ln_y) * pull, spread)
            });
            Residual { ln_f, above: ln_y - ln_f, leverage, kept: 1.0 - 2.0 * leverage + spread }
        };
        sample.ln_x.iter().zip(&sample.ln_y).zip(&sample.weight).map(of).collect()
    }

    /// The sample's objective at `theta`.
    pub fn local(&self, sample: &Sample, theta: &Theta) -> Local {
        let count = self.law.params().len();
        let zero = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        let mut local = Local { objective: 0.0, gradient: Theta::default(), gauss_newton: zero, bound: zero };
        let mut slope = Theta::default();
        let robust = self.objective == Objective::Huber; // else a parabola is its own bound
        for ((ln_x, ln_y), weight) in sample.ln_x.iter().zip(&sample.ln_y).zip(&sample.weight) {
            let ln_f = self.law.ln_loss(theta, ln_x, &mut slope);
            let term = self.objective.term(ln_f, *ln_y);
            local.objective += weight * term.penalty;
            let (curvature, bound) = (weight * term.curvature, weight * term.bound);
            for i in 0..count {
                local.gradient[i] += weight * term.slope * slope[i];
                let (of_curvature, of_bound) = (curvature * slope[i], bound * slope[i]);
                for (j, slope) in slope.iter().enumerate().take(i + 1) {
                    local.gauss_newton[i][j] += of_curvature * slope;
                    if robust {
                        local.bound[i][j] += of_bound * slope;
                    }
                }
            }
        }
        if !robust {
            local.bound = local.gauss_newton;
        }
        if !local.objective.is_finite() {
            local.objective = f64::INFINITY;
        }
        local
    }

    /// Σ weight (∇ ln f)(∇ ln f)ᵀ: the information that the observations hold about the parameters, where the noise of
    /// log loss is of one size.
    pub fn information(&self, sample: &Sample, theta: &Theta) -> Matrix {
        self.summed(sample, theta, |_, _| 1.0)
    }

    /// The same with each observation's own weight, a function of ln f and ln y.
    fn summed(&self, sample: &Sample, theta: &Theta, weight: impl Fn(f64, f64) -> f64) -> Matrix {
        let count = self.law.params().len();
        let mut sum = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        let mut slope = Theta::default();
        for ((ln_x, ln_y), times) in sample.ln_x.iter().zip(&sample.ln_y).zip(&sample.weight) {
            let weight = times * weight(self.law.ln_loss(theta, ln_x, &mut slope), *ln_y);
            for i in 0..count {
                for j in 0..=i {
                    sum[i][j] += weight * slope[i] * slope[j];
                }
            }
        }
        sum
    }
}

/// Whether an objective is no larger than the best one, but for rounding.
pub fn same_minimum(objective: f64, best: f64, points: usize) -> bool {
    objective - best <= 1e-6 * best + 1e-20 * points as f64
}

/// The step of (G + damping · (bound + diag bound)) · step = -gradient over the free parameters, G the Gauss-Newton
/// curvature. With no damping it is Gauss and Newton's, with much of it a short step down the majorising parabola, which
/// cannot fail to descend.
fn damped_step(local: &Local, damping: f64, free: [bool; MAX_PARAMS], count: usize) -> Option<Theta> {
    let mut matrix = local.gauss_newton;
    let mut right = Theta::default();
    for i in 0..count {
        for j in 0..=i {
            matrix[i][j] += damping * local.bound[i][j];
            if !free[i] || !free[j] {
                matrix[i][j] = 0.0;
            }
        }
        matrix[i][i] += damping * local.bound[i][i] + f64::MIN_POSITIVE;
        if free[i] {
            right[i] = -local.gradient[i];
        } else {
            matrix[i][i] = 1.0;
        }
    }
    let factor = cholesky(&matrix, count)?;
    let step = solve_factored(&factor, &right, count);
    step[..count].iter().all(|value| value.is_finite()).then_some(step)
}

/// Lower Cholesky factor of a symmetric matrix given by its lower half; none where it is not positive definite.
pub fn cholesky(matrix: &Matrix, count: usize) -> Option<Matrix> {
    let mut factor = [[0.0; MAX_PARAMS]; MAX_PARAMS];
    for i in 0..count {
        for j in 0..=i {
            let rest = matrix[i][j] - (0..j).map(|k| factor[i][k] * factor[j][k]).sum::<f64>();
            if i == j {
                if rest.is_nan() || rest <= 1e-15 * matrix[i][i] {
                    return None;
                }
                factor[i][i] = rest.sqrt();
            } else {
                factor[i][j] = rest / factor[j][j];
            }
        }
    }
    Some(factor)
}

/// Solves F Fᵀ x = right.
pub fn solve_factored(factor: &Matrix, right: &Theta, count: usize) -> Theta {
    let mut x = *right;
    for i in 0..count {
        for k in 0..i {
            x[i] -= factor[i][k] * x[k];
        }
        x[i] /= factor[i][i];
    }
    for i in (0..count).rev() {
        for k in i + 1..count {
            x[i] -= factor[k][i] * x[k];
        }
        x[i] /= factor[i][i];
    }
    x
}
