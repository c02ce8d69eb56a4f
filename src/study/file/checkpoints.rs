//! Rows of one run: its checkpoints. A run at one scale is one point, so the last of them stands for it.

use std::collections::HashMap;

use super::asked::Checkpoints;
use super::points::Read;
use crate::error::{Error, Result};
use crate::fit::Scale;
use crate::point::{Axis, Point};

/// What rows are taken to be checkpoints of one run: how they were told, and their groups.
struct Runs {
    /// By a column of runs, or by their steps.
    named: bool,
    /// The group of each row.
    group: Vec<usize>,
    rows: Vec<usize>,
}

/// Leaves the rows that are points over this scale, and says what was done, where anything was.
///
/// Along data or compute each checkpoint of a run has a scale of its own and stays a point, resampled with its run; at
/// one scale, and where a run is one point (along params, in a surface, in a profile), the last is used.
///
/// # Errors
/// All checkpoints are asked for where they have one scale.
pub fn choose(
    rows: &mut Vec<Read>,
    over: Scale,
    asked: Option<Checkpoints>,
    has_runs: bool,
    has_steps: bool,
) -> Result<Option<String>> {
    if !has_runs && !has_steps {
        return Ok(None);
    }
    let found = if has_runs { Some(by_run(rows)) } else { by_steps(rows, over) };
    let Some(runs) = found.filter(|runs| runs.rows.iter().any(|count| *count > 1)) else { return Ok(None) };
    let axis = match over {
        Scale::Curve(axis) => Some(axis),
        Scale::Surface | Scale::Repeated | Scale::Profile => None,
    };
    // Along which they differ within a run.
    let along = match axis {
        Some(axis) => differ(rows, &runs, |point| point.x(axis)),
        None => differ(rows, &runs, |point| point.data) || differ(rows, &runs, |point| point.compute),
    };
    let usual =
        if along && axis.is_some_and(|axis| axis != Axis::Params) { Checkpoints::All } else { Checkpoints::Last };
    let taken = asked.unwrap_or(usual);
    if taken == Checkpoints::All && !along && runs.named {
        let scale = axis.map_or("params and data".into(), |axis| axis.to_string());
        return Err(Error::bad_input(format!("--checkpoints all: the rows of a run have one scale of {scale}")).hint(
            "--checkpoints last takes the last of each; over data or compute all can be points, if a column has them",
        ));
    }
    let (count, before) = (runs.rows.iter().filter(|count| **count > 1).count(), rows.len());
    let of: usize = runs.rows.iter().filter(|count| **count > 1).sum();
    match taken {
        Checkpoints::All if !runs.named && !along => {}
        Checkpoints::All => keep_last(rows, |row, read| {
            (runs.group[row], axis.and_then(|axis| read.point.x(axis)).map(f64::to_bits), axis.is_none().then_some(row))
        }),
        Checkpoints::Last => keep_last(rows, |row, _| runs.group[row]),
    }
    let told = match runs.named {
        true => format!("{of} of {before} rows are checkpoints of {count} runs"),
        false => format!(
            "{of} of {before} rows look like checkpoints of {count} runs (equal scales, rising steps; no column of runs)"
        ),
    };
    let done = match (taken, rows.len() == before) {
        (Checkpoints::Last, _) => {
            let other = if along || !runs.named { "; --checkpoints all uses every one" } else { "" };
            format!("the last of each is used{other}")
        }
        (Checkpoints::All, true) => "every one is a point; --checkpoints last takes the last of each".into(),
        (Checkpoints::All, false) => {
            "the last at each scale is a point; --checkpoints last takes the last of each".into()
        }
    };
    Ok(Some(format!("{told}: {done}")))
}

/// Rows of one run have its name, its curve, its size and its seed: a name that sizes share is not a run's.
fn by_run(rows: &[Read]) -> Runs {
    let mut alone = 0..;
    grouped(rows, true, |read| {
        let point = &read.point;
        // A row without a run is one of its own.
        let alone = if point.source.contains(" run ") { None } else { alone.next() };
        (point.curve.as_str(), point.source.as_str(), point.params.map(f64::to_bits), point.seed, alone)
    })
}

/// Rows that have everything in common and rising steps: without a column of runs they look like checkpoints.
fn by_steps(rows: &[Read], over: Scale) -> Option<Runs> {
    // Along params rows of one size are no points side by side, whatever data they had seen.
    let by_scale = over != Scale::Curve(Axis::Params);
    let runs = grouped(rows, false, |read| {
        let point = &read.point;
        let scales = [point.data, point.compute].map(|scale| scale.filter(|_| by_scale).map(f64::to_bits));
        (point.curve.as_str(), point.params.map(f64::to_bits), scales, point.seed)
    });
    let mut last: HashMap<usize, f64> = HashMap::new();
    for (read, group) in rows.iter().zip(&runs.group) {
        let step = read.step?;
        let before = last.insert(*group, step).unwrap_or(f64::NEG_INFINITY);
        if step <= before {
            return None;
        }
    }
    // A pair of rows may be two runs of other batch sizes; checkpoints come in threes and more.
    let several = runs.rows.iter().filter(|count| **count > 1).count();
    let many = runs.rows.iter().filter(|count| **count > 2).count();
    (2 * many > several).then_some(runs)
}

fn grouped<'a, K: Eq + std::hash::Hash>(rows: &'a [Read], named: bool, mut key: impl FnMut(&'a Read) -> K) -> Runs {
    let mut number: HashMap<K, usize> = HashMap::new();
    let mut runs = Runs { named, group: Vec::with_capacity(rows.len()), rows: Vec::new() };
    for read in rows {
        let next = number.len();
        let group = *number.entry(key(read)).or_insert(next);
        if group == runs.rows.len() {
            runs.rows.push(0);
        }
        runs.rows[group] += 1;
        runs.group.push(group);
    }
    runs
}

fn differ(rows: &[Read], runs: &Runs, scale: impl Fn(&Point) -> Option<f64>) -> bool {
    let mut first: Vec<Option<Option<f64>>> = vec![None; runs.rows.len()];
    rows.iter().zip(&runs.group).any(|(read, group)| {
        let x = scale(&read.point);
        *first[*group].get_or_insert(x) != x
    })
}

/// Of the rows with one key the last by step, else by what it has seen, else by its place; one that was not measured
/// only where none was.
fn keep_last<K: Eq + std::hash::Hash>(rows: &mut Vec<Read>, key: impl Fn(usize, &Read) -> K) {
    let mut last: HashMap<K, usize> = HashMap::new();
    let order = |read: &Read| {
        let point = &read.point;
        let progress = read.step.or(point.seen).or(point.data).or(point.compute);
        (read.measured, progress.unwrap_or(f64::NEG_INFINITY))
    };
    for (row, read) in rows.iter().enumerate() {
        let best = last.entry(key(row, read)).or_insert(row);
        let (a, b) = (order(&rows[*best]), order(read));
        if (a.0, a.1) <= (b.0, b.1) {
            *best = row;
        }
    }
    let mut kept = vec![false; rows.len()];
    last.values().for_each(|row| kept[*row] = true);
    let mut kept = kept.into_iter();
    rows.retain(|_| kept.next().unwrap_or(false));
}
