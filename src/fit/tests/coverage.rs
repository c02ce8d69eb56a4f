//! How often intervals hold the truth, and how often planted crossings are counted right, over simulated experiments.
//! The large study is `make coverage`; its table stands in docs/coverage.md.

use super::*;
use crate::fit::isoflop::{Profile, profiles};

/// Asked of one experiment: whether the interval holds the truth; none where the verdict is not "identified".
pub type Answers = Vec<(&'static str, Option<bool>)>;

/// One line of the table: of so many experiments so many were identified, and of those so many held the truth.
pub struct Line {
    what: String,
    trials: usize,
    identified: usize,
    held: usize,
}

impl Line {
    fn share(&self) -> f64 {
        self.held as f64 / self.identified as f64
    }

    fn print(&self) {
        let identified = 100.0 * self.identified as f64 / self.trials as f64;
        eprintln!("| {} | {} | {identified:.1}% | {:.1}% |", self.what, self.trials, 100.0 * self.share());
    }
}

/// (E, A) of curves with exponents 0.5 and 0.35 that cross at 4,000, and at 58,000, the edge of six scales.
const MIDDLE: [(f64, f64); 2] = [(0.6, 8.0), (0.3, 7.77)];
const EDGE: [(f64, f64); 2] = [(0.5, 30.0), (0.3, 15.0)];

pub fn study(what: &str, trials: u64, experiment: impl Fn(u64) -> Answers + Sync + Send) -> Vec<Line> {
    let answers: Vec<Answers> = (0..trials).into_par_iter().map(experiment).collect();
    let line = |i: usize, name: &str| {
        let told: Vec<bool> = answers.iter().filter_map(|answer| answer[i].1).collect();
        let held = told.iter().filter(|held| **held).count();
        let line = Line { what: format!("{what}: {name}"), trials: answers.len(), identified: told.len(), held };
        line.print();
        line
    };
    answers[0].iter().enumerate().map(|(i, (name, _))| line(i, name)).collect()
}

/// Two curves over so many scales from 250 on, each three times the last, crossing once from there on.
fn two_curves(
    scales: i32,
    seeds: i64,
    sigma: f64,
    interval: IntervalKind,
    [a, b]: [(f64, f64); 2],
) -> impl Fn(u64) -> Answers + Sync {
    let xs: Vec<f64> = (0..scales).map(|i| 250.0 * 3f64.powi(i)).collect();
    let (a, b) = (floor(a.0, a.1, 0.5), floor(b.0, b.1, 0.35));
    let truth = crossover::roots(&|t: f64| a(t.exp()).ln() - b(t.exp()).ln(), (5.0, 16.0))[0].exp();
    move |trial| {
        let mut points = planted("a", &a, &xs, seeds, sigma, trial);
        points.extend(planted("b", &b, &xs, seeds, sigma, trial));
        let analysis = fit_curves(&points, Axis::Data, &Settings { interval, ..settings(400) }).unwrap();
        let crossover = &analysis.crossovers[0];
        let near = |root: &&crossover::Root| (root.at / truth).ln().abs();
        let inside = |root: &crossover::Root| {
            root.low.is_none_or(|low| low <= truth) && root.high.is_none_or(|high| truth <= high)
        };
        let nearest = crossover.roots.iter().min_by(|r, s| near(r).total_cmp(&near(s)));
        vec![
            ("exponent 0.5", holds(&analysis.fits[0], "alpha", 0.5)),
            ("exponent 0.35", holds(&analysis.fits[1], "alpha", 0.35)),
            ("crossover", nearest.filter(|root| root.verdicts.contains(&Verdict::Identified)).map(inside)),
        ]
    }
}

fn holds(fit: &Fit, name: &str, truth: f64) -> Option<bool> {
    let interval = fit.intervals.get(name)?;
    fit.identified().then_some(interval.low <= truth && truth <= interval.high)
}

fn one_curve(name: &'static str, scales: i32, sigma: f64) -> impl Fn(u64) -> Answers + Sync {
    let xs: Vec<f64> = (0..scales).map(|i| 250.0 * 3f64.powi(i)).collect();
    let law = laws::by_name(name).unwrap();
    let (truth, exponent) = match name {
        "power" => (vec![7.0, 0.31], "alpha"),
        _ => (vec![12.0, 1e-4, 0.4], "c"),
    };
    let mut theta = laws::Theta::default();
    law.params().iter().zip(&truth).enumerate().for_each(|(i, (param, value))| theta[i] = param.theta(*value));
    let loss = move |x: f64| law.ln_loss(&theta, &[x.ln(), 0.0, 0.0], &mut laws::Theta::default()).exp();
    move |trial| {
        let points = planted("a", loss, &xs, 3, sigma, trial);
        let analysis = fit_curves(&points, Axis::Data, &Settings { law, ..settings(400) }).unwrap();
        vec![("exponent", holds(&analysis.fits[0], exponent, truth[truth.len() - 1]))]
    }
}

/// A curve fitted by Huber's objective, over six scales with three seeds each.
fn huber(sigma: f64) -> impl Fn(u64) -> Answers + Sync {
    let xs: Vec<f64> = (0..6).map(|i| 250.0 * 3f64.powi(i)).collect();
    move |trial| {
        let points = planted("a", floor(0.6, 8.0, 0.5), &xs, 3, sigma, trial);
        let settings = Settings { objective: Some(Objective::Huber), ..settings(400) };
        vec![("exponent", holds(&fit_curves(&points, Axis::Data, &settings).unwrap().fits[0], "alpha", 0.5))]
    }
}

/// A surface over a grid of sizes and data sets with three seeds each.
fn surface(side: usize, sigma: f64) -> impl Fn(u64) -> Answers + Sync {
    let law = laws::by_name("chinchilla").unwrap();
    move |trial| {
        let mut points = Vec::new();
        for i in 0..side * side {
            let (n, d) = (1e6 * 8f64.powi((i / side) as i32), 1e8 * 6f64.powi((i % side) as i32));
            let loss = |d: f64| 1.8 + 480.0 * n.powf(-0.35) + 2100.0 * d.powf(-0.37);
            let cell = planted(&format!("{i}"), loss, &[d], 3, sigma, trial);
            points.extend(cell.into_iter().map(|point| Point { curve: "a".into(), params: Some(n), ..point }));
        }
        let fit = fit_curves(&points, Axis::Data, &Settings { law, ..settings(400) }).unwrap().fits.remove(0);
        vec![("alpha", holds(&fit, "alpha", 0.35)), ("beta", holds(&fit, "beta", 0.37))]
    }
}

/// Profiles that are parabolas, five budgets of seven sizes.
fn profile(sigma: f64) -> impl Fn(u64) -> Answers + Sync {
    move |trial| {
        let mut points = Vec::new();
        for budget in 0..5 {
            let compute = 1e18 * 4f64.powi(budget);
            let best = 3e8f64.ln() + 0.49 * (compute / 1e18).ln();
            for size in -3..=3 {
                let params = 3.3e8 * (compute / 1e18).sqrt() * 2f64.powi(size);
                let loss = |_| 2.0 + 0.05 * (params.ln() - best).powi(2);
                let point = planted(&format!("{budget}.{size}"), loss, &[1.0], 1, sigma, trial).remove(0);
                points.push(Point { curve: "a".into(), params: Some(params), compute: Some(compute), ..point });
            }
        }
        let fit = profiles(&points, Profile::Parabola, &settings(400)).unwrap().fits.remove(0);
        let interval = fit.intervals["a"];
        let identified = fit.verdicts.contains(&Verdict::Identified);
        vec![("exponent of N_opt", identified.then_some(interval.low <= 0.49 && 0.49 <= interval.high))]
    }
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    for line in study("6 scales, 3 seeds, noise 0.01", 300, two_curves(6, 3, 0.01, IntervalKind::Percentile, MIDDLE)) {
        assert!(line.identified > 150, "{}: too few were identified", line.what);
        let slack = 4.0 * (0.95 * 0.05 / line.identified as f64).sqrt();
        assert!((line.share() - 0.95).abs() < slack, "{}: {}", line.what, line.share());
    }
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn intervals_hold_the_truth_in_thousands_of_experiments() {
    const TRIALS: u64 = 1000;
    let mut lines = Vec::new();
    for (scales, seeds, sigma) in [(5, 3, 0.005), (6, 3, 0.01), (6, 4, 0.02), (7, 5, 0.02), (8, 3, 0.01), (8, 5, 0.05)]
    {
        let what = format!("{scales} scales, {seeds} seeds, noise {sigma}");
        lines.extend(study(&what, TRIALS, two_curves(scales, seeds, sigma, IntervalKind::Percentile, MIDDLE)));
    }
    let bca = two_curves(6, 3, 0.01, IntervalKind::Bca, MIDDLE);
    lines.extend(study("6 scales, 3 seeds, noise 0.01, BCa", TRIALS, bca));
    for sigma in [0.02, 0.1] {
        let edge = two_curves(6, 3, sigma, IntervalKind::Percentile, EDGE);
        lines.extend(study(&format!("crossing at the edge, 6 scales, 3 seeds, noise {sigma}"), TRIALS, edge));
    }
    lines.extend(study("power, 4 scales, 3 seeds, noise 0.05", TRIALS, one_curve("power", 4, 0.05)));
    lines.extend(study("shifted, 7 scales, 3 seeds, noise 0.02", TRIALS, one_curve("shifted", 7, 0.02)));
    assert_between_93_and_97(&lines);
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn surfaces_and_profiles_hold_the_truth_in_thousands_of_experiments() {
    assert_between_93_and_97(&study("isoFLOP, 5 budgets, 7 sizes, noise 0.005", 1000, profile(0.005)));
    for side in [5, 6] {
        let what = format!("chinchilla (Huber), {side} x {side}, 3 seeds, noise 0.01");
        assert_between_93_and_97(&study(&what, 1000, surface(side, 0.01)));
    }
    assert_between_93_and_97(&study("power-floor (Huber), 6 scales, 3 seeds, noise 0.01", 1000, huber(0.01)));
}

/// Where at least half of the experiments were called identified: of fewer, the verdict says that it cannot.
fn assert_between_93_and_97(lines: &[Line]) {
    for line in lines.iter().filter(|line| 2 * line.identified >= line.trials) {
        assert!((0.93..=0.97).contains(&line.share()), "{}: {}", line.what, line.share());
    }
}

/// Curves that cross never, once or twice within the data, apart from each other by five times the noise or more
/// between crossings.
#[test]
fn planted_crossings_are_counted() {
    type Curve = Box<dyn Fn(f64) -> f64 + Sync>;
    let a = floor(0.5, 30.0, 0.5);
    let rivals: [(usize, Curve); 3] = [
        (0, Box::new(floor(0.65, 39.0, 0.5))),
        (1, Box::new(floor(0.3, 15.0, 0.35))),
        (2, Box::new(floor(0.1, 8.0, 0.25))),
    ];
    for (count, b) in &rivals {
        let right = (0..200u64).into_par_iter().filter(|trial| {
            let mut points = planted("a", &a, &XS, 3, 0.02, *trial);
            points.extend(planted("b", b, &XS, 3, 0.02, *trial));
            let analysis = fit_curves(&points, Axis::Data, &settings(0)).unwrap();
            analysis.crossovers[0].roots.iter().filter(|root| root.inside_data).count() == *count
        });
        let right = right.count();
        eprintln!("{count} crossings: counted right in {right} of 200");
        assert!(right >= 190, "{count} crossings: {right} of 200");
    }
}

/// The replication's standard errors, whatever the seed.
#[test]
#[ignore = "minutes of all cores: make coverage"]
fn standard_errors_of_chinchilla_hold_from_any_seed() {
    let Some(points) = chinchilla() else { return };
    let published = [("A", 124.0), ("B", 1300.0), ("E", 0.026), ("alpha", 0.0154), ("beta", 0.021)];
    let mut worst = [0.0; 5];
    for seed in 0..60 {
        let fit = fit_curves(&points, Axis::Compute, &chinchilla_settings(seed, 4000)).unwrap().fits.remove(0);
        for (i, (name, se)) in published.iter().enumerate() {
            let off = fit.intervals[name].se / se - 1.0;
            if off.abs() > f64::abs(worst[i]) {
                worst[i] = off;
            }
        }
    }
    for ((name, se), off) in published.iter().zip(worst) {
        eprintln!("standard error of {name}: at most {:+.1}% off {se} over 60 seeds", 100.0 * off);
        assert!(off.abs() <= 0.1, "{name}: {off}");
    }
}
