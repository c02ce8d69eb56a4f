//! From points to fitted curves and their comparison.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::compare;
use crate::fit::compare::crossover::Crossover;
use crate::fit::compare::measured::Means;
use crate::fit::compare::multiplier::Multiplier;
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::scale::{Dropped, Scale};
use crate::fit::diagnosis::Case;
use crate::fit::estimate::{Fit, applied, intervals, named, provenance};
use crate::fit::laws::{Domain, Law, Theta, frontier};
use crate::fit::refusal::{self, Refusal, Refused};
use crate::fit::settings::{Settings, check_bootstrap, in_pool, solver_of};
use crate::fit::solve::search::{Search, Solver};
use crate::fit::uncertainty::bootstrap::{self, Draws, Fitted, Resampling};
use crate::fit::uncertainty::interval::IntervalKind;
use crate::fit::uncertainty::support::Support;
use crate::point::{Axis, Point};
use crate::units::unlogged;

/// Distinct minima that each resample tries again.
const MINIMA: usize = 3;

/// All curves fitted and all pairs of them compared.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    pub fits: Vec<Fit>,
    pub refused: Vec<Refused>,
    pub crossovers: Vec<Crossover>,
    /// What each curve needs to equal each other.
    pub multipliers: Vec<Multiplier>,
    /// With `--law auto`: every law tried, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub laws_tried: Vec<Tried>,
    /// Runs and cells of the sweep that gave no point, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Dropped>,
}

/// One law tried on all curves.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    pub law: &'static dyn Law,
    pub params: usize,
    /// Root mean squared residual of log loss beyond a cut of the curve, fitted below it; the geometric mean over
    /// horizons, cuts and curves. The law is chosen by this. Absent where no curve has scales enough to hide any.
    pub extrapolation_rmse: Option<f64>,
    /// Root mean squared residual of log loss on the hidden scales, over all curves; absent where a curve has too few
    /// scales left to fit.
    pub holdout_rmse: Option<f64>,
    /// Sum of the objective over all curves, with nothing hidden.
    pub objective: Option<f64>,
    /// The first curve that could not be fitted, and why.
    pub refused: Option<String>,
}

/// Fits the law to each curve's points over `axis` (a surface law: over parameters and data, whatever the axis), and
/// compares every pair of curves.
///
/// Groups that cannot be fitted are listed with the reason; when no curve can, that is the error.
pub fn fit_curves(points: &[Point], axis: Axis, settings: &Settings) -> Result<Analysis> {
    in_pool(settings.threads, || analyse(points, scale_of(settings.law, axis), settings))?
}

pub fn scale_of(law: &dyn Law, axis: Axis) -> Scale {
    match law.domain() {
        Domain::Curve => Scale::Curve(axis),
        Domain::Surface => Scale::Surface,
        Domain::Repeated => Scale::Repeated,
        Domain::Frontier => Scale::Curve(Axis::Compute),
    }
}

pub fn analyse(points: &[Point], scale: Scale, settings: &Settings) -> Result<Analysis> {
    if points.is_empty() {
        return Err(Error::failed("there are no points to fit").hint("run the sweep, or name a file with --file"));
    }
    check_bootstrap(settings)?;
    let curves = curve::split(points, scale, settings.exclude_top_loss);
    let solver = solver_of(settings);
    let searched: Vec<Result<Search, Refusal>> = curves.par_iter().map(|curve| search(curve, &solver)).collect();
    let mut refused = Vec::new();
    let mut found = Vec::new();
    for (curve, search) in curves.iter().zip(searched) {
        match search {
            Ok(search) => found.push((curve, search)),
            Err(reason) => {
                refused.push(Refused { curve: curve.name.clone(), summary: reason.to_string(), reason });
            }
        }
    }
    if let (true, Some(first)) = (found.is_empty(), refused.first()) {
        let error = first.reason.clone().into_error(&first.curve);
        return Err(error.with(&serde_json::json!({ "refused": refused })));
    }
    let (way, drawn) = resample(&found, &solver, settings)?;
    let fits: Vec<Fit> = found
        .into_iter()
        .zip(drawn)
        .map(|((curve, search), drawn)| describe(curve, search, drawn, way, &solver, scale, settings))
        .collect();
    let (crossovers, multipliers) = compare::pairs(&fits, settings.interval, settings);
    let left_out = match &settings.origin {
        Some(origin) => origin.left_out(),
        None => Vec::new(),
    };
    Ok(Analysis { fits, refused, crossovers, multipliers, laws_tried: Vec::new(), left_out })
}

pub fn search(curve: &Curve, solver: &Solver) -> Result<Search, Refusal> {
    refusal::check(curve, solver)?;
    solver.search(&curve.sample).ok_or_else(|| Refusal::NoMinimum { law: solver.law.name().into() })
}

fn resample(
    found: &[(&Curve, Search)],
    solver: &Solver,
    settings: &Settings,
) -> Result<(Option<Resampling>, Vec<Draws>)> {
    if settings.bootstrap == 0 {
        return Ok((None, vec![Draws::default(); found.len()]));
    }
    let fitted: Vec<Fitted> = found.iter().map(|(curve, search)| ready(curve, search, solver)).collect();
    let way = settings.resampling.unwrap_or_else(|| bootstrap::suited(&fitted));
    if solver.law.domain() == Domain::Frontier && way != Resampling::Runs {
        return Err(Error::bad_input(
            "a frontier is found anew in each resample of the runs, so it takes --resampling runs",
        ));
    }
    let jackknife = settings.interval == IntervalKind::Bca;
    Ok((Some(way), bootstrap::draw(&fitted, way, settings.bootstrap, settings.seed, jackknife)))
}

/// A curve that is ready to be resampled.
fn ready<'a>(curve: &'a Curve, search: &Search, solver: &Solver) -> Fitted<'a> {
    let minima = search.minima.iter().take(MINIMA).copied().collect();
    Fitted { solver: *solver, sample: &curve.sample, units: &curve.units, best: search.best.theta, minima }
}

fn describe(
    curve: &Curve,
    search: Search,
    draws: Draws,
    resampling: Option<Resampling>,
    solver: &Solver,
    scale: Scale,
    settings: &Settings,
) -> Fit {
    let theta = search.best.theta;
    let fitted = ready(curve, &search, solver);
    let support = resampling.map_or_else(Support::default, |way| Support::of(&fitted, way));
    let nowhere = support.nowhere(&fitted);
    // Resamples of a search that did not end say nothing, and of one run nothing but itself.
    let draws = if search.best.converged && !nowhere { draws } else { Draws::default() };
    let intervals = intervals(solver.law, &theta, (&draws, &support), settings.interval, settings.level);
    let origin = settings.origin.as_ref();
    let asked = settings.interval;
    let case = Case { curve, solver, search: &search, draws: &draws, intervals: &intervals, asked, origin };
    let applied = applied(&intervals, asked);
    let fitted = solver.fitted(&curve.sample);
    let (low, high) = fitted.ln_range(0);
    let untested = support.verdicts(solver.law, &theta, (low, high), nowhere);
    let verdicts = [case.verdicts(), untested].concat();
    Fit {
        curve: curve.name.clone(),
        law: solver.law,
        formula: solver.law.formula(),
        x: scale,
        params: named(solver.law, &theta).into_iter().collect(),
        intervals,
        objective: search.best.objective,
        objective_kind: solver.objective,
        points_used: fitted.len(),
        points_dropped: dropped(curve, solver),
        verdicts,
        holdout_rmse: holdout_rmse(curve, solver, settings.holdout),
        converged: search.best.converged,
        starts_agree: search.agree,
        range: (unlogged(low), unlogged(high)),
        ln_ranges: [(low, high), fitted.ln_range(1), fitted.ln_range(2)],
        provenance: provenance(curve, resampling, applied, settings),
        theta,
        draws,
        support,
        means: Means::of(curve).coarse(),
    }
}

/// What the fit does not use: points without a scale or a loss, outliers, and what lies off the frontier.
fn dropped(curve: &Curve, solver: &Solver) -> Vec<Dropped> {
    let mut dropped = curve.dropped.clone();
    if solver.law.domain() == Domain::Frontier {
        let kept: HashSet<usize> = frontier::unbeaten(&curve.sample).into_iter().collect();
        let beaten = (0..curve.sample.len()).filter(|i| !kept.contains(i));
        let reason = "off the frontier: a point with as little compute has as low a loss";
        dropped.extend(beaten.map(|i| Dropped { point: curve.sources[i].clone(), reason: reason.into() }));
    }
    dropped
}

/// How well the law, fitted without the `hidden` largest scales, predicts them; `None` where too few remain.
pub fn holdout_rmse(curve: &Curve, solver: &Solver, hidden: usize) -> Option<f64> {
    let (seen, unseen) = solver.fitted(&curve.sample).split_at_largest(hidden)?;
    if unseen.is_empty() || seen.distinct_scales() <= solver.law.params().len() {
        return None;
    }
    let best = solver.search(&seen)?.best.theta;
    let mut gradient = Theta::default();
    let squares =
        (0..unseen.len()).map(|i| (solver.law.ln_loss(&best, &unseen.ln_x[i], &mut gradient) - unseen.ln_y[i]).powi(2));
    Some((squares.sum::<f64>() / unseen.len() as f64).sqrt())
}
