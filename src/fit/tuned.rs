//! How the best value of a tuned key, such as a learning rate, grows with scale: v = a N^b D^c.
//!
//! Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954, eq. 1) fit learning rate and batch over compute, Li et al. 2025 (Step
//! Law, arXiv:2503.04715, eq. 1) over N and D. The values were chosen from a grid, so each is off by up to half its
//! spacing, however little the losses scatter: a line through the few values of a coarse grid is no measurement of a
//! slope. The intervals say so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::error::{Error, Result};
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
        return Err(Error::failed(format!(
            "--law tuned:{key}: every cell chose {value}, so nothing tells how it grows"
        ))
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
        return Err(Error::bad_input(format!("--law tuned:{key}: {key} was not tuned")).hint(format!(
            "what was tuned is {}: --law tuned:{}",
            keys.join(", "),
            keys[0]
        )));
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
    let origin = settings.origin.as_ref()?;
    let edge = |point: &&&Point| origin.at_edge(&point.source).is_some_and(|keys| keys.iter().any(|at| at == key));
    let count = points.iter().filter(edge).count();
    (count > 0).then(|| Verdict::TunedAtEdge { keys: vec![key.into()], points: count, of: points.len() })
}

fn exponent(axis: Axis) -> &'static str {
    match axis {
        Axis::Params => "b",
        Axis::Data => "c",
        Axis::Compute => "d",
        Axis::Seconds => "t",
    }
}

fn term(axis: Axis) -> &'static str {
    match axis {
        Axis::Params => "N^b",
        Axis::Data => "D^c",
        Axis::Compute => "C^d",
        Axis::Seconds => "T^t",
    }
}

/// What the value can be a function of.
fn axes(points: &[&Point], key: &str, asked: Axis) -> std::result::Result<Vec<Axis>, String> {
    let ln = |axis: Axis| -> Vec<f64> {
        let usable = points.iter().filter(|point| chosen(point, key).is_some());
        usable.map(|point| point.x(axis).filter(|x| *x > 0.0 && x.is_finite()).map_or(f64::NAN, f64::ln)).collect()
    };
    let varies =
        |values: &[f64]| values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != values[0]);
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
    let product =
        |x: &[f64], y: &[f64], mx: f64, my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
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
        let inverse =
            inverse(&rows, params).ok_or("its cells lie on one line in N and D: add sizes at one data size")?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand_distr::{Distribution, Normal, Uniform};
    use serde_json::json;

    use super::*;
    use crate::fit::tests::planted;
    use crate::point::Made;
    use crate::random;

    /// A point of a cell, with the value that was chosen in it.
    fn point(params: f64, data: f64, key: &str, value: serde_json::Value) -> Point {
        let made = Made {
            size: Default::default(),
            tuned: [(key.to_owned(), value)].into_iter().collect(),
            steps: Some(1000),
            best_of: 1,
        };
        let point = planted("a", |_| 1.0, &[data], 1, 0.0, 0).remove(0);
        Point { params: Some(params), compute: Some(6.0 * params * data), made: Some(Arc::new(made)), ..point }
    }

    fn fit(points: &[Point], key: &str, axis: Axis) -> Result<TunedLaw> {
        fit_tuned(points, key, axis, &Settings::default()).map(|mut laws| laws.fits.remove(0))
    }

    /// N, D, learning rate and batch of the lowest smoothed loss of each cell of Step Law's dense models (Li et al. 2025,
    /// step-law/steplaw, data/dense_lr_bs_loss.csv).
    const STEP_LAW: [(f64, f64, f64, f64); 17] = [
        (214663680.0, 4e9, 0.002762, 128.0),
        (214663680.0, 11.4e9, 0.002762, 192.0),
        (214663680.0, 20e9, 0.00391, 256.0),
        (214663680.0, 100e9, 0.007812, 1024.0),
        (268304384.0, 5e9, 0.001953, 128.0),
        (268304384.0, 14.2e9, 0.003906, 192.0),
        (268304384.0, 25e9, 0.00391, 352.0),
        (268304384.0, 80e9, 0.003906, 512.0),
        (429260800.0, 8e9, 0.001953, 128.0),
        (429260800.0, 22.7e9, 0.00195, 192.0),
        (429260800.0, 40e9, 0.00276, 256.0),
        (429260800.0, 50e9, 0.001953, 256.0),
        (536872960.0, 10e9, 0.000977, 128.0),
        (536872960.0, 28.4e9, 0.00195, 192.0),
        (536872960.0, 50e9, 0.00276, 352.0),
        (1073741824.0, 20e9, 0.001381, 256.0),
        (1073741824.0, 56.9e9, 0.001381, 256.0),
    ];

    // import numpy as np; from scipy.stats import t
    // X = np.c_[np.ones(17), np.log(N), np.log(D)]; b, r, _, _ = np.linalg.lstsq(X, np.log(lr), rcond=None)
    // se = np.sqrt(r / 14 * np.diag(np.linalg.inv(X.T @ X))); b, np.sqrt(r / 14), b - t.ppf(.975, 14) * se
    // b -0.82343279 0.28819882, scatter 0.22942828, se 0.11268720 0.06283454; of the batch 0.54262623, se 0.06403383
    #[test]
    fn step_law_is_within_the_intervals_of_its_own_cells() {
        let of = |key: &str, pick: fn(&(f64, f64, f64, f64)) -> f64| {
            let points: Vec<Point> =
                STEP_LAW.iter().map(|cell| point(cell.0, cell.1, key, json!(pick(cell)))).collect();
            fit(&points, key, Axis::Data).unwrap()
        };
        let lr = of("lr", |cell| cell.2);
        assert_eq!((lr.formula.as_str(), lr.cells, lr.bounded_by_grid), ("lr = a N^b D^c", 17, false));
        let near = |a: f64, b: f64| (a - b).abs() < 2e-5;
        assert!(near(lr.params["b"], -0.82343279) && near(lr.params["c"], 0.28819882) && near(lr.scatter, 0.22942828));
        let times = 2.144786687916925; // t.ppf(.975, 14)
        assert!(near(lr.intervals["b"].low, -0.82343279 - times * 0.11268720), "{lr:?}");
        assert!(near(lr.intervals["c"].high, 0.28819882 + times * 0.06283454), "{lr:?}");
        // The published exponents, from a smoother of their own: lr = 1.79 N^-0.713 D^0.307, batch = 0.58 D^0.571.
        let holds = |ends: Ends, value: f64| ends.low < value && value < ends.high;
        assert!(holds(lr.intervals["b"], -0.713) && holds(lr.intervals["c"], 0.307));
        let published = 1.79 * 5e8f64.powf(-0.713) * 3e10f64.powf(0.307);
        assert!((lr.predict(&[5e8, 3e10]) / published - 1.0).abs() < 0.2);
        let batch = of("batch", |cell| cell.3);
        assert!(near(batch.params["c"], 0.54262623) && holds(batch.intervals["c"], 0.571), "{batch:?}");
        // The grid steps by the square root of two; logs round it.
        assert!((lr.grid_factor - 2f64.sqrt()).abs() < 0.01, "{}", lr.grid_factor);
    }

    /// How often intervals hold the exponent where the true optimum is rounded to a grid of factors of two, with and
    /// without noise in what is chosen.
    #[test]
    fn intervals_hold_the_truth_however_coarse_the_grid() {
        let sizes: Vec<f64> = (0..7).map(|i| 1e6 * 4f64.powi(i)).collect();
        let step = 2f64.ln();
        for (truth, sigma) in [(0.0, 0.05), (-0.1, 0.0), (-0.3, 0.0), (-0.3, 0.5), (-0.7, 0.2), (-0.05, 0.3)] {
            let (mut held, mut told) = (0, 0);
            for trial in 0..400u64 {
                let mut rng = random::stream(trial, "grid", (truth * -100.0 + 1000.0 * sigma) as u64);
                let offset: f64 = Uniform::new(0.0, step).unwrap().sample(&mut rng);
                let noise = Normal::new(0.0, sigma).unwrap();
                let mut chosen = |x: &f64| {
                    let best: f64 = -5.0 + offset + truth * (x / 1e6).ln() + noise.sample(&mut rng);
                    point(*x, 1e9, "lr", json!(((best / step).round() * step).exp()))
                };
                let points: Vec<Point> = sizes.iter().map(&mut chosen).collect();
                // One value everywhere is refused: nothing is claimed.
                let Ok(law) = fit(&points, "lr", Axis::Data) else { continue };
                told += 1;
                let ends = law.intervals["b"];
                held += i32::from(ends.low <= truth && truth <= ends.high);
            }
            let share = f64::from(held) / f64::from(told.max(1));
            assert!(told == 0 || share >= 0.93, "{truth} {sigma}: {held} of {told}");
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_refused_with_what_to_do() {
        let told = |points: &[Point], key: &str, axis: Axis| fit(points, key, axis).unwrap_err();
        let cells = |values: &[f64]| -> Vec<Point> {
            values.iter().enumerate().map(|(i, v)| point(1e6 * 2f64.powi(i as i32), 1e9, "lr", json!(v))).collect()
        };
        let bare = planted("a", |_| 1.0, &[1.0, 2.0], 1, 0.0, 0);
        assert!(told(&bare, "lr", Axis::Data).to_string().contains("nothing was tuned"));
        let some = cells(&[1e-3, 2e-3, 1e-3, 5e-4]);
        let other = told(&some, "batch", Axis::Data);
        assert_eq!(other.hint.as_deref(), Some("what was tuned is lr: --law tuned:lr"));
        assert!(told(&cells(&[1e-3; 5]), "lr", Axis::Data).to_string().contains("every cell chose 0.001"));
        assert!(told(&cells(&[1e-3, 2e-3]), "lr", Axis::Data).to_string().contains("too few cells"));
        let words = [point(1e6, 1e9, "norm", json!("layer")), point(2e6, 1e9, "norm", json!("batch"))];
        assert!(told(&words, "norm", Axis::Data).to_string().contains("positive number"));
        let together: Vec<Point> = (0..5)
            .map(|i| point(1e6 * 2f64.powi(i), 2e7 * 2f64.powi(i), "lr", json!(1e-3 * (1 + i % 2) as f64)))
            .collect();
        assert!(told(&together, "lr", Axis::Data).to_string().contains("--x compute"));
        assert_eq!(fit(&together, "lr", Axis::Compute).unwrap().formula, "lr = a C^d");
    }

    // import numpy as np; from scipy.stats import t
    // x, y = np.log(1e6 * 2. ** np.arange(4)), np.log([4e-3, 2e-3, 2e-3, 1e-3]); two values are few: the worst rounding
    // h = np.log(2); c = (x - x.mean()) / ((x - x.mean()) ** 2).sum(); max(h / 2 * abs(c).sum(), t.ppf(.975, 2) * se)
    #[test]
    fn few_values_are_bounded_by_the_grid() {
        let values = [2e-3, 2e-3, 1e-3, 1e-3];
        let points: Vec<Point> =
            values.iter().enumerate().map(|(i, v)| point(1e6 * 2f64.powi(i as i32), 1e9, "lr", json!(v))).collect();
        let law = fit(&points, "lr", Axis::Data).unwrap();
        assert!(law.bounded_by_grid && (law.params["b"] + 0.4).abs() < 1e-12, "{law:?}");
        // c = (-3, -1, 1, 3) / (10 ln 2): the worst is 0.4, and Student's t with a scatter of 0.219 times 0.645 wider.
        let scatter = (0.2f64 / 2.0).sqrt() * 2f64.ln();
        let half = 4.302652729749464 * scatter / (5f64.sqrt() * 2f64.ln());
        assert!((law.intervals["b"].high - (law.params["b"] + half)).abs() < 1e-9, "{law:?}");
    }
}
