//! The frontier: which runs nobody beats at their compute or less.

use crate::point::Point;

/// The lower envelope of loss over compute, cheapest first: every point whose loss is smaller than that of all points
/// with as much compute or less. Points without positive, finite compute and a finite value are passed over.
pub fn frontier(points: &[Point]) -> Vec<&Point> {
    let cost = |point: &Point| point.compute.unwrap_or(f64::NAN);
    let mut ordered: Vec<&Point> =
        points.iter().filter(|point| cost(point) > 0.0 && cost(point).is_finite() && point.value.is_finite()).collect();
    ordered.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then(a.value.total_cmp(&b.value)));
    let mut lowest = f64::INFINITY;
    ordered.retain(|point| {
        let better = point.value < lowest;
        lowest = lowest.min(point.value);
        better
    });
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_nobody_beats() {
        let point = |compute: Option<f64>, value: f64| Point {
            group: "a".into(),
            params: None,
            data: None,
            compute,
            value,
            seed: None,
            source: String::new(),
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
