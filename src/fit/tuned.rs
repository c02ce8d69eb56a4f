//! How the best value of a tuned key, such as a learning rate, grows with scale: v = a N^b D^c.
//!
//! Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954, eq. 1) fit learning rate and batch over compute, Li et al. 2025 (Step
//! Law, arXiv:2503.04715, eq. 1) over N and D. The values were chosen from a grid, so each is off by up to half its
//! spacing, however little the losses scatter: a line through the few values of a coarse grid is no measurement of a
//! slope. The intervals say so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::data::origin::Origin;
use crate::fit::settings::Settings;
use crate::fit::uncertainty::distribution::t_quantile;
use crate::fit::verdict::Verdict;
use crate::point::{Axis, Point};

/// Values that differ by less are one value of the grid: logs round.
const SAME_VALUE: f64 = 0.03;

/// From so many different values on, the errors of rounding to the grid cancel as noise does. Of fewer they may all pull
/// one way.
const MANY_VALUES: usize = 4;

/// N and D that are as correlated in their logarithms cannot be told apart.
const CORRELATED: f64 = 0.98;

/// The laws of all curves.
#[derive(Clone, Debug, Serialize)]
pub struct TunedLaws {
    pub fits: Vec<TunedLaw>,
    pub refused: Vec<NotFitted>,
}

/// A curve without a law, and why.
#[derive(Clone, Debug, Serialize)]
pub struct NotFitted {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub summary: String,
}

/// v = a N^b D^c of one curve.
#[derive(Clone, Debug, Serialize)]
pub struct TunedLaw {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    /// The tuned key.
    pub key: String,
    pub formula: String,
    /// The scales that it is over, such as params and data.
    pub x: Vec<Axis>,
    /// a, and an exponent for each scale.
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Ends>,
    /// Cells with a chosen value each, all their seeds together.
    pub cells: usize,
    /// The values that were chosen anywhere, and the smallest factor between two of them.
    pub values: Vec<f64>,
    pub grid_factor: f64,
    /// Standard deviation of ln of the values about the law.
    pub scatter: f64,
    /// Whether the intervals are as wide as rounding to the grid makes them at worst.
    pub bounded_by_grid: bool,
    pub verdicts: Vec<Verdict>,
    pub level: f64,
}

/// An interval by Student's t, with what rounding to the grid adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ends {
    pub low: f64,
    pub high: f64,
}

impl TunedLaw {
    /// The value that the law gives at these scales, as many as `x` names.
    pub fn predict(&self, scales: &[f64]) -> f64 {
        let exponents = self.x.iter().map(|axis| self.params[exponent(*axis)]);
        self.params["a"] * exponents.zip(scales).map(|(exponent, x)| x.powf(exponent)).product::<f64>()
    }
}

/// One cell's chosen value at its scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// ln of the scales, in the order of the law's.
    pub ln_x: Vec<f64>,
    pub ln_value: f64,
}

/// Fits each curve's chosen values of `key`: over the parameters and the data where both differ, over the one that does
/// where one does, over `axis` alone where that is not the data.
///
/// # Errors
/// No point was tuned over the key; no curve has cells enough; one value was chosen everywhere.
pub fn fit_tuned(points: &[Point], key: &str, axis: Axis, settings: &Settings) -> Result<TunedLaws> {
    check_key(points, key)?;
    let mut by_curve: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    points.iter().for_each(|point| by_curve.entry(&point.curve).or_default().push(point));
    let ln_values: Vec<f64> = points.iter().filter_map(|point| Some(chosen(point, key)?.ln())).collect();
    let Some(grid) = Grid::of(&ln_values) else {
        let value = ln_values.first().map_or(f64::NAN, |ln| ln.exp());
        return Err(Error::failed(format!("--law tuned:{key}: every cell chose {value}, so nothing tells how it grows"))
            .hint(format!("tune {key} over a finer grid, or over a wider range of sizes and data")));
    };
    let mut laws = TunedLaws { fits: Vec::new(), refused: Vec::new() };
    for (curve, points) in by_curve {
        match of_curve(curve, &points, key, axis, &grid, settings) {
            Ok(law) => laws.fits.push(law),
            Err(summary) => laws.refused.push(NotFitted { curve: curve.into(), summary }),
        }
    }
    match (laws.fits.is_empty(), laws.refused.first()) {
        (true, Some(first)) => Err(Error::failed(format!("{}: {}", first.curve, first.summary))
            .hint("add sizes or data sizes to the sweep: a power law needs one cell more than it has parameters")),
        _ => Ok(laws),
    }
}

fn check_key(points: &[Point], key: &str) -> Result<()> {
    let keys: BTreeSet<&String> =
        points.iter().filter_map(|point| point.made.as_ref()).flat_map(|made| made.tuned.keys()).collect();
    if keys.is_empty() {
        return Err(Error::bad_input(format!("--law tuned:{key}: nothing was tuned"))
            .hint("a sweep names what it tunes: tuned = [\"lr\"]; of a file, --tuned COLUMN does"));
    }
    if !keys.iter().any(|known| *known == key) {
        let keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
        return Err(Error::bad_input(format!("--law tuned:{key}: {key} was not tuned"))
            .hint(format!("what was tuned is {}: --law tuned:{}", keys.join(", "), keys[0])));
    }
    if points.iter().all(|point| chosen(point, key).is_none()) {
        return Err(Error::bad_input(format!("--law tuned:{key}: no value of {key} is a positive number")));
    }
    Ok(())
}

/// The value that was chosen for a point's cell.
fn chosen(point: &Point, key: &str) -> Option<f64> {
    let value = point.made.as_ref()?.tuned.get(key)?.as_f64()?;
    (value > 0.0 && value.is_finite()).then_some(value)
}

/// The values to choose from, as far as the choices show them.
struct Grid {
    ln_values: Vec<f64>,
    /// The smallest step between two of them.
    step: f64,
}

impl Grid {
    /// None where fewer than two values were chosen.
    fn of(ln_values: &[f64]) -> Option<Grid> {
        let mut sorted = ln_values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup_by(|later, earlier| *later - *earlier < SAME_VALUE);
        let step = sorted.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        (sorted.len() > 1).then_some(Grid { ln_values: sorted, step })
    }

    /// How many of its values these are.
    fn distinct(&self, choices: &[Choice]) -> usize {
        let near = |choice: &Choice| self.ln_values.iter().rposition(|ln| *ln <= choice.ln_value + 1e-12);
        choices.iter().map(near).collect::<BTreeSet<_>>().len()
    }
}

fn of_curve(
    curve: &str,
    points: &[&Point],
    key: &str,
    axis: Axis,
    grid: &Grid,
    settings: &Settings,
) -> std::result::Result<TunedLaw, String> {
    let axes = axes(points, key, axis)?;
    let choices = choices(points, key, &axes);
    let estimate = Estimate::of(&choices, axes.len(), grid, settings.level)?;
    let names: Vec<&'static str> = std::iter::once("a").chain(axes.iter().map(|axis| exponent(*axis))).collect();
    let natural = |i: usize, value: f64| if i == 0 { value.exp() } else { value };
    let ends = |i: usize| {
        let (value, half) = (estimate.values[i], estimate.halves[i]);
        Ends { low: natural(i, value - half), high: natural(i, value + half) }
    };
    let formula = format!("{key} = a {}", axes.iter().map(|axis| term(*axis)).collect::<Vec<_>>().join(" "));
    Ok(TunedLaw {
        curve: curve.into(),
        key: key.into(),
        formula,
        params: names.iter().enumerate().map(|(i, name)| (*name, natural(i, estimate.values[i]))).collect(),
        intervals: names.iter().enumerate().map(|(i, name)| (*name, ends(i))).collect(),
        x: axes,
        cells: choices.len(),
        values: grid.ln_values.iter().map(|ln| ln.exp()).collect(),
        grid_factor: grid.step.exp(),
        scatter: estimate.scatter,
        bounded_by_grid: estimate.bounded_by_grid,
        verdicts: at_edge(points, key, settings).into_iter().collect(),
        level: settings.level,
    })
}

/// Choices at the edge of what was tried: the best value may lie beyond it.
fn at_edge(points: &[&Point], key: &str, settings: &Settings) -> Option<Verdict> {
    let sweep = settings.origin.as_ref().and_then(Origin::sweep)?;
    let edge = |point: &&&Point| sweep.at_edge.get(&point.source).is_some_and(|keys| keys.iter().any(|at| at == key));
    let count = points.iter().filter(edge).count();
    (count > 0).then(|| Verdict::TunedAtEdge { keys: vec![key.into()], points: count, of: points.len() })
}

fn exponent(axis: Axis) -> &'static str {
    match axis {
        Axis::Params => "b",
        Axis::Data => "c",
        Axis::Compute => "d",
    }
}

fn term(axis: Axis) -> &'static str {
    match axis {
        Axis::Params => "N^b",
        Axis::Data => "D^c",
        Axis::Compute => "C^d",
    }
}

/// What the value can be a function of.
fn axes(points: &[&Point], key: &str, asked: Axis) -> std::result::Result<Vec<Axis>, String> {
    let ln = |axis: Axis| -> Vec<f64> {
        let usable = points.iter().filter(|point| chosen(point, key).is_some());
        usable.map(|point| point.x(axis).filter(|x| *x > 0.0 && x.is_finite()).map_or(f64::NAN, f64::ln)).collect()
    };
    let varies = |values: &[f64]| {
        values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != values[0])
    };
    if asked != Axis::Data {
        return if varies(&ln(asked)) { Ok(vec![asked]) } else { Err(format!("its points do not differ in {asked}")) };
    }
    let (params, data) = (ln(Axis::Params), ln(Axis::Data));
    match (varies(&params), varies(&data)) {
        (true, true) if correlation(&params, &data).abs() > CORRELATED => Err(
            "its parameters and data rise together, so one exponent cannot be told from the other: --x compute fits \
             one exponent over both"
                .into(),
        ),
        (true, true) => Ok(vec![Axis::Params, Axis::Data]),
        (true, false) => Ok(vec![Axis::Params]),
        (false, true) => Ok(vec![Axis::Data]),
        (false, false) => Err("its points differ neither in parameters nor in data".into()),
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |x: &[f64], y: &[f64], mx: f64, my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
    product(a, b, mean_a, mean_b) / (product(a, a, mean_a, mean_a) * product(b, b, mean_b, mean_b)).sqrt()
}

/// One choice a cell: its seeds share it.
fn choices(points: &[&Point], key: &str, axes: &[Axis]) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::new();
    for point in points {
        let Some(value) = chosen(point, key) else { continue };
        let ln_x = axes.iter().map(|axis| point.x(*axis).unwrap_or(f64::NAN).ln()).collect();
        let choice = Choice { ln_x, ln_value: value.ln() };
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    choices
}

/// ln a and the exponents, with half the widths of their intervals.
struct Estimate {
    values: Vec<f64>,
    halves: Vec<f64>,
    scatter: f64,
    bounded_by_grid: bool,
}

impl Estimate {
    /// Least squares. A choice is off by the noise that decided it and by rounding to the grid, which has at least the
    /// standard deviation of a uniform number, step / √12. Where few values were chosen the rounding is bounded by half
    /// a step each, in the direction that moves the parameter most.
    fn of(choices: &[Choice], scales: usize, grid: &Grid, level: f64) -> std::result::Result<Estimate, String> {
        let (count, params) = (choices.len(), scales + 1);
        if count <= params {
            return Err(format!("too few cells: {params} parameters need {}, and it has {count}", params + 1));
        }
        let center: Vec<f64> =
            (0..scales).map(|j| choices.iter().map(|choice| choice.ln_x[j]).sum::<f64>() / count as f64).collect();
        // Centred, so that the matrix is well conditioned; ln a is moved back to scale 1 in the end.
        let row = |choice: &Choice| -> Vec<f64> {
            std::iter::once(1.0).chain((0..scales).map(|j| choice.ln_x[j] - center[j])).collect()
        };
        let rows: Vec<Vec<f64>> = choices.iter().map(row).collect();
        let inverse = inverse(&rows, params).ok_or("its cells lie on one line in N and D: add sizes at one data size")?;
        let pull = |of: &[f64], row: &[f64]| -> f64 {
            (0..params).map(|i| (0..params).map(|j| of[i] * inverse[i][j] * row[j]).sum::<f64>()).sum()
        };
        // What each parameter is made of: a unit vector, but ln a at scale 1.
        let directions: Vec<Vec<f64>> = (0..params)
            .map(|i| match i {
                0 => std::iter::once(1.0).chain(center.iter().map(|x| -x)).collect(),
                _ => (0..params).map(|j| f64::from(u8::from(i == j))).collect(),
            })
            .collect();
        let influence = |i: usize| -> Vec<f64> { rows.iter().map(|row| pull(&directions[i], row)).collect() };
        let values: Vec<f64> = (0..params)
            .map(|i| influence(i).iter().zip(choices).map(|(pull, choice)| pull * choice.ln_value).sum())
            .collect();
        let fitted = |choice: &Choice| values[0] + (0..scales).map(|j| values[j + 1] * choice.ln_x[j]).sum::<f64>();
        let squares: f64 = choices.iter().map(|choice| (choice.ln_value - fitted(choice)).powi(2)).sum();
        let freedom = (count - params) as f64;
        let scatter = (squares / freedom).sqrt();
        let noise = scatter.max(grid.step / 12f64.sqrt());
        let bounded_by_grid = grid.distinct(choices) < MANY_VALUES;
        let times = t_quantile(1.0 - (1.0 - level) / 2.0, freedom);
        let half = |i: usize| {
            let influence = influence(i);
            let statistical = times * noise * influence.iter().map(|pull| pull * pull).sum::<f64>().sqrt();
            let worst = 0.5 * grid.step * influence.iter().map(|pull| pull.abs()).sum::<f64>();
            if bounded_by_grid { statistical.max(worst) } else { statistical }
        };
        let halves = (0..params).map(half).collect();
        Ok(Estimate { values, halves, scatter, bounded_by_grid })
    }
}

/// (XᵀX)⁻¹ by Gauss and Jordan; none where it does not exist.
fn inverse(rows: &[Vec<f64>], params: usize) -> Option<Vec<Vec<f64>>> {
    let entry = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let unit = |i: usize, j: usize| f64::from(u8::from(i == j));
    let mut left: Vec<Vec<f64>> = (0..params)
        .map(|i| (0..params).map(|j| entry(i, j)).chain((0..params).map(|j| unit(i, j))).collect())
        .collect();
    for i in 0..params {
        let size = entry(i, i);
        let pivot = left[i][i];
        if pivot.is_nan() || pivot <= 1e-10 * size {
            return None;
        }
        left[i].iter_mut().for_each(|value| *value /= pivot);
        for other in (0..params).filter(|other| *other != i) {
            let factor = left[other][i];
            let row = left[i].clone();
            left[other].iter_mut().zip(row).for_each(|(value, of)| *value -= factor * of);
        }
    }
    Some(left.into_iter().map(|row| row[params..].to_vec()).collect())
}
