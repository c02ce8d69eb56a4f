//! Sizes as curves of their own, and curves whose best size goes back and forth along the scale.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};
use crate::fit::Verdict;
use crate::point::{Axis, Point};
use crate::store::Sizes;
use crate::units::si;

/// # Errors
/// Sizes would be curves of their own where the scale or the law is over sizes.
pub fn check(sizes: Sizes, over: Option<Axis>) -> Result<()> {
    match (sizes, over) {
        (Sizes::Best, _) | (Sizes::Each, Some(Axis::Data | Axis::Compute | Axis::Seconds)) => Ok(()),
        (Sizes::Each, Some(Axis::Params)) => {
            Err(Error::bad_input("--sizes each: along --x params the size is the scale, and no curve has one size")
                .hint("--x data or --x compute"))
        }
        (Sizes::Each, None) => {
            Err(Error::bad_input("--sizes each: this law is fitted to all sizes of a curve together")
                .hint("fit a curve over one scale, as --law power-floor"))
        }
    }
}

/// Of the curves that take the best of several sizes, those whose size does not grow or shrink steadily along the axis:
/// small, large, small is what noise chooses.
pub(super) fn flips(points: &[Point], axis: Axis) -> BTreeMap<String, Verdict> {
    if axis == Axis::Params {
        return BTreeMap::new();
    }
    // Positive numbers are in the order of their bits.
    let mut chosen: BTreeMap<&str, BTreeMap<u64, f64>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.made.is_some()) {
        if let (Some(x), Some(params)) = (point.x(axis), point.params) {
            chosen.entry(&point.curve).or_default().insert(x.to_bits(), params);
        }
    }
    let flip = |(curve, sizes): (&str, BTreeMap<u64, f64>)| {
        let mut runs: Vec<(f64, f64)> = sizes.into_iter().map(|(x, params)| (f64::from_bits(x), params)).collect();
        runs.dedup_by_key(|(_, params)| *params);
        let goes = |up: bool| runs.windows(2).any(|pair| (pair[0].1 < pair[1].1) == up);
        let (scales, params) = runs.iter().copied().unzip();
        (goes(true) && goes(false)).then(|| (curve.to_owned(), Verdict::SizesFlip { scales, params }))
    };
    chosen.into_iter().filter_map(flip).collect()
}

/// Makes every size of a file's curves a curve of its own, by its parameters.
///
/// # Errors
/// A row has no parameters.
pub(super) fn each(points: &mut [Point], file: &str) -> Result<()> {
    let mut sizes: HashMap<String, Vec<u64>> = HashMap::new();
    for point in points.iter() {
        let params = point.params.ok_or_else(|| {
            Error::bad_input(format!("--sizes each: {} has no number of parameters ({file})", point.source))
                .hint("name the column: --column params=COLUMN")
        })?;
        let known = sizes.entry(point.curve.clone()).or_default();
        if !known.contains(&params.to_bits()) {
            known.push(params.to_bits());
        }
    }
    for point in points.iter_mut() {
        let (Some(known), Some(params)) = (sizes.get(&point.curve), point.params) else { continue };
        let alike = known.iter().filter(|other| si(f64::from_bits(**other)) == si(params)).count();
        if known.len() > 1 {
            let size = if alike == 1 { si(params) } else { params.to_string() };
            point.curve = format!("{} {size}", point.curve);
        }
    }
    Ok(())
}
