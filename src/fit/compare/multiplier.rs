//! How many times more data (or compute, or parameters) one architecture needs to equal another, scale by scale.

use rayon::prelude::*;
use serde::Serialize;

use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::laws::law::Theta;
use crate::fit::uncertainty::interval::quantile;

/// Scales of the curve, evenly spread in log over what `of` was measured at.
const STEPS: usize = 16;

/// ln of the largest and the smallest scale at which a loss is looked for: as far as numbers go.
const FARTHEST: f64 = 690.0;

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
    /// Pointwise interval from the paired resamples; absent without them.
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

/// Each pair of curves, each side against the other. Empty for surfaces.
pub fn multipliers(fits: &[Fit], level: f64) -> Vec<Multiplier> {
    let curves: Vec<&Fit> = fits.iter().filter(|fit| matches!(fit.x, Scale::Curve(_))).collect();
    let count = curves.len();
    let pairs = (0..count * count).into_par_iter().map(|i| (i / count, i % count)).filter(|(who, of)| who != of);
    pairs.map(|(who, of)| multiplier(curves[who], curves[of], level)).collect()
}

/// What `who` needs to equal `of`. Both fits are on one axis, and their resamples are paired.
pub fn multiplier(who: &Fit, of: &Fit, level: f64) -> Multiplier {
    let (low, high) = (of.range.0.ln(), of.range.1.ln());
    let steps = if high > low { STEPS } else { 0 };
    let scales = (0..=steps).map(|i| low + (high - low) * i as f64 / steps.max(1) as f64);
    let curve = scales.map(|ln_x| at(who, of, ln_x, level)).collect();
    Multiplier { who: who.curve.clone(), of: of.curve.clone(), curve }
}

fn at(who: &Fit, of: &Fit, ln_x: f64, level: f64) -> At {
    let times = ln_times(who, &who.theta, of, &of.theta, ln_x);
    let both = who.draws.resamples.iter().zip(&of.draws.resamples);
    let paired = both.filter_map(|(who, of)| Some((who.as_ref()?, of.as_ref()?)));
    let mut draws: Vec<f64> = paired.map(|(theta, other)| ln_times(who, theta, of, other, ln_x)).collect();
    draws.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    let resampled = !draws.is_empty();
    At {
        x: ln_x.exp(),
        loss: of.ln_loss(ln_x).exp(),
        times: times.exp(),
        interval: resampled
            .then(|| Ends { low: quantile(&draws, tail).exp(), high: quantile(&draws, 1.0 - tail).exp() }),
        reaches: resampled
            .then(|| draws.iter().filter(|times| **times < f64::INFINITY).count() as f64 / draws.len() as f64),
        inside_data: (who.range.0.ln()..=who.range.1.ln()).contains(&(ln_x + times)),
    }
}

/// ln of the multiple: infinite where `who` never gets there, minus infinity where it is better from the start.
fn ln_times(who: &Fit, theta: &Theta, of: &Fit, of_theta: &Theta, ln_x: f64) -> f64 {
    let wanted = of.ln_loss_of(of_theta, ln_x);
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
            return zero(function, near, far);
        }
        (near, step) = (far, 1.5 * step);
    }
}

/// Where a function is zero between two places of different sign, by false position (Illinois: the value of an end that
/// stays is halved).
fn zero(function: &dyn Fn(f64) -> f64, mut stays: (f64, f64), mut moves: (f64, f64)) -> f64 {
    for _ in 0..200 {
        let secant = moves.0 - moves.1 * (moves.0 - stays.0) / (moves.1 - stays.1);
        let at = if secant.is_finite() { secant } else { 0.5 * (moves.0 + stays.0) };
        let value = function(at);
        if value == 0.0 || (at - moves.0).abs() < 1e-10 {
            return at;
        }
        if (value > 0.0) == (moves.1 > 0.0) {
            stays.1 *= 0.5
        } else {
            stays = moves
        }
        moves = (at, value);
    }
    moves.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::analysis::fit_curves;
    use crate::fit::laws;
    use crate::fit::settings::Settings;
    use crate::fit::tests::planted;
    use crate::point::Axis;

    const XS: [f64; 6] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0];

    fn fits(law: &str, a: impl Fn(f64) -> f64, b: impl Fn(f64) -> f64, sigma: f64) -> Vec<Fit> {
        let law = laws::by_name(law).unwrap();
        let points = [planted("a", a, &XS, 3, sigma, 1), planted("b", b, &XS, 3, sigma, 1)].concat();
        fit_curves(&points, Axis::Data, &Settings { law, bootstrap: 300, ..Settings::default() }).unwrap().fits
    }

    #[test]
    fn curves_of_one_exponent_differ_by_one_factor() {
        let fits = fits("power", |x| 8.0 * x.powf(-0.25), |x| 10.0 * x.powf(-0.25), 0.0);
        let found = multiplier(&fits[1], &fits[0], 0.95);
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
        let found = multiplier(&fits[1], &fits[0], 0.95);
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
        let found = multiplier(&fits[1], &fits[0], 0.99);
        for at in &found.curve {
            let truth = ((a(at.x) - 0.2) / 12.0).powf(-1.0 / 0.35) / at.x;
            let Ends { low, high } = at.interval.unwrap();
            assert!(low < truth && truth < high && at.reaches == Some(1.0), "{at:?}, {truth}");
        }
        let there = &found.curve[4];
        let back = ln_times(&fits[0], &fits[0].theta, &fits[1], &fits[1].theta, (there.x * there.times).ln());
        assert!((back.exp() * there.times - 1.0).abs() < 1e-6);
        assert_eq!(multipliers(&fits, 0.95).len(), 2);
    }
}
