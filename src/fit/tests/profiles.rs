//! isoFLOP profiles and predictions against planted truth and published numbers.

use super::coverage::{Answers, study};
use super::*;
use crate::fit::isoflop::{IsoFlop, Outcome, Profile, profiles};
use crate::fit::predict::{At, Prediction, of_fits, of_profiles};

/// L = 1.8 + 480 N^-0.35 + 2100 D^-0.37, with D = C / 6 N.
const TRUTH: [f64; 5] = [1.8, 480.0, 2100.0, 0.35, 0.37];
const EXPONENT: f64 = 0.37 / 0.72;

fn surface(n: f64, d: f64) -> f64 {
    let [e, a, b, alpha, beta] = TRUTH;
    e + a * n.powf(-alpha) + b * d.powf(-beta)
}

/// The best size at a compute, from dL/dN = 0.
fn best(compute: f64) -> f64 {
    let [_, a, b, alpha, beta] = TRUTH;
    let g = (alpha * a / (beta * b)).powf(1.0 / (alpha + beta));
    g * (compute / 6.0).powf(beta / (alpha + beta))
}

/// Budgets twice apart of sizes `step` times apart, the middle one `off` times the best size.
#[derive(Clone, Copy)]
struct Grid {
    budgets: i32,
    sizes: i32,
    step: f64,
    off: f64,
    sigma: f64,
}

impl Grid {
    fn points(self, trial: u64) -> Vec<Point> {
        let mut points = Vec::new();
        for budget in 0..self.budgets {
            let compute = 1e18 * 2f64.powi(budget);
            for size in 0..self.sizes {
                // The same sizes at all budgets, as runs of a ladder are.
                let rungs = (self.off * best(compute)).ln() / self.step.ln();
                let params = self.step.powi(rungs.round() as i32 + size - self.sizes / 2);
                let loss = |_| surface(params, compute / 6.0 / params);
                let point = planted(&format!("{budget}.{size}"), loss, &[1.0], 1, self.sigma, trial).remove(0);
                points.push(Point {
                    curve: "a".into(),
                    params: Some(params),
                    compute: Some(compute),
                    data: None,
                    ..point
                });
            }
        }
        points
    }

    fn fit(self, profile: Profile, trial: u64, bootstrap: usize) -> IsoFlop {
        profiles(&self.points(trial), profile, &settings(bootstrap)).unwrap().fits.remove(0)
    }

    /// Whether the interval of the exponent, of the middle minimum and of the loss at four times the last budget hold
    /// the truth, where the fit is called identified.
    fn experiment(self, profile: Profile) -> impl Fn(u64) -> Answers + Sync + Send {
        move |trial| {
            let fit = self.fit(profile, trial, 400);
            let identified = fit.verdicts.contains(&Verdict::Identified);
            let a = fit.intervals.get("a").filter(|_| identified);
            let middle = &fit.cells[fit.cells.len() / 2];
            let at_middle = middle.intervals.get("params").filter(|_| identified);
            let truth = best(middle.compute);
            let compute = 4.0 * 1e18 * 2f64.powi(self.budgets - 1);
            let at = At { compute: Some(compute), ..At::default() };
            let found = of_profiles(std::slice::from_ref(&fit), &[at], &settings(400)).unwrap().remove(0);
            let named =
                |name: &str, truth: f64| found.intervals.get(name).filter(|_| identified).map(|i| inside(i, truth));
            vec![
                ("exponent of N_opt", a.map(|i| inside(i, EXPONENT))),
                ("N_opt of the middle budget", at_middle.map(|i| inside(i, truth))),
                ("N_opt at 4 times the compute", named("params", best(compute))),
                ("loss at 4 times the compute", named("loss", surface(best(compute), compute / 6.0 / best(compute)))),
            ]
        }
    }
}

fn inside(interval: &crate::fit::uncertainty::interval::Interval, truth: f64) -> bool {
    interval.low <= truth && truth <= interval.high
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn profiles_hold_the_truth_of_a_surface() {
    let grid = Grid { budgets: 8, sizes: 9, step: 2f64.sqrt(), off: 1.0, sigma: 0.002 };
    for (profile, name) in [(Profile::Parabola, "parabola"), (Profile::Akima, "Akima")] {
        for (what, grid) in [
            ("8 budgets, 9 sizes 1.4 times apart, noise 0.002", grid),
            ("the same, off centre by a half", Grid { off: 1.5, ..grid }),
            ("8 budgets, 9 sizes twice apart, noise 0.002, off centre", Grid { step: 2.0, off: 1.5, ..grid }),
            ("12 budgets, 9 sizes 1.4 times apart, noise 0.001", Grid { budgets: 12, sigma: 0.001, ..grid }),
            (
                "5 budgets, 7 sizes twice apart, noise 0.005",
                Grid { budgets: 5, sizes: 7, step: 2.0, sigma: 0.005, ..grid },
            ),
        ] {
            study(&format!("isoFLOP of a surface, {name}, {what}"), 500, grid.experiment(profile));
        }
    }
}

/// Curves and surfaces at four times the largest scales, and the best size at sixteen times the compute.
#[test]
#[ignore = "minutes of all cores: make coverage"]
fn predictions_hold_the_truth_beyond_the_data() {
    let of = |points: &[Point], law: &str, at: At| -> (Option<bool>, Prediction) {
        let settings = Settings { law: laws::by_name(law).unwrap(), ..settings(400) };
        let fits = fit_curves(points, Axis::Data, &settings).unwrap().fits;
        let found = of_fits(&fits, &[at], 6.0, &settings).unwrap().remove(0);
        (fits[0].identified().then_some(true), found)
    };
    let told = |name: &str, truth: f64, (identified, found): &(Option<bool>, Prediction)| {
        identified.and(found.intervals.get(name).map(|interval| inside(interval, truth)))
    };
    let curve = |scales: i32, seeds: i64, sigma: f64| {
        move |trial| {
            let xs: Vec<f64> = (0..scales).map(|i| 250.0 * 3f64.powi(i)).collect();
            let law = floor(0.3, 7.77, 0.35);
            let x = 4.0 * xs[xs.len() - 1];
            let points = planted("a", &law, &xs, seeds, sigma, trial);
            let found = of(&points, "power-floor", At { data: Some(x), ..At::default() });
            vec![("loss at 4 times the data", told("loss", law(x), &found))]
        }
    };
    for (scales, seeds, sigma) in [(6, 3, 0.01), (6, 1, 0.005), (8, 3, 0.02)] {
        let what = format!("power-floor, {scales} scales, {seeds} seeds, noise {sigma}");
        study(&what, 1000, curve(scales, seeds, sigma));
    }
    study("chinchilla (Huber), 6 x 6, 3 seeds, noise 0.01", 500, |trial| {
        let mut points = Vec::new();
        for i in 0..36 {
            let (n, d) = (1e6 * 8f64.powi(i / 6), 1e8 * 6f64.powi(i % 6));
            let cell = planted(&format!("{i}"), |d| surface(n, d), &[d], 3, 0.01, trial);
            points.extend(cell.into_iter().map(|point| Point { curve: "a".into(), params: Some(n), ..point }));
        }
        let (n, d) = (4.0 * 1e6 * 8f64.powi(5), 4.0 * 1e8 * 6f64.powi(5));
        let there = of(&points, "chinchilla", At { params: Some(n), data: Some(d), ..At::default() });
        let compute = 6.0 * n * d;
        let optimum = of(&points, "chinchilla", At { compute: Some(compute), ..At::default() });
        let n_best = best(compute);
        vec![
            ("loss at 4 times N and D", told("loss", surface(n, d), &there)),
            ("best N at 16 times the compute", told("params", n_best, &optimum)),
            ("loss there", told("loss", surface(n_best, compute / 6.0 / n_best), &optimum)),
        ]
    });
}

#[test]
fn the_best_size_of_a_surface_is_where_its_slope_is_zero() {
    let law = laws::by_name("chinchilla").unwrap();
    let mut points = Vec::new();
    for i in 0..25 {
        let (n, d) = (1e6 * 8f64.powi(i / 5), 1e8 * 6f64.powi(i % 5));
        let cell = planted("a", |d| surface(n, d), &[d], 1, 0.0, 0);
        points.extend(cell.into_iter().map(|point| Point { params: Some(n), ..point }));
    }
    let settings = Settings { law, ..settings(60) };
    let fits = fit_curves(&points, Axis::Data, &settings).unwrap().fits;
    let compute = 1e22;
    let at = At { compute: Some(compute), ..At::default() };
    let found = of_fits(&fits, &[at], 6.0, &settings).unwrap().remove(0);
    let (n, d) = (best(compute), compute / 6.0 / best(compute));
    assert!((found.params.unwrap() / n - 1.0).abs() < 1e-3, "{found:?}");
    assert!((found.data.unwrap() / d - 1.0).abs() < 1e-3 && (found.loss.unwrap() / surface(n, d) - 1.0).abs() < 1e-6);
    let beyond: Vec<&str> = found.beyond.iter().map(|beyond| beyond.scale).collect();
    let largest = (1e6 * 8f64.powi(4), 1e8 * 6f64.powi(4));
    assert_eq!(beyond.contains(&"params"), n > largest.0);
    assert_eq!(beyond.contains(&"data"), d > largest.1);
    // N and D by themselves, and N with the compute, are the same place.
    let both = At { params: Some(1e9), data: Some(compute / 6e9), ..At::default() };
    let with_compute = At { params: Some(1e9), compute: Some(compute), ..At::default() };
    let two = of_fits(&fits, &[both, with_compute], 6.0, &settings).unwrap();
    assert!((two[0].loss.unwrap() / two[1].loss.unwrap() - 1.0).abs() < 1e-12 && two[0].params.is_none());
    assert!((two[0].loss.unwrap() / surface(1e9, compute / 6e9) - 1.0).abs() < 1e-4);
}

#[test]
fn a_prediction_says_how_far_beyond_the_data_it_is() {
    let law = floor(0.3, 20.0, 0.45);
    let points = planted("a", &law, &XS, 3, 0.01, 1);
    let settings = settings(200);
    let fits = fit_curves(&points, Axis::Data, &settings).unwrap().fits;
    let at = |x: f64| At { data: Some(x), ..At::default() };
    let found = of_fits(&fits, &[at(1e3), at(2.56e6), at(25.0)], 6.0, &settings).unwrap();
    let times: Vec<Option<f64>> = found.iter().map(|found| found.beyond.first().map(|beyond| beyond.times)).collect();
    assert!(times[0].is_none() && (times[1].unwrap() - 10.0).abs() < 1e-9 && (times[2].unwrap() - 10.0).abs() < 1e-9);
    let (low, high) = fits[0].band(1e3);
    let interval = found[0].intervals["loss"];
    // The band's quantiles are of log loss.
    assert!((interval.low / low - 1.0).abs() < 1e-5 && (interval.high / high - 1.0).abs() < 1e-5);
    let wide = |found: &Prediction| found.intervals["loss"].high / found.intervals["loss"].low;
    assert!(wide(&found[1]) > wide(&found[0]));
    for wrong in
        [At { compute: Some(1e9), ..At::default() }, At { params: Some(1e9), data: Some(1e9), ..At::default() }]
    {
        let error = of_fits(&fits, &[wrong], 6.0, &settings).unwrap_err();
        assert!(error.message.contains("the curves are over data alone"), "{}", error.message);
    }
}

/// The exponent of a surface, in the middle of the interval's reach, by both profiles, and its lowest losses.
#[test]
fn profiles_of_a_surface_find_its_best_sizes_and_losses() {
    let grid = Grid { budgets: 6, sizes: 9, step: 2f64.sqrt(), off: 1.2, sigma: 0.0005 };
    for profile in [Profile::Parabola, Profile::Akima] {
        let fit = grid.fit(profile, 3, 200);
        assert!((fit.params["a"] - EXPONENT).abs() < 0.03, "{:?}", fit.params);
        for cell in &fit.cells {
            let Outcome::Interior { params, loss } = cell.outcome else { panic!("{cell:?}") };
            let n = best(cell.compute);
            assert!((params / n).ln().abs() < 0.4 && (loss / surface(n, cell.compute / 6.0 / n) - 1.0).abs() < 0.002);
            assert!((cell.data.unwrap() * params * 6.0 / cell.compute - 1.0).abs() < 1e-9);
            assert!(cell.intervals["params"].low < params && params < cell.intervals["params"].high);
        }
        let compute = 4.0 * fit.cells[5].compute;
        let at = At { compute: Some(compute), ..At::default() };
        let found = of_profiles(&[fit], &[at], &settings(200)).unwrap().remove(0);
        assert!((found.beyond[0].times - 4.0).abs() < 1e-6 && found.beyond[0].scale == "compute");
        let n = best(compute);
        assert!((found.loss.unwrap() / surface(n, compute / 6.0 / n) - 1.0).abs() < 0.005, "{found:?}");
    }
}

/// A parabola far too wide for its surface is said to miss, and its noise is not its misfit.
#[test]
fn a_misfit_is_no_noise() {
    let grid = Grid { budgets: 6, sizes: 11, step: 2.2, off: 1.5, sigma: 0.0005 };
    let (parabola, akima) = (grid.fit(Profile::Parabola, 1, 200), grid.fit(Profile::Akima, 1, 200));
    assert!(
        parabola.verdicts.iter().any(|told| matches!(told, Verdict::ParabolaMisfit { .. })),
        "{:?}",
        parabola.verdicts
    );
    assert!(!parabola.verdicts.contains(&Verdict::Identified));
    for fit in [&parabola, &akima] {
        assert!((0.0002..0.002).contains(&fit.noise.unwrap()), "{:?}", fit.noise);
    }
    let near = Grid { step: 1.4, sizes: 9, off: 1.0, sigma: 0.003, ..grid }.fit(Profile::Parabola, 1, 200);
    assert!(!near.verdicts.iter().any(|told| matches!(told, Verdict::ParabolaMisfit { .. })), "{:?}", near.verdicts);
    assert!((0.002..0.004).contains(&near.noise.unwrap()), "{:?}", near.noise);
}

#[test]
fn diverged_runs_are_left_out_by_name_and_move_nothing() {
    let grid = Grid { budgets: 5, sizes: 12, step: 1.4, off: 1.2, sigma: 0.001 };
    let clean = grid.points(2);
    let mut wild = clean.clone();
    for (i, times) in [(7, 2.4), (32, 3.5), (59, 3.6)] {
        wild[i].value *= times;
    }
    let fit = |points: &[Point]| profiles(points, Profile::Parabola, &settings(100)).unwrap().fits.remove(0);
    let (clean, wild_fit) = (fit(&clean), fit(&wild));
    assert!(clean.points_dropped.is_empty());
    let dropped: Vec<&str> = wild_fit.points_dropped.iter().map(|dropped| dropped.point.as_str()).collect();
    let sources: Vec<&str> = [7, 32, 59].iter().map(|i| wild[*i].source.as_str()).collect();
    assert_eq!(dropped, sources);
    assert!(wild_fit.verdicts.contains(&Verdict::OffProfile { points: 3, of: 60 }));
    assert!((wild_fit.params["a"] - clean.params["a"]).abs() < 0.02 && wild_fit.points_used == 57);
}

fn case(name: &str, asked: Asked) -> Option<Vec<Point>> {
    let path = format!("{}/../shared/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    if !std::path::Path::new(&path).exists() {
        eprintln!("SKIPPED: ../shared/cases/{name} is not here");
        return None;
    }
    Some(file::read(&Asked { path: path.into(), ..asked }, Scale::Profile).unwrap().points)
}

/// Porian et al. 2024 (arXiv:2406.19146), RefinedWeb: exponents of N_opt after each correction, by their released code,
/// whose interval of the last is 0.491 to 0.505.
#[test]
fn equals_the_exponents_of_porian_et_al() {
    let Some(points) = case("porian_rw.csv", Asked::default()) else { return };
    let found = profiles(&points, Profile::Akima, &settings(2000)).unwrap().fits;
    for (fit, published) in found.iter().zip([0.8353, 0.7065, 0.6020, 0.5715, 0.4969]) {
        eprintln!("{} {} {:?} noise {:?}", fit.curve, fit.params["a"], fit.intervals["a"], fit.noise);
        assert!((fit.params["a"] - published).abs() < 0.006, "{}: {}", fit.curve, fit.params["a"]);
        assert!(fit.points_dropped.is_empty());
    }
    let last = found[4].intervals["a"];
    assert!(last.low < 0.505 && last.high > 0.491 && last.high - last.low <= 2.0 * (0.505 - 0.491), "{last:?}");
}

#[test]
fn no_best_loss_lies_below_all_that_were_measured() {
    let asked = Asked { by: vec!["exp".into()], metric: Some("val/.dclm_loss".into()), ..Asked::default() };
    let named = [("params", "num_params"), ("examples", "num_tokens")];
    let named = named.map(|(meaning, column)| (meaning.to_owned(), column.to_owned())).into();
    let Some(points) = case("xlstm_c.csv", Asked { named, ..asked }) else { return };
    for profile in [Profile::Parabola, Profile::Akima] {
        let found = profiles(&points, profile, &settings(200)).unwrap().fits;
        for (fit, cell) in found.iter().flat_map(|fit| fit.cells.iter().map(move |cell| (fit, cell))) {
            let Outcome::Interior { loss, .. } = cell.outcome else { continue };
            let lowest = cell.runs.iter().map(|run| run.1).fold(f64::INFINITY, f64::min);
            assert!((loss / lowest - 1.0).abs() < 0.01, "{} {}: {loss} {lowest}", fit.curve, cell.compute);
        }
        let dropped: usize = found.iter().map(|fit| fit.points_dropped.len()).sum();
        assert!((3..10).contains(&dropped), "{dropped}");
    }
}
