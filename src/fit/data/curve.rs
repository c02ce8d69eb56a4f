//! One curve of points on its way to a fit: what is used, what is dropped and why, and which runs are one unit.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Serialize, Serializer};

use crate::fit::data::sample::{LnX, Sample};
use crate::fit::data::scale::{Dropped, Scale};
use crate::point::{Axis, Point};

pub struct Curve {
    pub name: String,
    pub sample: Sample,
    /// The bootstrap's unit of each observation, numbered over all curves.
    pub units: Vec<usize>,
    /// Where each observation comes from.
    pub sources: Vec<String>,
    pub seeds: Vec<Option<i64>>,
    /// Observations that repeat an earlier one in scale, seed and loss.
    pub repeated: usize,
    pub dropped: Vec<Dropped>,
    /// Over seconds: how many different budgets its points had, by FLOPs or else by examples; absent where nobody says.
    pub budgets: Option<usize>,
}

/// A run by its name and its parameters: a name that sizes share is not a run's.
type Named<'a> = (&'a str, Option<u64>);

/// What the bootstrap resamples as one, possibly in several curves at once.
#[derive(PartialEq, Eq, Hash)]
enum Unit<'a> {
    /// The copy-th point of a seed at a scale.
    Seed { scale: [u64; 3], seed: i64, copy: usize },
    /// The copy-th run of a seed, with all its checkpoints.
    Run { seed: i64, copy: usize },
    /// Of one curve only.
    Alone { curve: &'a str, run: Named<'a> },
}

/// The points by curve, in the order of the curves' names.
pub fn split(points: &[Point], scale: Scale, exclude_top_loss: usize) -> Vec<Curve> {
    let mut by_name: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        by_name.entry(&point.curve).or_default().push(point);
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
) -> Curve {
    let mut dropped = Vec::new();
    let mut drop = |point: &Point, reason: String| dropped.push(Dropped { point: point.source.clone(), reason });
    let mut placed = Vec::new();
    for point in points {
        match ln_scales(point, scale) {
            Ok(ln_x) => placed.push((point, ln_x)),
            Err(reason) => drop(point, reason),
        }
    }
    // The runs beside one without an error are the worse ones of their scale.
    let bits = |ln_x: &LnX| ln_x.map(f64::to_bits);
    let without: HashMap<[u64; 3], f64> =
        placed.iter().filter(|(point, _)| point.value <= 0.0).map(|(point, ln_x)| (bits(ln_x), point.value)).collect();
    let mut usable = Vec::new();
    for (point, ln_x) in placed {
        match (point.value > 0.0 && point.value.is_finite(), without.get(&bits(&ln_x))) {
            (false, _) => drop(point, format!("its value is {}, not a positive number", point.value)),
            (true, Some(value)) => drop(
                point,
                format!(
                    "another run at its scale has the value {value}, which no curve can be fitted to: alone, the others \
                     would make the scale look worse than it is"
                ),
            ),
            (true, None) => usable.push((point, ln_x)),
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
    let kept: Vec<(&Point, LnX)> =
        usable.into_iter().enumerate().filter(|(i, _)| !outliers.contains(i)).map(|(_, pair)| pair).collect();
    let mut sample = Sample::default();
    for (point, ln_x) in &kept {
        sample.push(*ln_x, point.value.ln());
    }
    let sources = kept.iter().map(|(point, _)| point.source.clone()).collect();
    let units = number_units(name, &kept, numbers);
    let seeds = kept.iter().map(|(point, _)| point.seed).collect();
    let budgets = (scale == Scale::Curve(Axis::Seconds)).then(|| budgets(&kept)).flatten();
    Curve { name: name.to_owned(), sample, units, sources, seeds, repeated: repeated(&kept), dropped, budgets }
}

/// Different numbers of FLOPs, or of examples seen where those are unknown.
fn budgets(points: &[(&Point, LnX)]) -> Option<usize> {
    let budget = |(point, _): &(&Point, LnX)| point.compute.or(point.seen).or(point.data).map(f64::to_bits);
    Some(points.iter().map(budget).collect::<Option<HashSet<u64>>>()?.len())
}

/// ln of the scales that the fit is over, or why the point has no place there.
fn ln_scales(point: &Point, scale: Scale) -> Result<LnX, String> {
    let ln = |axis: Axis| match point.x(axis) {
        None => Err(format!("it has no {axis}{}", instead(point, scale))),
        Some(x) if x > 0.0 && x.is_finite() => Ok(x.ln()),
        Some(x) => Err(format!("its {axis} is {x}, not a positive number")),
    };
    let ln_x = match scale {
        Scale::Curve(axis) => [ln(axis)?, 0.0, 0.0],
        Scale::Surface => [ln(Axis::Params)?, ln(Axis::Data)?, 0.0],
        Scale::Repeated => [ln(Axis::Params)?, ln(Axis::Data)?, seen(point)?],
        Scale::Profile => [ln(Axis::Compute)?, ln(Axis::Params)?, 0.0],
    };
    Ok(ln_x)
}

/// The scales that a point of a curve does have, as what to type.
fn instead(point: &Point, scale: Scale) -> String {
    let Scale::Curve(_) = scale else { return String::new() };
    let has = [Axis::Params, Axis::Data, Axis::Compute].into_iter().filter(|axis| point.x(*axis).is_some());
    let has: Vec<String> = has.map(|axis| format!("--x {axis}")).collect();
    if has.is_empty() { String::new() } else { format!(" (but there is {})", has.join(" and ")) }
}

/// ln of the examples seen, repeats counted.
fn seen(point: &Point) -> Result<f64, String> {
    match point.seen {
        None => Err("nothing says how many examples were seen, repeats counted".into()),
        Some(seen) if seen > 0.0 && seen.is_finite() => Ok(seen.ln()),
        Some(seen) => Err(format!("its examples seen are {seen}, not a positive number")),
    }
}

fn repeated(points: &[(&Point, LnX)]) -> usize {
    let mut seen = HashSet::new();
    let fresh =
        |(point, ln_x): &&(&Point, LnX)| seen.insert((ln_x.map(f64::to_bits), point.value.to_bits(), point.seed));
    points.len() - points.iter().filter(fresh).count()
}

fn number_units<'a>(curve: &'a str, points: &[(&'a Point, LnX)], numbers: &mut HashMap<Unit<'a>, usize>) -> Vec<usize> {
    let named = |point: &'a Point| -> Named<'a> { (&point.source, point.params.map(f64::to_bits)) };
    let mut rows: HashMap<Named<'a>, usize> = HashMap::new();
    for (point, _) in points {
        *rows.entry(named(point)).or_default() += 1;
    }
    let mut copies: HashMap<(Option<[u64; 3]>, i64), usize> = HashMap::new();
    let mut run_copy: HashMap<Named<'a>, usize> = HashMap::new();
    let mut number = |unit: Unit<'a>| {
        let next = numbers.len();
        *numbers.entry(unit).or_insert(next)
    };
    let mut next_copy = |scale: Option<[u64; 3]>, seed: i64| {
        let count = copies.entry((scale, seed)).or_default();
        *count += 1;
        *count
    };
    let mut units = Vec::new();
    for (point, ln_x) in points {
        let run = named(point);
        let unit = match point.seed {
            None => Unit::Alone { curve, run },
            Some(seed) if rows[&run] > 1 => {
                let copy = *run_copy.entry(run).or_insert_with(|| next_copy(None, seed));
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

impl Curve {
    /// Distinct sources of the observations, in order.
    pub fn runs(&self) -> Vec<String> {
        let mut runs = self.sources.clone();
        runs.sort_unstable();
        runs.dedup();
        runs
    }
}

/// A curve's name in JSON, as `curve` and as `group`, which the first release called it.
pub fn both_names<S: Serializer>(curve: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names<'a> {
        curve: &'a str,
        group: &'a str,
    }
    Names { curve, group: curve }.serialize(serializer)
}

/// The same for several.
pub fn all_both_names<S: Serializer>(curves: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names<'a> {
        curves: &'a [String],
        groups: &'a [String],
    }
    Names { curves, groups: curves }.serialize(serializer)
}
