//! Every curve's resampled losses on one grid of scales, counted once: each of its pairs asks for them.

use std::ops::RangeInclusive;

use rayon::prelude::*;

use crate::fit::estimate::Fit;
use crate::fit::laws::law::Theta;

/// How far beyond the data scales are looked at, as a factor on either side.
const REACH: f64 = 1e3;

/// Steps over the reach of the curve that was measured over the narrowest range of scales.
pub const STEPS: usize = 160;

/// ln of the largest scale, and minus that of the smallest, at which a loss is looked for: as far as numbers go.
pub const FARTHEST: f64 = 690.0;

/// Steps over the reach of all, where their ranges differ widely.
const MOST_STEPS: usize = 1600;

/// ln of the losses of each resample, absent where it has no fit.
type Rows = Vec<Option<Row>>;

pub struct Tables<'a> {
    pub fits: &'a [Fit],
    /// ln of the smallest and the largest scale of the grid.
    reach: (f64, f64),
    steps: usize,
    resamples: Vec<Rows>,
    jackknife: Vec<Rows>,
}

/// One resample's curve.
pub struct Row {
    pub ln_loss: Vec<f64>,
    /// It never rises.
    falls: bool,
    /// ln of the losses as far as numbers go, at the smallest and the largest scale.
    ends: (f64, f64),
}

impl<'a> Tables<'a> {
    /// Of curves over one axis.
    pub fn of(fits: &'a [Fit]) -> Self {
        let reaches: Vec<(f64, f64)> = fits.iter().map(|fit| reach(fit, fit)).collect();
        let narrowest = reaches.iter().map(|(low, high)| high - low).fold(f64::INFINITY, f64::min);
        let ends = |(low, high): (f64, f64), own: &(f64, f64)| (low.min(own.0), high.max(own.1));
        let reach = reaches.iter().fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let times = (reach.1 - reach.0) / narrowest;
        let steps = if times.is_finite() { ((STEPS as f64 * times).round() as usize).min(MOST_STEPS) } else { 0 };
        let mut tables = Self { fits, reach, steps, resamples: Vec::new(), jackknife: Vec::new() };
        let rows = |fit: &Fit, draws: &[Option<Theta>]| -> Rows {
            draws.iter().map(|theta| theta.as_ref().map(|theta| tables.row(fit, theta))).collect()
        };
        let resamples = fits.par_iter().map(|fit| rows(fit, &fit.draws.resamples)).collect();
        let jackknife = fits.par_iter().map(|fit| rows(fit, &fit.draws.jackknife)).collect();
        (tables.resamples, tables.jackknife) = (resamples, jackknife);
        tables
    }

    fn row(&self, fit: &Fit, theta: &Theta) -> Row {
        let ln_loss: Vec<f64> = (0..=self.steps).map(|i| fit.ln_loss_of(theta, self.at(i))).collect();
        let ends = (fit.ln_loss_of(theta, -FARTHEST), fit.ln_loss_of(theta, FARTHEST));
        Row { falls: ln_loss.windows(2).all(|pair| pair[1] <= pair[0]), ln_loss, ends }
    }

    /// ln of a scale of the grid.
    pub fn at(&self, i: usize) -> f64 {
        self.reach.0 + (self.reach.1 - self.reach.0) * i as f64 / self.steps.max(1) as f64
    }

    /// The part of the grid that two curves reach.
    pub fn within(&self, (low, high): (f64, f64)) -> RangeInclusive<usize> {
        let index = |t: f64| (t - self.reach.0) / (self.reach.1 - self.reach.0) * self.steps as f64;
        let last = (index(high) - 1e-6).ceil().min(self.steps as f64) as usize;
        (index(low) + 1e-6).floor().max(0.0) as usize..=last
    }

    pub fn resamples(&self, curve: usize) -> &Rows {
        &self.resamples[curve]
    }

    pub fn jackknife(&self, curve: usize) -> &Rows {
        &self.jackknife[curve]
    }

    /// ln of the scale at which a curve that never rises passes a loss, by inverse cubic interpolation, to about 1e-6;
    /// infinite where it never does; none where the table does not tell.
    pub fn scale_at(&self, row: &Row, ln_loss: f64) -> Option<f64> {
        if !row.falls {
            return None;
        }
        if ln_loss < row.ends.1 {
            return Some(f64::INFINITY);
        }
        if ln_loss > row.ends.0 {
            return Some(f64::NEG_INFINITY);
        }
        let after = row.ln_loss.partition_point(|value| *value > ln_loss);
        let first = after.checked_sub(2)?;
        let values = row.ln_loss.get(first..first + 4)?;
        if values.windows(2).any(|pair| pair[1] >= pair[0]) {
            return None;
        }
        // Neville's scheme over (loss, scale).
        let mut scales: [f64; 4] = std::array::from_fn(|i| self.at(first + i));
        for width in 1..4 {
            for i in 0..4 - width {
                let (near, far) = (ln_loss - values[i], ln_loss - values[i + width]);
                scales[i] = (near * scales[i + 1] - far * scales[i]) / (near - far);
            }
        }
        Some(scales[0])
    }
}

/// ln of the scales at which two curves are looked at.
pub fn reach(a: &Fit, b: &Fit) -> (f64, f64) {
    (a.range.0.min(b.range.0).ln() - REACH.ln(), a.range.1.max(b.range.1).ln() + REACH.ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::tests::planted;
    use crate::fit::{Settings, fit_curves};
    use crate::point::Axis;

    #[test]
    fn a_table_tells_the_scale_of_a_loss() {
        let of = |name: &str, xs: &[f64]| planted(name, |x| 0.3 + 15.0 * x.powf(-0.35), xs, 3, 0.01, 1);
        let narrow: Vec<f64> = (0..6).map(|i| 250.0 * 4f64.powi(i)).collect();
        let wide: Vec<f64> = (0..9).map(|i| 10.0 * 9f64.powi(i)).collect();
        let points = [of("narrow", &narrow), of("wide", &wide)].concat();
        let fits = fit_curves(&points, Axis::Data, &Settings { bootstrap: 50, ..Settings::default() }).unwrap().fits;
        let tables = Tables::of(&fits);
        for (curve, fit) in fits.iter().enumerate() {
            let own = tables.within(reach(fit, fit));
            assert!(own.end() - own.start() >= STEPS);
            assert!(tables.at(*own.start()) <= fit.range.0.ln() - REACH.ln() + 1e-6);
            for (row, theta) in tables.resamples(curve).iter().zip(&fit.draws.resamples) {
                let (row, theta) = (row.as_ref().unwrap(), theta.as_ref().unwrap());
                for ln_x in [6.3, 7.77, 9.0, 11.2] {
                    let found = tables.scale_at(row, fit.ln_loss_of(theta, ln_x)).unwrap();
                    assert!((found - ln_x).abs() < 2e-6, "{found} {ln_x}");
                }
                assert_eq!(tables.scale_at(row, -9.0), Some(f64::INFINITY), "below the floor");
            }
        }
    }
}
