//! What each point of a study is: size, tuned values, budget, seeds, runs, a row for each curve and scale.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::{Source, Study};
use crate::fit::Dropped;
use crate::point::{Axis, Made, Point};
use crate::units::si;

/// A file with more points than this is not listed row by row: the file is the list.
const MOST_OF_A_FILE: usize = 2000;

/// The points of one curve and scale: one cell of a sweep, all its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub curve: String,
    pub params: Option<f64>,
    /// Unique training examples.
    pub data: Option<f64>,
    /// Training FLOPs.
    pub compute: Option<f64>,
    /// Of training; only where they are the scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Absent for rows of a file.
    #[serde(flatten)]
    pub made: Option<Made>,
    pub seeds: Vec<i64>,
    /// Run ids, or lines of the file.
    pub runs: Vec<String>,
    /// Of the metric, over the runs.
    pub mean: f64,
}

impl Row {
    pub fn x(&self, axis: Axis) -> Option<f64> {
        match axis {
            Axis::Params => self.params,
            Axis::Data => self.data,
            Axis::Compute => self.compute,
            Axis::Seconds => self.seconds,
        }
    }
}

impl Study {
    /// The points that are used, in the order of the curves and along the scale; `dropped` are those of each curve that
    /// a fit leaves out. Empty for a file of very many rows.
    pub fn rows<'a>(&self, axis: Axis, dropped: impl IntoIterator<Item = (&'a str, &'a [Dropped])>) -> Vec<Row> {
        if matches!(self.source, Source::File { .. } | Source::Several(_)) && self.points.len() > MOST_OF_A_FILE {
            return Vec::new();
        }
        let mut sources: HashMap<(&str, &str), usize> = HashMap::new();
        for point in &self.points {
            *sources.entry((&point.curve, &point.source)).or_default() += 1;
        }
        let dropped: HashSet<(&str, &str)> = (dropped.into_iter())
            .flat_map(|(curve, dropped)| dropped.iter().map(move |one| (curve, one.point.as_str())))
            .collect();
        let used = |point: &&Point| {
            let name = (point.curve.as_str(), point.source.as_str());
            // A run of several points is named once for each that is dropped: which, the name does not tell.
            point.value.is_finite() && (sources[&name] > 1 || !dropped.contains(&name))
        };
        let place: HashMap<&str, usize> =
            self.curves.iter().enumerate().map(|(i, curve)| (curve.as_str(), i)).collect();
        let mut rows: Vec<Row> = Vec::new();
        let mut index: HashMap<_, usize> = HashMap::new();
        for point in self.points.iter().filter(used) {
            let made = point.made.as_ref().map(|made| std::sync::Arc::as_ptr(made) as usize);
            let scales = [point.params, point.data, point.compute].map(|scale| scale.map(f64::to_bits));
            let at = *index.entry((point.curve.as_str(), scales, made)).or_insert(rows.len());
            match rows.get_mut(at) {
                Some(row) => row.add(point),
                None => rows.push(Row::of(point)),
            }
        }
        for row in &mut rows {
            row.mean /= row.runs.len() as f64;
        }
        rows.sort_by(|a, b| {
            let x = |row: &Row| row.x(axis).unwrap_or(f64::INFINITY);
            place.get(a.curve.as_str()).cmp(&place.get(b.curve.as_str())).then(x(a).total_cmp(&x(b)))
        });
        rows
    }

    /// Whether points of different budgets were compared, so that a point's own has to be said.
    pub fn chose_budgets(&self) -> bool {
        self.contest.budgets
    }
}

impl Row {
    fn of(point: &Point) -> Row {
        Row {
            curve: point.curve.clone(),
            params: point.params,
            data: point.data,
            compute: point.compute,
            seconds: point.seconds,
            made: point.made.as_deref().cloned(),
            seeds: point.seed.into_iter().collect(),
            runs: vec![point.source.clone()],
            mean: point.value,
        }
    }

    fn add(&mut self, point: &Point) {
        self.seeds.extend(point.seed);
        self.runs.push(point.source.clone());
        self.mean += point.value;
    }

    /// Whether something about it was chosen: one of several sizes or budgets, or of tuned values.
    pub fn is_chosen(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.best_of > 1 || !made.tuned.is_empty() || !made.size.is_empty())
    }
}

/// What the points of one curve are, in one line: `vit: 4.57k to 18.1k params (width 16 to 32), lr 3e-3 to 1e-2`.
/// Nothing of curves of which nothing was chosen.
pub fn in_words(rows: &[Row], with_budgets: bool) -> Vec<String> {
    let mut curves: Vec<&str> = Vec::new();
    let mut made: HashMap<&str, Vec<(&Row, &Made)>> = HashMap::new();
    for row in rows.iter().filter(|row| row.is_chosen()) {
        let Some(how) = &row.made else { continue };
        let known = made.entry(&row.curve).or_insert_with(|| {
            curves.push(&row.curve);
            Vec::new()
        });
        known.push((row, how));
    }
    let line = |curve: &&str| {
        let made = &made[curve];
        let parts: Vec<String> =
            [size(made), tuned(made), with_budgets.then(|| budget(made)).flatten()].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("{curve}: {}", parts.join(", ")))
    };
    curves.iter().filter_map(line).collect()
}

fn size(made: &[(&Row, &Made)]) -> Option<String> {
    let keys = over_keys(made.iter().map(|(_, made)| &made.size));
    let params = made.iter().filter_map(|(row, _)| row.params);
    (!keys.is_empty()).then(|| format!("{} params ({})", range(params, si), keys.join(", ")))
}

fn tuned(made: &[(&Row, &Made)]) -> Option<String> {
    let keys = over_keys(made.iter().map(|(_, made)| &made.tuned));
    (!keys.is_empty()).then(|| keys.join(", "))
}

fn budget(made: &[(&Row, &Made)]) -> Option<String> {
    let steps: Vec<f64> = made.iter().filter_map(|(_, made)| made.steps.map(|steps| steps as f64)).collect();
    (!steps.is_empty()).then(|| format!("{} steps", range(steps.into_iter(), si)))
}

fn range(values: impl Iterator<Item = f64>, shown: fn(f64) -> String) -> String {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low == high { shown(low) } else { format!("{} to {}", shown(low), shown(high)) }
}

/// `width 16 to 32`, for each key the values that it takes.
fn over_keys<'a>(settings: impl Iterator<Item = &'a crate::run::Settings>) -> Vec<String> {
    let mut values: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (key, value) in settings.flatten() {
        let known = values.entry(key).or_default();
        if !known.contains(&value) {
            known.push(value);
        }
    }
    values.into_iter().map(|(key, values)| format!("{key} {}", spread(&values))).collect()
}

fn spread(values: &[&Value]) -> String {
    const NAMED: usize = 3;
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
    match numbers {
        Some(numbers) => {
            let of = |wanted: f64| values.iter().find(|value| value.as_f64() == Some(wanted)).map(|value| shown(value));
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let ends: Vec<String> = [of(low), of(high).filter(|_| low < high)].into_iter().flatten().collect();
            ends.join(" to ")
        }
        None if values.len() > NAMED => format!("of {} kinds", values.len()),
        None => values.iter().map(|value| shown(value)).collect::<Vec<_>>().join(" or "),
    }
}

/// A value as a sweep file could have it, in the fewest digits: 64, 3e-3, 0.05, [2,2].
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let (plain, scientific) = (number.to_string(), format!("{number:e}"));
            if scientific.len() < plain.len() || number.abs() < 0.02 { scientific } else { plain }
        }
        other => other.to_string(),
    }
}
