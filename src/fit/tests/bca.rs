//! Intervals that were asked for as BCa and are not say so.

use super::*;

fn asked(points: &[Point], settings: Settings) -> Analysis {
    fit_curves(points, Axis::Data, &Settings { interval: IntervalKind::Bca, ..settings }).unwrap()
}

fn instead(verdicts: &[Verdict]) -> Vec<&str> {
    let of = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::PercentileInstead { of } => Some(of.iter().map(String::as_str).collect()),
        _ => None,
    });
    of.unwrap_or_default()
}

fn two_curves() -> Vec<Point> {
    let (a, b) = (floor(0.6, 8.0, 0.5), floor(0.3, 7.77, 0.35));
    [planted("a", a, &XS, 3, 0.01, 1), planted("b", b, &XS, 3, 0.01, 1)].concat()
}

#[test]
fn what_is_bca_says_nothing() {
    let analysis = asked(&two_curves(), settings(200));
    for fit in &analysis.fits {
        assert_eq!((fit.provenance.interval, instead(&fit.verdicts).len()), (IntervalKind::Bca, 0));
        assert!(fit.intervals.values().all(|interval| interval.kind == IntervalKind::Bca));
    }
    assert!(analysis.crossovers[0].roots.iter().any(|root| root.inside_data && instead(&root.verdicts).is_empty()));
}

#[test]
fn one_step_leaves_no_run_out() {
    let one_step = Settings { resampling: Some(Resampling::OneStep), ..settings(200) };
    let analysis = asked(&two_curves(), one_step.clone());
    for fit in &analysis.fits {
        assert_eq!(fit.provenance.interval, IntervalKind::Percentile);
        assert_eq!(instead(&fit.verdicts), ["A", "E", "alpha"]);
    }
    let roots = &analysis.crossovers[0].roots;
    assert!(!roots.is_empty() && roots.iter().all(|root| instead(&root.verdicts) == ["the crossover"]));
    let percentile = fit_curves(&two_curves(), Axis::Data, &one_step).unwrap();
    assert!(percentile.fits.iter().all(|fit| instead(&fit.verdicts).is_empty()));
}

/// A frontier of four points, three of which nothing replaces: without one of these there is no fit, and the fits
/// without each of the others do not stand for them.
#[test]
fn a_fit_that_is_missing_with_one_run_left_out_is_told() {
    let law = laws::by_name("frontier").unwrap();
    let mut points = planted("a", floor(0.3, 20.0, 0.45), &XS[..4], 1, 0.01, 1);
    let beaten =
        [1.2, 1.3, 1.4, 1.5, 1.6, 1.7].map(|times| Point { value: times * points[0].value, ..points[0].clone() });
    points.extend(beaten.into_iter().enumerate().map(|(i, point)| Point { source: format!("beaten {i}"), ..point }));
    points.iter_mut().for_each(|point| point.compute = point.data);
    let fit = asked(&points, Settings { law, ..settings(2000) }).fits.remove(0);
    assert!(!fit.intervals.is_empty(), "{:?}", fit.verdicts);
    assert_eq!((fit.provenance.interval, instead(&fit.verdicts).len()), (IntervalKind::Percentile, 3));
}

/// A floor that is zero whichever run is left out has no skew; the others have.
#[test]
fn a_floor_at_zero_has_a_percentile_interval_and_the_others_are_bca() {
    let points = planted("a", |x| 20.0 * x.powf(-0.3) * (1.0 - 0.02 * (x / 250.0).ln()), &XS, 3, 0.002, 1);
    let fit = asked(&points, settings(200)).fits.remove(0);
    assert_eq!(fit.params["E"], 0.0);
    assert_eq!((fit.provenance.interval, instead(&fit.verdicts)), (IntervalKind::Bca, vec!["E"]));
}
