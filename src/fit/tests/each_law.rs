//! Each law against what was planted with it.

use super::*;

/// What is planted for each law: parameters in its order.
pub fn truths() -> Vec<(&'static str, Vec<f64>)> {
    vec![
        ("power", vec![7.0, 0.31]),
        ("log", vec![3.0, 0.12]),
        ("power-floor", vec![0.3, 20.0, 0.45]),
        ("shifted", vec![12.0, 2e-5, 0.4]),
        ("m4", vec![0.4, 2.5, 0.7, 60.0, 0.6]),
        ("sigmoid", vec![0.05, 0.75, 20.0, 0.25, 2.0]),
        ("broken-1", vec![0.4, 3.0, 0.05, 0.4, 2e4, 0.4]),
        ("broken-2", vec![0.4, 3.0, 0.05, 0.5, 4e3, 0.3, -0.3, 4e5, 0.3]),
        ("chinchilla", vec![1.8, 480.0, 2100.0, 0.35, 0.37]),
        ("kaplan", vec![8.8e13, 5.4e13, 0.076, 0.095]),
        ("joint", vec![1.5, 8.0, 30.0, 0.5, 0.7, 0.6]),
        ("repeated", vec![1.8, 480.0, 2100.0, 0.35, 0.37, 15.0, 5.0]),
        ("frontier", vec![0.3, 20.0, 0.45]),
    ]
}

/// What is planted for one law.
pub fn truth(name: &str) -> Vec<f64> {
    truths().into_iter().find(|(other, _)| *other == name).unwrap().1
}

/// Points on a law, their log loss scattered by `sigma`: over 24 scales, or a grid of 6 x 6 sizes and data sets.
pub fn on_law(law: &'static dyn Law, truth: &[f64], sigma: f64) -> Vec<Point> {
    let mut theta = laws::Theta::default();
    law.params().iter().zip(truth).enumerate().for_each(|(i, (param, value))| theta[i] = param.theta(*value));
    let normal = Normal::new(0.0, sigma).unwrap();
    let scales: Vec<(f64, f64)> = match law.domain() {
        Domain::Curve | Domain::Frontier => (0..40).map(|i| (1.0, 100.0 * 1.35f64.powi(i))).collect(),
        Domain::Surface | Domain::Repeated => {
            (0..36).map(|i| (1e6 * 6f64.powi(i / 6), 1e8 * 5f64.powi(i % 6))).collect()
        }
    };
    let mut points = Vec::new();
    for (i, (n, d)) in scales.into_iter().enumerate() {
        let epochs = [1.0, 3.0, 10.0, 40.0][i * 7 % 4];
        let ln_x = match law.domain() {
            Domain::Curve | Domain::Frontier => [d.ln(), 0.0, 0.0],
            Domain::Surface => [n.ln(), d.ln(), 0.0],
            Domain::Repeated => [n.ln(), d.ln(), (d * epochs).ln()],
        };
        let ln_loss = law.ln_loss(&theta, &ln_x, &mut laws::Theta::default());
        let value = (ln_loss + normal.sample(&mut random::stream(9, law.name(), i as u64))).exp();
        points.push(Point {
            params: Some(n),
            compute: Some(d),
            seen: Some(d * epochs),
            value,
            ..planted("a", |_| 1.0, &[d], 1, 0.0, 0).remove(0)
        });
    }
    points
}

#[test]
fn every_law_recovers_what_was_planted() {
    assert_eq!(truths().len(), laws::ALL.len());
    for (name, truth) in truths() {
        let law = laws::by_name(name).unwrap();
        let points = on_law(law, &truth, 0.0);
        let fit = fit_curves(&points, Axis::Data, &Settings { law, ..settings(0) }).unwrap().fits.remove(0);
        for (param, truth) in law.params().iter().zip(&truth) {
            let found = fit.params[param.name];
            assert!(
                (found / truth - 1.0).abs() < 1e-6,
                "{name} {}: {found}, planted {truth}; agree {}, {:e}",
                param.name,
                fit.starts_agree,
                fit.objective
            );
        }
    }
}

#[test]
fn every_law_covers_what_was_planted_under_noise() {
    for (name, truth) in truths() {
        let law = laws::by_name(name).unwrap();
        let points = on_law(law, &truth, 0.003);
        let fit =
            fit_curves(&points, Axis::Data, &Settings { law, level: 0.99, ..settings(300) }).unwrap().fits.remove(0);
        for (param, truth) in law.params().iter().zip(&truth) {
            let interval = fit.intervals[param.name];
            assert!(
                interval.low <= *truth && *truth <= interval.high,
                "{name} {}: {interval:?}, planted {truth}",
                param.name
            );
        }
    }
}

#[test]
fn auto_prefers_the_law_that_extrapolates_best_and_of_equal_ones_the_simplest() {
    let points = on_law(laws::by_name("power").unwrap(), &[7.0, 0.31], 0.0);
    let power = auto::fit_auto(&points, Axis::Data, Domain::Curve, &settings(0)).unwrap();
    assert_eq!(power.laws_tried.len(), 8);
    assert_eq!(power.fits[0].law.name(), "power");
    let points = on_law(laws::by_name("broken-1").unwrap(), &truth("broken-1"), 0.002);
    let broken = auto::fit_auto(&points, Axis::Data, Domain::Curve, &settings(0)).unwrap();
    assert!(broken.fits[0].law.name().starts_with("broken"), "{:?}", broken.laws_tried);
    let few = planted("a", floor(0.3, 20.0, 0.45), &XS[..4], 2, 0.01, 0);
    let analysis = auto::fit_auto(&few, Axis::Data, Domain::Curve, &settings(0)).unwrap();
    assert_eq!(analysis.fits[0].law.name(), "power");
    assert!(analysis.laws_tried.iter().any(|tried| tried.refused.is_some()));
}
