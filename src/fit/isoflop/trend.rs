//! The best size as a power of compute, N_opt = k C^a, through the minima of the profiles.

use crate::fit::data::sample::line;

/// ln k and a.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub ln_k: f64,
    pub a: f64,
}

impl Trend {
    /// Through (ln C, ln N_opt), by least squares; none through fewer than two.
    pub fn through(minima: &[(f64, f64)]) -> Option<Self> {
        let (ln_k, a) = line(minima.iter().map(|(ln_c, ln_n)| (*ln_c, *ln_n, 1.0)));
        (minima.len() >= 2).then_some(Self { ln_k, a })
    }

    /// ln N_opt.
    pub fn at(&self, ln_compute: f64) -> f64 {
        self.ln_k + self.a * ln_compute
    }

    /// Sum of squared residuals of ln N_opt.
    pub fn squares(&self, minima: &[(f64, f64)]) -> f64 {
        minima.iter().map(|(ln_c, ln_n)| (ln_n - self.at(*ln_c)).powi(2)).sum()
    }
}

/// Root mean squared error of ln N_opt at the `hidden` largest budgets, predicted from the others.
pub fn holdout(minima: &[(f64, f64)], hidden: usize) -> Option<f64> {
    let (seen, unseen) = minima.split_at(minima.len().checked_sub(hidden)?);
    let rmse = (Trend::through(seen)?.squares(unseen) / unseen.len() as f64).sqrt();
    rmse.is_finite().then_some(rmse)
}
