//! Do two curves differ at all: a band of the gap between them that holds at every scale, and for every pair, at once.
//!
//! Two fitted curves nearly always meet somewhere, so a picture of them, or the share of resamples in which they cross,
//! says nothing about whether they differ. The band is max-|t| over the paired resamples (Montiel Olea and
//! Plagborg-Moller 2019, doi:10.1002/jae.2656): with g(x) = ln L_a - ln L_b, s(x) its standard deviation over resamples
//! and c the quantile of the largest |g* - g| / s over all scales and all pairs of a resample, the true gaps of all
//! pairs lie within g ± c s with the stated probability. A resample carries the uncertainty of the noise's size (see
//! `bootstrap`), so c is Student's where runs are few. Max-|t| rather than Scheffé's or Bonferroni's: neighbouring
//! scales and pairs that share a curve move together, and the resamples know how much.

use rayon::prelude::*;

use crate::fit::estimate::Fit;
use crate::fit::uncertainty::interval::{needed, quantile};

/// Steps of the grid over all scales that any curve was measured at.
const STEPS: usize = 96;

/// A standard deviation of ln loss below this is rounding: points without noise.
const ROUNDING: f64 = 1e-9;

/// The gap of two curves over the scales that both were measured at.
#[derive(Clone, Debug)]
pub struct Band {
    /// In order; the first and the last are the ends of the scales in common.
    pub ln_x: Vec<f64>,
    /// ln L_a - ln L_b of the fitted curves.
    pub gap: Vec<f64>,
    /// Half the width of the band.
    pub margin: Vec<f64>,
}

/// The bands of these pairs of `fits`, simultaneous over all of them; absent where two curves share no scale, where one
/// did not converge, or with fewer resamples than the level needs. Without end at scales where one curve rests on too
/// few runs.
pub fn bands(fits: &[Fit], pairs: &[(usize, usize)], level: f64) -> Vec<Option<Band>> {
    let grid = grid(fits);
    let on_grid = |fit: &Fit| -> Vec<Option<Vec<f64>>> {
        let curve = |theta| grid.iter().map(|t| fit.ln_loss_of(theta, *t)).collect();
        fit.draws.resamples.iter().map(|draw| draw.as_ref().map(curve)).collect()
    };
    let tested: Vec<Vec<bool>> = fits.par_iter().map(|fit| grid.iter().map(|t| fit.tested_at(*t)).collect()).collect();
    let drawn: Vec<Vec<Option<Vec<f64>>>> = fits.par_iter().map(on_grid).collect();
    let estimates: Vec<Vec<f64>> = fits.iter().map(|fit| grid.iter().map(|t| fit.ln_loss(*t)).collect()).collect();
    let studied: Vec<Option<Pair>> = pairs
        .par_iter()
        .map(|&(a, b)| {
            let converged = fits[a].converged && fits[b].converged;
            let scales = inside(&grid, overlap(&fits[a], &fits[b]));
            let gap: Vec<f64> = scales.clone().map(|i| estimates[a][i] - estimates[b][i]).collect();
            let untested: Vec<bool> = scales.clone().map(|i| !(tested[a][i] && tested[b][i])).collect();
            let both = drawn[a].iter().zip(&drawn[b]);
            let off = |(of_a, of_b): (&Option<Vec<f64>>, &Option<Vec<f64>>)| {
                let (of_a, of_b) = (of_a.as_ref()?, of_b.as_ref()?);
                Some(scales.clone().zip(&gap).map(|(i, gap)| of_a[i] - of_b[i] - gap).collect::<Vec<f64>>())
            };
            (converged && !scales.is_empty())
                .then(|| Pair::of(grid[scales.clone()].to_vec(), gap.clone(), &untested, both.map(off)))?
        })
        .collect();
    let critical = critical(&studied, level);
    studied
        .into_iter()
        .map(|pair| {
            let (pair, critical) = (pair?, critical?);
            let margin = pair.deviation.iter().map(|s| if s.is_finite() { critical * s } else { *s }).collect();
            Some(Band { ln_x: pair.ln_x, gap: pair.gap, margin })
        })
        .collect()
}

/// One pair on its scales.
struct Pair {
    ln_x: Vec<f64>,
    gap: Vec<f64>,
    /// Of the gap over resamples, about the estimate; infinite where nothing is tested.
    deviation: Vec<f64>,
    /// The largest |t| of each resample; absent where a curve has no fit.
    largest: Vec<Option<f64>>,
}

impl Pair {
    fn of(
        ln_x: Vec<f64>,
        gap: Vec<f64>,
        untested: &[bool],
        off: impl Iterator<Item = Option<Vec<f64>>>,
    ) -> Option<Self> {
        let off: Vec<Option<Vec<f64>>> = off.collect();
        let count = off.iter().flatten().count();
        if count == 0 {
            return None;
        }
        let square = |i: usize| off.iter().flatten().map(|off| off[i] * off[i]).sum::<f64>() / count as f64;
        let over = |i: usize| if untested[i] { f64::INFINITY } else { square(i).sqrt().max(ROUNDING) };
        let deviation: Vec<f64> = (0..ln_x.len()).map(over).collect();
        let largest = |off: &Vec<f64>| off.iter().zip(&deviation).map(|(off, s)| off.abs() / s).fold(0.0, f64::max);
        let largest = off.iter().map(|off| off.as_ref().map(largest)).collect();
        Some(Self { ln_x, gap, deviation, largest })
    }
}

/// The quantile of the largest |t| over all pairs.
fn critical(pairs: &[Option<Pair>], level: f64) -> Option<f64> {
    let count = pairs.iter().flatten().map(|pair| pair.largest.len()).max()?;
    let over_pairs = |r: usize| pairs.iter().flatten().filter_map(|pair| pair.largest[r]).reduce(f64::max);
    let mut largest: Vec<f64> = (0..count).filter_map(over_pairs).collect();
    largest.sort_by(f64::total_cmp);
    (largest.len() >= needed(level)).then(|| quantile(&largest, level))
}

/// ln of the scales that both fits were measured at.
pub fn overlap(a: &Fit, b: &Fit) -> (f64, f64) {
    (a.range.0.max(b.range.0).ln(), a.range.1.min(b.range.1).ln())
}

/// Evenly spread over all curves' scales, with the ends of each.
fn grid(fits: &[Fit]) -> Vec<f64> {
    let ends = || fits.iter().flat_map(|fit| [fit.range.0.ln(), fit.range.1.ln()]);
    let (low, high) = ends().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
    let mut grid: Vec<f64> = (0..=STEPS).map(|i| low + (high - low) * i as f64 / STEPS as f64).chain(ends()).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup();
    grid
}

fn inside(grid: &[f64], (low, high): (f64, f64)) -> std::ops::Range<usize> {
    let (first, after) = (grid.partition_point(|t| *t < low), grid.partition_point(|t| *t <= high));
    first..after.max(first)
}
