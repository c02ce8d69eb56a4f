//! Resampling by run, paired across groups, on all cores, the same at any number of threads.
//!
//! A unit is one run: a point of its own, or all checkpoints of one run together. Units of different groups that share
//! scale and seed are one unit, so what those runs have in common (data, order, initial noise) moves together.
//!
//! Two ways to resample, since a sweep of architectures has few seeds per scale and a survey of runs has many runs:
//!
//! - `Residuals`, the wild cluster bootstrap, for few units. With two seeds per cell, drawing runs with replacement
//!   inside a cell understates the variance by half, and drawing over all cells loses whole scales. Here the scales stay
//!   and each unit's residuals change sign together: y* = f · exp(s · v · e), v = ±1 per unit, e the residual of log loss
//!   over sqrt(1 - leverage) (HC2: unbiased variance), s = sqrt(ν / χ²_ν), ν = units - parameters, drawn once a
//!   resample: with few runs the size of the noise is itself uncertain, and s turns the normal quantiles of the resamples
//!   into Student's. In the linear case with normal noise that is the exact t interval.
//! - `Runs`, for many: each unit counts Poisson(1) times (the bootstrap of survey data; independent counts keep the
//!   pairing even where groups share only some units).

use rand_chacha::rand_core::Rng;
use rand_distr::{ChiSquared, Distribution, Poisson};
use rayon::prelude::*;
use serde::Serialize;

use super::law::{MAX_PARAMS, Theta};
use super::sample::Sample;
use super::solve::{Solution, Solver, cholesky, solve_factored};
use crate::random;

/// `Runs` from this many units per group on.
const MANY_UNITS: usize = 100;

/// Newton steps granted to one resample; it starts at the estimate.
const STEPS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    Residuals,
    Runs,
}

/// A group with its estimate, ready to be resampled.
pub struct Fitted<'a> {
    pub solver: Solver,
    pub sample: &'a Sample,
    /// Which unit each observation belongs to.
    pub units: &'a [usize],
    pub best: Theta,
    /// Distinct minima of the whole sample; each resample starts at each.
    pub minima: Vec<Solution>,
}

/// The estimates of one group on resampled data; absent where no finite fit was found.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    pub resamples: Vec<Option<Theta>>,
    /// With one unit left out at a time.
    pub jackknife: Vec<Option<Theta>>,
}

/// The way that suits the smallest group.
pub fn suited(groups: &[Fitted<'_>]) -> Resampling {
    let fewest = groups.iter().map(|group| distinct(group.units)).min().unwrap_or(0);
    if fewest >= MANY_UNITS { Resampling::Runs } else { Resampling::Residuals }
}

fn distinct(units: &[usize]) -> usize {
    let mut sorted = units.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

/// `count` resamples of all groups; the result is indexed like `groups`. `jackknife` asks for those fits too.
pub fn draw(groups: &[Fitted<'_>], way: Resampling, count: usize, seed: u64, jackknife: bool) -> Vec<Draws> {
    let unit_count = groups.iter().flat_map(|group| group.units).max().map_or(0, |last| last + 1);
    let noise: Vec<Noise> = groups.iter().map(Noise::of).collect();
    let resample = |index: usize| -> Vec<Option<Theta>> {
        let mut rng = random::stream(seed, "bootstrap", index as u64);
        let poisson = Poisson::new(1.0).expect("a mean of one is valid");
        let multipliers: Vec<f64> = (0..unit_count)
            .map(|_| match way {
                Resampling::Runs => poisson.sample(&mut rng),
                Resampling::Residuals => {
                    if rng.next_u32() & 1 == 0 {
                        1.0
                    } else {
                        -1.0
                    }
                }
            })
            .collect();
        let refit = |(group, noise): (&Fitted<'_>, &Noise)| {
            let changed = match way {
                Resampling::Runs => reweighted(group.sample, |i| multipliers[group.units[i]]),
                Resampling::Residuals => {
                    let scale = (noise.freedom / noise.chi_squared.sample(&mut rng)).sqrt();
                    noise.sample(group, |unit| scale * multipliers[unit])
                }
            };
            group.refit(&changed)
        };
        groups.iter().zip(&noise).map(refit).collect()
    };
    let leave_out = |unit: usize| -> Vec<Option<Theta>> {
        let without = |group: &Fitted<'_>| {
            group.refit(&reweighted(group.sample, |i| f64::from(u8::from(group.units[i] != unit))))
        };
        groups.iter().map(without).collect()
    };
    let resamples: Vec<_> = (0..count).into_par_iter().map(resample).collect();
    let left_out: Vec<_> = (0..if jackknife { unit_count } else { 0 }).into_par_iter().map(leave_out).collect();
    (0..groups.len())
        .map(|g| Draws {
            resamples: resamples.iter().map(|row| row[g]).collect(),
            jackknife: left_out.iter().map(|row| row[g]).collect(),
        })
        .collect()
}

fn reweighted(sample: &Sample, weight: impl Fn(usize) -> f64) -> Sample {
    let mut kept = Sample::default();
    for i in 0..sample.len() {
        let weight = weight(i) * sample.weight[i];
        if weight > 0.0 {
            kept.ln_x.push(sample.ln_x[i]);
            kept.ln_y.push(sample.ln_y[i]);
            kept.weight.push(weight);
        }
    }
    kept
}

impl Fitted<'_> {
    fn refit(&self, sample: &Sample) -> Option<Theta> {
        let solver = Solver { max_steps: STEPS, ..self.solver };
        let from = std::iter::once(self.best).chain(self.minima.iter().skip(1).map(|minimum| minimum.theta));
        from.map(|start| solver.descend(sample, &start))
            .filter(|solution| solution.objective.is_finite())
            .min_by(|a, b| a.objective.total_cmp(&b.objective))
            .map(|solution| solution.theta)
    }
}

/// What the wild bootstrap needs of a fit.
struct Noise {
    ln_f: Vec<f64>,
    /// Residuals of log loss, made larger by their leverage.
    residual: Vec<f64>,
    freedom: f64,
    chi_squared: ChiSquared<f64>,
}

impl Noise {
    fn of(group: &Fitted<'_>) -> Self {
        let count = group.solver.law.params().len();
        let mut information = group.solver.information(group.sample, &group.best);
        (0..count).for_each(|i| information[i][i] *= 1.0 + 1e-12);
        let factor = cholesky(&information, count);
        let (mut ln_f, mut residual) = (Vec::new(), Vec::new());
        let mut slope = [0.0; MAX_PARAMS];
        for (ln_x, ln_y) in group.sample.ln_x.iter().zip(&group.sample.ln_y) {
            let fitted = group.solver.law.ln_loss(&group.best, ln_x, &mut slope);
            let leverage = factor.as_ref().map_or(0.0, |factor| {
                let solved = solve_factored(factor, &slope, count);
                (0..count).map(|i| slope[i] * solved[i]).sum()
            });
            ln_f.push(fitted);
            residual.push((ln_y - fitted) / (1.0 - leverage.clamp(0.0, 0.9)).sqrt());
        }
        let freedom = distinct(group.units).saturating_sub(count).max(1) as f64;
        let chi_squared = ChiSquared::new(freedom).expect("at least one degree of freedom");
        Self { ln_f, residual, freedom, chi_squared }
    }

    fn sample(&self, group: &Fitted<'_>, multiplier: impl Fn(usize) -> f64) -> Sample {
        let ln_y = (0..self.ln_f.len()).map(|i| self.ln_f[i] + multiplier(group.units[i]) * self.residual[i]).collect();
        Sample { ln_x: group.sample.ln_x.clone(), ln_y, weight: group.sample.weight.clone() }
    }
}
