//! From points to laws, and from laws to crossovers, each with its uncertainty and with what weakens it.

pub mod auto;
pub mod backtest;
pub mod bootstrap;
mod broken;
mod chinchilla;
pub mod crossover;
pub mod csv;
pub mod design;
mod diagnosis;
mod distribution;
pub mod estimate;
pub mod frontier;
mod group;
pub mod interval;
pub mod isoflop;
mod joint;
mod kaplan;
pub mod law;
mod m4;
mod method;
pub mod multiplier;
pub mod multiverse;
pub mod objective;
mod pooled;
mod power;
mod power_floor;
pub mod sample;
pub mod shared;
mod shifted;
pub mod simulate;
pub mod solve;
pub mod verdict;

use std::collections::HashSet;

use rayon::prelude::*;
use serde::Serialize;

pub use self::crossover::Crossover;
pub use self::diagnosis::AtEdge;
pub use self::estimate::{Dropped, FileOrigin, Fit, Origin, Scale, SweepOrigin};
pub use self::frontier::frontier;
pub use self::interval::IntervalKind;
pub use self::law::Law;
pub use self::method::Method;
pub use self::multiplier::Multiplier;
pub use self::objective::Objective;
pub use self::verdict::{Refusal, Verdict};

use self::bootstrap::{Draws, Fitted, Resampling};
use self::diagnosis::Case;
use self::estimate::{Provenance, intervals, named};
use self::group::Group;
use self::law::Domain;
use self::solve::{Search, Solver};
use crate::error::{Context, Error, Result};
use crate::point::{Axis, Point};

/// Newton steps granted to one start.
const STEPS: usize = 300;

/// Distinct minima that each resample tries again.
const MINIMA: usize = 3;

/// How to fit. `Settings::default()` is what the command line defaults to.
#[derive(Clone, Debug)]
pub struct Settings {
    pub law: &'static dyn Law,
    /// Absent: squared residuals of log loss for curves, Huber for surfaces.
    pub objective: Option<Objective>,
    /// Resamples; 0 for no intervals.
    pub bootstrap: usize,
    /// Absent: what suits the number of runs.
    pub resampling: Option<Resampling>,
    pub seed: u64,
    /// Absent: RAYON_NUM_THREADS, or all cores. The result does not depend on it.
    pub threads: Option<usize>,
    pub interval: IntervalKind,
    /// Coverage of the intervals.
    pub level: f64,
    /// The K largest losses of each group are left out.
    pub exclude_top_loss: usize,
    /// How many of the largest scales are hidden for `holdout_rmse`.
    pub holdout: usize,
    /// Where the points come from, for provenance.
    pub origin: Option<Origin>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            law: &power_floor::PowerFloor,
            objective: None,
            bootstrap: 2000,
            resampling: None,
            seed: 0,
            threads: None,
            interval: IntervalKind::Percentile,
            level: 0.95,
            exclude_top_loss: 0,
            holdout: 1,
            origin: None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    pub group: String,
    pub reason: Refusal,
    /// The reason in words.
    pub summary: String,
}

/// All groups fitted and all pairs of them compared.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    pub fits: Vec<Fit>,
    pub refused: Vec<Refused>,
    pub crossovers: Vec<Crossover>,
    /// What each curve needs to equal each other.
    pub multipliers: Vec<Multiplier>,
    /// With `--law auto`: every law tried, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub laws_tried: Vec<auto::Tried>,
    /// Runs and cells of the sweep that gave no point, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Dropped>,
}

/// Fits the law to each group's points over `axis` (a surface law: over parameters and data, whatever the axis), and
/// compares every pair of groups.
///
/// Groups that cannot be fitted are listed with the reason; when no group can, that is the error.
pub fn fit_curves(points: &[Point], axis: Axis, settings: &Settings) -> Result<Analysis> {
    in_pool(settings.threads, || analyse(points, scale_of(settings.law, axis), settings))?
}

/// Fewer resamples would have no quantile as far out as the level asks for.
pub fn check_bootstrap(settings: &Settings) -> Result<()> {
    let need = interval::needed(settings.level);
    if settings.bootstrap > 0 && settings.bootstrap < need {
        return Err(Error::bad_input(format!(
            "--bootstrap {}: intervals of {} need at least {need} resamples",
            settings.bootstrap, settings.level
        ))
        .hint("--bootstrap 0 asks for none"));
    }
    Ok(())
}

fn scale_of(law: &dyn Law, axis: Axis) -> Scale {
    match law.domain() {
        Domain::Curve => Scale::Curve(axis),
        Domain::Surface => Scale::Surface,
        Domain::Frontier => Scale::Curve(Axis::Compute),
    }
}

fn solver_of(settings: &Settings) -> Solver {
    let objective = settings.objective.unwrap_or(match settings.law.domain() {
        Domain::Curve | Domain::Frontier => Objective::SquaredLog,
        Domain::Surface => Objective::Huber,
    });
    Solver { law: settings.law, objective, max_steps: STEPS }
}

/// Runs `work` on as many threads as asked for.
pub fn in_pool<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    match threads {
        None => Ok(work()),
        Some(threads) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            Ok(pool.context(|| format!("cannot start {threads} threads"))?.install(work))
        }
    }
}

fn analyse(points: &[Point], scale: Scale, settings: &Settings) -> Result<Analysis> {
    if points.is_empty() {
        return Err(Error::failed("there are no points to fit").hint("run the sweep, or name a file with --csv"));
    }
    check_bootstrap(settings)?;
    let groups = group::split(points, scale, settings.exclude_top_loss);
    let solver = solver_of(settings);
    let searched: Vec<Result<Search, Refusal>> = groups.par_iter().map(|group| search(group, &solver)).collect();
    let mut refused = Vec::new();
    let mut found = Vec::new();
    for (group, search) in groups.iter().zip(searched) {
        match search {
            Ok(search) => found.push((group, search)),
            Err(reason) => {
                refused.push(Refused { group: group.name.clone(), summary: reason.to_string(), reason });
            }
        }
    }
    if let (true, Some(first)) = (found.is_empty(), refused.first()) {
        return Err(first.reason.clone().into_error(&first.group));
    }
    let draws = resample(&found, &solver, settings)?;
    let fits: Vec<Fit> = found
        .into_iter()
        .zip(draws.1)
        .map(|((group, search), drawn)| describe(group, search, drawn, draws.0, &solver, scale, settings))
        .collect();
    let crossovers = if matches!(scale, Scale::Curve(_)) { compare_all(&fits, settings) } else { Vec::new() };
    let multipliers = multiplier::multipliers(&fits, settings.level);
    let left_out = match &settings.origin {
        Some(Origin::Sweep(sweep)) => sweep.left_out.clone(),
        _ => Vec::new(),
    };
    Ok(Analysis { fits, refused, crossovers, multipliers, laws_tried: Vec::new(), left_out })
}

fn search(group: &Group, solver: &Solver) -> Result<Search, Refusal> {
    group.check(solver)?;
    solver.search(&group.sample).ok_or_else(|| Refusal::NoMinimum { law: solver.law.name().into() })
}

fn resample(
    found: &[(&Group, Search)],
    solver: &Solver,
    settings: &Settings,
) -> Result<(Option<Resampling>, Vec<Draws>)> {
    if settings.bootstrap == 0 {
        return Ok((None, vec![Draws::default(); found.len()]));
    }
    let fitted: Vec<Fitted> = found
        .iter()
        .map(|(group, search)| Fitted {
            solver: *solver,
            sample: &group.sample,
            units: &group.units,
            best: search.best.theta,
            minima: search.minima.iter().take(MINIMA).copied().collect(),
        })
        .collect();
    let way = settings.resampling.unwrap_or_else(|| bootstrap::suited(&fitted));
    if solver.law.domain() == Domain::Frontier && way != Resampling::Runs {
        return Err(Error::bad_input(
            "a frontier is found anew in each resample of the runs, so it takes --resampling runs",
        ));
    }
    let jackknife = settings.interval == IntervalKind::Bca;
    Ok((Some(way), bootstrap::draw(&fitted, way, settings.bootstrap, settings.seed, jackknife)))
}

fn describe(
    group: &Group,
    search: Search,
    draws: Draws,
    resampling: Option<Resampling>,
    solver: &Solver,
    scale: Scale,
    settings: &Settings,
) -> Fit {
    let theta = search.best.theta;
    let intervals = intervals(solver.law, &theta, &draws, settings.interval, settings.level);
    let at_edge = match &settings.origin {
        Some(Origin::Sweep(sweep)) => Some(&sweep.at_edge),
        _ => None,
    };
    let case = Case { group, solver, search: &search, draws: &draws, intervals: &intervals, at_edge };
    let verdicts = case.verdicts();
    let fitted = solver.fitted(&group.sample);
    let (low, high) = fitted.ln_range(0);
    Fit {
        group: group.name.clone(),
        law: solver.law,
        formula: solver.law.formula(),
        x: scale,
        params: named(solver.law, &theta).into_iter().collect(),
        intervals,
        objective: search.best.objective,
        objective_kind: solver.objective,
        points_used: fitted.len(),
        points_dropped: dropped(group, solver),
        verdicts,
        holdout_rmse: holdout_rmse(group, solver, settings.holdout),
        converged: search.best.converged,
        starts_agree: search.agree,
        range: (low.exp(), high.exp()),
        provenance: provenance(group, resampling, settings),
        theta,
        draws,
    }
}

fn provenance(group: &Group, resampling: Option<Resampling>, settings: &Settings) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION"),
        seed: settings.seed,
        bootstrap: settings.bootstrap,
        resampling,
        // One step leaves no runs out, so BCa is not to be had there.
        interval: if resampling == Some(Resampling::OneStep) { IntervalKind::Percentile } else { settings.interval },
        level: settings.level,
        exclude_top_loss: settings.exclude_top_loss,
        origin: settings.origin.clone(),
        runs: if matches!(settings.origin, Some(Origin::File(_))) { Vec::new() } else { group.runs() },
    }
}

/// What the fit does not use: points without a scale or a loss, outliers, and what lies off the frontier.
fn dropped(group: &Group, solver: &Solver) -> Vec<Dropped> {
    let mut dropped = group.dropped.clone();
    if solver.law.domain() == Domain::Frontier {
        let kept: HashSet<usize> = frontier::unbeaten(&group.sample).into_iter().collect();
        let beaten = (0..group.sample.len()).filter(|i| !kept.contains(i));
        let reason = "off the frontier: a point with as little compute has as low a loss";
        dropped.extend(beaten.map(|i| Dropped { point: group.sources[i].clone(), reason: reason.into() }));
    }
    dropped
}

/// How well the law, fitted without the `hidden` largest scales, foretells them; `None` where too few remain.
fn holdout_rmse(group: &Group, solver: &Solver, hidden: usize) -> Option<f64> {
    let (seen, unseen) = solver.fitted(&group.sample).split_at_largest(hidden)?;
    if unseen.is_empty() || seen.distinct_scales() <= solver.law.params().len() {
        return None;
    }
    let best = solver.search(&seen)?.best.theta;
    let mut gradient = law::Theta::default();
    let squares =
        (0..unseen.len()).map(|i| (solver.law.ln_loss(&best, &unseen.ln_x[i], &mut gradient) - unseen.ln_y[i]).powi(2));
    Some((squares.sum::<f64>() / unseen.len() as f64).sqrt())
}

fn compare_all(fits: &[Fit], settings: &Settings) -> Vec<Crossover> {
    let pairs: Vec<(&Fit, &Fit)> =
        fits.iter().enumerate().flat_map(|(i, a)| fits[i + 1..].iter().map(move |b| (a, b))).collect();
    pairs.into_par_iter().map(|(a, b)| crossover::compare(a, b, settings.interval, settings.level)).collect()
}

#[cfg(test)]
mod tests;
