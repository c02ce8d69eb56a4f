//! How many times more data (or compute, or parameters) one architecture needs to equal another, scale by scale.

use rayon::prelude::*;
use serde::Serialize;

use crate::fit::compare::tables::{FARTHEST, Row, Tables};
use crate::fit::estimate::Fit;
use crate::fit::laws::law::Theta;
use crate::fit::solve::scalar;
use crate::fit::uncertainty::interval::quantile;

/// Scales of the curve, evenly spread in log over what `of` was measured at.
const STEPS: usize = 16;

/// What `who` needs to equal `of`.
#[derive(Clone, Debug, Serialize)]
pub struct Multiplier {
    pub who: String,
    pub of: String,
    /// Over the scales that `of` was measured at.
    pub curve: Vec<At>,
}

/// The multiplier at one scale. A multiple is absent (null in JSON) where it is infinite: the loss lies below what `who`
/// reaches at any scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct At {
    /// The scale of `of`.
    pub x: f64,
    /// The loss that `of` has there.
    pub loss: f64,
    #[serde(serialize_with = "crate::fit::uncertainty::interval::finite_or_null")]
    pub times: f64,
    /// Pointwise interval from the paired resamples; absent without them, and where a curve rests on too few runs.
    pub interval: Option<Ends>,
    /// Share of the resamples in which `who` reaches the loss at all.
    pub reaches: Option<f64>,
    /// Within the scales that `who` was measured at, multiplied: else an extrapolation.
    pub inside_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ends {
    #[serde(serialize_with = "crate::fit::uncertainty::interval::finite_or_null")]
    pub low: f64,
    #[serde(serialize_with = "crate::fit::uncertainty::interval::finite_or_null")]
    pub high: f64,
}

/// Each pair of curves, each side against the other. All fits are on one axis, and their resamples are paired.
pub fn multipliers(tables: &Tables, level: f64) -> Vec<Multiplier> {
    let count = tables.fits.len();
    let wanted: Vec<Wanted> = tables.fits.par_iter().map(Wanted::of).collect();
    let pairs = (0..count * count).into_par_iter().map(|i| (i / count, i % count)).filter(|(who, of)| who != of);
    pairs.map(|(who, of)| multiplier(tables, who, &wanted[of], level)).collect()
}

/// What a curve reaches, which others are to equal.
struct Wanted<'a> {
    of: &'a Fit,
    /// ln of the scales.
    scales: Vec<f64>,
    /// ln of the loss of each resample at each of them; absent without a fit.
    drawn: Vec<Option<Vec<f64>>>,
}

impl<'a> Wanted<'a> {
    fn of(of: &'a Fit) -> Self {
        let (low, high) = (of.range.0.ln(), of.range.1.ln());
        let steps = if high > low { STEPS } else { 0 };
        let scales: Vec<f64> = (0..=steps).map(|i| low + (high - low) * i as f64 / steps.max(1) as f64).collect();
        let losses = |theta: &Theta| scales.iter().map(|ln_x| of.ln_loss_of(theta, *ln_x)).collect();
        let drawn = of.draws.resamples.iter().map(|theta| theta.as_ref().map(losses)).collect();
        Self { of, scales, drawn }
    }
}

fn multiplier(tables: &Tables, who: usize, wanted: &Wanted, level: f64) -> Multiplier {
    let curve = (0..wanted.scales.len()).map(|scale| at(tables, who, wanted, scale, level)).collect();
    Multiplier { who: tables.fits[who].curve.clone(), of: wanted.of.curve.clone(), curve }
}

fn at(tables: &Tables, who: usize, Wanted { of, scales, drawn }: &Wanted, scale: usize, level: f64) -> At {
    let (fit, ln_x) = (&tables.fits[who], scales[scale]);
    let times = ln_times(fit, &fit.theta, of.ln_loss(ln_x), ln_x);
    let own = tables.resamples(who).iter().zip(&fit.draws.resamples);
    let paired = own.zip(drawn).filter_map(|((row, theta), of)| Some((row.as_ref()?, theta.as_ref()?, of.as_ref()?)));
    let of_draw = |(row, theta, wanted): (&Row, &Theta, &Vec<f64>)| match tables.scale_at(row, wanted[scale]) {
        Some(found) => found - ln_x,
        None => ln_times(fit, theta, wanted[scale], ln_x),
    };
    let mut draws: Vec<f64> = paired.map(of_draw).collect();
    draws.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    let there = if times.is_finite() { ln_x + times } else { ln_x };
    let resampled = !draws.is_empty() && of.tested_at(ln_x) && fit.tested_at(there);
    At {
        x: ln_x.exp(),
        loss: of.ln_loss(ln_x).exp(),
        times: times.exp(),
        interval: resampled
            .then(|| Ends { low: quantile(&draws, tail).exp(), high: quantile(&draws, 1.0 - tail).exp() }),
        reaches: resampled
            .then(|| draws.iter().filter(|times| **times < f64::INFINITY).count() as f64 / draws.len() as f64),
        inside_data: (fit.range.0.ln()..=fit.range.1.ln()).contains(&(ln_x + times)),
    }
}

/// ln of the multiple: infinite where `who` never gets there, minus infinity where it is better from the start.
fn ln_times(who: &Fit, theta: &Theta, wanted: f64, ln_x: f64) -> f64 {
    scale_at(&|t| who.ln_loss_of(theta, t) - wanted, ln_x) - ln_x
}

/// The scale at which a falling function passes zero, the nearest to `from`; infinite beyond the last number.
fn scale_at(function: &dyn Fn(f64) -> f64, from: f64) -> f64 {
    let mut near = (from, function(from));
    let direction = if near.1 > 0.0 { 1.0 } else { -1.0 };
    let mut step = 0.25;
    loop {
        let at = near.0 + direction * step;
        if at.abs() > FARTHEST {
            return direction * f64::INFINITY;
        }
        let far = (at, function(at));
        if (far.1 > 0.0) != (near.1 > 0.0) {
            return scalar::zero(function, near, far);
        }
        (near, step) = (far, 1.5 * step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::analysis::fit_curves;
    use crate::fit::laws;
    use crate::fit::settings::Settings;
    use crate::fit::tests::planted;
    use crate::point::Axis;

    /// What the second needs to equal the first.
    fn second_to_first(fits: &[Fit], level: f64) -> Multiplier {
        let all = multipliers(&Tables::of(fits), level);
        assert_eq!(all.len(), 2);
        all.into_iter().find(|found| found.who == fits[1].curve).unwrap()
    }

    const XS: [f64; 6] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0];

    fn fits(law: &str, a: impl Fn(f64) -> f64, b: impl Fn(f64) -> f64, sigma: f64) -> Vec<Fit> {
        let law = laws::by_name(law).unwrap();
        let points = [planted("a", a, &XS, 3, sigma, 1), planted("b", b, &XS, 3, sigma, 1)].concat();
        fit_curves(&points, Axis::Data, &Settings { law, bootstrap: 300, ..Settings::default() }).unwrap().fits
    }

    #[test]
    fn curves_of_one_exponent_differ_by_one_factor() {
        let fits = fits("power", |x| 8.0 * x.powf(-0.25), |x| 10.0 * x.powf(-0.25), 0.0);
        let found = second_to_first(&fits, 0.95);
        assert_eq!((found.who.as_str(), found.of.as_str(), found.curve.len()), ("b", "a", STEPS + 1));
        for at in &found.curve {
            assert!((at.times / (10f64 / 8.0).powf(4.0) - 1.0).abs() < 1e-6, "{at:?}");
        }
        assert!(found.curve[0].inside_data && !found.curve[STEPS].inside_data);
    }

    #[test]
    fn equals_the_closed_form_and_is_infinite_below_the_floor() {
        let (a, b) = (|x: f64| 0.3 + 15.0 * x.powf(-0.35), |x: f64| 0.5 + 30.0 * x.powf(-0.5));
        let fits = fits("power-floor", a, b, 0.0);
        let found = second_to_first(&fits, 0.95);
        for at in &found.curve {
            let needed = ((a(at.x) - 0.5) / 30.0).powf(-2.0) / at.x;
            match a(at.x) > 0.5 {
                true => assert!((at.times / needed - 1.0).abs() < 1e-4, "{at:?}, {needed}"),
                false => assert!(at.times.is_infinite() && at.reaches == Some(0.0) && !at.inside_data, "{at:?}"),
            }
        }
        let last = serde_json::to_value(found.curve[STEPS]).unwrap();
        assert!(last["times"].is_null() && last["interval"]["low"].is_null(), "{last}");
    }

    #[test]
    fn the_band_holds_the_truth_and_both_sides_agree() {
        let (a, b) = (|x: f64| 0.3 + 15.0 * x.powf(-0.35), |x: f64| 0.2 + 12.0 * x.powf(-0.35));
        let fits = fits("power-floor", a, b, 0.01);
        let found = second_to_first(&fits, 0.99);
        for at in &found.curve {
            let truth = ((a(at.x) - 0.2) / 12.0).powf(-1.0 / 0.35) / at.x;
            let Ends { low, high } = at.interval.unwrap();
            assert!(low < truth && truth < high && at.reaches == Some(1.0), "{at:?}, {truth}");
        }
        let there = &found.curve[4];
        let ln_x = (there.x * there.times).ln();
        let back = ln_times(&fits[0], &fits[0].theta, fits[1].ln_loss(ln_x), ln_x);
        assert!((back.exp() * there.times - 1.0).abs() < 1e-6);
    }
}
