//! Chooses a law by what matters: how well it extrapolates, from the smaller scales to those at hand.

pub mod rolling;

use rayon::prelude::*;

use self::rolling::{Rolled, cuts, roll};
use crate::error::{Error, Result};
use crate::fit::analysis::{Analysis, Tried, fit_curves, scale_of};
use crate::fit::data::curve::{self, Curve};
use crate::fit::laws::{ALL, Domain, Law};
use crate::fit::refusal::{Refusal, check};
use crate::fit::settings::{Settings, in_pool, solver_of};
use crate::point::{Axis, Point};

/// Laws whose errors are within this factor are equal, and the simpler one is taken.
const EQUAL: f64 = 1.1;

/// A law whose fit is unsound for more than this share of the curves (no intervals where a search does not end) is taken
/// only where its errors are smaller by this factor than those of all others.
const MOST_UNSOUND: f64 = 0.5;
const WORTH_IT: f64 = 1.5;

/// So many scales a parameter, less one, in half of the curves or more: with fewer a law bends to the noise.
const SCALES_A_PARAM: usize = 2;

/// Tries every law of the domain on all curves, and fits the simplest of those that extrapolate as well as the best. One
/// law serves all curves, so that their curves stay comparable. The laws tried are in the analysis: the one that was
/// taken, then the others, best first.
pub fn fit_auto(points: &[Point], axis: Axis, domain: Domain, settings: &Settings) -> Result<Analysis> {
    let laws: Vec<&'static dyn Law> = ALL.iter().copied().filter(|law| law.domain() == domain).collect();
    // A curve that no law can be fitted to decides nothing, and is listed as refused in the end.
    let fewest = laws.iter().copied().min_by_key(|law| law.params().len()).unwrap_or(settings.law);
    let solver = solver_of(&Settings { law: fewest, ..settings.clone() });
    let mut curves = curve::split(points, scale_of(solver.law, axis), settings.exclude_top_loss);
    if curves.iter().any(|curve| check(curve, &solver).is_ok()) {
        curves.retain(|curve| check(curve, &solver).is_ok());
    }
    let mut candidates = in_pool(settings.threads, || {
        laws.into_par_iter().map(|law| try_law(&curves, law, settings)).collect::<Vec<_>>()
    })?;
    let taken = choose(&candidates).ok_or_else(|| {
        Error::failed("no law has enough scales left once the largest are hidden")
            .hint("name a law, as in --law power, or add scales")
    })?;
    let taken = candidates.remove(taken);
    let mut analysis = fit_curves(points, axis, &Settings { law: taken.tried.law, ..settings.clone() })?;
    candidates.sort_by(|a, b| {
        let error = |candidate: &Candidate| candidate.tried.extrapolation_rmse.unwrap_or(f64::INFINITY);
        error(a).total_cmp(&error(b)).then(a.tried.params.cmp(&b.tried.params))
    });
    analysis.laws_tried = std::iter::once(taken).chain(candidates).map(|candidate| candidate.tried).collect();
    Ok(analysis)
}

/// How many scales the smallest law of the domain needs, those that are hidden to judge it among them.
pub fn fewest_scales(domain: Domain, settings: &Settings) -> usize {
    let params = ALL.iter().filter(|law| law.domain() == domain).map(|law| law.params().len()).min();
    params.unwrap_or(settings.law.params().len()) + 1 + settings.holdout
}

/// One law tried on all curves.
pub struct Candidate {
    pub tried: Tried,
    /// By curve and cut: the mean of ln of the errors beyond the cut, where the law could be fitted below it.
    beyond: Vec<Vec<Option<f64>>>,
    /// Share of the curves whose fit is unsound.
    unsound: f64,
    /// Whether most curves have scales enough for so many parameters.
    roomy: bool,
}

/// Tries one law on all curves.
pub fn try_law(curves: &[Curve], law: &'static dyn Law, settings: &Settings) -> Candidate {
    let solver = solver_of(&Settings { law, ..settings.clone() });
    let told = |curve: &Curve, reason: Refusal| format!("{}: {reason}", curve.name);
    let rolled: Result<Vec<Rolled>, String> = curves
        .par_iter()
        .map(|curve| {
            check(curve, &solver).map_err(|reason| told(curve, reason))?;
            let sample = solver.fitted(&curve.sample);
            let cuts = cuts(&sample, law.domain());
            let nowhere = || told(curve, Refusal::NoMinimum { law: law.name().into() });
            roll(&solver, &sample, &cuts, settings.holdout).ok_or_else(nowhere)
        })
        .collect();
    let mut tried = Tried {
        law,
        params: law.params().len(),
        extrapolation_rmse: None,
        holdout_rmse: None,
        objective: None,
        refused: None,
    };
    match rolled {
        Err(reason) => {
            tried.refused = Some(reason);
            Candidate { tried, beyond: Vec::new(), unsound: 1.0, roomy: false }
        }
        Ok(rolled) => {
            tried.objective = Some(rolled.iter().map(|rolled| rolled.all.objective).sum());
            let squares: Option<Vec<f64>> =
                rolled.iter().map(|rolled| rolled.holdout.map(|rmse| rmse * rmse)).collect();
            tried.holdout_rmse = squares.map(|squares| mean(&squares).sqrt());
            let unsound = rolled.iter().filter(|rolled| !rolled.sound).count() as f64 / rolled.len() as f64;
            let beyond: Vec<Vec<Option<f64>>> = rolled
                .into_iter()
                .map(|rolled| rolled.beyond.iter().map(|beyond| beyond.map(|beyond| beyond.mean_ln())).collect())
                .collect();
            let of_curves: Vec<f64> = beyond.iter().filter_map(|cuts| mean_of_some(cuts.iter().copied())).collect();
            tried.extrapolation_rmse = (!of_curves.is_empty()).then(|| mean(&of_curves).exp());
            let room = |curve: &&Curve| curve.sample.distinct_scales() + 1 >= SCALES_A_PARAM * law.params().len();
            let roomy = 2 * curves.iter().filter(room).count() >= curves.len();
            Candidate { tried, beyond, unsound, roomy }
        }
    }
}

/// The simplest of the laws that extrapolate as well as the best; of equally simple ones the better. None where no law
/// could be judged.
pub fn choose(candidates: &[Candidate]) -> Option<usize> {
    let judged = |i: &usize| candidates[*i].tried.extrapolation_rmse.is_some();
    let mut able: Vec<usize> = (0..candidates.len()).filter(judged).collect();
    able.sort_by_key(|i| candidates[*i].tried.params);
    let behind = |a: usize, b: usize| behind(&candidates[a], &candidates[b]);
    let better = |a: usize, b: usize| if behind(b, a) < 0.0 { b } else { a };
    let best_of = |laws: &[usize]| laws.iter().copied().reduce(better);
    if able.iter().any(|i| candidates[*i].roomy) {
        able.retain(|i| candidates[*i].roomy);
    }
    let sound: Vec<usize> = able.iter().copied().filter(|i| candidates[*i].unsound <= MOST_UNSOUND).collect();
    if let Some(best) = best_of(&sound)
        && behind(best, best_of(&able)?) <= WORTH_IT.ln()
    {
        able = sound;
    }
    let best = best_of(&able)?;
    able.retain(|i| behind(*i, best) <= EQUAL.ln());
    let fewest = able.iter().map(|i| candidates[*i].tried.params).min()?;
    able.retain(|i| candidates[*i].tried.params == fewest);
    best_of(&able)
}

/// ln of the factor by which a law's errors are larger than another's, over the cuts at which both were fitted; zero
/// where there are none.
fn behind(a: &Candidate, b: &Candidate) -> f64 {
    let of_curve = |(a, b): (&Vec<Option<f64>>, &Vec<Option<f64>>)| {
        mean_of_some(a.iter().zip(b).map(|(a, b)| Some((*a)? - (*b)?)))
    };
    mean_of_some(a.beyond.iter().zip(&b.beyond).map(of_curve)).unwrap_or(0.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn mean_of_some(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    (!values.is_empty()).then(|| mean(&values))
}
