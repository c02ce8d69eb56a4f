//! IsoFLOP profiles: at each compute the size with the lowest loss, and how that size grows with compute
//! (approach 2 of Hoffmann et al. 2022, arXiv:2203.15556).
//!
//! A minimum counts only where it is one and lies between the sizes that were measured. Parabolas are biased where the
//! sizes lie off-centre, even without noise; look at the surface fit beside them.

use std::collections::BTreeMap;

use rand_chacha::rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

use super::Settings;
use super::estimate::Dropped;
use super::interval::{Interval, interval};
use super::sample::line;
use crate::error::{Error, Result};
use crate::point::Point;
use crate::random;

/// Budgets that differ by less than this share are one cell.
const SAME_BUDGET: f64 = 0.1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Least squares of loss by ln N.
    Parabola,
    /// Akima 1970, doi:10.1145/321607.321609, through the mean loss of each size.
    Akima,
}

/// What one budget says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    Interior {
        params: f64,
        loss: f64,
    },
    TooFewSizes {
        have: usize,
        need: usize,
    },
    /// The profile has no minimum: it is bent the other way.
    Concave,
    /// It falls towards the smallest (or the largest) size; its minimum, if any, is not among those measured.
    MinimumOutside {
        towards: &'static str,
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Geometric mean of the budgets.
    pub compute: f64,
    pub points: usize,
    pub outcome: Outcome,
}

/// N_opt = k C^a through the interior minima of one group; named as other fits are.
#[derive(Clone, Debug, Serialize)]
pub struct IsoFlop {
    pub group: String,
    pub law: &'static str,
    pub x: &'static str,
    /// `a` and `k`, where at least two budgets have an interior minimum.
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
    pub points_used: usize,
    pub points_dropped: Vec<Dropped>,
    pub cells: Vec<Cell>,
}

struct Budget {
    ln_compute: f64,
    /// (ln N, loss), by N.
    points: Vec<(f64, f64)>,
}

/// The profiles of every group. Intervals for `a` and `k` come from parabolas with normal noise of the size of the
/// parabolas' own residuals.
pub fn profiles(points: &[Point], profile: Profile, settings: &Settings) -> Result<Vec<IsoFlop>> {
    let mut by_group: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        by_group.entry(&point.group).or_default().push(point);
    }
    if by_group.is_empty() {
        return Err(Error::failed("there are no points to fit"));
    }
    super::in_pool(settings.threads, || {
        by_group.into_iter().map(|(group, points)| of_group(group, &points, profile, settings)).collect()
    })
}

fn of_group(group: &str, points: &[&Point], profile: Profile, settings: &Settings) -> IsoFlop {
    let positive = |value: Option<f64>| value.filter(|value| *value > 0.0 && value.is_finite());
    let (mut usable, mut points_dropped) = (Vec::new(), Vec::new());
    for point in points {
        match (positive(point.compute), positive(point.params), positive(Some(point.value))) {
            (Some(compute), Some(params), Some(loss)) => usable.push((compute.ln(), params.ln(), loss)),
            _ => points_dropped.push(Dropped {
                point: point.source.clone(),
                reason: "its compute, params and value are not all positive numbers".into(),
            }),
        }
    }
    let points_used = usable.len();
    let budgets = budgets(usable);
    let outcomes: Vec<Outcome> = budgets.iter().map(|budget| minimum(&budget.points, profile)).collect();
    let estimate = trend(&budgets, &outcomes);
    let mut intervals = BTreeMap::new();
    if let (Some((k, a)), true) = (estimate, settings.bootstrap > 0) {
        let draws: Vec<(f64, f64)> = (0..settings.bootstrap)
            .into_par_iter()
            .filter_map(|index| resample(&budgets, profile, settings.seed, index as u64))
            .collect();
        let (ks, slopes): (Vec<f64>, Vec<f64>) = draws.into_iter().unzip();
        let of =
            |value: f64, draws: &[f64]| interval(super::IntervalKind::Percentile, settings.level, value, draws, &[]);
        intervals.extend(of(a, &slopes).map(|found| ("a", found)));
        intervals.extend(of(k, &ks).map(|found| ("k", found)));
    }
    let cells = budgets.iter().zip(outcomes).map(|(budget, outcome)| Cell {
        compute: budget.ln_compute.exp(),
        points: budget.points.len(),
        outcome,
    });
    IsoFlop {
        group: group.to_owned(),
        law: if profile == Profile::Parabola { "isoflop" } else { "isoflop-akima" },
        x: "compute",
        params: estimate.map_or_else(BTreeMap::new, |(k, a)| [("a", a), ("k", k)].into()),
        intervals,
        points_used,
        points_dropped,
        cells: cells.collect(),
    }
}

fn budgets(mut usable: Vec<(f64, f64, f64)>) -> Vec<Budget> {
    usable.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
    let cells = usable.chunk_by(|a, b| b.0 - a.0 < SAME_BUDGET);
    cells
        .map(|cell| {
            let ln_compute = cell.iter().map(|point| point.0).sum::<f64>() / cell.len() as f64;
            let mut points: Vec<(f64, f64)> = cell.iter().map(|point| (point.1, point.2)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            Budget { ln_compute, points }
        })
        .collect()
}

/// The lowest point of a profile, if it has one inside.
fn minimum(points: &[(f64, f64)], profile: Profile) -> Outcome {
    let sizes: Vec<(f64, f64)> = points
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().map(|point| point.1).sum::<f64>() / same.len() as f64))
        .collect();
    let need = if profile == Profile::Parabola { 3 } else { 5 };
    if sizes.len() < need {
        return Outcome::TooFewSizes { have: sizes.len(), need };
    }
    let (low, high) = (sizes[0].0, sizes[sizes.len() - 1].0);
    let (at, loss) = match profile {
        Profile::Akima => akima_minimum(&sizes),
        Profile::Parabola => {
            let Some([constant, slope, bend]) = parabola(points) else { return Outcome::Concave };
            if bend <= 0.0 {
                return Outcome::Concave;
            }
            let vertex = -slope / (2.0 * bend);
            (vertex + 0.5 * (low + high), constant - slope * slope / (4.0 * bend))
        }
    };
    if at <= low {
        Outcome::MinimumOutside { towards: "smaller sizes" }
    } else if at >= high {
        Outcome::MinimumOutside { towards: "larger sizes" }
    } else {
        Outcome::Interior { params: at.exp(), loss }
    }
}

/// Least-squares constant, slope and bend about the middle of the sizes.
fn parabola(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let middle = 0.5 * (points.first()?.0 + points.last()?.0);
    let mut normal = [[0.0; super::law::MAX_PARAMS]; super::law::MAX_PARAMS];
    let mut right = super::law::Theta::default();
    for (ln_n, loss) in points {
        let t = ln_n - middle;
        let row = [1.0, t, t * t];
        for i in 0..3 {
            right[i] += row[i] * loss;
            (0..=i).for_each(|j| normal[i][j] += row[i] * row[j]);
        }
    }
    let factor = super::solve::cholesky(&normal, 3)?;
    let solved = super::solve::solve_factored(&factor, &right, 3);
    Some([solved[0], solved[1], solved[2]])
}

/// Lowest point of Akima's spline through at least five points with rising abscissae.
fn akima_minimum(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len();
    // Slopes of the pieces, two more extrapolated linearly at either end.
    let mut m: Vec<f64> = points.windows(2).map(|w| (w[1].1 - w[0].1) / (w[1].0 - w[0].0)).collect();
    m.insert(0, 2.0 * m[0] - m[1]);
    m.insert(0, 2.0 * m[0] - m[1]);
    m.push(2.0 * m[n] - m[n - 1]);
    m.push(2.0 * m[n + 1] - m[n]);
    let tangent = |i: usize| {
        let (left, right) = ((m[i + 3] - m[i + 2]).abs(), (m[i + 1] - m[i]).abs());
        if left + right > 0.0 {
            (left * m[i + 1] + right * m[i + 2]) / (left + right)
        } else {
            0.5 * (m[i + 1] + m[i + 2])
        }
    };
    let mut lowest = *points.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(&points[0]);
    for i in 0..n - 1 {
        let (h, slope) = (points[i + 1].0 - points[i].0, m[i + 2]);
        let (t0, t1) = (tangent(i), tangent(i + 1));
        let (c, d) = ((3.0 * slope - 2.0 * t0 - t1) / h, (t0 + t1 - 2.0 * slope) / (h * h));
        let discriminant = c * c - 3.0 * d * t0;
        for sign in [-1.0, 1.0] {
            // Of t0 + 2 c s + 3 d s² = 0, in the form that survives d = 0.
            let s = -t0 / (c + sign * discriminant.max(0.0).sqrt());
            if discriminant >= 0.0 && s > 0.0 && s < h {
                let value = points[i].1 + s * (t0 + s * (c + s * d));
                if value < lowest.1 {
                    lowest = (points[i].0 + s, value);
                }
            }
        }
    }
    lowest
}

/// k and a of N_opt = k C^a.
fn trend(budgets: &[Budget], outcomes: &[Outcome]) -> Option<(f64, f64)> {
    let interior: Vec<(f64, f64, f64)> = budgets
        .iter()
        .zip(outcomes)
        .filter_map(|(budget, outcome)| match outcome {
            Outcome::Interior { params, .. } => Some((budget.ln_compute, params.ln(), 1.0)),
            _ => None,
        })
        .collect();
    if interior.len() < 2 {
        return None;
    }
    let (intercept, slope) = line(interior.iter().copied());
    Some((intercept.exp(), slope))
}

fn resample(budgets: &[Budget], profile: Profile, seed: u64, index: u64) -> Option<(f64, f64)> {
    let mut rng = random::stream(seed, "isoflop", index);
    let redrawn: Vec<Budget> = budgets.iter().map(|budget| redraw(budget, &mut rng)).collect();
    let outcomes: Vec<Outcome> = redrawn.iter().map(|budget| minimum(&budget.points, profile)).collect();
    trend(&redrawn, &outcomes)
}

fn redraw(budget: &Budget, rng: &mut impl Rng) -> Budget {
    let mut points = budget.points.clone();
    if let (Some([constant, slope, bend]), true) = (parabola(&points), points.len() > 3) {
        let middle = 0.5 * (points[0].0 + points[points.len() - 1].0);
        let fitted = |ln_n: f64| constant + (ln_n - middle) * (slope + bend * (ln_n - middle));
        let squares: f64 = points.iter().map(|(ln_n, loss)| (loss - fitted(*ln_n)).powi(2)).sum();
        let sigma = (squares / (points.len() - 3) as f64).sqrt();
        for (_, loss) in &mut points {
            let normal: f64 = StandardNormal.sample(rng);
            *loss += sigma * normal;
        }
    }
    Budget { ln_compute: budget.ln_compute, points }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(loss: impl Fn(f64, f64) -> f64) -> Vec<Point> {
        let mut points = Vec::new();
        for compute in [1e18, 1e19, 1e20, 1e21] {
            for step in -4..=4 {
                let params = 2e8 * (compute / 1e18f64).sqrt() * 2f64.powi(step);
                points.push(Point {
                    group: "a".into(),
                    params: Some(params),
                    data: None,
                    compute: Some(compute),
                    value: loss(params, compute),
                    seed: None,
                    source: format!("{compute}-{step}"),
                });
            }
        }
        points
    }

    fn only(points: &[Point], profile: Profile) -> IsoFlop {
        profiles(points, profile, &Settings { bootstrap: 200, ..Settings::default() }).unwrap().remove(0)
    }

    /// A profile that is a parabola in ln N, lowest at 3e8 (C / 1e18)^0.49.
    fn bowl(params: f64, compute: f64) -> f64 {
        2.0 + 0.05 * (params.ln() - (3e8f64.ln() + 0.49 * (compute / 1e18).ln())).powi(2)
    }

    #[test]
    fn finds_planted_minima_and_their_exponent() {
        for (profile, tolerance) in [(Profile::Parabola, 1e-9), (Profile::Akima, 0.01)] {
            let fit = only(&grid(bowl), profile);
            assert!((fit.params["a"] - 0.49).abs() < tolerance, "{:?}", fit.params);
            let Outcome::Interior { params, loss } = fit.cells[0].outcome else { panic!("{:?}", fit.cells[0]) };
            assert!((params / 3e8 - 1.0).abs() < 20.0 * tolerance && (loss - 2.0).abs() < tolerance);
            assert!(fit.intervals["a"].low <= 0.49 + tolerance && 0.49 - tolerance <= fit.intervals["a"].high);
        }
    }

    #[test]
    fn a_minimum_outside_or_a_maximum_is_no_optimum() {
        let concave = only(&grid(|n, c| 4.0 - bowl(n, c)), Profile::Parabola);
        assert!(concave.cells.iter().all(|cell| cell.outcome == Outcome::Concave) && concave.params.is_empty());
        let falling = only(&grid(|n, c| bowl(n / 1e4, c)), Profile::Parabola);
        assert!(falling.cells.iter().all(|cell| cell.outcome == Outcome::MinimumOutside { towards: "larger sizes" }));
        let rising = only(&grid(|n, c| bowl(n * 1e4, c)), Profile::Akima);
        assert!(rising.cells.iter().all(|cell| cell.outcome == Outcome::MinimumOutside { towards: "smaller sizes" }));
        let few = only(&grid(bowl)[..2], Profile::Parabola);
        assert_eq!(few.cells[0].outcome, Outcome::TooFewSizes { have: 2, need: 3 });
    }

    // from scipy.interpolate import Akima1DInterpolator; from scipy.optimize import minimize_scalar
    // f = Akima1DInterpolator([0, 1, 2.5, 3, 4.2, 5], [3, 1.2, 0.7, 0.9, 1.0, 2.5])
    // minimize_scalar(f, bounds=(1, 3), method="bounded", options={"xatol": 1e-12})
    #[test]
    fn akima_equals_scipy() {
        let (at, value) = akima_minimum(&[(0.0, 3.0), (1.0, 1.2), (2.5, 0.7), (3.0, 0.9), (4.2, 1.0), (5.0, 2.5)]);
        assert!((at - AKIMA.0).abs() < 1e-6 && (value - AKIMA.1).abs() < 1e-9, "{at} {value}");
    }

    const AKIMA: (f64, f64) = (2.203_982_482_567_713, 0.660_728_335_964_934);
}
