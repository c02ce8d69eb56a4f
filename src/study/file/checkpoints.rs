//! Rows of one run: its checkpoints. A run at one scale is one point, so the last of them stands for it.

use std::collections::{BTreeSet, HashMap};

use super::asked::Checkpoints;
use super::layout::Layout;
use super::points::Read;
use super::table::{Table, normal};
use crate::error::{Error, Result};
use crate::fit::Scale;
use crate::point::{Axis, Point};

/// Examples for each step within a run, the most by the fewest: files round them.
const SAME_SHARE: f64 = 1.05;

/// What a column of steps says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    None,
    /// How long each row was trained: `steps`, `num_epochs`. Rows of other scales are other runs.
    Budgets,
    /// Where in its run each row was measured: `step`, `epoch`.
    Places,
}

impl Steps {
    pub fn of(table: &Table, layout: &Layout, over: Scale) -> Steps {
        // Of epochs a law of repeated data is; and the rows of a W&B export are runs, however many steps each has made.
        let epochs = layout.epochs.filter(|_| over != Scale::Repeated);
        let column = layout.step.as_ref().map(|step| step.column).or(epochs);
        match column.filter(|_| layout.state.is_none()).map(|column| normal(&table.header[column])) {
            None => Steps::None,
            Some(name) if name.ends_with('s') => Steps::Budgets,
            Some(_) => Steps::Places,
        }
    }
}

/// How rows were told to be of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By a column of runs.
    Named,
    /// By equal scales and rising steps.
    EqualScales,
    /// By a scale that rises with the steps.
    RisingScale,
}

/// What rows are taken to be checkpoints of one run.
struct Runs {
    told: Told,
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
    steps: Steps,
) -> Result<Option<String>> {
    let found = match (has_runs, steps) {
        (true, _) => Some(by_run(rows)),
        (false, Steps::None) => return Ok(None),
        (false, Steps::Budgets) => by_steps(rows, over, asked.is_some()),
        (false, Steps::Places) => by_rising_scale(rows, over).or_else(|| by_steps(rows, over, asked.is_some())),
    };
    let Some(runs) = found.filter(|runs| runs.rows.iter().any(|count| *count > 1)) else { return Ok(None) };
    let named = runs.told == Told::Named;
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
    if taken == Checkpoints::All && !along && named {
        let scale = axis.map_or("params and data".into(), |axis| axis.to_string());
        return Err(Error::bad_input(format!("--checkpoints all: the rows of a run have one scale of {scale}")).hint(
            "--checkpoints last takes the last of each; over data or compute all can be points, if a column has them",
        ));
    }
    let (count, before) = (runs.rows.iter().filter(|count| **count > 1).count(), rows.len());
    let of: usize = runs.rows.iter().filter(|count| **count > 1).sum();
    match taken {
        Checkpoints::All if !named && !along => {}
        Checkpoints::All => keep_last(rows, |row, read| {
            (runs.group[row], axis.and_then(|axis| read.point.x(axis)).map(f64::to_bits), axis.is_none().then_some(row))
        }),
        Checkpoints::Last => keep_last(rows, |row, _| runs.group[row]),
    }
    let told = match runs.told {
        Told::Named => format!("{of} of {before} rows are checkpoints of {count} runs"),
        Told::EqualScales => format!(
            "{of} of {before} rows look like checkpoints of {count} runs (equal scales, rising steps; no column of runs)"
        ),
        Told::RisingScale => format!(
            "{of} of {before} rows look like checkpoints of {count} runs (one curve, size and seed each, a scale that \
             rises with the steps; no column of runs)"
        ),
    };
    if runs.told == Told::RisingScale {
        name_runs(rows, &runs);
    }
    let done = match (taken, rows.len() == before) {
        (Checkpoints::Last, _) => {
            let other = if along || !named { "; --checkpoints all uses every one" } else { "" };
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
    grouped(rows, Told::Named, |read| {
        let point = &read.point;
        // A row without a run is one of its own.
        let alone = if point.source.contains(" run ") { None } else { alone.next() };
        (point.curve.as_str(), point.source.as_str(), point.params.map(f64::to_bits), point.seed, alone)
    })
}

/// Rows that have everything in common and steps of their own: without a column of runs they look like checkpoints,
/// where the steps rise or most runs were measured at the same ones. `sure` asks for neither.
fn by_steps(rows: &[Read], over: Scale, sure: bool) -> Option<Runs> {
    // Along params rows of one size are no points side by side, whatever data they had seen.
    let by_scale = over != Scale::Curve(Axis::Params);
    let runs = grouped(rows, Told::EqualScales, |read| {
        let point = &read.point;
        let seen = point.seen.filter(|_| over == Scale::Repeated);
        let scales = [point.data, point.compute].map(|scale| scale.filter(|_| by_scale).map(f64::to_bits));
        (point.curve.as_str(), point.params.map(f64::to_bits), scales, seen.map(f64::to_bits), point.seed)
    });
    let runs = apart(rows, &runs)?;
    let mut of_run = vec![Vec::new(); runs.rows.len()];
    rows.iter().zip(&runs.group).for_each(|(read, run)| of_run[*run].extend(read.step));
    let rise = of_run.iter().all(|steps| steps.is_sorted());
    let mut alike: HashMap<BTreeSet<u64>, usize> = HashMap::new();
    let several = of_run.iter().filter(|steps| steps.len() > 1);
    several.clone().for_each(|steps| *alike.entry(steps.iter().map(|x| x.to_bits()).collect()).or_default() += 1);
    let most_alike = alike.values().max().is_some_and(|most| 2 * most > several.count() && *most > 1);
    (sure || runs.are_long() && (rise || most_alike)).then_some(runs)
}

/// Rows of one curve, size and seed whose scale rises with the steps, as much at each: a log of one run, as of tokens
/// seen. How long runs of several budgets took has no such share.
fn by_rising_scale(rows: &[Read], over: Scale) -> Option<Runs> {
    let Scale::Curve(axis @ (Axis::Data | Axis::Compute)) = over else { return None };
    let runs = grouped(rows, Told::RisingScale, |read| {
        let point = &read.point;
        (point.curve.as_str(), point.params.map(f64::to_bits), point.seed)
    });
    let runs = apart(rows, &runs)?;
    let mut of_run = vec![Vec::new(); runs.rows.len()];
    for (read, run) in rows.iter().zip(&runs.group) {
        of_run[*run].push((read.step?, read.point.x(axis)?));
    }
    let rises = |run: &mut Vec<(f64, f64)>| {
        run.sort_by(|a, b| a.0.total_cmp(&b.0));
        let shares = run.iter().filter(|(step, _)| *step > 0.0).map(|(step, x)| x / step);
        let (low, high) = shares.fold((f64::MAX, 0.0), |(low, high), x| (f64::min(low, x), f64::max(high, x)));
        high <= SAME_SHARE * low && run.windows(2).all(|pair| pair[0].1 < pair[1].1)
    };
    (runs.are_long() && of_run.iter_mut().all(rises)).then_some(runs)
}

/// With a run for each time that a step comes again: seeds that no column tells apart.
fn apart(rows: &[Read], runs: &Runs) -> Option<Runs> {
    let mut times: HashMap<(usize, u64), usize> = HashMap::new();
    let mut keys = Vec::with_capacity(rows.len());
    for (read, group) in rows.iter().zip(&runs.group) {
        let time = times.entry((*group, read.step?.to_bits())).or_default();
        *time += 1;
        keys.push((*group, *time));
    }
    let mut keys = keys.into_iter();
    Some(grouped(rows, runs.told, |_| keys.next()))
}

/// Points of one run share its name, by which they are resampled together.
fn name_runs(rows: &mut [Read], runs: &Runs) {
    for (read, run) in rows.iter_mut().zip(&runs.group).filter(|(_, run)| runs.rows[**run] > 1) {
        let point = &mut read.point;
        let file = point.source.rsplit_once(':').map_or(point.source.as_str(), |(file, _)| file);
        point.source = format!("{file} run {} of {}", run + 1, point.curve);
    }
}

fn grouped<'a, K: Eq + std::hash::Hash>(rows: &'a [Read], told: Told, mut key: impl FnMut(&'a Read) -> K) -> Runs {
    let mut number: HashMap<K, usize> = HashMap::new();
    let mut runs = Runs { told, group: Vec::with_capacity(rows.len()), rows: Vec::new() };
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

impl Runs {
    /// A pair of rows may be two runs of other batch sizes; checkpoints come in threes and more.
    fn are_long(&self) -> bool {
        let several = self.rows.iter().filter(|count| **count > 1).count();
        let many = self.rows.iter().filter(|count| **count > 2).count();
        2 * many > several
    }
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
