//! One group of points on its way to a fit: what is used, what is dropped and why, which runs are one unit, and what
//! must be said about the result.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::bootstrap::Draws;
use super::estimate::{Dropped, Scale};
use super::interval::Interval;
use super::law::{Domain, Law};
use super::sample::Sample;
use super::solve::Search;
use super::verdict::{Refusal, Verdict};
use crate::point::{Axis, Point};

/// An exponent whose interval spans a larger factor than this is anything, and is not called identified.
const WIDEST: f64 = 5.0;

pub struct Group {
    pub name: String,
    pub sample: Sample,
    /// The bootstrap's unit of each observation, numbered over all groups.
    pub units: Vec<usize>,
    /// Distinct sources of the observations, in order.
    pub sources: Vec<String>,
    pub dropped: Vec<Dropped>,
}

/// What the bootstrap resamples as one, possibly in several groups at once.
#[derive(PartialEq, Eq, Hash)]
enum Unit<'a> {
    /// The copy-th point of a seed at a scale.
    Seed { scale: [u64; 2], seed: i64, copy: usize },
    /// The copy-th run of a seed, with all its checkpoints.
    Run { seed: i64, copy: usize },
    /// Of one group only.
    Alone { group: &'a str, source: &'a str, copy: usize },
}

/// The points by group, in the order of the groups' names.
pub fn split(points: &[Point], scale: Scale, exclude_top_loss: usize) -> Vec<Group> {
    let mut by_name: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        by_name.entry(&point.group).or_default().push(point);
    }
    let mut numbers = HashMap::new();
    by_name.into_iter().map(|(name, points)| gather(name, points, scale, exclude_top_loss, &mut numbers)).collect()
}

fn gather<'a>(
    name: &'a str,
    points: Vec<&'a Point>,
    scale: Scale,
    exclude_top_loss: usize,
    numbers: &mut HashMap<Unit<'a>, usize>,
) -> Group {
    let mut dropped = Vec::new();
    let mut usable = Vec::new();
    for point in points {
        match ln_scales(point, scale) {
            Ok(ln_x) => usable.push((point, ln_x)),
            Err(reason) => dropped.push(Dropped { point: point.source.clone(), reason }),
        }
    }
    let mut order: Vec<usize> = (0..usable.len()).collect();
    order.sort_by(|&a, &b| usable[b].0.value.total_cmp(&usable[a].0.value).then(a.cmp(&b)));
    let outliers: HashSet<usize> = order.into_iter().take(exclude_top_loss).collect();
    for &i in &outliers {
        let reason = format!("among the {exclude_top_loss} largest losses");
        dropped.push(Dropped { point: usable[i].0.source.clone(), reason });
    }
    dropped.sort_by(|a, b| a.point.cmp(&b.point));
    let kept: Vec<(&Point, [f64; 2])> =
        usable.into_iter().enumerate().filter(|(i, _)| !outliers.contains(i)).map(|(_, pair)| pair).collect();
    let mut sample = Sample::default();
    for (point, ln_x) in &kept {
        sample.push(*ln_x, point.value.ln());
    }
    let mut sources: Vec<String> = kept.iter().map(|(point, _)| point.source.clone()).collect();
    let units = number_units(name, &kept, numbers);
    sources.sort_unstable();
    sources.dedup();
    Group { name: name.to_owned(), sample, units, sources, dropped }
}

/// ln of the scales that the fit is over, or why the point cannot be used.
fn ln_scales(point: &Point, scale: Scale) -> Result<[f64; 2], String> {
    let ln = |axis: Axis| match point.x(axis) {
        None => Err(format!("it has no {axis:?}").to_lowercase()),
        Some(x) if x > 0.0 && x.is_finite() => Ok(x.ln()),
        Some(x) => Err(format!("its {} is {x}, not a positive number", format!("{axis:?}").to_lowercase())),
    };
    if !(point.value > 0.0 && point.value.is_finite()) {
        return Err(format!("its value is {}, not a positive number", point.value));
    }
    match scale {
        Scale::Curve(axis) => Ok([ln(axis)?, 0.0]),
        Scale::Surface => Ok([ln(Axis::Params)?, ln(Axis::Data)?]),
    }
}

fn number_units<'a>(
    group: &'a str,
    points: &[(&'a Point, [f64; 2])],
    numbers: &mut HashMap<Unit<'a>, usize>,
) -> Vec<usize> {
    let mut rows: HashMap<&str, usize> = HashMap::new();
    for (point, _) in points {
        *rows.entry(&point.source).or_default() += 1;
    }
    let mut copies: HashMap<(Option<[u64; 2]>, i64), usize> = HashMap::new();
    let mut run_copy: HashMap<&str, usize> = HashMap::new();
    let mut number = |unit: Unit<'a>| {
        let next = numbers.len();
        *numbers.entry(unit).or_insert(next)
    };
    let mut next_copy = |scale: Option<[u64; 2]>, seed: i64| {
        let count = copies.entry((scale, seed)).or_default();
        *count += 1;
        *count
    };
    let mut units = Vec::new();
    for (point, ln_x) in points {
        let source = point.source.as_str();
        let unit = match point.seed {
            None => Unit::Alone { group, source, copy: 0 },
            Some(seed) if rows[source] > 1 => {
                let copy = *run_copy.entry(source).or_insert_with(|| next_copy(None, seed));
                Unit::Run { seed, copy }
            }
            Some(seed) => {
                let scale = ln_x.map(f64::to_bits);
                Unit::Seed { scale, seed, copy: next_copy(Some(scale), seed) }
            }
        };
        units.push(number(unit));
    }
    units
}

/// How many different scales a sample holds.
pub fn distinct_scales(sample: &Sample) -> usize {
    sample.ln_x.iter().map(|x| x.map(f64::to_bits)).collect::<HashSet<_>>().len()
}

impl Group {
    /// Smallest and largest scale.
    pub fn range(&self) -> (f64, f64) {
        let (low, high) = self.sample.ln_range(0);
        (low.exp(), high.exp())
    }

    pub fn check(&self, law: &dyn Law) -> Result<(), Refusal> {
        if self.sample.is_empty() {
            return Err(Refusal::NoUsablePoints { dropped: self.dropped.len() });
        }
        let (have, need) = (distinct_scales(&self.sample), law.params().len() + 1);
        match law.domain() {
            _ if have >= need => Ok(()),
            Domain::Curve => Err(Refusal::TooFewScales { have, need, law: law.name().into() }),
            Domain::Surface => Err(Refusal::TooFewPoints { have, need, law: law.name().into() }),
        }
    }

    /// The sample without its `hidden` largest scales, and those; of N for surfaces.
    pub fn split_at_largest(&self, hidden: usize) -> Option<(Sample, Sample)> {
        let mut scales: Vec<f64> = self.sample.ln_x.iter().map(|x| x[0]).collect();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        let first_hidden = *scales.get(scales.len().checked_sub(hidden)?)?;
        let (mut seen, mut unseen) = (Sample::default(), Sample::default());
        for (ln_x, ln_y) in self.sample.ln_x.iter().zip(&self.sample.ln_y) {
            if ln_x[0] < first_hidden { seen.push(*ln_x, *ln_y) } else { unseen.push(*ln_x, *ln_y) }
        }
        Some((seen, unseen))
    }
}

/// What a reader must know before believing the fit.
pub fn verdicts(
    group: &Group,
    search: &Search,
    draws: &Draws,
    intervals: &BTreeMap<&'static str, Interval>,
    law: &dyn Law,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for param in law.params().iter().filter(|param| param.exponent) {
        let Some(interval) = intervals.get(param.name) else { continue };
        let clear_of_bounds = interval.low > param.low + 1e-9 && interval.high < param.high - 1e-9;
        if !(clear_of_bounds && interval.high <= WIDEST * interval.low) {
            verdicts.push(Verdict::Unidentified { param: param.name.into(), low: interval.low, high: interval.high });
        }
    }
    if verdicts.is_empty() && !draws.resamples.is_empty() {
        verdicts.push(Verdict::Identified);
    }
    for (param, theta) in law.params().iter().zip(&search.best.theta) {
        let (low, high) = param.bounds();
        if *theta <= low || *theta >= high {
            verdicts.push(Verdict::AtBound { param: param.name.into(), value: param.natural(*theta) });
        }
    }
    if distinct_scales(&group.sample) == group.sample.len() && law.domain() == Domain::Curve {
        verdicts.push(Verdict::OneSeed);
    }
    if search.agree < 0.5 {
        verdicts.push(Verdict::StartsDisagree { share: search.agree });
    }
    if !search.best.converged {
        verdicts.push(Verdict::NotConverged);
    }
    let failed = draws.resamples.iter().filter(|draw| draw.is_none()).count();
    if failed > 0 {
        verdicts.push(Verdict::FailedResamples { share: failed as f64 / draws.resamples.len() as f64 });
    }
    verdicts
}
