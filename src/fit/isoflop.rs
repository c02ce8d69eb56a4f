//! IsoFLOP profiles: at each compute the size with the lowest loss, and how that size grows with compute
//! (approach 2 of Hoffmann et al. 2022, arXiv:2203.15556).
//!
//! A minimum counts only where it is one and lies between the sizes that were measured. Parabolas are biased where the
//! sizes lie off-centre, even without noise; look at the surface fit beside them.

use std::collections::BTreeMap;
use std::fmt;

use rand_chacha::rand_core::Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::sample::line;
use crate::fit::data::scale::{Dropped, Scale};
use crate::fit::diagnosis::{fell_back, told};
use crate::fit::estimate::Provenance;
use crate::fit::refusal::{Refused, unusable};
use crate::fit::settings::Settings;
use crate::fit::uncertainty::interval::{Interval, IntervalKind, interval};
use crate::fit::verdict::Verdict;
use crate::point::Point;
use crate::random;
use crate::units::si;

/// Budgets that differ by less than this share are one cell.
const SAME_BUDGET: f64 = 0.1;

/// No cell spans more, as a difference of logarithms: half as much again.
const WIDEST_BUDGET: f64 = 0.405;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Least squares of loss by ln N.
    Parabola,
    /// Akima 1970, doi:10.1145/321607.321609, through the mean loss of each size.
    Akima,
}

impl Profile {
    /// As `--law` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Parabola => "isoflop",
            Profile::Akima => "isoflop-akima",
        }
    }
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Interior { params, loss } => write!(f, "lowest at {} parameters, {loss:.4}", si(*params)),
            Outcome::TooFewSizes { have, need } => write!(f, "{have} sizes, and {need} are needed"),
            Outcome::Concave => write!(f, "no minimum: the profile is bent downwards"),
            Outcome::MinimumOutside { towards } => write!(f, "no minimum inside: it falls towards {towards}"),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Geometric mean of the budgets.
    pub compute: f64,
    pub points: usize,
    pub outcome: Outcome,
}

/// N_opt = k C^a through the interior minima of one curve; named as other fits are.
#[derive(Clone, Debug, Serialize)]
pub struct IsoFlop {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub law: &'static str,
    pub formula: &'static str,
    pub x: Scale,
    /// `a` and `k`, where at least two budgets have an interior minimum.
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
    /// Sum of squared residuals of ln N_opt about the trend.
    pub objective: Option<f64>,
    pub points_used: usize,
    pub points_dropped: Vec<Dropped>,
    pub verdicts: Vec<Verdict>,
    /// Root mean squared error of ln N_opt at the largest budgets, predicted from the others.
    pub holdout_rmse: Option<f64>,
    pub cells: Vec<Cell>,
    pub provenance: Provenance,
}

/// The profiles of all curves, named as an `Analysis` is.
#[derive(Clone, Debug, Serialize)]
pub struct Profiles {
    pub fits: Vec<IsoFlop>,
    pub refused: Vec<Refused>,
    /// None: profiles give no curves of loss.
    pub crossovers: [(); 0],
}

struct Budget {
    ln_compute: f64,
    /// (ln N, loss), by N.
    points: Vec<(f64, f64)>,
}

/// The profiles of every curve. Intervals come from parabolas with normal noise, of one size relative to loss in all
/// budgets, and as uncertain in size as the number of points leaves it (see `bootstrap`).
pub fn profiles(points: &[Point], profile: Profile, settings: &Settings) -> Result<Profiles> {
    crate::fit::settings::check_bootstrap(settings)?;
    let curves = curve::split(points, Scale::Profile, settings.exclude_top_loss);
    if curves.is_empty() {
        return Err(Error::failed("there are no points to fit").hint("run the sweep, or name a file with --csv"));
    }
    let (empty, curves): (Vec<Curve>, Vec<Curve>) = curves.into_iter().partition(|curve| curve.sample.is_empty());
    if let (true, Some(curve)) = (curves.is_empty(), empty.first()) {
        let error = unusable(curve).into_error(&curve.name);
        return Err(error.hint("a profile needs params, compute (flops) and loss, positive and finite"));
    }
    let refused = empty.iter().map(|curve| Refused {
        curve: curve.name.clone(),
        summary: unusable(curve).to_string(),
        reason: unusable(curve),
    });
    let refused = refused.collect();
    let fits = crate::fit::settings::in_pool(settings.threads, || {
        curves.iter().map(|curve| of_curve(curve, profile, settings)).collect()
    })?;
    Ok(Profiles { fits, refused, crossovers: [] })
}

fn of_curve(curve: &Curve, profile: Profile, settings: &Settings) -> IsoFlop {
    let budgets = budgets(curve);
    let outcomes: Vec<Outcome> = budgets.iter().map(|budget| minimum(&budget.points, profile)).collect();
    let minima = minima(&budgets, &outcomes);
    let estimate = trend(&minima);
    let mut intervals = BTreeMap::new();
    let mut verdicts = Vec::new();
    let noise = Noise::of(&budgets);
    if noise.is_none() {
        let runs = curve.sample.len();
        verdicts.push(Verdict::FewRuns { runs, need: 3 * budgets.len() + 1 });
    }
    if let (Some((k, a)), Some(noise), true) = (estimate, noise, settings.bootstrap > 0) {
        let draws =
            (0..settings.bootstrap).into_par_iter().filter_map(|i| noise.resample(&budgets, profile, settings.seed, i));
        let (ks, slopes): (Vec<f64>, Vec<f64>) = draws.collect::<Vec<_>>().into_iter().unzip();
        let of = |value: f64, draws: &[f64]| interval(IntervalKind::Percentile, settings.level, value, draws, &[]);
        intervals.extend(of(a, &slopes).map(|found| ("a", found)));
        intervals.extend(of(k, &ks).map(|found| ("k", found)));
        verdicts.extend(intervals.get("a").map(|interval| told("a", interval, 0.0, f64::INFINITY)));
        verdicts.extend(fell_back(settings.interval, intervals.iter().map(|(name, interval)| (*name, interval))));
        if slopes.len() < settings.bootstrap {
            verdicts.push(Verdict::FailedResamples { share: 1.0 - slopes.len() as f64 / settings.bootstrap as f64 });
        }
    }
    if minima.len() < budgets.len() {
        verdicts.push(Verdict::NonInterior { budgets: budgets.len() - minima.len(), of: budgets.len() });
    }
    let cells = budgets.iter().zip(outcomes).map(|(budget, outcome)| Cell {
        compute: budget.ln_compute.exp(),
        points: budget.points.len(),
        outcome,
    });
    IsoFlop {
        curve: curve.name.clone(),
        law: if profile == Profile::Parabola { "isoflop" } else { "isoflop-akima" },
        formula: "N_opt = k C^a",
        x: Scale::Profile,
        params: estimate.map_or_else(BTreeMap::new, |(k, a)| [("a", a), ("k", k)].into()),
        intervals,
        objective: estimate.map(|trend| squares(&minima, trend)),
        points_used: curve.sample.len(),
        points_dropped: curve.dropped.clone(),
        verdicts,
        holdout_rmse: holdout(&minima, settings.holdout),
        cells: cells.collect(),
        // Parabolas are drawn anew, no run is left out: there is no BCa.
        provenance: crate::fit::estimate::provenance(curve, None, IntervalKind::Percentile, settings),
    }
}

fn budgets(curve: &Curve) -> Vec<Budget> {
    let sample = &curve.sample;
    let mut usable: Vec<(f64, f64, f64)> =
        sample.ln_x.iter().zip(&sample.ln_y).map(|(ln_x, ln_y)| (ln_x[0], ln_x[1], ln_y.exp())).collect();
    usable.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
    usable
        .chunk_by(|a, b| b.0 - a.0 < SAME_BUDGET)
        .flat_map(narrow)
        .map(|cell| {
            let ln_compute = cell.iter().map(|point| point.0).sum::<f64>() / cell.len() as f64;
            let mut points: Vec<(f64, f64)> = cell.iter().map(|point| (point.1, point.2)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            Budget { ln_compute, points }
        })
        .collect()
}

/// Budgets in a row that lie near each other and reach far: parted at the widest gap until none spans too much. Not near
/// an end: each part is narrower by a quarter at least, however many there are.
fn narrow(cell: &[(f64, f64, f64)]) -> Vec<&[(f64, f64, f64)]> {
    let (low, high) = (cell[0].0, cell[cell.len() - 1].0);
    let margin = 0.25 * (high - low);
    let gap = |i: &usize| cell[*i].0 - cell[i - 1].0;
    let middle = (1..cell.len()).filter(|i| cell[*i].0 > low + margin && cell[i - 1].0 < high - margin);
    match middle.max_by(|a, b| gap(a).total_cmp(&gap(b))) {
        Some(widest) if high - low > WIDEST_BUDGET => {
            let (smaller, larger) = cell.split_at(widest);
            [narrow(smaller), narrow(larger)].concat()
        }
        _ => vec![cell],
    }
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
    let mut normal = [[0.0; crate::fit::laws::law::MAX_PARAMS]; crate::fit::laws::law::MAX_PARAMS];
    let mut right = crate::fit::laws::law::Theta::default();
    for (ln_n, loss) in points {
        let t = ln_n - middle;
        let row = [1.0, t, t * t];
        for i in 0..3 {
            right[i] += row[i] * loss;
            (0..=i).for_each(|j| normal[i][j] += row[i] * row[j]);
        }
    }
    let factor = crate::fit::solve::search::cholesky(&normal, 3)?;
    let solved = crate::fit::solve::search::solve_factored(&factor, &right, 3);
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

/// (ln C, ln N_opt) of the budgets with an interior minimum.
fn minima(budgets: &[Budget], outcomes: &[Outcome]) -> Vec<(f64, f64)> {
    let both = budgets.iter().zip(outcomes);
    both.filter_map(|(budget, outcome)| match outcome {
        Outcome::Interior { params, .. } => Some((budget.ln_compute, params.ln())),
        _ => None,
    })
    .collect()
}

/// k and a of N_opt = k C^a.
fn trend(minima: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (intercept, slope) = line(minima.iter().map(|(ln_c, ln_n)| (*ln_c, *ln_n, 1.0)));
    (minima.len() >= 2).then(|| (intercept.exp(), slope))
}

fn squares(minima: &[(f64, f64)], (k, a): (f64, f64)) -> f64 {
    minima.iter().map(|(ln_c, ln_n)| (ln_n - k.ln() - a * ln_c).powi(2)).sum()
}

fn holdout(minima: &[(f64, f64)], hidden: usize) -> Option<f64> {
    let (seen, unseen) = minima.split_at(minima.len().checked_sub(hidden)?);
    let rmse = (squares(unseen, trend(seen)?) / unseen.len() as f64).sqrt();
    rmse.is_finite().then_some(rmse)
}

/// How far losses lie from the parabolas, relative to the loss.
struct Noise {
    sigma: f64,
    freedom: f64,
}

impl Noise {
    /// None where parabolas run through all points.
    fn of(budgets: &[Budget]) -> Option<Self> {
        let (mut squares, mut freedom) = (0.0, 0.0);
        for points in budgets.iter().map(|budget| &budget.points) {
            let (Some([constant, slope, bend]), true) = (parabola(points), points.len() > 3) else { continue };
            let middle = 0.5 * (points[0].0 + points[points.len() - 1].0);
            let fitted = |ln_n: f64| constant + (ln_n - middle) * (slope + bend * (ln_n - middle));
            squares += points.iter().map(|(ln_n, loss)| (1.0 - fitted(*ln_n) / loss).powi(2)).sum::<f64>();
            freedom += points.len() as f64 - 3.0;
        }
        (freedom >= 1.0).then(|| Self { sigma: (squares / freedom).sqrt(), freedom })
    }

    /// k and a of the same budgets with fresh noise.
    fn resample(&self, budgets: &[Budget], profile: Profile, seed: u64, index: usize) -> Option<(f64, f64)> {
        let mut rng = random::stream(seed, "isoflop", index as u64);
        let chi_squared = ChiSquared::new(self.freedom).ok()?.sample(&mut rng);
        let sigma = self.sigma * (self.freedom / chi_squared).sqrt();
        let redrawn: Vec<Budget> = budgets.iter().map(|budget| budget.redrawn(sigma, &mut rng)).collect();
        let outcomes: Vec<Outcome> = redrawn.iter().map(|budget| minimum(&budget.points, profile)).collect();
        trend(&minima(&redrawn, &outcomes))
    }
}

impl Budget {
    fn redrawn(&self, sigma: f64, rng: &mut impl Rng) -> Budget {
        let redrawn = self.points.iter().map(|(ln_n, loss)| {
            let normal: f64 = StandardNormal.sample(rng);
            (*ln_n, loss * (1.0 + sigma * normal))
        });
        Budget { ln_compute: self.ln_compute, points: redrawn.collect() }
    }
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
                    curve: "a".into(),
                    params: Some(params),
                    data: None,
                    seen: None,
                    compute: Some(compute),
                    value: loss(params, compute),
                    seed: None,
                    source: format!("{compute}-{step}"),
                    made: None,
                });
            }
        }
        points
    }

    fn only(points: &[Point], profile: Profile) -> IsoFlop {
        profiles(points, profile, &Settings { bootstrap: 200, ..Settings::default() }).unwrap().fits.remove(0)
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

    #[test]
    fn profiles_have_percentile_intervals_and_say_so() {
        let settings = Settings { bootstrap: 100, interval: IntervalKind::Bca, ..Settings::default() };
        let fit = profiles(&grid(bowl), Profile::Parabola, &settings).unwrap().fits.remove(0);
        assert_eq!(fit.provenance.interval, IntervalKind::Percentile);
        let of = vec!["a".to_owned(), "k".to_owned()];
        assert!(fit.verdicts.contains(&Verdict::PercentileInstead { of }), "{:?}", fit.verdicts);
    }

    #[test]
    fn parabolas_through_all_points_have_no_intervals() {
        let three: Vec<Point> = grid(bowl).chunks(9).flat_map(|budget| budget[3..6].to_vec()).collect();
        let fit = only(&three, Profile::Parabola);
        assert!((fit.params["a"] - 0.49).abs() < 1e-9 && fit.intervals.is_empty());
        assert_eq!(fit.verdicts, [Verdict::FewRuns { runs: 12, need: 13 }]);
    }

    #[test]
    fn budgets_that_lie_close_in_a_row_are_not_all_one() {
        let near = |i: i32| Point { compute: Some(1e18 * 1.09f64.powi(i)), ..grid(bowl)[4].clone() };
        let fit = only(&(0..60).map(near).collect::<Vec<_>>(), Profile::Parabola);
        assert!((13..30).contains(&fit.cells.len()), "{} cells", fit.cells.len());
        let steady = |i: u32| Point { compute: Some(1e18 + 1e13 * f64::from(i)), ..grid(bowl)[4].clone() };
        assert!(only(&(0..200_000).map(steady).collect::<Vec<_>>(), Profile::Parabola).cells.len() < 10);
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
