//! Every size of a curve along the scale, also those that another size stands for there: what a frontier is the edge of.

use std::collections::{BTreeMap, HashMap};

use super::{Source, Study};
use crate::error::Result;
use crate::point::{Axis, Point};
use crate::store::Sizes;

/// One size of a curve: the mean over seeds at each scale, in order of scale.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeLine {
    pub curve: String,
    pub params: f64,
    pub line: Vec<(f64, f64)>,
}

impl Study {
    /// A line for each size of each curve of the study that has several, in the order of the curves and of size.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn every_size(&self, axis: Axis) -> Result<Vec<SizeLine>> {
        if let Source::Several(parts) = &self.source {
            let of_parts: Vec<Vec<SizeLine>> = parts.iter().map(|part| part.every_size(axis)).collect::<Result<_>>()?;
            let drawn = |line: &SizeLine| self.points.iter().any(|point| point.curve == line.curve);
            return Ok(of_parts.concat().into_iter().filter(drawn).collect());
        }
        let (points, curve_of): (Vec<Point>, HashMap<String, String>) = match &self.source {
            Source::Sweep { reader, name, .. } => {
                let runs = reader.runs(name)?.into_iter().map(|run| (run.id, run.curve)).collect();
                (reader.points(name, self.metric(), Some(axis), Sizes::Each)?.points, runs)
            }
            Source::File { .. } | Source::Several(_) => (self.points.clone(), HashMap::new()),
        };
        let base = |point: &Point| curve_of.get(&point.source).unwrap_or(&point.curve).clone();
        let lines = self.curves.iter().filter(|curve| self.points.iter().any(|point| point.curve == **curve));
        Ok(lines.flat_map(|curve| sizes_of(curve, points.iter().filter(|point| base(point) == *curve), axis)).collect())
    }
}

fn sizes_of<'a>(curve: &str, points: impl Iterator<Item = &'a Point>, axis: Axis) -> Vec<SizeLine> {
    // Positive numbers sort as their bits do.
    let mut sizes: BTreeMap<u64, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for point in points.filter(|point| point.value.is_finite()) {
        let (Some(params), Some(x)) = (point.params, point.x(axis)) else { continue };
        if params > 0.0 && x > 0.0 {
            sizes.entry(params.to_bits()).or_default().entry(x.to_bits()).or_default().push(point.value);
        }
    }
    if sizes.len() < 2 {
        return Vec::new();
    }
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    (sizes.into_iter())
        .map(|(params, cells)| SizeLine {
            curve: curve.to_owned(),
            params: f64::from_bits(params),
            line: cells.iter().map(|(x, values)| (f64::from_bits(*x), mean(values))).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(params: f64, compute: f64, value: f64) -> Point {
        Point {
            curve: "vit".into(),
            params: Some(params),
            data: None,
            seen: None,
            compute: Some(compute),
            seconds: None,
            value,
            seed: None,
            source: String::new(),
            made: None,
        }
    }

    #[test]
    fn a_line_for_each_size_through_the_means_of_its_cells() {
        let points = [
            point(2e3, 1e9, 0.5),
            point(1e3, 2e9, 0.6),
            point(1e3, 1e9, 0.7),
            point(1e3, 1e9, 0.9),
            point(2e3, 2e9, f64::NAN),
        ];
        let lines = sizes_of("vit", points.iter(), Axis::Compute);
        let expected = |params, line: &[(f64, f64)]| SizeLine { curve: "vit".into(), params, line: line.to_vec() };
        assert_eq!(lines, [expected(1e3, &[(1e9, 0.8), (2e9, 0.6)]), expected(2e3, &[(1e9, 0.5)])]);
        assert!(sizes_of("vit", points[..1].iter(), Axis::Compute).is_empty(), "one size is the curve itself");
    }
}
