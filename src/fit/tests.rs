//! Whole fits against planted truth and against scipy.

use rand_distr::{Distribution, Normal};

use rayon::prelude::*;

use super::compare::crossover;
use super::laws::Domain;
use super::uncertainty::bootstrap::Resampling;
use super::*;
use crate::point::{Axis, Point};
use crate::random;
use crate::study::file::{self, Asked};

mod bca;
mod coverage;
mod each_law;
mod extrapolation;
mod few_runs;
mod next_buys;
mod objectives;
mod profiles;
mod published;
mod verdicts;

use self::each_law::{on_law, truth, truths};

/// Points of `curve` at each x with seeds 0.., their log loss scattered by `sigma` as normals of `stream`.
pub fn planted(curve: &str, law: impl Fn(f64) -> f64, xs: &[f64], seeds: i64, sigma: f64, stream: u64) -> Vec<Point> {
    let normal = Normal::new(0.0, sigma).unwrap();
    let mut points = Vec::new();
    for &x in xs {
        for seed in 0..seeds {
            let mut rng = random::stream(stream, curve, x.to_bits() ^ seed as u64);
            points.push(Point {
                curve: curve.into(),
                params: None,
                data: Some(x),
                seen: None,
                compute: None,
                seconds: None,
                value: law(x) * normal.sample(&mut rng).exp(),
                seed: Some(seed),
                source: format!("{curve}-{x}-{seed}"),
                made: None,
            });
        }
    }
    points
}

const XS: [f64; 6] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0];

fn floor(e: f64, a: f64, alpha: f64) -> impl Fn(f64) -> f64 {
    move |x: f64| e + a * x.powf(-alpha)
}

fn settings(bootstrap: usize) -> Settings {
    Settings { bootstrap, ..Settings::default() }
}

#[test]
fn recovers_a_planted_power_law_with_floor() {
    let points = planted("a", floor(0.3, 20.0, 0.45), &XS, 2, 0.0, 0);
    let analysis = fit_curves(&points, Axis::Data, &settings(0)).unwrap();
    let fit = &analysis.fits[0];
    for (name, truth) in [("E", 0.3), ("A", 20.0), ("alpha", 0.45)] {
        assert!((fit.params[name] / truth - 1.0).abs() < 1e-6, "{name} {}", fit.params[name]);
    }
    assert!(fit.converged && fit.objective < 1e-20 && fit.holdout_rmse.unwrap() < 1e-6);
    assert!((fit.predict(1e6) - floor(0.3, 20.0, 0.45)(1e6)).abs() < 1e-7);
}

// import numpy as np; from scipy.optimize import least_squares
// x = np.repeat([250., 1000, 4000, 16000, 64000], 2)
// y = np.array([1.92, 1.98, 1.21, 1.17, 0.80, 0.84, 0.61, 0.59, 0.50, 0.51])
// f = lambda p: np.log(p[0] + np.exp(p[1]) * x ** -p[2]) - np.log(y)
// r = least_squares(f, [0.4, 2, 0.5], xtol=1e-15, ftol=1e-15, gtol=1e-15); r.x[0], np.exp(r.x[1]), r.x[2], 2 * r.cost
#[test]
fn equals_scipy_on_noisy_points() {
    let xs = [250.0, 1000.0, 4000.0, 16000.0, 64000.0];
    let ys = [1.92, 1.98, 1.21, 1.17, 0.80, 0.84, 0.61, 0.59, 0.50, 0.51];
    let mut points = planted("a", |_| 1.0, &xs, 2, 0.0, 0);
    points.iter_mut().zip(ys).for_each(|(point, y)| point.value = y);
    let fit = fit_curves(&points, Axis::Data, &settings(0)).unwrap().fits.remove(0);
    for (name, scipy) in [("E", SCIPY[0]), ("A", SCIPY[1]), ("alpha", SCIPY[2])] {
        assert!((fit.params[name] / scipy - 1.0).abs() < 1e-6, "{name} {} against {scipy}", fit.params[name]);
    }
    assert!((fit.objective / SCIPY[3] - 1.0).abs() < 1e-9, "{}", fit.objective);
}

const SCIPY: [f64; 4] =
    [0.390_076_554_528_663_6, 21.279_314_597_411_094, 0.473_577_125_907_149_5, 0.003_763_062_860_790_140_3];

#[test]
fn finds_planted_crossovers_with_their_direction() {
    let a = floor(0.5, 30.0, 0.5);
    let b = floor(0.3, 15.0, 0.35);
    let mut points = planted("a", &a, &XS, 3, 0.01, 1);
    points.extend(planted("b", &b, &XS, 3, 0.01, 1));
    let analysis = fit_curves(&points, Axis::Data, &settings(500)).unwrap();
    let [crossover] = &analysis.crossovers[..] else { panic!("one pair") };
    let truth = crossover::roots(&|t: f64| a(t.exp()).ln() - b(t.exp()).ln(), (5.0, 16.0));
    assert_eq!(crossover.roots.len(), truth.len(), "{crossover}");
    for (root, truth) in crossover.roots.iter().zip(truth) {
        assert!(root.low.unwrap() < truth.exp() && truth.exp() < root.high.unwrap(), "{crossover}");
    }
    assert_eq!(crossover.outcome, crossover::Outcome::Inside);
}

#[test]
fn says_who_leads_where_curves_do_not_cross() {
    let mut points = planted("low", floor(0.3, 10.0, 0.4), &XS, 2, 0.01, 1);
    points.extend(planted("high", floor(0.5, 14.0, 0.4), &XS, 2, 0.01, 1));
    let analysis = fit_curves(&points, Axis::Data, &settings(200)).unwrap();
    let crossover = &analysis.crossovers[0];
    assert_eq!(crossover.probability_inside, Some(0.0));
    assert!(crossover.summary.starts_with("low leads high throughout, from 250 to 256k of data (95%)"), "{crossover}");
}

#[test]
fn any_number_of_threads_gives_the_same_result() {
    let mut points = planted("a", floor(0.5, 30.0, 0.5), &XS, 3, 0.02, 1);
    points.extend(planted("b", floor(0.3, 15.0, 0.35), &XS, 3, 0.02, 1));
    let run = |threads| {
        let settings = Settings { threads: Some(threads), ..settings(100) };
        serde_json::to_string(&fit_curves(&points, Axis::Data, &settings).unwrap()).unwrap()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn surfaces_frontiers_and_profiles_do_not_depend_on_threads_either() {
    for (name, points) in [("chinchilla", 180), ("frontier", 40)] {
        let law = laws::by_name(name).unwrap();
        let truth = truths().into_iter().find(|(other, _)| *other == name).unwrap().1;
        let points: Vec<Point> = on_law(law, &truth, 0.01).into_iter().cycle().take(points).collect();
        let run = |threads| {
            let settings = Settings { law, threads: Some(threads), ..settings(60) };
            serde_json::to_string(&fit_curves(&points, Axis::Data, &settings).unwrap()).unwrap()
        };
        assert_eq!(run(1), run(3), "{name}");
    }
    let points = on_law(laws::by_name("chinchilla").unwrap(), &truth("chinchilla"), 0.01);
    let run = |threads| {
        let settings = Settings { threads: Some(threads), ..settings(60) };
        let at = |point: &Point| point.data.map(|d| (d / 1e8).log10().round());
        let budgets = points.iter().map(|point| Point { compute: at(point).map(|d| 10f64.powf(d)), ..point.clone() });
        let budgets: Vec<Point> = budgets.collect();
        serde_json::to_string(&isoflop::profiles(&budgets, isoflop::Profile::Akima, &settings).unwrap()).unwrap()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_frontier_is_fitted_through_what_nobody_beats() {
    let law = laws::by_name("frontier").unwrap();
    let mut points = on_law(law, &[0.3, 20.0, 0.45], 0.0);
    let beaten: Vec<Point> = (points.iter().enumerate())
        .map(|(i, point)| Point { value: point.value * 1.3, source: format!("beaten {i}"), ..point.clone() })
        .collect();
    points.extend(beaten);
    let fit = fit_curves(&points, Axis::Data, &Settings { law, ..settings(100) }).unwrap().fits.remove(0);
    assert!((fit.params["alpha"] - 0.45).abs() < 1e-6 && fit.x == Scale::Curve(Axis::Compute));
    assert_eq!((fit.points_used, fit.points_dropped.len()), (40, 40));
    assert!(fit.points_dropped.iter().all(|dropped| dropped.point.starts_with("beaten")));
    assert_eq!(fit.provenance.resampling, Some(Resampling::Runs));
    assert!(fit.verdicts.contains(&Verdict::ChosenForLowLoss { points: 40, of: 80 }), "{:?}", fit.verdicts);
}

#[test]
fn verdicts_tell_outliers_misfit_copies_edges_and_few_runs() {
    let told = |points: &[Point], settings: &Settings| {
        let fit = fit_curves(points, Axis::Data, settings).unwrap().fits.remove(0);
        fit.verdicts
            .iter()
            .map(|verdict| serde_json::to_value(verdict).unwrap()["kind"].to_string())
            .collect::<String>()
    };
    let good = planted("a", floor(0.3, 20.0, 0.45), &XS, 3, 0.01, 5);
    assert_eq!(told(&good, &settings(100)), "\"identified\"");
    let mut odd = good.clone();
    odd[7].value *= 1.1;
    assert!(told(&odd, &settings(100)).contains("outlier"));
    let bent = |x: f64| floor(0.3, 20.0, 0.45)(x) * (1.0 + 0.05 * x.ln().sin());
    assert!(told(&planted("a", bent, &XS, 4, 0.002, 5), &settings(100)).contains("lack-of-fit"));
    let copies = [good.clone(), good.clone()].concat();
    assert!(told(&copies, &settings(100)).contains("repeated"));
    let checkpoints: Vec<Point> =
        good.iter().map(|point| Point { source: format!("run {}", point.seed.unwrap()), ..point.clone() }).collect();
    let few = told(&checkpoints, &settings(100));
    assert!(few.contains("few-runs") && !few.contains("\"identified"), "{few}");
    let at_edge = [(good[0].source.clone(), vec!["lr".to_owned()])].into();
    let origin = Some(Origin::Sweep(SweepOrigin { at_edge, ..SweepOrigin::default() }));
    assert!(told(&good, &Settings { origin, ..settings(100) }).contains("tuned-at-edge"));
}

#[test]
fn rows_that_miss_the_curve_alike_are_no_runs() {
    // Three runs whose loss wanders slowly about the law, 40 checkpoints each.
    let wandering = |named: bool| -> Vec<Point> {
        let mut points = Vec::new();
        for run in 0..3u32 {
            for i in 0..40u32 {
                let x = 100.0 * 1.2f64.powi(i as i32);
                let off = 0.02 * (f64::from(i) / 6.0 + 2.0 * f64::from(run)).sin();
                let source = if named { format!("run {run}") } else { format!("row {run} {i}") };
                let point = planted("a", floor(0.3, 20.0, 0.45), &[x], 1, 0.001, u64::from(1000 * run + i)).remove(0);
                points.push(Point { value: point.value * off.exp(), seed: Some(run.into()), source, ..point });
            }
        }
        points
    };
    let verdicts = |named| fit_curves(&wandering(named), Axis::Data, &settings(100)).unwrap().fits.remove(0).verdicts;
    let told = verdicts(false);
    assert!(told.iter().any(|verdict| matches!(verdict, Verdict::Serial { .. })), "{told:?}");
    assert!(!told.contains(&Verdict::Identified));
    let told = verdicts(true);
    assert!(!told.iter().any(|verdict| matches!(verdict, Verdict::Serial { .. })), "{told:?}");
    // Runs with noise of their own.
    let xs: Vec<f64> = (0..20).map(|i| 100.0 * 1.5f64.powi(i)).collect();
    let alone = planted("a", floor(0.3, 20.0, 0.45), &xs, 3, 0.01, 7);
    assert!(fit_curves(&alone, Axis::Data, &settings(100)).unwrap().fits[0].identified());
}

#[test]
fn a_surface_wants_three_values_of_each_scale() {
    let law = laws::by_name("chinchilla").unwrap();
    let points = on_law(law, &truth("chinchilla"), 0.01);
    let refused = |keep: &dyn Fn(&Point) -> bool, law| {
        let kept: Vec<Point> = points.iter().filter(|point| keep(point)).cloned().collect();
        fit_curves(&kept, Axis::Data, &Settings { law, ..settings(0) }).map(|_| ()).map_err(|error| error.to_string())
    };
    let two = |point: &Point| point.data.unwrap() < 1e9;
    let told = refused(&two, law).unwrap_err();
    assert_eq!(told, "a: too few values of data: chinchilla needs 3 different ones, and has 2");
    assert!(refused(&two, laws::by_name("kaplan").unwrap()).is_ok());
    let one = |point: &Point| point.params.unwrap() < 2e6;
    assert!(refused(&one, laws::by_name("kaplan").unwrap()).unwrap_err().contains("too few values of params"));
    assert!(refused(&|_| true, law).is_ok());
}

#[test]
fn the_order_of_points_does_not_matter() {
    let mut points = planted("a", floor(0.5, 30.0, 0.5), &XS, 3, 0.02, 1);
    let first = fit_curves(&points, Axis::Data, &settings(0)).unwrap().fits[0].params["alpha"];
    points.reverse();
    let second = fit_curves(&points, Axis::Data, &settings(0)).unwrap().fits[0].params["alpha"];
    assert!((first - second).abs() < 1e-9);
}

#[test]
fn refuses_and_drops_with_reasons() {
    let three = planted("a", floor(0.5, 30.0, 0.5), &XS[..3], 3, 0.02, 1);
    let error = fit_curves(&three, Axis::Data, &settings(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: too few scales: power-floor needs 4 different ones, one more than its parameters, and has 3"
    );
    assert!(fit_curves(&three, Axis::Compute, &settings(0)).unwrap_err().to_string().contains("no usable points"));
    assert!(fit_curves(&[], Axis::Data, &settings(0)).is_err());
    let mut points = planted("b", floor(0.5, 30.0, 0.5), &XS, 2, 0.02, 1);
    for (point, value) in points.iter_mut().zip([f64::NAN, 0.0, -1.0, f64::INFINITY]) {
        point.value = value;
    }
    points.extend(three);
    let analysis = fit_curves(&points, Axis::Data, &settings(50)).unwrap();
    assert_eq!(analysis.fits[0].points_dropped.len(), 4);
    assert!(
        analysis.fits[0]
            .points_dropped
            .iter()
            .any(|point| { point.point == "b-250-0" && point.reason == "its value is NaN, not a positive number" })
    );
    assert!(matches!(analysis.refused[0].reason, Refusal::TooFewScales { have: 3, need: 4, .. }));
}

#[test]
fn a_flat_valley_is_called_unidentified() {
    // So narrow a range that a floor cannot be told from a smaller exponent.
    let xs = [1000.0, 1100.0, 1200.0, 1300.0, 1400.0];
    let points = planted("a", floor(0.5, 30.0, 0.5), &xs, 2, 0.02, 3);
    let fit = fit_curves(&points, Axis::Data, &settings(300)).unwrap().fits.remove(0);
    assert!(!fit.identified(), "{:?}", fit.verdicts);
    assert!(fit.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Unidentified { .. })));
}

#[test]
fn bca_and_percentile_both_hold_the_truth() {
    let points = planted("a", floor(0.3, 20.0, 0.45), &XS, 3, 0.01, 5);
    for interval in [IntervalKind::Percentile, IntervalKind::Bca] {
        let fit = fit_curves(&points, Axis::Data, &Settings { interval, ..settings(1000) }).unwrap().fits.remove(0);
        let alpha = fit.intervals["alpha"];
        assert!(alpha.low < 0.45 && 0.45 < alpha.high && alpha.high - alpha.low < 0.1, "{alpha:?}");
        let (low, high) = fit.band(1000.0);
        assert!(low < fit.predict(1000.0) && fit.predict(1000.0) < high);
    }
}

#[test]
fn excludes_the_largest_losses() {
    let mut points = planted("a", floor(0.3, 20.0, 0.45), &XS, 2, 0.0, 0);
    points[5].value = 40.0;
    let settings = Settings { exclude_top_loss: 1, ..settings(0) };
    let fit = fit_curves(&points, Axis::Data, &settings).unwrap().fits.remove(0);
    assert!((fit.params["alpha"] - 0.45).abs() < 1e-6);
    assert_eq!((fit.points_used, fit.points_dropped[0].point.as_str()), (11, "a-4000-1"));
}

#[test]
fn json_has_the_promised_names() {
    let mut points = planted("a", floor(0.5, 30.0, 0.5), &XS, 3, 0.02, 1);
    points.extend(planted("b", floor(0.3, 15.0, 0.35), &XS, 3, 0.02, 1));
    let json = serde_json::to_value(fit_curves(&points, Axis::Data, &settings(50)).unwrap()).unwrap();
    for key in ["curve", "law", "x", "params", "intervals", "objective", "points_used", "points_dropped", "verdicts"] {
        assert!(!json["fits"][0][key].is_null(), "{key}");
    }
    assert_eq!(json["fits"][0]["law"], "power-floor");
    assert_eq!(json["fits"][0]["x"], "data");
    assert!(json["fits"][0]["holdout_rmse"].is_number());
    let crossover = &json["crossovers"][0];
    assert!(crossover["probability_inside"].is_number() && crossover["a"] == "a" && crossover["b"] == "b");
    for key in ["at", "low", "high", "inside_data"] {
        assert!(!crossover["roots"][0][key].is_null(), "{key}");
    }
}

/// The published rows, or none (loudly) in a checkout without them.
fn chinchilla() -> Option<Vec<Point>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/chinchilla.csv");
    if !std::path::Path::new(path).exists() {
        eprintln!("SKIPPED: ../shared/data/chinchilla.csv is not here");
        return None;
    }
    let asked = Asked { path: path.into(), ..Asked::default() };
    Some(file::read(&asked, Scale::Surface).unwrap().points)
}

fn chinchilla_settings(seed: u64, bootstrap: usize) -> Settings {
    let law = laws::by_name("chinchilla").unwrap();
    Settings { law, exclude_top_loss: 5, seed, ..settings(bootstrap) }
}

// Besiroglu et al. 2024, arXiv:2404.10102: their optimum, and their bootstrap standard errors to within a tenth.
#[test]
fn equals_the_replication_of_chinchilla() {
    let Some(points) = chinchilla() else { return };
    let published = [
        ("A", 477.83, 0.01, 124.0),
        ("B", 2143.42, 0.01, 1300.0),
        ("E", 1.81722, 1e-5, 0.026),
        ("alpha", 0.34731, 1e-5, 0.0154),
        ("beta", 0.36717, 1e-5, 0.021),
        ("beta/(alpha+beta)", 0.513, 1e-3, 0.020),
    ];
    for seed in [0, 1, u64::MAX] {
        let analysis = fit_curves(&points, Axis::Compute, &chinchilla_settings(seed, 4000)).unwrap();
        let fit = &analysis.fits[0];
        assert_eq!((fit.points_used, fit.points_dropped.len(), fit.starts_agree), (240, 5, 1.0));
        assert!((fit.objective - 0.001018274018).abs() < 1e-11, "{}", fit.objective);
        for (name, value, tolerance, se) in published {
            assert!((fit.params[name] - value).abs() <= tolerance, "{name} {}", fit.params[name]);
            let ratio = fit.intervals[name].se / se;
            assert!((0.9..1.1).contains(&ratio), "standard error of {name}: {}", fit.intervals[name].se);
        }
    }
}

#[test]
fn a_million_rows_are_read_and_fitted() {
    use std::fmt::Write;
    let law = floor(0.3, 20.0, 0.45);
    let mut text = String::from("arch,examples,loss,seed\n");
    for i in 0..1_000_000u32 {
        let x = 100.0 * f64::from(i / 2 + 1);
        let noise = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
        writeln!(text, "{},{x},{:.6},{}", ["a", "b"][i as usize % 2], law(x) * (1.0 + 0.02 * noise), i % 5).unwrap();
    }
    let table = file::format::table("big.csv", &text.into()).unwrap();
    let points = file::found(&table, "", &Asked::default(), Scale::Curve(Axis::Data)).unwrap().points;
    let analysis = fit_curves(&points, Axis::Data, &settings(2000)).unwrap();
    for fit in &analysis.fits {
        let alpha = fit.intervals["alpha"];
        assert!(alpha.low < 0.45 && 0.45 < alpha.high && alpha.high - alpha.low < 0.02, "{alpha:?}");
        assert_eq!((fit.points_used, fit.provenance.resampling), (500_000, Some(Resampling::OneStep)));
    }
}
