//! Chooses a law by what matters: how well it predicts the largest scales from the smaller ones.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::fit::analysis::{Analysis, Tried, fit_curves, holdout_rmse, scale_of};
use crate::fit::data::curve::{self, Curve};
use crate::fit::laws::{ALL, Domain, Law};
use crate::fit::refusal::{Refusal, check};
use crate::fit::settings::{Settings, in_pool, solver_of};
use crate::fit::solve::search::Solver;
use crate::point::{Axis, Point};

/// Tries every law of the domain on all curves, and fits the one with the smallest error on the hidden scales. One law
/// serves all curves, so that their curves stay comparable. The laws tried are in the analysis, best first.
pub fn fit_auto(points: &[Point], axis: Axis, domain: Domain, settings: &Settings) -> Result<Analysis> {
    let laws: Vec<&'static dyn Law> = ALL.iter().copied().filter(|law| law.domain() == domain).collect();
    // A curve that no law can be fitted to decides nothing, and is listed as refused in the end.
    let fewest = laws.iter().copied().min_by_key(|law| law.params().len()).unwrap_or(settings.law);
    let solver = solver_of(&Settings { law: fewest, ..settings.clone() });
    let curves = curve::split(points, scale_of(solver.law, axis), settings.exclude_top_loss);
    let fit: Vec<&str> =
        curves.iter().filter(|curve| check(curve, &solver).is_ok()).map(|curve| curve.name.as_str()).collect();
    let able: Vec<Point> = points.iter().filter(|point| fit.contains(&point.curve.as_str())).cloned().collect();
    let tryable = if able.is_empty() { points } else { &able };
    let mut tried = in_pool(settings.threads, || {
        laws.into_par_iter().map(|law| try_law(tryable, axis, law, settings)).collect::<Vec<_>>()
    })?;
    tried.sort_by(|a, b| {
        let error = |tried: &Tried| tried.holdout_rmse.unwrap_or(f64::INFINITY);
        error(a).total_cmp(&error(b)).then(a.params.cmp(&b.params))
    });
    let best = tried.iter().find(|tried| tried.holdout_rmse.is_some()).ok_or_else(|| {
        Error::failed(format!("no law has enough scales left once the largest {} is hidden", settings.holdout))
            .hint("name a law, as in --law power, or hide fewer scales with --holdout")
    })?;
    let mut analysis = fit_curves(points, axis, &Settings { law: best.law, ..settings.clone() })?;
    analysis.laws_tried = tried;
    Ok(analysis)
}

/// How many scales the smallest law of the domain needs, those that are hidden to judge it among them.
pub fn fewest_scales(domain: Domain, settings: &Settings) -> usize {
    let params = ALL.iter().filter(|law| law.domain() == domain).map(|law| law.params().len()).min();
    params.unwrap_or(settings.law.params().len()) + 1 + settings.holdout
}

fn try_law(points: &[Point], axis: Axis, law: &'static dyn Law, settings: &Settings) -> Tried {
    let settings = Settings { law, ..settings.clone() };
    let solver = solver_of(&settings);
    let curves = curve::split(points, scale_of(law, axis), settings.exclude_top_loss);
    let mut tried = Tried { law, params: law.params().len(), holdout_rmse: None, objective: None, refused: None };
    let fitted: Result<Vec<(f64, Option<f64>)>, String> =
        curves.iter().map(|curve| errors(curve, &solver, settings.holdout)).collect();
    match fitted {
        Err(reason) => tried.refused = Some(reason),
        Ok(errors) => {
            tried.objective = Some(errors.iter().map(|(objective, _)| objective).sum());
            let squares: Option<Vec<f64>> = errors.iter().map(|(_, rmse)| rmse.map(|rmse| rmse * rmse)).collect();
            tried.holdout_rmse = squares.map(|squares| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt());
        }
    }
    tried
}

/// Objective with nothing hidden, and the error on the hidden scales.
fn errors(curve: &Curve, solver: &Solver, hidden: usize) -> Result<(f64, Option<f64>), String> {
    let told = |reason: Refusal| format!("{}: {reason}", curve.name);
    let search = crate::fit::analysis::search(curve, solver).map_err(told)?;
    Ok((search.best.objective, holdout_rmse(curve, solver, hidden)))
}
