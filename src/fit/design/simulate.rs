//! What a sweep would find, before anyone pays for it: points drawn from named laws and noise, fitted and compared as
//! measured ones would be.

use std::collections::BTreeMap;

use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result, nearest};
use crate::fit::analysis::analyse;
use crate::fit::compare::conclusion::Region;
use crate::fit::compare::crossover::{self, Crossover, Root};
use crate::fit::data::scale::Scale;
use crate::fit::laws::{ALL, Domain, Law, Theta};
use crate::fit::settings::{Settings, in_pool};
use crate::fit::uncertainty::interval::quantile;
use crate::point::{Axis, Point};
use crate::random;

/// A crossover of which at least this share of the resamples has one within the data is certain.
const CERTAIN: f64 = 0.95;

/// The law that a curve is taken to follow.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub law: &'static dyn Law,
    #[serde(skip)]
    pub theta: Theta,
}

/// One run that the sweep would make.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub curve: String,
    pub x: f64,
    pub seed: i64,
}

/// How well a sweep would do with one pair of curves.
#[derive(Clone, Debug, Serialize)]
pub struct Power {
    pub a: String,
    pub b: String,
    /// True crossovers within the sweep's scales, and who leads above each.
    pub truth: Vec<TrueRoot>,
    /// Share of the trials that find as many crossovers within the data as there are; without any: that find none.
    pub found: f64,
    /// Share that find them with a crossover within the data in at least 95% of the resamples; absent without any.
    pub certain: Option<f64>,
    /// Share whose leader at the largest scale is the true one.
    pub leader: f64,
    /// Share of the trials that establish what is true: every true crossover, in its direction, and no other; without
    /// any, no crossover.
    pub established: Option<f64>,
    /// Share that establish a crossover that is none, or a lead of the curve that is behind; absent without resamples.
    pub false_claims: Option<f64>,
    /// Share of the trials with each outcome, by its name.
    pub outcomes: BTreeMap<&'static str, f64>,
    /// Of the trials that found them. Quartiles of high over low of the interval, the widest of a trial.
    pub width: Option<[f64; 3]>,
    /// Share of those trials with an interval that has no end on some side.
    pub unbounded: Option<f64>,
    /// Share of those trials whose intervals hold every true crossover.
    pub coverage: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TrueRoot {
    pub at: f64,
    pub leads_above: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Simulation {
    pub trials: usize,
    /// Trials in which a curve could not be fitted.
    pub unfitted: usize,
    pub noise: f64,
    pub law: &'static dyn Law,
    pub pairs: Vec<Power>,
}

impl Truth {
    /// Reads `CURVE: NAME=VALUE …`; the law is the curve that has exactly these parameters.
    pub fn parse(text: &str) -> Result<Truth> {
        let bad = |what: String| Error::bad_input(format!("--truth '{text}': {what}"));
        let (curve, rest) = text.rsplit_once(':').ok_or_else(|| {
            bad("it names no curve".into()).hint("write CURVE: NAME=VALUE …, as in 'vit: E=0.3 A=15 alpha=0.35'")
        })?;
        let mut given: Vec<(&str, f64)> = Vec::new();
        for word in rest.split([' ', ',']).filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').ok_or_else(|| bad(format!("'{word}' is not NAME=VALUE")))?;
            let value = value.parse().map_err(|_| bad(format!("{name} is '{value}', not a number")))?;
            given.push((name, value));
        }
        let law = law_of(&given).map_err(|error| Error { message: bad(error.message).message, ..error })?;
        let mut theta = Theta::default();
        for (i, param) in law.params().iter().enumerate() {
            let value = given.iter().find(|(name, _)| *name == param.name).map_or(f64::NAN, |(_, value)| *value);
            let (low, high) = param.range();
            if !(low..=high).contains(&value) {
                return Err(bad(format!("{} is {value}; it lies from {low:?} to {high:?}", param.name)));
            }
            theta[i] = param.theta(value);
        }
        Ok(Truth { curve: curve.trim().to_owned(), law, theta })
    }

    fn ln_loss(&self, ln_x: f64) -> f64 {
        self.law.ln_loss(&self.theta, &[ln_x, 0.0, 0.0], &mut Theta::default())
    }
}

/// The curve with exactly these parameters.
fn law_of(given: &[(&str, f64)]) -> Result<&'static dyn Law> {
    let curves = || ALL.iter().copied().filter(|law| law.domain() == Domain::Curve);
    let has = |law: &dyn Law, name: &str| law.params().iter().any(|param| param.name == name);
    let fits = |law: &&'static dyn Law| {
        law.params().len() == given.len()
            && given.iter().all(|(name, _)| has(*law, name))
            && law.params().iter().all(|param| given.iter().any(|(name, _)| *name == param.name))
    };
    curves().find(fits).ok_or_else(|| {
        let known = || curves().flat_map(|law| law.params()).map(|param| param.name);
        let unknown = given.iter().map(|(name, _)| *name).find(|name| !known().any(|known| known == *name));
        let list = |law: &dyn Law| {
            let names: Vec<&str> = law.params().iter().map(|param| param.name).collect();
            format!("{} ({})", law.name(), names.join(" "))
        };
        let laws: Vec<String> = curves().map(list).collect();
        match unknown {
            Some(name) => {
                let error = Error::bad_input(format!("no law has a parameter '{name}'"));
                match nearest(name, known()) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error.hint(format!("the laws are {}", laws.join(", "))),
                }
            }
            None => Error::bad_input("no law has exactly these parameters")
                .hint(format!("the laws are {}", laws.join(", "))),
        }
    })
}

/// Draws the cells' losses `trials` times, log loss scattered about the truths by `noise`, and analyses each draw; `tick`
/// is called after each.
pub fn simulate(
    cells: &[Cell],
    truths: &[Truth],
    noise: f64,
    trials: usize,
    axis: Axis,
    settings: &Settings,
    tick: &(dyn Fn() + Sync),
) -> Result<Simulation> {
    let normal = Normal::new(0.0, noise).map_err(|error| Error::bad_input(format!("--noise {noise}: {error}")))?;
    let known: Vec<(&Cell, f64)> = cells
        .iter()
        .filter_map(|cell| Some((cell, truths.iter().find(|truth| truth.curve == cell.curve)?.ln_loss(cell.x.ln()))))
        .collect();
    let draw = |trial: usize| -> Vec<Point> {
        let mut rng = random::stream(settings.seed, "simulate", trial as u64);
        known.iter().map(|(cell, ln_loss)| cell.point(axis, ln_loss + normal.sample(&mut rng))).collect()
    };
    // The first failure stands for all: which scales there are does not depend on the draw.
    analyse(&draw(0), Scale::Curve(axis), &Settings { bootstrap: 0, ..settings.clone() })?;
    let drawn: Vec<Option<Vec<Crossover>>> = in_pool(settings.threads, || {
        let crossovers = |trial| {
            let analysis = analyse(&draw(trial), Scale::Curve(axis), settings);
            tick();
            Some(analysis.ok()?.crossovers)
        };
        (0..trials).into_par_iter().map(crossovers).collect()
    })?;
    let found: Vec<&Vec<Crossover>> = drawn.iter().flatten().collect();
    let mut pairs = Vec::new();
    for (i, a) in truths.iter().enumerate() {
        for b in &truths[i + 1..] {
            let (a, b) = if a.curve <= b.curve { (a, b) } else { (b, a) };
            let of_pair = |all: &&Vec<Crossover>| all.iter().find(|c| c.a == a.curve && c.b == b.curve).cloned();
            let of_pair: Vec<Crossover> = found.iter().filter_map(of_pair).collect();
            pairs.extend(power(a, b, cells, &of_pair));
        }
    }
    Ok(Simulation { trials, unfitted: trials - found.len(), noise, law: settings.law, pairs })
}

impl Cell {
    fn point(&self, axis: Axis, ln_loss: f64) -> Point {
        let on = |this: Axis| (this == axis).then_some(self.x);
        Point {
            curve: self.curve.clone(),
            params: on(Axis::Params),
            data: on(Axis::Data),
            seen: None,
            compute: on(Axis::Compute),
            seconds: None,
            value: ln_loss.exp(),
            seed: Some(self.seed),
            source: format!("{} {} {}", self.curve, self.x, self.seed),
            made: None,
        }
    }
}

fn power(a: &Truth, b: &Truth, cells: &[Cell], trials: &[Crossover]) -> Option<Power> {
    let range = |truth: &Truth| {
        let xs = cells.iter().filter(|cell| cell.curve == truth.curve).map(|cell| cell.x.ln());
        xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (of_a, of_b) = (range(a), range(b));
    let inside = (of_a.0.max(of_b.0), of_a.1.min(of_b.1));
    if trials.is_empty() || inside.0 >= inside.1 {
        return None;
    }
    let gap = |t: f64| a.ln_loss(t) - b.ln_loss(t);
    let leader = |gap: f64| if gap <= 0.0 { a.curve.clone() } else { b.curve.clone() };
    let true_root = |t: &f64| TrueRoot { at: t.exp(), leads_above: leader(gap(t + 1e-4)) };
    let truth: Vec<TrueRoot> = crossover::roots(&gap, inside).iter().map(true_root).collect();
    let inner =
        |trial: &'_ Crossover| trial.roots.iter().filter(|root| root.inside_data).cloned().collect::<Vec<Root>>();
    let right = |trial: &&Crossover| {
        let roots = inner(trial);
        roots.len() == truth.len() && roots.iter().zip(&truth).all(|(r, t)| r.leads_above == t.leads_above)
    };
    let found: Vec<&Crossover> = trials.iter().filter(right).collect();
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let certain = |trial: &&&Crossover| trial.probability_inside.is_some_and(|p| p >= CERTAIN);
    let holds = |trial: &&&Crossover| {
        let held = |(root, truth): (&Root, &TrueRoot)| {
            root.low.is_none_or(|low| low <= truth.at) && root.high.is_none_or(|high| truth.at <= high)
        };
        inner(trial).iter().zip(&truth).all(held)
    };
    let width = |trial: &&Crossover| {
        let of_root = |root: &Root| root.low.zip(root.high).map_or(f64::INFINITY, |(low, high)| high / low);
        inner(trial).iter().map(of_root).fold(1.0, f64::max)
    };
    let mut widths: Vec<f64> = found.iter().map(width).collect();
    widths.sort_by(f64::total_cmp);
    let unbounded = widths.iter().filter(|width| width.is_infinite()).count();
    let resampled = !truth.is_empty() && trials.iter().any(|trial| trial.probability_inside.is_some());
    let asked = resampled && !found.is_empty();
    let tested = trials.iter().any(|trial| trial.probability_inside.is_some());
    let leads = |t: f64| leader(gap(t));
    let mut outcomes = BTreeMap::new();
    for trial in trials {
        *outcomes.entry(trial.conclusion.kind.name()).or_insert(0.0) += 1.0 / trials.len() as f64;
    }
    let of_all = |test: &dyn Fn(&Crossover) -> bool| {
        tested.then(|| share(trials.iter().filter(|trial| test(trial)).count(), trials.len()))
    };
    Some(Power {
        established: of_all(&|trial| is_true(trial, &truth)),
        false_claims: of_all(&|trial| claims_falsely(trial, &truth, &leads)),
        outcomes,
        a: a.curve.clone(),
        b: b.curve.clone(),
        found: share(found.len(), trials.len()),
        certain: resampled.then(|| share(found.iter().filter(certain).count(), trials.len())),
        leader: share(trials.iter().filter(|trial| trial.leads_high == leader(gap(inside.1))).count(), trials.len()),
        width: asked.then(|| [0.25, 0.5, 0.75].map(|quartile| quantile(&widths, quartile))),
        unbounded: asked.then(|| share(unbounded, found.len())),
        coverage: asked.then(|| share(found.iter().filter(holds).count(), found.len())),
        truth,
    })
}

/// Whether what is established is every true crossover in its direction, and no other.
fn is_true(trial: &Crossover, truth: &[TrueRoot]) -> bool {
    let told = &trial.conclusion.established;
    told.len() == truth.len() && told.iter().zip(truth).all(|(told, truth)| told.leads_above == truth.leads_above)
}

/// Whether more crossovers are established than there are, or a lead where the other curve leads.
fn claims_falsely(trial: &Crossover, truth: &[TrueRoot], leads: &dyn Fn(f64) -> String) -> bool {
    let wrong = |region: &Region| match &region.leads {
        // In its middle: at its ends the curves may touch.
        Some(leader) => *leader != leads(0.5 * (region.from.ln() + region.to.ln())),
        None => false,
    };
    trial.conclusion.established.len() > truth.len() || trial.conclusion.regions.iter().any(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(scales: usize, seeds: i64) -> Vec<Cell> {
        let xs = (0..scales).map(|i| 250.0 * 4f64.powi(i as i32));
        let of = |curve: &str, x: f64, seed: i64| Cell { curve: curve.into(), x, seed };
        xs.flat_map(|x| (0..seeds).flat_map(move |seed| [of("a", x, seed), of("b", x, seed)])).collect()
    }

    fn truths(b: &str) -> Vec<Truth> {
        ["a: E=0.5 A=30 alpha=0.5", b].iter().map(|text| Truth::parse(text).unwrap()).collect()
    }

    fn run(b: &str, noise: f64, threads: usize) -> Power {
        let settings = Settings { bootstrap: 100, threads: Some(threads), ..Settings::default() };
        simulate(&cells(6, 3), &truths(b), noise, 100, Axis::Data, &settings, &|| ()).unwrap().pairs.remove(0)
    }

    const CROSSES: &str = "b: E=0.3, A=15, alpha=0.35";

    #[test]
    fn little_noise_finds_the_crossover_and_much_noise_does_not() {
        let quiet = run(CROSSES, 0.005, 2);
        let truth = 250f64 * 4f64.powf((quiet.truth[0].at / 250.0).log(4.0));
        let gap = (0.5 + 30.0 * truth.powf(-0.5)) - (0.3 + 15.0 * truth.powf(-0.35));
        assert!(gap.abs() < 1e-9 && quiet.truth.len() == 1 && quiet.truth[0].leads_above == "b");
        assert!(quiet.found > 0.98 && quiet.leader == 1.0 && quiet.unbounded == Some(0.0), "{quiet:?}");
        let noisy = run(CROSSES, 0.1, 2);
        assert!(noisy.found < 0.9 && noisy.certain < quiet.certain && noisy.leader < 1.0, "{noisy:?}");
        let width = |power: &Power| power.width.unwrap()[1].ln();
        // The interval of the logarithm grows with the noise.
        let louder = run(CROSSES, 0.01, 2);
        assert!((width(&louder) / width(&quiet) - 2.0).abs() < 0.4, "{louder:?}");
        // 100 trials: three standard errors of 95% are 6.5%.
        assert!((quiet.coverage.unwrap() - 0.95).abs() < 0.065, "{quiet:?}");
    }

    #[test]
    fn where_nothing_crosses_few_trials_say_that_something_does() {
        let apart = run("b: E=0.6 A=40 alpha=0.5", 0.02, 2);
        assert!(apart.truth.is_empty() && apart.certain.is_none() && apart.width.is_none());
        assert!(apart.found > 0.95 && apart.leader == 1.0, "{apart:?}");
    }

    #[test]
    fn two_crossings_are_counted() {
        let twice = run("b: E=0.3 A=12 alpha=0.325", 0.005, 2);
        assert_eq!(twice.truth.len(), 2, "{twice:?}");
        assert!(
            twice.truth[0].leads_above == "a" && twice.truth[1].leads_above == "b" && twice.found > 0.95,
            "{twice:?}"
        );
    }

    #[test]
    fn any_number_of_threads_gives_the_same_result() {
        let text = |threads| serde_json::to_string(&run(CROSSES, 0.02, threads)).unwrap();
        assert_eq!(text(1), text(3));
    }

    #[test]
    fn laws_are_read_by_their_parameters_and_refused_by_name() {
        let parsed = |text: &str| Truth::parse(text).map(|truth| truth.law.name());
        assert_eq!(parsed("vit shuffle=true: alpha=0.1 A=2").unwrap(), "power");
        assert_eq!(parsed("vit:beta=2 gamma=1e-3,c=0.3").unwrap(), "shifted");
        let said = |text: &str| {
            parsed(text).map_err(|e| format!("{}; {}", e.message, e.hint.unwrap_or_default())).unwrap_err()
        };
        assert_eq!(
            said("vit E=1"),
            "--truth 'vit E=1': it names no curve; write CURVE: NAME=VALUE …, as in 'vit: E=0.3 A=15 alpha=0.35'"
        );
        assert_eq!(
            said("v: alhpa=1 A=2"),
            "--truth 'v: alhpa=1 A=2': no law has a parameter 'alhpa'; did you mean 'alpha'?"
        );
        assert!(said("v: alpha=1").contains("no law has exactly these parameters; the laws are power (A alpha)"));
        assert!(
            said("v: A=2 alpha=11").starts_with("--truth 'v: A=2 alpha=11': alpha is 11; it lies from 0.0 to 10.0")
        );
        assert!(said("v: A=two alpha=1").starts_with("--truth 'v: A=two alpha=1': A is 'two', not a number"));
        assert!(parsed("v: A=NaN alpha=1").is_err() && parsed("v: A=1 A=1").is_err() && parsed("v:").is_err());
    }

    #[test]
    fn too_few_scales_are_refused_before_anything_is_drawn() {
        let error =
            simulate(&cells(3, 2), &truths(CROSSES), 0.02, 10, Axis::Data, &Settings::default(), &|| ()).unwrap_err();
        assert!(error.message.starts_with("a: too few scales"), "{}", error.message);
    }
}
