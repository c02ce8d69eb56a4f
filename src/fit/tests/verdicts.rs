//! How often a lead or a crossover is established: where there is none, where there is one, and where the law is wrong.
//! The large study is `make coverage`; its tables stand in docs/coverage.md.

use super::*;
use crate::fit::compare::conclusion::{Conclusion, Kind};
use crate::fit::compare::crossover::Crossover;
use crate::plot::{self, AxisSpec, Figure, Series};

type Loss = Box<dyn Fn(f64) -> f64 + Sync + Send>;
type Laws = fn() -> [Loss; 2];

/// Two laws and how they are measured.
struct Experiment {
    a: Loss,
    b: Loss,
    scales: usize,
    seeds: i64,
    sigma: f64,
}

impl Experiment {
    /// Scales from 250 on, over a factor of 1,024 however many there are.
    fn xs(&self) -> Vec<f64> {
        (0..self.scales).map(|i| 250.0 * 1024f64.powf(i as f64 / (self.scales - 1) as f64)).collect()
    }

    fn draw(&self, stream: u64) -> Vec<Point> {
        let of = |name: &str, law: &Loss| planted(name, law, &self.xs(), self.seeds, self.sigma, stream);
        [of("a", &self.a), of("b", &self.b)].concat()
    }

    fn outcomes(&self, trials: u64) -> Vec<Crossover> {
        // Its own noise for each experiment, or lines of a table would be one.
        let own = (self.scales as u64) << 40 | (self.seeds as u64) << 32 | ((self.sigma * 1e4) as u64) << 16;
        let one = |trial: u64| {
            let stream = own + trial;
            let analysis = fit_curves(&self.draw(stream), Axis::Data, &settings(400)).unwrap();
            analysis.crossovers.into_iter().next().unwrap()
        };
        (0..trials).into_par_iter().map(one).collect()
    }
}

fn share(outcomes: &[Crossover], test: impl Fn(&Conclusion) -> bool) -> f64 {
    outcomes.iter().filter(|pair| test(&pair.conclusion)).count() as f64 / outcomes.len() as f64
}

fn established(conclusion: &Conclusion) -> bool {
    conclusion.kind != Kind::NotToldApart
}

/// Three standard errors above five percent.
fn at_most_five_percent(trials: usize) -> f64 {
    0.05 + 3.0 * (0.05 * 0.95 / trials as f64).sqrt()
}

fn equal_laws(scales: usize, seeds: i64, sigma: f64) -> Experiment {
    Experiment { a: Box::new(floor(0.3, 20.0, 0.45)), b: Box::new(floor(0.3, 20.0, 0.45)), scales, seeds, sigma }
}

/// The middle of the scales.
const MIDDLE: f64 = 250.0 * 32.0;

/// Two laws that meet at the middle scale, their exponents apart by `apart`; the second number is by how much ln loss
/// differs at the ends, in standard deviations of a cell's mean, the smaller of the two.
fn crossing_laws(apart: f64, scales: usize, seeds: i64, sigma: f64) -> (Experiment, f64) {
    let a = floor(0.3, 20.0, 0.45);
    let amplitude = 20.0 * MIDDLE.powf(-apart);
    let b = floor(0.3, amplitude, 0.45 - apart);
    let ends = [250.0f64, 256_000.0].map(|x| (a(x) / b(x)).ln().abs());
    let separation = ends[0].min(ends[1]) / (sigma / (seeds as f64).sqrt());
    (Experiment { a: Box::new(a), b: Box::new(b), scales, seeds, sigma }, separation)
}

/// A curve that levels off, then falls again: no power law with a floor.
fn broken(e: f64, a: f64, at: f64) -> impl Fn(f64) -> f64 {
    move |x: f64| e + a * x.powf(-0.2) * (1.0 + (x / at).powi(2)).powf(-0.15)
}

#[test]
fn equal_laws_are_not_told_apart() {
    let outcomes = equal_laws(7, 3, 0.02).outcomes(200);
    let false_leads = share(&outcomes, established);
    assert!(false_leads <= at_most_five_percent(200), "{false_leads}");
    let false_crossings = share(&outcomes, |conclusion| conclusion.kind == Kind::Crosses);
    assert!(false_crossings <= 0.01, "{false_crossings}");
}

#[test]
fn laws_that_cross_clearly_are_told_to_cross_once() {
    let (experiment, separation) = crossing_laws(0.09, 7, 3, 0.01);
    assert!(separation > 10.0, "{separation}");
    let outcomes = experiment.outcomes(100);
    let right = share(&outcomes, |conclusion| {
        conclusion.established.len() == 1 && conclusion.established[0].leads_above == "a"
    });
    assert!(right >= 0.95, "{right}");
}

/// Rows of a pair of curves in which nobody can know much: four scales, one seed.
fn few() -> Vec<Point> {
    let of = |name: &str, ys: [f64; 4]| {
        let fresh = planted(name, |_| 1.0, &[100.0, 200.0, 400.0, 800.0], 1, 0.0, 0);
        fresh.into_iter().zip(ys).map(|(point, value)| Point { value, seed: None, ..point }).collect::<Vec<_>>()
    };
    [of("a", [1.0, 0.9, 0.8, 0.75]), of("b", [1.2, 0.95, 0.76, 0.65])].concat()
}

#[test]
fn the_sentence_says_on_what_it_rests() {
    let pair = &fit_curves(&few(), Axis::Data, &settings(2000)).unwrap().crossovers[0];
    assert_eq!(pair.conclusion.kind, Kind::NotToldApart);
    assert!(pair.headline.starts_with("a and b are not told apart from 100 to 800 of data"), "{pair}");
    for words in ["may cross near 28", "E not identified", "alpha not identified", "one seed"] {
        assert!(pair.summary.contains(words), "{pair}");
    }
    let json = serde_json::to_value(pair).unwrap();
    assert_eq!(json["conclusion"]["kind"], "not-told-apart");
    assert!(json["conclusion"]["regions"][0]["leads"].is_null() && json["weaknesses"][0]["curve"] == "a", "{json}");
}

#[test]
fn nothing_is_established_without_resamples_or_where_a_search_stopped() {
    let (experiment, _) = crossing_laws(0.06, 7, 3, 0.01);
    let points = experiment.draw(0);
    let untested = fit_curves(&points, Axis::Data, &settings(0)).unwrap();
    let pair = &untested.crossovers[0];
    assert_eq!((pair.conclusion.kind, pair.roots.len()), (Kind::NotToldApart, 1));
    assert!(pair.summary.contains("not tested"), "{pair}");
    let mut fits = fit_curves(&points, Axis::Data, &settings(100)).unwrap().fits;
    let kinds = |fits: &[Fit]| compare::pairs(fits, IntervalKind::Percentile, &settings(100)).0[0].conclusion.kind;
    assert_eq!(kinds(&fits), Kind::Crosses);
    fits[1].converged = false;
    assert_eq!(kinds(&fits), Kind::NotToldApart);
}

#[test]
fn curves_without_a_scale_in_common_are_not_compared() {
    let xs = |from: f64| -> Vec<f64> { (0..5).map(|i| from * 2f64.powi(i)).collect() };
    let points = [
        planted("a", floor(0.3, 20.0, 0.45), &xs(10.0), 2, 0.01, 0),
        planted("b", floor(0.3, 20.0, 0.45), &xs(1000.0), 2, 0.01, 0),
    ];
    let pair = &fit_curves(&points.concat(), Axis::Data, &settings(100)).unwrap().crossovers[0];
    assert_eq!((pair.conclusion.kind, pair.conclusion.regions.len()), (Kind::NoOverlap, 0));
    assert_eq!(pair.headline, "a and b have no scale of data in common: nothing can be compared");
}

/// More pairs, more chances of a false claim: the band has to hold for all of them.
#[test]
fn a_curve_more_widens_the_band_of_every_pair() {
    let of = |name: &str, stream: u64| planted(name, floor(0.3, 20.0, 0.45), &XS, 3, 0.02, stream);
    let margins = |names: &[&str]| {
        let points: Vec<Point> = names.iter().flat_map(|name| of(name, 5)).collect();
        let fits = fit_curves(&points, Axis::Data, &settings(1000)).unwrap().fits;
        let all = crate::fit::compare::band::bands(&fits, &pairs_of(fits.len()), 0.95);
        all[0].as_ref().unwrap().margin[0]
    };
    let (two, five) = (margins(&["a", "b"]), margins(&["a", "b", "c", "d", "e"]));
    assert!(five > 1.1 * two, "{two} {five}");
}

fn pairs_of(count: usize) -> Vec<(usize, usize)> {
    (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect()
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn verdicts_in_thousands_of_experiments() {
    const TRIALS: usize = 1000;
    eprintln!("| equal laws | experiments | a lead is established | a crossover is |");
    eprintln!("| --- | --- | --- | --- |");
    let (mut all, mut trials) = (0.0, 0);
    for (scales, seeds, sigma) in [5, 7]
        .into_iter()
        .flat_map(|n| [3, 5].into_iter().flat_map(move |s| [0.005, 0.02, 0.05].map(move |e| (n, s, e))))
    {
        let outcomes = equal_laws(scales, seeds, sigma).outcomes(TRIALS as u64);
        let leads = share(&outcomes, established);
        let crosses = share(&outcomes, |conclusion| conclusion.kind == Kind::Crosses);
        let line = format!("{scales} scales, {seeds} seeds, noise {sigma}");
        eprintln!("| {line} | {TRIALS} | {:.1}% | {:.1}% |", 100.0 * leads, 100.0 * crosses);
        all += leads * TRIALS as f64;
        trials += TRIALS;
    }
    eprintln!("| all | {trials} | {:.1}% | |", 100.0 * all / trials as f64);
    assert!(all / trials as f64 <= at_most_five_percent(trials));
}

/// With `CROSSOVER_FIGURES=DIR` the figure of docs/coverage.md is written there.
#[test]
#[ignore = "minutes of all cores: make coverage"]
fn power_in_thousands_of_experiments() {
    const TRIALS: u64 = 200;
    let mut series = Vec::new();
    for (scales, seeds, sigma) in [(5, 3, 0.01), (7, 3, 0.02), (7, 5, 0.02)] {
        let what = format!("{scales} scales, {seeds} seeds, noise {sigma}");
        let mut points = Vec::new();
        for apart in [0.005, 0.01, 0.02, 0.03, 0.045, 0.06, 0.09, 0.12] {
            let (experiment, separation) = crossing_laws(apart, scales, seeds, sigma);
            let outcomes = experiment.outcomes(TRIALS);
            let right = share(&outcomes, |c| c.established.len() == 1 && c.established[0].leads_above == "a");
            let wrong = share(&outcomes, |c| !c.established.is_empty()) - right;
            let held = outcomes.iter().filter(|pair| {
                let told = pair.conclusion.established.first();
                told.is_some_and(|told| told.low <= MIDDLE && MIDDLE <= told.high)
            });
            let held = held.count() as f64 / (right * outcomes.len() as f64).max(1.0);
            let [right_p, wrong_p, held_p] = [right, wrong, held].map(|share| 100.0 * share);
            eprintln!("| {what} | {separation:.1} | {right_p:.1}% | {wrong_p:.1}% | {held_p:.1}% |");
            points.push((separation, 100.0 * right));
        }
        let look = series.len();
        series.push(Series { label: what, look, line: points.clone(), points, ..Series::default() });
    }
    let axis = |label: &str, unit: &str, log| AxisSpec { label: label.into(), unit: Some(unit.into()), log };
    let figure = Figure {
        title: Some("How often a crossover is established".into()),
        x: axis("gap at the ends of the data", "standard deviations of a cell's mean", true),
        y: axis("experiments", "%", false),
        series,
        footnote: Some(format!("{TRIALS} simulated experiments a point, 95% band, 400 resamples.")),
        ..Figure::default()
    };
    if let Some(folder) = std::env::var_os("CROSSOVER_FIGURES") {
        plot::write(&figure, &std::path::PathBuf::from(folder).join("power.svg")).unwrap();
    }
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn wrong_laws_in_thousands_of_experiments() {
    let pairs: [(&str, Laws); 3] = [
        ("equal broken laws", || [Box::new(broken(0.3, 4.0, 4e3)), Box::new(broken(0.3, 4.0, 4e3))]),
        ("one above the other by 5%, breaks apart", || {
            let (a, b) = (broken(0.3, 4.0, 2e3), broken(0.3, 4.0, 2e4));
            [Box::new(move |x| a(x) * 0.95), Box::new(b)]
        }),
        ("one above the other by 5%, breaks at one scale", || {
            let (a, b) = (broken(0.3, 4.0, 4e3), broken(0.3, 4.2, 4e3));
            [Box::new(a), Box::new(b)]
        }),
    ];
    for (what, laws) in pairs {
        for (scales, seeds, sigma) in [(5, 3, 0.005), (7, 3, 0.005), (7, 3, 0.02), (7, 5, 0.02)] {
            let [a, b] = laws();
            let outcomes = Experiment { a, b, scales, seeds, sigma }.outcomes(200);
            let crosses = |pair: &&Crossover| pair.conclusion.kind == Kind::Crosses;
            let named = |pair: &&Crossover| {
                pair.weaknesses
                    .iter()
                    .any(|w| matches!(w.verdict, Verdict::LackOfFit { .. } | Verdict::MeasuredElsewhere { .. }))
            };
            let all = outcomes.len() as f64;
            let crossing = outcomes.iter().filter(crosses).count() as f64 / all;
            let unnamed = outcomes.iter().filter(crosses).filter(|pair| !named(pair)).count() as f64 / all;
            let leads = share(&outcomes, established);
            eprintln!(
                "| {what}, {scales} scales, {seeds} seeds, noise {sigma} | {:.1}% | {:.1}% | {:.1}% |",
                100.0 * leads,
                100.0 * crossing,
                100.0 * unnamed
            );
        }
    }
}
