//! The frontier: which runs nobody beats at their compute or less, and the law along them (approach 1 of Hoffmann et al.
//! 2022, arXiv:2203.15556).

use crate::fit::data::sample::Sample;
use crate::fit::laws::law::{Domain, Law, LnX, Param, Theta};
use crate::fit::laws::power_floor::PowerFloor;
use crate::point::Point;

/// The power law with a floor over compute, through the points of the frontier alone. A resample draws runs, and finds
/// its own frontier among them.
pub struct Frontier;

impl Law for Frontier {
    fn name(&self) -> &'static str {
        "frontier"
    }

    fn formula(&self) -> &'static str {
        "L = E + A C^-alpha along the frontier"
    }

    fn source(&self) -> &'static str {
        "Hoffmann et al. 2022, arXiv:2203.15556, approach 1, with a floor"
    }

    fn domain(&self) -> Domain {
        Domain::Frontier
    }

    fn params(&self) -> &'static [Param] {
        PowerFloor.params()
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        PowerFloor.ln_loss(theta, ln_x, gradient)
    }

    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        PowerFloor.starts(sample)
    }
}

/// Indices of the observations that no cheaper or equally cheap one beats, cheapest first.
pub fn unbeaten(sample: &Sample) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sample.len()).collect();
    let key = |i: usize| (sample.ln_x[i][0], sample.ln_y[i]);
    order.sort_by(|&a, &b| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
    let mut lowest = f64::INFINITY;
    order.retain(|&i| {
        let better = sample.ln_y[i] < lowest;
        lowest = lowest.min(sample.ln_y[i]);
        better
    });
    order
}

/// The lower envelope of loss over compute, cheapest first: every point whose loss is smaller than that of all points
/// with as much compute or less. Points without positive, finite compute and a finite value are passed over.
pub fn frontier(points: &[Point]) -> Vec<&Point> {
    let cost = |point: &Point| point.compute.unwrap_or(f64::NAN);
    let measured: Vec<&Point> =
        points.iter().filter(|point| cost(point) > 0.0 && cost(point).is_finite() && point.value.is_finite()).collect();
    let mut sample = Sample::default();
    measured.iter().for_each(|point| sample.push([cost(point), 0.0, 0.0], point.value));
    unbeaten(&sample).into_iter().map(|i| measured[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_nobody_beats() {
        let point = |compute: Option<f64>, value: f64| Point {
            curve: "a".into(),
            params: None,
            data: None,
            seen: None,
            compute,
            seconds: None,
            value,
            seed: None,
            source: String::new(),
            made: None,
        };
        let points = [
            point(Some(4.0), 1.0),
            point(Some(1.0), 3.0),
            point(Some(2.0), 3.5),
            point(Some(1.0), 2.0),
            point(None, 0.1),
            point(Some(3.0), f64::NAN),
            point(Some(8.0), 1.0),
        ];
        let kept: Vec<_> = frontier(&points).iter().map(|point| (point.compute.unwrap(), point.value)).collect();
        assert_eq!(kept, [(1.0, 2.0), (4.0, 1.0)]);
    }
}
