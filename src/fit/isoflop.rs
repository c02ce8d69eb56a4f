//! IsoFLOP profiles: at each compute the size with the lowest loss, and how that size grows with compute
//! (approach 2 of Hoffmann et al. 2022, arXiv:2203.15556).
//!
//! A minimum counts only where it is one and lies between the sizes that were measured. Parabolas are biased where the
//! sizes lie off-centre, even without noise; look at the surface fit beside them.
//!
//! In the order in which data flow: `budget`, `stray`, `profile` (with `akima`), `trend`, `noise`, `draws`.

mod akima;
mod budget;
mod draws;
mod noise;
mod profile;
mod stray;
mod trend;

pub use self::draws::Draw;
pub use self::profile::{Outcome, Profile};
pub use self::trend::Trend;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::scale::{Dropped, Scale};
use crate::fit::diagnosis::{fell_back, told};
use crate::fit::estimate::{Provenance, applied, provenance};
use crate::fit::isoflop::budget::{Budget, budgets};
use crate::fit::isoflop::draws::Drawn;
use crate::fit::isoflop::noise::Noise;
use crate::fit::isoflop::stray::{Stray, strays};
use crate::fit::isoflop::trend::holdout;
use crate::fit::refusal::{Refused, unusable};
use crate::fit::settings::{Settings, check_bootstrap, in_pool};
use crate::fit::uncertainty::interval::Interval;
use crate::fit::verdict::Verdict;
use crate::point::Point;

/// FLOPs per parameter and example where no point tells (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
const FLOPS_PER: f64 = 6.0;

/// One budget: what it says, and what it was said from.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Geometric mean of the budgets.
    pub compute: f64,
    pub points: usize,
    pub outcome: Outcome,
    /// Examples at the best size: compute over `flops_per` times its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<f64>,
    /// Of `params`, `data` and `loss` at the minimum, by percentile; absent where resamples often have no minimum.
    pub intervals: BTreeMap<&'static str, Interval>,
    /// (N, loss) of its runs.
    #[serde(skip)]
    pub runs: Vec<(f64, f64)>,
    /// (N, loss) along the profile, in order of N; empty where it has none.
    #[serde(skip)]
    pub profile: Vec<(f64, f64)>,
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
    /// FLOPs per parameter and example: the median over the points, or 6 where none has all three.
    pub flops_per: f64,
    /// Standard deviation of a run's loss about its profile, relative to the loss.
    pub noise: Option<f64>,
    pub provenance: Provenance,
    #[serde(skip)]
    pub trend: Option<Trend>,
    #[serde(skip)]
    pub draws: Vec<Draw>,
}

/// The profiles of all curves, named as an `Analysis` is.
#[derive(Clone, Debug, Serialize)]
pub struct Profiles {
    pub fits: Vec<IsoFlop>,
    pub refused: Vec<Refused>,
    /// None: profiles give no curves of loss.
    pub crossovers: [(); 0],
}

/// The profiles of every curve. Intervals come from the same budgets with fresh noise, see `noise`.
pub fn profiles(points: &[Point], profile: Profile, settings: &Settings) -> Result<Profiles> {
    check_bootstrap(settings)?;
    let curves = curve::split(points, Scale::Profile, settings.exclude_top_loss);
    if curves.is_empty() {
        return Err(Error::failed("there are no points to fit").hint("run the sweep, or name a file with --file"));
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
    let fit = |curve: &Curve| of_curve(curve, flops_per(points, &curve.name), profile, settings);
    let fits = in_pool(settings.threads, || curves.iter().map(fit).collect())?;
    Ok(Profiles { fits, refused, crossovers: [] })
}

/// The median of C / (N D), D counting repeats where they are known.
fn flops_per(points: &[Point], curve: &str) -> f64 {
    let own = points.iter().filter(|point| point.curve == curve);
    let ratio = |point: &Point| Some(point.compute? / (point.params? * point.seen.or(point.data)?));
    let mut ratios: Vec<f64> = own.filter_map(ratio).filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(FLOPS_PER)
}

fn of_curve(curve: &Curve, flops_per: f64, profile: Profile, settings: &Settings) -> IsoFlop {
    let all = budgets(curve);
    let strays = strays(&all);
    let out: HashSet<usize> = strays.iter().map(|stray| stray.observation).collect();
    let budgets: Vec<Budget> = all.iter().map(|budget| budget.without(&out)).collect();
    let outcomes: Vec<Outcome> = budgets.iter().map(|budget| profile::minimum(&budget.points, profile)).collect();
    let minima = draws::minima(&budgets, &outcomes);
    let trend = Trend::through(&minima);
    let best: Vec<Option<f64>> = outcomes.iter().map(Outcome::ln_params).collect();
    let noise = Noise::of(&budgets, profile, &best);
    let drawn = match (trend, &noise) {
        (Some(trend), Some(noise)) => Drawn::of(&budgets, profile, trend, noise, settings),
        _ => Drawn::default(),
    };
    let intervals = drawn.intervals(settings);
    let found = Found { minima: minima.len(), noise, strays: &strays, intervals: &intervals, drawn: &drawn };
    let verdicts = found.verdicts(curve, &budgets, settings);
    let cell = |(i, (budget, outcome)): (usize, (&Budget, Outcome))| {
        let (compute, level) = (budget.ln_compute.exp(), settings.level);
        let data = match outcome {
            Outcome::Interior { params, .. } => Some(compute / (flops_per * params)),
            _ => None,
        };
        Cell {
            compute,
            points: budget.points.len(),
            intervals: data.map_or_else(BTreeMap::new, |_| drawn.at_minimum(i, compute / flops_per, level)),
            data,
            outcome,
            runs: budget.points.iter().map(|(ln_n, loss)| (ln_n.exp(), *loss)).collect(),
            profile: along(budget, profile),
        }
    };
    let cells = budgets.iter().zip(outcomes).enumerate().map(cell).collect();
    IsoFlop {
        curve: curve.name.clone(),
        law: profile.name(),
        formula: "N_opt = k C^a",
        x: Scale::Profile,
        params: trend.map_or_else(BTreeMap::new, |trend| [("a", trend.a), ("k", trend.ln_k.exp())].into()),
        objective: trend.map(|trend| trend.squares(&minima)),
        points_used: curve.sample.len() - strays.len(),
        points_dropped: dropped(curve, &strays),
        verdicts,
        holdout_rmse: holdout(&minima, settings.holdout),
        cells,
        flops_per,
        noise: noise.map(|noise| noise.sigma),
        provenance: provenance(curve, None, applied(&intervals, settings.interval), settings),
        intervals,
        trend,
        draws: drawn.draws,
    }
}

/// What a curve's profiles gave.
struct Found<'a> {
    minima: usize,
    noise: Option<Noise>,
    strays: &'a [Stray],
    intervals: &'a BTreeMap<&'static str, Interval>,
    drawn: &'a Drawn,
}

impl Found<'_> {
    fn verdicts(&self, curve: &Curve, budgets: &[Budget], settings: &Settings) -> Vec<Verdict> {
        let (runs, of) = (curve.sample.len(), budgets.len());
        let mut verdicts = Vec::new();
        if self.noise.is_none() {
            verdicts.push(Verdict::FewRuns { runs, need: 3 * of + 1 });
        }
        let misfit = self.noise.and_then(|noise| noise.misfit);
        // The interval of parabolas that miss holds what their noise may do, and not their misfit.
        let told = self.intervals.get("a").map(|interval| told("a", interval, 0.0, f64::INFINITY));
        verdicts.extend(told.filter(|told| misfit.is_none() || *told != Verdict::Identified));
        verdicts.extend(misfit.map(|p_value| Verdict::ParabolaMisfit { p_value }));
        verdicts.extend(fell_back(settings.interval, self.intervals.iter().map(|(name, found)| (*name, found))));
        let missing = self.drawn.asked - self.drawn.draws.len();
        if missing > 0 {
            verdicts.push(Verdict::FailedResamples { share: missing as f64 / self.drawn.asked as f64 });
        }
        if !self.strays.is_empty() {
            verdicts.push(Verdict::OffProfile { points: self.strays.len(), of: runs });
        }
        if self.minima < of {
            verdicts.push(Verdict::NonInterior { budgets: of - self.minima, of });
        }
        verdicts
    }
}

fn dropped(curve: &Curve, strays: &[Stray]) -> Vec<Dropped> {
    let stray = |stray: &Stray| Dropped {
        point: curve.sources[stray.observation].clone(),
        reason: format!("its loss is {:.2} times what sizes around it reach at this compute (diverged?)", stray.times),
    };
    curve.dropped.iter().cloned().chain(strays.iter().map(stray)).collect()
}

/// The profile between its smallest and largest size, to draw it.
fn along(budget: &Budget, profile: Profile) -> Vec<(f64, f64)> {
    const STEPS: usize = 80;
    let ends = budget.points.first().zip(budget.points.last());
    let (Some((first, last)), Some(curve)) = (ends, profile.curve(&budget.points)) else { return Vec::new() };
    let at = |step: usize| first.0 + (last.0 - first.0) * step as f64 / STEPS as f64;
    (0..=STEPS).map(at).map(|ln_n| (ln_n.exp(), curve(ln_n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::uncertainty::interval::IntervalKind;

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
                    seconds: None,
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
    fn intervals_are_of_the_kind_that_was_asked_for_or_say_that_they_are_not() {
        let settings = Settings { bootstrap: 200, interval: IntervalKind::Bca, ..Settings::default() };
        let mut points = grid(bowl);
        points
            .iter_mut()
            .enumerate()
            .for_each(|(i, point)| point.value *= 1.0 + 2e-3 * ((i * i * 7 % 13) as f64 - 6.0) / 6.0);
        let of = |profile| profiles(&points, profile, &settings).unwrap().fits.remove(0);
        let (parabola, akima) = (of(Profile::Parabola), of(Profile::Akima));
        let told = Verdict::PercentileInstead { of: vec!["a".to_owned(), "k".to_owned()] };
        assert_eq!(parabola.provenance.interval, IntervalKind::Bca);
        assert!(
            parabola.intervals.values().all(|found| found.kind == IntervalKind::Bca)
                && !parabola.verdicts.contains(&told)
        );
        let percentile =
            profiles(&points, Profile::Parabola, &Settings { interval: IntervalKind::Percentile, ..settings.clone() });
        assert_ne!(percentile.unwrap().fits[0].intervals["a"].low, parabola.intervals["a"].low);
        assert_eq!(akima.provenance.interval, IntervalKind::Percentile);
        assert!(akima.verdicts.contains(&told), "{:?}", akima.verdicts);
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
}
