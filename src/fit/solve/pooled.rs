//! One law fitted to several curves that share some of its parameters: partial pooling.

use crate::fit::data::sample::Sample;
use crate::fit::laws::law::{MAX_PARAMS, Theta};
use crate::fit::solve::search::{Held, Local, Matrix, Solver, same_minimum};

/// Every curve's parameters, the shared ones equal, and the sum of their objectives.
#[derive(Clone, Debug)]
pub struct Pooled {
    pub thetas: Vec<Theta>,
    pub objective: f64,
    pub converged: bool,
    /// Share of the starts that ended at this objective.
    pub agree: f64,
}

/// Minimises the sum of the curves' objectives with the parameters of `shared` equal in all curves. The shared ones
/// are searched; for each trial every curve's own parameters are at their best (variable projection).
pub fn fit(solver: &Solver, samples: &[Sample], shared: &Held, starts: &[Vec<Theta>]) -> Option<Pooled> {
    let fits: Vec<Pooled> = starts.iter().map(|start| descend(solver, samples, shared, start)).collect();
    let best =
        fits.iter().filter(|fit| fit.objective.is_finite()).min_by(|a, b| a.objective.total_cmp(&b.objective))?;
    let points: usize = samples.iter().map(Sample::len).sum();
    let agree = fits.iter().filter(|fit| same_minimum(fit.objective, best.objective, points)).count();
    Some(Pooled { agree: agree as f64 / fits.len() as f64, ..best.clone() })
}

/// Where to start: all curves' own estimates, the shared parameters of each curve in turn, and their mean.
pub fn starts(own: &[Theta], shared: &Held) -> Vec<Vec<Theta>> {
    let mut mean = Theta::default();
    for (i, mean) in mean.iter_mut().enumerate() {
        *mean = own.iter().map(|theta| theta[i]).sum::<f64>() / own.len() as f64;
    }
    own.iter().chain([&mean]).map(|from| own.iter().map(|to| with(to, from, shared)).collect()).collect()
}

/// `theta` with the shared parameters of `from`.
fn with(theta: &Theta, from: &Theta, shared: &Held) -> Theta {
    let mut joined = *theta;
    (0..MAX_PARAMS).filter(|&i| shared[i]).for_each(|i| joined[i] = from[i]);
    joined
}

fn descend(solver: &Solver, samples: &[Sample], shared: &Held, start: &[Theta]) -> Pooled {
    let own = shared.map(|shared| !shared);
    let mut thetas = start.to_vec();
    let Some(first) = start.first() else {
        return Pooled { thetas, objective: f64::INFINITY, converged: false, agree: 0.0 };
    };
    let mut projected = |at: &Theta| {
        let zero = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        let mut sum = Local { objective: 0.0, gradient: Theta::default(), gauss_newton: zero, bound: zero };
        for (sample, theta) in samples.iter().zip(&mut thetas) {
            let inner = solver.minimise(&with(theta, at, shared), shared, |theta| solver.local(sample, theta));
            *theta = inner.theta;
            let local = solver.local(sample, theta);
            add(&mut sum, &local, shared, &solver.free(theta, &local.gradient, &Held::default()));
        }
        sum
    };
    let best = solver.minimise(first, &own, &mut projected);
    let objective = projected(&best.theta).objective;
    Pooled { thetas, objective, converged: best.converged, agree: 1.0 }
}

/// Adds a curve's objective as a function of the shared parameters alone, its own ones following (Schur complement).
fn add(sum: &mut Local, curve: &Local, shared: &Held, free: &Held) {
    sum.objective += curve.objective;
    for i in (0..MAX_PARAMS).filter(|&i| shared[i]) {
        sum.gradient[i] += curve.gradient[i];
    }
    for (total, part) in [(&mut sum.gauss_newton, &curve.gauss_newton), (&mut sum.bound, &curve.bound)] {
        let rest = eliminated(part, shared, free);
        for i in (0..MAX_PARAMS).filter(|&i| shared[i]) {
            (0..=i).filter(|&j| shared[j]).for_each(|j| total[i][j] += rest[i][j]);
        }
    }
}

/// What is left of a symmetric matrix, given by its lower half, once all that is not kept has been eliminated.
fn eliminated(lower: &Matrix, kept: &Held, free: &Held) -> Matrix {
    let mut matrix = *lower;
    for (i, j) in (0..MAX_PARAMS).flat_map(|i| (0..i).map(move |j| (i, j))) {
        matrix[j][i] = matrix[i][j];
    }
    let mut open: Held = std::array::from_fn(|i| kept[i] || free[i]);
    for out in (0..MAX_PARAMS).filter(|&i| !kept[i] && free[i]) {
        open[out] = false;
        if matrix[out][out] <= 1e-14 * lower[out][out] {
            continue; // it is determined by nothing else here
        }
        for i in (0..MAX_PARAMS).filter(|&i| open[i]) {
            let factor = matrix[i][out] / matrix[out][out];
            (0..MAX_PARAMS).filter(|&j| open[j]).for_each(|j| matrix[i][j] -= factor * matrix[out][j]);
        }
    }
    matrix
}
