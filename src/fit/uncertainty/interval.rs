//! From resampled values to intervals: percentile and bias-corrected accelerated (BCa).

use serde::Serialize;

use crate::fit::uncertainty::distribution::{normal_cdf, normal_quantile};

/// Share of the resamples on either side whose size does not count in a standard error.
const OUTERMOST: f64 = 1e-3;

/// Of fewer values the skew is zero, whatever they are of.
const FEWEST_LEFT_OUT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum IntervalKind {
    /// Quantiles of the resampled values.
    Percentile,
    /// Quantiles shifted for bias and skew (Efron 1987, doi:10.1080/01621459.1987.10478410).
    Bca,
}

/// An end is absent (null in JSON) where it is infinite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    #[serde(serialize_with = "finite_or_null")]
    pub low: f64,
    #[serde(serialize_with = "finite_or_null")]
    pub high: f64,
    /// Standard deviation of the resampled values, those beyond the outermost thousandth on either side pulled in to
    /// it: of thousands of resamples of a flat valley, the wildest one must not decide.
    #[serde(serialize_with = "finite_or_null")]
    pub se: f64,
    /// As it was made, which is not always as it was asked for.
    pub kind: IntervalKind,
}

pub fn finite_or_null<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(serializer)
}

/// The interval of a statistic whose estimate is `estimate`, from its values on resamples and, for BCa, on the data
/// with one unit left out at a time. Infinite values are allowed. `None` with fewer resamples than reach so far into the
/// tails. Where those values do not tell the skew, BCa falls back to percentile, and the interval says so.
pub fn interval(kind: IntervalKind, level: f64, estimate: f64, draws: &[f64], jackknife: &[f64]) -> Option<Interval> {
    let mut sorted: Vec<f64> = draws.iter().copied().filter(|value| !value.is_nan()).collect();
    if sorted.len() < needed(level) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    let tails = match kind {
        IntervalKind::Percentile => None,
        IntervalKind::Bca => bca_tails(tail, estimate, &sorted, jackknife),
    };
    let (low, high) = tails.unwrap_or((tail, 1.0 - tail));
    let kind = if tails.is_some() { IntervalKind::Bca } else { IntervalKind::Percentile };
    Some(Interval { low: quantile(&sorted, low), high: quantile(&sorted, high), se: deviation(&sorted), kind })
}

/// The fewest resamples that have a quantile as far out as the interval's ends: 39 for 95%.
pub fn needed(level: f64) -> usize {
    (2.0 / (1.0 - level) - 1.0 - 1e-9).ceil() as usize
}

fn deviation(sorted: &[f64]) -> f64 {
    let (least, most) = (quantile(sorted, OUTERMOST), quantile(sorted, 1.0 - OUTERMOST));
    let inside = || sorted.iter().map(|value| value.clamp(least, most));
    let mean = inside().sum::<f64>() / sorted.len() as f64;
    (inside().map(|value| (value - mean).powi(2)).sum::<f64>() / (sorted.len() as f64 - 1.0)).sqrt()
}

/// The quantile at `share` of sorted values, interpolated linearly between neighbours; infinite where a neighbour is.
/// The i-th of B values stands at i / (B + 1) (Hyndman and Fan's type 6), so that a further draw falls below the
/// quantile with probability `share` however few there are.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (share * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, (sorted.len() - 1) as f64);
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    match (below.is_finite(), above.is_finite()) {
        (true, true) => below + (at - at.floor()) * (above - below),
        (false, _) => below,
        (true, false) => above,
    }
}

/// Where BCa reads the resamples; none where the values with one unit left out are too few, all equal or infinite.
fn bca_tails(tail: f64, estimate: f64, sorted: &[f64], jackknife: &[f64]) -> Option<(f64, f64)> {
    let below = sorted.partition_point(|value| *value < estimate);
    let equal = sorted[below..].partition_point(|value| *value <= estimate);
    let share = (below as f64 + 0.5 * equal as f64) / sorted.len() as f64;
    let half_step = 0.5 / sorted.len() as f64;
    let bias = normal_quantile(share.clamp(half_step, 1.0 - half_step));
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in jackknife {
        squares += (mean - value).powi(2);
        cubes += (mean - value).powi(3);
    }
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    if jackknife.len() < FEWEST_LEFT_OUT || !acceleration.is_finite() {
        return None;
    }
    let shifted = |z: f64| normal_cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)));
    let z = normal_quantile(1.0 - tail);
    Some((shifted(-z), shifted(z)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_survive_infinities() {
        let values = [1.0, 2.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(quantile(&values, 0.2), 1.0);
        assert_eq!(quantile(&values, 0.4), 2.0);
        assert_eq!(quantile(&values, 0.5), f64::INFINITY);
        assert_eq!(quantile(&values, 1.0), f64::INFINITY);
        assert_eq!(quantile(&[f64::NEG_INFINITY, 1.0], 0.4), f64::NEG_INFINITY);
    }

    // import numpy as np, scipy.stats as st; x = np.array([...]); statistic np.mean on fixed resamples is not offered by
    // scipy, so the check is Efron's: symmetric draws about the estimate and a symmetric jackknife give the percentile.
    #[test]
    fn bca_of_a_symmetric_statistic_is_the_percentile_interval() {
        let draws: Vec<f64> = (-500..=500).map(f64::from).collect();
        let jackknife: Vec<f64> = (-5..=5).map(f64::from).collect();
        let bca = interval(IntervalKind::Bca, 0.95, 0.0, &draws, &jackknife).unwrap();
        let percentile = interval(IntervalKind::Percentile, 0.95, 0.0, &draws, &jackknife).unwrap();
        // Of a thousand draws; statrs' normal distribution is right to eleven digits.
        assert!((bca.low - percentile.low).abs() < 1e-6 && (bca.high - percentile.high).abs() < 1e-6);
        let skewed: Vec<f64> = jackknife.iter().map(|value| -value.exp()).collect();
        let shifted = interval(IntervalKind::Bca, 0.95, 0.0, &draws, &skewed).unwrap();
        assert!(shifted.low > percentile.low && shifted.high > percentile.high);
        assert_eq!(
            [bca.kind, percentile.kind, shifted.kind],
            [IntervalKind::Bca, IntervalKind::Percentile, IntervalKind::Bca]
        );
    }

    #[test]
    fn an_interval_that_cannot_be_bca_says_that_it_is_not() {
        let draws: Vec<f64> = (-500..=500).map(f64::from).collect();
        let percentile = interval(IntervalKind::Percentile, 0.95, 3.0, &draws, &[]).unwrap();
        for jackknife in [vec![], vec![1.0, 2.0], vec![1.0; 9], vec![1.0, 2.0, f64::INFINITY]] {
            assert_eq!(
                interval(IntervalKind::Bca, 0.95, 3.0, &draws, &jackknife).unwrap(),
                percentile,
                "{jackknife:?}"
            );
        }
    }
}
