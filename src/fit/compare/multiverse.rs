//! Multiverse: the same conclusion under every combination of choices that another analyst might have made (Steegen et
//! al. 2016, doi:10.1177/1745691616658637): outliers, objective, which scales, how compute is counted.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::fit::analysis::{Analysis, analyse};
use crate::fit::compare::conclusion::Kind;
use crate::fit::compare::crossover::{self, Crossover};
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::settings::{Settings, in_pool};
use crate::fit::solve::objective::Objective;
use crate::fit::uncertainty::interval::quantile;
use crate::point::{Axis, Point};

/// Resamples of each universe.
const RESAMPLES: usize = 400;

/// Residuals beyond this many deviations (1.4826 times their median size) are outliers of the robust rule.
const FAR: f64 = 3.0;

/// Residuals below this are rounding errors, not outliers.
const ROUNDING: f64 = 1e-9;

/// The same points with their scale counted in one way.
#[derive(Clone, Debug)]
pub struct Convention {
    pub name: String,
    pub points: Vec<Point>,
}

/// One combination of choices, and what it concludes of each pair; absent where a curve cannot be fitted.
#[derive(Clone, Debug, Serialize)]
pub struct Universe {
    /// The option taken of each choice, in the order of `choices`.
    pub options: Vec<String>,
    pub conclusions: Vec<Option<Conclusion>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conclusion {
    /// Who has the lower loss at the smallest and at the largest scale that both curves were measured at.
    pub leads_low: String,
    pub leads_high: String,
    /// Crossovers between those.
    pub crossovers: Vec<f64>,
    /// What is established; absent without resamples.
    pub outcome: Option<Outcome>,
}

/// A typed outcome without its scales: universes that differ in these and agree in that conclude the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub kind: Kind,
    /// The established leaders in order of scale.
    pub leads: Vec<String>,
}

/// How many universes agree with the first one, in which every choice is as the settings say.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    pub universes: usize,
    /// Universes without a fit of both curves; they count in no share.
    pub unfitted: usize,
    /// Share with the same leaders at both ends and as many crossovers.
    pub same: f64,
    pub leads_low: f64,
    pub leads_high: f64,
    pub count: f64,
    /// Share with the same established outcome; absent without resamples.
    pub outcome: Option<f64>,
    /// Smallest, median and largest crossover, over universes with exactly one.
    pub crossover: Option<[f64; 3]>,
}

#[derive(Clone, Debug, Serialize)]
pub struct OptionAgreement {
    pub choice: &'static str,
    pub option: String,
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// One pair of curves over all universes, and over those that take each option.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub a: String,
    pub b: String,
    pub conclusion: Conclusion,
    pub overall: Agreement,
    pub options: Vec<OptionAgreement>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Multiverse {
    pub choices: Vec<&'static str>,
    pub pairs: Vec<Pair>,
    pub universes: Vec<Universe>,
    /// Options that were left out, since they change nothing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<NotApplied>,
}

/// An option that makes no universe, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotApplied {
    pub choice: &'static str,
    pub option: &'static str,
    pub reason: String,
}

/// One way to leave points out.
type Rule = (&'static str, fn(&Marks) -> bool);

const OUTLIERS: [Rule; 3] = [
    ("as asked", |_| true),
    ("largest loss dropped", |marks| !marks.largest_loss),
    ("beyond 3 deviations dropped", |marks| !marks.far),
];

const CUTS: [Rule; 4] = [
    ("all scales", |_| true),
    ("smallest scale dropped", |marks| !marks.smallest_scale),
    ("largest scale dropped", |marks| !marks.largest_scale),
    ("last checkpoint of each run", |marks| marks.last_of_run),
];

/// What the rules ask of a point within its curve.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    largest_loss: bool,
    far: bool,
    smallest_scale: bool,
    largest_scale: bool,
    last_of_run: bool,
}

/// Fits every universe. The first of `conventions` is the one that the settings' own analysis `full` used.
pub fn multiverse(conventions: &[Convention], axis: Axis, full: &Analysis, settings: &Settings) -> Result<Multiverse> {
    let plain = Settings { bootstrap: 0, ..settings.clone() };
    let settings = Settings { bootstrap: settings.bootstrap.min(RESAMPLES), ..settings.clone() };
    let objectives = objectives(full.fits.first());
    let marked = conventions.iter().enumerate().map(|(which, convention)| {
        // Far from the curve over the same count of the scale.
        let own = if which == 0 { None } else { analyse(&convention.points, Scale::Curve(axis), &plain).ok() };
        marks(&convention.points, axis, own.as_ref().map_or(&full.fits, |own| &own.fits))
    });
    let marked: Vec<Vec<Marks>> = marked.collect();
    let has_checkpoints = marked.iter().flatten().any(|marks| !marks.last_of_run);
    let cuts = &CUTS[..if has_checkpoints { 4 } else { 3 }];
    let mut worlds = Vec::new();
    for which in 0..conventions.len() {
        for cut in cuts {
            for outliers in &OUTLIERS {
                worlds.extend(objectives.iter().map(|objective| (which, cut, outliers, *objective)));
            }
        }
    }
    let pairs: Vec<(&str, &str)> = full.crossovers.iter().map(|pair| (pair.a.as_str(), pair.b.as_str())).collect();
    let universe = |(which, cut, outliers, objective): &(usize, &Rule, &Rule, Objective)| {
        let convention = &conventions[*which];
        let kept = convention.points.iter().zip(&marked[*which]);
        let kept = kept.filter(|(_, marks)| cut.1(marks) && outliers.1(marks));
        let points: Vec<Point> = kept.map(|(point, _)| point.clone()).collect();
        let settings = Settings { objective: Some(*objective), ..settings.clone() };
        let analysis = analyse(&points, Scale::Curve(axis), &settings).ok();
        let found = |(a, b): &(&str, &str)| {
            let fit = |name: &str| analysis.as_ref()?.fits.iter().find(|fit| fit.curve == name);
            let pair = analysis.as_ref()?.crossovers.iter().find(|pair| pair.a == **a && pair.b == **b);
            let outcome = pair.filter(|_| settings.bootstrap > 0).map(outcome);
            conclude(fit(a)?, fit(b)?, overlap(&convention.points, axis, [a, b]), outcome)
        };
        Universe {
            options: vec![outliers.0.into(), objective.name().into(), cut.0.into(), convention.name.clone()],
            conclusions: pairs.iter().map(found).collect(),
        }
    };
    let universes: Vec<Universe> = in_pool(settings.threads, || worlds.par_iter().map(universe).collect())?;
    let choices = vec!["outliers", "objective", "scales", "counting"];
    let pair = |(i, (a, b)): (usize, &(&str, &str))| summarise(i, a, b, &choices, &universes);
    let pairs = pairs.iter().enumerate().filter_map(pair).collect();
    let not_applied = not_applied(conventions, axis, has_checkpoints);
    Ok(Multiverse { pairs, choices, universes, not_applied })
}

fn not_applied(conventions: &[Convention], axis: Axis, has_checkpoints: bool) -> Vec<NotApplied> {
    let checkpoints = (!has_checkpoints).then(|| NotApplied {
        choice: "scales",
        option: CUTS[3].0,
        reason: format!("no run has points at several scales of {axis}"),
    });
    let counting = (conventions.len() == 1).then(|| NotApplied {
        choice: "counting",
        option: "another count of the scale",
        reason: format!("no other count of {axis} is known; --count names a column of a file"),
    });
    checkpoints.into_iter().chain(counting).collect()
}

/// The objective of the analysis first.
fn objectives(fit: Option<&Fit>) -> Vec<Objective> {
    let own = fit.map_or(Objective::SquaredLog, |fit| fit.objective_kind);
    let others = [Objective::SquaredLog, Objective::Huber, Objective::Squared, Objective::Asymmetric];
    std::iter::once(own).chain(others.into_iter().filter(|other| *other != own)).collect()
}

/// The scales, in ln, that both curves were measured at or between, nothing left out.
fn overlap(points: &[Point], axis: Axis, pair: [&str; 2]) -> (f64, f64) {
    let range = |name: &str| {
        let scales = points.iter().filter(|point| point.curve == name).filter_map(|point| point.x(axis));
        scales.filter(|x| *x > 0.0).fold((f64::INFINITY, 0.0), |(low, high), x| (x.min(low), x.max(high)))
    };
    let [a, b] = pair.map(range);
    (a.0.max(b.0).ln(), a.1.min(b.1).ln())
}

/// Every universe answers for the same scales, also for those that its cut left out.
fn conclude(a: &Fit, b: &Fit, inside: (f64, f64), outcome: Option<Outcome>) -> Option<Conclusion> {
    let gap = |t: f64| a.ln_loss(t) - b.ln_loss(t);
    let leader = |t: f64| if gap(t) <= 0.0 { a.curve.clone() } else { b.curve.clone() };
    (inside.0 < inside.1).then(|| Conclusion {
        leads_low: leader(inside.0),
        leads_high: leader(inside.1),
        crossovers: crossover::roots(&gap, inside).into_iter().map(f64::exp).collect(),
        outcome,
    })
}

fn outcome(pair: &Crossover) -> Outcome {
    let mut leads: Vec<String> = pair.conclusion.regions.iter().filter_map(|region| region.leads.clone()).collect();
    leads.dedup();
    Outcome { kind: pair.conclusion.kind, leads }
}

fn marks(points: &[Point], axis: Axis, fits: &[Fit]) -> Vec<Marks> {
    let mut by_curve: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, point) in points.iter().enumerate() {
        by_curve.entry(&point.curve).or_default().push(i);
    }
    let scale = |i: usize| points[i].x(axis).unwrap_or(f64::NAN);
    let mut marks = vec![Marks::default(); points.len()];
    for (name, members) in by_curve {
        let over = |value: &dyn Fn(usize) -> f64, pick: fn(f64, f64) -> f64| {
            members.iter().map(|i| value(*i)).fold(f64::NAN, pick)
        };
        let (smallest, largest) = (over(&scale, f64::min), over(&scale, f64::max));
        let worst = over(&|i| points[i].value, f64::max);
        let mut last: HashMap<&str, f64> = HashMap::new();
        for &i in &members {
            let end = last.entry(&points[i].source).or_insert(f64::NAN);
            *end = end.max(scale(i));
        }
        let fit = fits.iter().find(|fit| fit.curve == name);
        let residual = |i: usize| fit.map_or(0.0, |fit| (points[i].value.ln() - fit.ln_loss(scale(i).ln())).abs());
        let far = (FAR * 1.4826 * median(members.iter().map(|i| residual(*i)).collect())).max(ROUNDING);
        for &i in &members {
            marks[i] = Marks {
                largest_loss: points[i].value == worst,
                far: residual(i) > far,
                smallest_scale: scale(i) == smallest,
                largest_scale: scale(i) == largest,
                last_of_run: last.get(points[i].source.as_str()) == Some(&scale(i)),
            };
        }
    }
    marks
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    if values.is_empty() { f64::INFINITY } else { quantile(&values, 0.5) }
}

fn summarise(i: usize, a: &str, b: &str, choices: &[&'static str], universes: &[Universe]) -> Option<Pair> {
    let conclusion = universes.first()?.conclusions[i].clone()?;
    let mut options = Vec::new();
    for (at, choice) in choices.iter().enumerate() {
        let mut seen: Vec<&str> = Vec::new();
        for universe in universes {
            if !seen.contains(&universe.options[at].as_str()) {
                seen.push(&universe.options[at]);
            }
        }
        options.extend(seen.into_iter().map(|option| OptionAgreement {
            choice,
            option: option.to_owned(),
            agreement: agreement(i, &conclusion, universes.iter().filter(|universe| universe.options[at] == option)),
        }));
    }
    let overall = agreement(i, &conclusion, universes.iter());
    Some(Pair { a: a.into(), b: b.into(), conclusion, overall, options })
}

fn agreement<'u>(i: usize, base: &Conclusion, universes: impl Iterator<Item = &'u Universe>) -> Agreement {
    let all: Vec<Option<&Conclusion>> = universes.map(|universe| universe.conclusions[i].as_ref()).collect();
    let fitted: Vec<&Conclusion> = all.iter().flatten().copied().collect();
    let share = |test: &dyn Fn(&Conclusion) -> bool| {
        fitted.iter().filter(|conclusion| test(conclusion)).count() as f64 / fitted.len().max(1) as f64
    };
    let leads_low = |other: &Conclusion| other.leads_low == base.leads_low;
    let leads_high = |other: &Conclusion| other.leads_high == base.leads_high;
    let count = |other: &Conclusion| other.crossovers.len() == base.crossovers.len();
    let mut single: Vec<f64> = fitted.iter().filter(|c| c.crossovers.len() == 1).map(|c| c.crossovers[0]).collect();
    single.sort_by(f64::total_cmp);
    Agreement {
        universes: fitted.len(),
        unfitted: all.len() - fitted.len(),
        same: share(&|other| leads_low(other) && leads_high(other) && count(other)),
        leads_low: share(&leads_low),
        leads_high: share(&leads_high),
        count: share(&count),
        outcome: base.outcome.as_ref().map(|_| share(&|other| other.outcome == base.outcome)),
        crossover: (!single.is_empty()).then(|| [single[0], quantile(&single, 0.5), single[single.len() - 1]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit_curves;
    use crate::fit::tests::planted;

    const XS: [f64; 6] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0];

    fn points() -> Vec<Point> {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.powf(-0.35));
        [planted("a", a, &XS, 2, 0.0, 3), planted("b", b, &XS, 2, 0.0, 3)].concat()
    }

    fn run(points: Vec<Point>, others: Vec<Convention>) -> Multiverse {
        let settings = Settings { bootstrap: 0, ..Settings::default() };
        let full = fit_curves(&points, Axis::Data, &settings).unwrap();
        let conventions = [vec![Convention { name: "as given".into(), points }], others].concat();
        multiverse(&conventions, Axis::Data, &full, &settings).unwrap()
    }

    fn option<'m>(found: &'m Multiverse, name: &str) -> &'m Agreement {
        &found.pairs[0].options.iter().find(|option| option.option == name).unwrap().agreement
    }

    #[test]
    fn exact_laws_agree_in_every_universe() {
        let found = run(points(), Vec::new());
        let pair = &found.pairs[0];
        assert_eq!((found.universes.len(), pair.overall.universes, pair.overall.unfitted), (36, 36, 0));
        assert_eq!(
            (pair.overall.same, pair.conclusion.leads_low.as_str(), pair.conclusion.leads_high.as_str()),
            (1.0, "a", "b")
        );
        let [low, middle, high] = pair.overall.crossover.unwrap();
        assert!(high / low < 1.001 && (middle / pair.conclusion.crossovers[0] - 1.0).abs() < 1e-3, "{pair:?}");
        assert_eq!(pair.options.len(), 3 + 4 + 3 + 1);
    }

    #[test]
    fn a_conclusion_that_hangs_on_one_point_is_seen_to() {
        let mut spoilt = points();
        spoilt.iter_mut().filter(|p| p.curve == "b" && p.data == Some(256_000.0)).for_each(|p| p.value *= 4.0);
        let found = run(spoilt, Vec::new());
        assert_eq!(found.pairs[0].conclusion.leads_high, "a");
        assert!(option(&found, "largest scale dropped").leads_high < 0.5, "{:?}", found.pairs[0]);
        assert!(option(&found, "all scales").leads_high > option(&found, "largest scale dropped").leads_high);
    }

    #[test]
    fn other_ways_to_count_move_the_crossover() {
        let mut fewer = points();
        fewer.iter_mut().filter(|point| point.curve == "a").for_each(|point| point.data = point.data.map(|x| 0.9 * x));
        let found = run(points(), vec![Convention { name: "fewer".into(), points: fewer }]);
        assert_eq!(found.universes.len(), 72);
        let (given, other) = (option(&found, "as given"), option(&found, "fewer"));
        assert!(other.crossover.unwrap()[1] > 1.1 * given.crossover.unwrap()[1], "{given:?} {other:?}");
    }

    #[test]
    fn checkpoints_are_cut_to_the_last_of_each_run() {
        let mut logged = points();
        logged.iter_mut().for_each(|point| point.source = format!("{} {}", point.curve, point.seed.unwrap()));
        let found = run(logged, Vec::new());
        let last = option(&found, "last checkpoint of each run");
        assert_eq!((last.universes, last.unfitted), (0, 12), "one scale is left of each run");
    }
}
