//! What was measured of a curve, without any law: the mean log loss of each cell, and where the means of two curves
//! cross.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::fit::data::curve::Curve;
use crate::fit::uncertainty::bootstrap::distinct;
use crate::fit::uncertainty::distribution::t_tails;
use crate::units::si;

/// The most scales at which curves are compared as they were measured.
const MOST: usize = 64;

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

    /// With so many neighbouring scales taken together that at most `MOST` are left: where a log has a scale for every
    /// row, lines from row to row would cross with the noise.
    pub fn coarse(mut self) -> Self {
        if self.cells.len() > MOST {
            let together = |cells: &[(f64, f64, f64)]| {
                let count: f64 = cells.iter().map(|cell| cell.2).sum();
                let mean = |of: &dyn Fn(&(f64, f64, f64)) -> f64| {
                    cells.iter().map(|cell| cell.2 * of(cell)).sum::<f64>() / count
                };
                (mean(&|cell| cell.0), mean(&|cell| cell.1), count)
            };
            self.cells = self.cells.chunks(self.cells.len().div_ceil(MOST)).map(together).collect();
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::data::curve::split;
    use crate::fit::data::scale::Scale;
    use crate::fit::tests::planted;
    use crate::point::{Axis, Point};

    fn means(cells: &[(f64, &[f64])]) -> Means {
        let points: Vec<Point> = cells
            .iter()
            .flat_map(|(x, ys)| {
                let fresh = planted("a", |_| 1.0, &[*x], ys.len() as i64, 0.0, 0);
                fresh.into_iter().zip(*ys).map(|(point, y)| Point { value: *y, ..point })
            })
            .collect();
        Means::of(&split(&points, Scale::Curve(Axis::Data), 0)[0])
    }

    // import numpy as np; from scipy.stats import t; from scipy.optimize import brentq
    // a = {100: [1.00, 1.04], 400: [.80, .82], 1600: [.70, .71]}; b = {100: [1.20, 1.22], 800: [.74, .78], 1600: [.60, .63]}
    // def prep(d): xs = np.log(sorted(d)); ys = [np.log(d[k]) for k in sorted(d)]; m = [y.mean() for y in ys]
    //     ss = sum(((y - y.mean()) ** 2).sum() for y in ys); return xs, m, ss / 3, 3
    // def at(p, x): k = searchsorted(xs, x); w = (x - xs[k-1]) / (xs[k] - xs[k-1])
    //     return m[k-1] + w * (m[k] - m[k-1]), s * ((1 - w)**2 / 2 + w**2 / 2)   # at a scale: m[k], s / 2
    // gap(x) = ma - mb, t.ppf(.975, (va + vb)**2 / (va**2 / 3 + vb**2 / 3)) * sqrt(va + vb)
    // np.exp(brentq(gap)), and where gap is plus and minus its margin
    #[test]
    fn crossings_and_their_intervals_equal_scipy() {
        let a = means(&[(100.0, &[1.00, 1.04]), (400.0, &[0.80, 0.82]), (1600.0, &[0.70, 0.71])]);
        let b = means(&[(100.0, &[1.20, 1.22]), (800.0, &[0.74, 0.78]), (1600.0, &[0.60, 0.63])]);
        let found = crossings(&a, &b, 0.95);
        let [(crossing, a_loses)] = found[..] else { panic!("{found:?}") };
        assert!(a_loses && (crossing.at / 821.355_774_53 - 1.0).abs() < 1e-9, "{crossing:?}");
        // Ends lie on the grid: within a 64th of a step between scales.
        let near = |end: Option<f64>, expected: f64| (end.unwrap() / expected).ln().abs() < 2f64.ln() / 60.0;
        assert!(near(crossing.low, 541.118_264) && near(crossing.high, 1_035.137_09), "{crossing:?}");
        // The other way round it is b that wins.
        assert!(!crossings(&b, &a, 0.95)[0].1);
        assert_eq!(crossing.to_string(), format!("821 ({} to 1.04k)", si(crossing.low.unwrap())));
    }

    #[test]
    fn without_seeds_there_is_a_crossing_and_no_interval() {
        let a = means(&[(100.0, &[1.0]), (200.0, &[0.9]), (400.0, &[0.8]), (800.0, &[0.75])]);
        let b = means(&[(100.0, &[1.2]), (200.0, &[0.95]), (400.0, &[0.76]), (800.0, &[0.65])]);
        let found = crossings(&a, &b, 0.95);
        assert_eq!((found.len(), found[0].0.low, found[0].0.high), (1, None, None));
        assert!(200.0 < found[0].0.at && found[0].0.at < 400.0);
        assert!(found[0].0.parts_from(450.0, 500.0) && !found[0].0.parts_from(200.0, 400.0));
        // Nothing in common, nothing to cross.
        assert!(crossings(&a, &means(&[(1000.0, &[1.0]), (2000.0, &[0.5])]), 0.95).is_empty());
    }

    #[test]
    fn of_a_scale_a_row_neighbours_are_taken_together() {
        let rows: Vec<(f64, [f64; 1])> = (1..=1000).map(|i| (f64::from(i), [f64::from(i).powf(-0.3)])).collect();
        let cells: Vec<(f64, &[f64])> = rows.iter().map(|(x, y)| (*x, y.as_slice())).collect();
        let coarse = means(&cells).coarse();
        assert_eq!(coarse.scales(), 63);
        // The mean of ln y = -0.3 ln x over neighbours lies on the same line.
        let middle = coarse.ln_scales().nth(30).unwrap();
        assert!((coarse.ln_loss(middle).unwrap() + 0.3 * middle).abs() < 1e-9);
    }

    #[test]
    fn losses_between_scales_lie_on_the_line_between() {
        let of = means(&[(1.0, &[1f64.exp()]), (2f64.exp(), &[1.0])]);
        let close = |x: f64| of.ln_loss(x).map(|y| (y * 1e6).round() / 1e6);
        assert_eq!([-1.0, 0.0, 0.5, 2.0, 2.5].map(close), [None, Some(1.0), Some(0.75), Some(0.0), None]);
    }
}
