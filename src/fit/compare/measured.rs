//! What was measured of a curve, without any law: the mean log loss of each cell, and where the means of two curves
//! cross.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::fit::data::curve::Curve;
use crate::fit::uncertainty::bootstrap::distinct;
use crate::fit::uncertainty::distribution::t_tails;
use crate::units::si;

/// Steps between two neighbouring scales in which the ends of an interval are looked for.
const STEPS: usize = 64;

/// The mean log loss at each scale of a curve, in order of scale.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// ln of the scale, mean of log loss, and how many points it is of.
    cells: Vec<(f64, f64, f64)>,
    /// Variance of log loss within cells, pooled, and its degrees of freedom: absent where no cell has two independent
    /// points.
    noise: Option<(f64, f64)>,
}

/// A crossing of the lines between means. An end is absent where the means do not tell the curves apart from there to
/// the last scale that both have; both are, where no cell has two seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Crossing {
    pub at: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", si(self.at))?;
        match (self.low, self.high) {
            (None, None) => Ok(()),
            (Some(low), Some(high)) => write!(f, " ({} to {})", si(low), si(high)),
            (Some(low), None) => write!(f, " (from {} on)", si(low)),
            (None, Some(high)) => write!(f, " (up to {})", si(high)),
        }
    }
}

impl Crossing {
    /// Whether it and another interval lie apart: a disagreement that the noise of either does not explain.
    pub fn parts_from(&self, low: f64, high: f64) -> bool {
        // Without seeds there is no interval of its own.
        let (own_low, own_high) = if self.low.is_none() && self.high.is_none() {
            (self.at, self.at)
        } else {
            (self.low.unwrap_or(0.0), self.high.unwrap_or(f64::INFINITY))
        };
        own_high < low || high < own_low
    }
}

impl Means {
    pub fn of(curve: &Curve) -> Self {
        let sample = &curve.sample;
        let mut cells: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
        for (x, y) in sample.ln_x.iter().zip(&sample.ln_y) {
            let cell = cells.entry(x[0].to_bits()).or_insert((x[0], 0.0, 0.0));
            (cell.1, cell.2) = (cell.1 + y, cell.2 + 1.0);
        }
        let mean = |bits: u64| cells[&bits].1 / cells[&bits].2;
        let squares: f64 = sample.ln_x.iter().zip(&sample.ln_y).map(|(x, y)| (y - mean(x[0].to_bits())).powi(2)).sum();
        let freedom = sample.len() as f64 - cells.len() as f64;
        // Checkpoints of one run are not independent of one another.
        let independent = distinct(&curve.units) == curve.units.len();
        let mut cells: Vec<(f64, f64, f64)> = cells.into_values().map(|(x, sum, n)| (x, sum / n, n)).collect();
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { cells, noise: (freedom >= 1.0 && independent).then(|| (squares / freedom, freedom)) }
    }

    /// How many scales there are.
    pub fn scales(&self) -> usize {
        self.cells.len()
    }

    /// ln of the k-th largest scale, from 1 on.
    pub fn ln_largest(&self, k: usize) -> Option<f64> {
        Some(self.cells.get(self.cells.len().checked_sub(k)?)?.0)
    }

    /// ln of all scales, in order.
    pub fn ln_scales(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().map(|cell| cell.0)
    }

    /// ln of the smallest and the largest scale that both have.
    pub fn overlap(&self, other: &Self) -> (f64, f64) {
        let ends = |means: &Self| match (means.cells.first(), means.cells.last()) {
            (Some(first), Some(last)) => (first.0, last.0),
            _ => (f64::INFINITY, f64::NEG_INFINITY),
        };
        let (own, others) = (ends(self), ends(other));
        (own.0.max(others.0), own.1.min(others.1))
    }

    /// The mean log loss at ln x, on the line between the nearest scales; none outside them.
    pub fn ln_loss(&self, ln_x: f64) -> Option<f64> {
        Some(self.at(ln_x)?.0)
    }

    /// The same with its share of the variance of one point: 1/n at a scale, less between two.
    fn at(&self, ln_x: f64) -> Option<(f64, f64)> {
        let after = self.cells.partition_point(|cell| cell.0 < ln_x);
        let right = self.cells.get(after)?;
        if right.0 == ln_x {
            return Some((right.1, 1.0 / right.2));
        }
        let left = self.cells.get(after.checked_sub(1)?)?;
        let share = (ln_x - left.0) / (right.0 - left.0);
        let mean = left.1 + share * (right.1 - left.1);
        Some((mean, (1.0 - share).powi(2) / left.2 + share.powi(2) / right.2))
    }

    /// ln loss of this less the other's, and the probability of one as far from zero by chance alone: Welch's t test of
    /// two means, absent without seeds. Curves that share seeds are taken to be independent, which makes it larger.
    fn gap(&self, other: &Self, ln_x: f64) -> Option<(f64, Option<f64>)> {
        let (own, others) = (self.at(ln_x)?, other.at(ln_x)?);
        let gap = own.0 - others.0;
        let by_chance = self.noise.zip(other.noise).map(|((s, df), (t, other_df))| {
            let (v, w) = (s * own.1, t * others.1);
            if v + w == 0.0 {
                return f64::from(u8::from(gap == 0.0));
            }
            let freedom = (v + w).powi(2) / (v * v / df + w * w / other_df);
            t_tails(gap.abs() / (v + w).sqrt(), freedom)
        });
        Some((gap, by_chance))
    }
}

/// Every crossing of the means of two curves over the scales that both have, with whether `a` loses the lead there.
/// The interval holds the neighbouring scales at which the means do not tell the curves apart (Fieller's, piece by
/// piece).
pub fn crossings(a: &Means, b: &Means, level: f64) -> Vec<(Crossing, bool)> {
    let (first, last) = a.overlap(b);
    let mut scales: Vec<f64> = a.ln_scales().chain(b.ln_scales()).filter(|t| (first..=last).contains(t)).collect();
    scales.sort_by(f64::total_cmp);
    scales.dedup();
    let gap = |t: f64| a.gap(b, t).map_or(f64::NAN, |(gap, _)| gap);
    let open = |t: f64| a.gap(b, t).is_some_and(|(_, by_chance)| by_chance.is_some_and(|p| p >= 1.0 - level));
    let grid: Vec<f64> = scales
        .windows(2)
        .flat_map(|pair| (0..STEPS).map(move |i| pair[0] + (pair[1] - pair[0]) * i as f64 / STEPS as f64))
        .chain(scales.last().copied())
        .collect();
    let resampled = a.noise.is_some() && b.noise.is_some();
    let mut found = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for &t in &scales {
        let here = gap(t);
        if here == 0.0 {
            continue;
        }
        if let Some((left, there)) = before.filter(|(_, there)| (*there > 0.0) != (here > 0.0)) {
            // A line through both, also where the scales between have a gap of zero.
            let at = left + (t - left) * there / (there - here);
            let below = grid.iter().rev().filter(|s| **s < at).find(|s| !open(**s));
            let above = grid.iter().filter(|s| **s > at).find(|s| !open(**s));
            let end = |end: Option<&f64>| end.filter(|_| resampled).map(|t| t.exp());
            found.push((Crossing { at: at.exp(), low: end(below), high: end(above) }, here > 0.0));
        }
        before = Some((t, here));
    }
    found
}
