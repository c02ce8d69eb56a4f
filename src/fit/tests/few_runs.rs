//! Curves of few runs with many checkpoints: what one run tells of another.

use super::*;

/// Runs of one law with so many checkpoints each: a run lies off as a whole by 1%, tilts by 1%, and each checkpoint
/// scatters by 0.2%.
fn runs(curve: &str, lengths: &[u32], seeded: bool, stream: u64) -> Vec<Point> {
    let normal = Normal::new(0.0, 0.01).unwrap();
    let longest = f64::from(*lengths.iter().max().unwrap()).ln();
    let mut points = Vec::new();
    for (run, length) in (0i64..).zip(lengths) {
        let mut rng = random::stream(stream, curve, run as u64);
        let (level, tilt) = (normal.sample(&mut rng), normal.sample(&mut rng));
        for step in 1..=*length {
            let x = 1e6 * f64::from(step);
            let off = level + tilt * (2.0 * f64::from(step).ln() / longest - 1.0) + 0.2 * normal.sample(&mut rng);
            let fresh = planted(curve, |_| floor(2.0, 30.0, 0.3)(x) * off.exp(), &[x], 1, 0.0, 0);
            let of_run = |point| Point {
                source: format!("run {curve}{run}"),
                seed: seeded.then_some(run),
                compute: Some(6e6 * x),
                seconds: Some(x),
                ..point
            };
            points.extend(fresh.into_iter().map(of_run));
        }
    }
    points
}

fn pair(lengths: &[u32], seeded: bool, trial: u64) -> Vec<Point> {
    [runs("a", lengths, seeded, trial), runs("b", lengths, seeded, trial)].concat()
}

/// The leads that are established between two equal laws, as the scales from where to where, over so many trials.
fn leads(lengths: &[u32], seeded: bool, trials: u64, settings: &Settings) -> Vec<(f64, f64)> {
    let of = |trial: u64| {
        let conclusion =
            fit_curves(&pair(lengths, seeded, trial), Axis::Data, settings).unwrap().crossovers.remove(0).conclusion;
        let led = conclusion.regions.into_iter().filter(|region| region.leads.is_some());
        led.map(|region| (region.from, region.to)).collect::<Vec<_>>()
    };
    (0..trials).into_par_iter().flat_map_iter(of).collect()
}

#[test]
fn one_run_a_curve_establishes_nothing() {
    // Each of these had a lead in nearly every trial.
    assert_eq!(leads(&[15], true, 30, &settings(99)), []);
    assert_eq!(leads(&[15], false, 30, &settings(99)), []);
    for way in [Resampling::Runs, Resampling::OneStep] {
        assert_eq!(leads(&[15], false, 5, &Settings { resampling: Some(way), ..settings(99) }), []);
    }
    let analysis = fit_curves(&pair(&[15], true, 0), Axis::Data, &settings(99)).unwrap();
    for fit in &analysis.fits {
        assert!(fit.intervals.is_empty() && fit.draws.resamples.is_empty() && !fit.identified());
        let told = Verdict::Untested { runs: 1, need: 2, from: None, to: None };
        assert!(fit.verdicts.contains(&told), "{:?}", fit.verdicts);
        let (low, high) = fit.band(5e6);
        assert_eq!(low, high);
    }
    let pair = &analysis.crossovers[0];
    assert!(pair.headline.ends_with("add another seed of a and b"), "{}", pair.headline);
    assert!(pair.roots.iter().all(|root| root.low.is_none() && root.high.is_none()) && pair.same_count.is_none());
    assert!(analysis.multipliers.iter().flat_map(|multiplier| &multiplier.curve).all(|at| at.interval.is_none()));
}

#[test]
fn beyond_the_second_longest_run_nothing_is_established() {
    for lengths in [&[15, 4, 4][..], &[15, 6], &[15, 1, 1, 1, 1, 1]] {
        for seeded in [true, false] {
            let last = 1e6 * f64::from(lengths[1]);
            let found = leads(lengths, seeded, 20, &settings(99));
            assert!(found.iter().all(|(_, to)| *to <= 2.0 * last), "{lengths:?} {found:?}");
        }
    }
}

#[test]
fn two_runs_that_share_seeds_are_no_pairs() {
    // Their signs flipped together left a false lead in 12 of 100.
    let found = leads(&[15, 15], true, 60, &settings(99)).len();
    assert!(found <= 6, "{found}");
    assert!(leads(&[15, 15, 15], true, 30, &settings(99)).len() <= 4);
}

#[test]
fn few_runs_are_not_drawn_from() {
    let drawn = Settings { resampling: Some(Resampling::Runs), ..settings(99) };
    assert_eq!(leads(&[15, 15, 15], false, 10, &drawn), []);
    let law = laws::by_name("frontier").unwrap();
    let frontier = Settings { law, ..settings(99) };
    assert_eq!(leads(&[30], false, 10, &frontier), []);
    // One run of each budget is another case: there are as many runs as points.
    let xs: Vec<f64> = (0..12).map(|i| 250.0 * 2f64.powi(i)).collect();
    let sweep = planted("a", floor(0.3, 20.0, 0.45), &xs, 1, 0.01, 1);
    for settings in [drawn, settings(99)] {
        let fit = fit_curves(&sweep, Axis::Data, &settings).unwrap().fits.remove(0);
        assert!(!fit.untested() && fit.intervals.len() == 3, "{:?}", fit.verdicts);
    }
}

#[test]
fn curves_over_seconds_need_budgets() {
    let mut points = pair(&[15, 15, 15], true, 0);
    points.iter_mut().filter(|point| point.curve == "a").for_each(|point| point.compute = Some(1e15));
    let analysis = fit_curves(&points, Axis::Seconds, &settings(0)).unwrap();
    assert_eq!((analysis.fits.len(), analysis.refused[0].curve.as_str()), (1, "a"));
    assert!(analysis.refused[0].summary.contains("1 different amount of compute"), "{:?}", analysis.refused[0]);
    points.retain(|point| point.curve == "a");
    let error = fit_curves(&points, Axis::Seconds, &settings(0)).unwrap_err();
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("--x data")), "{error:?}");
}

#[test]
fn a_scale_at_which_one_run_has_no_error_is_left_out() {
    let mut points = planted("a", floor(0.0, 20.0, 0.45), &XS, 3, 0.01, 5);
    points[16].value = 0.0;
    let fit = fit_curves(&points, Axis::Data, &settings(0)).unwrap().fits.remove(0);
    assert_eq!((fit.points_used, fit.points_dropped.len(), fit.range.1.round()), (15, 3, 64_000.0));
    let others = fit.points_dropped.iter().filter(|dropped| dropped.reason.starts_with("another run at its scale"));
    assert_eq!(others.count(), 2, "{:?}", fit.points_dropped);
}

#[test]
fn a_name_that_sizes_share_is_not_a_runs() {
    let mut points = planted("a", floor(0.3, 20.0, 0.45), &XS, 1, 0.01, 1);
    for point in &mut points {
        (point.params, point.source) = (point.data, "run sweep".into());
    }
    let fit = fit_curves(&points, Axis::Params, &settings(99)).unwrap().fits.remove(0);
    assert!(!fit.untested() && fit.intervals.len() == 3, "{:?}", fit.verdicts);
}

/// Residuals once came with the sign of the half of the rows that they stood in.
#[test]
fn intervals_do_not_hang_on_the_order_of_rows() {
    let xs: Vec<f64> = (0..10).map(|i| 1000.0 * 2f64.powi(i)).collect();
    let block = |curve: &'static str, by: f64| {
        let law = move |x: f64| floor(0.4, 8.0, 0.4)(x) * by.exp();
        let fresh = planted(curve, law, &xs, 1, 0.002, by.to_bits());
        fresh.into_iter().map(move |point| Point { seed: None, source: format!("{}{by}", point.source), ..point })
    };
    let mut points: Vec<Point> =
        ["a", "b"].into_iter().flat_map(|curve| block(curve, 0.02).chain(block(curve, -0.02))).collect();
    let ends = |points: &[Point]| {
        let fit = fit_curves(points, Axis::Data, &settings(800)).unwrap().fits.remove(0);
        let (low, high) = fit.band(32_000.0);
        [fit.predict(32_000.0) / low, high / fit.predict(32_000.0)].map(f64::ln)
    };
    let blocks = ends(&points);
    points.sort_by(|a, b| a.curve.cmp(&b.curve).then(a.data.unwrap().total_cmp(&b.data.unwrap())));
    // Of about 0.014 on either side; in blocks they were 0.001 and 0.025.
    assert!(blocks.into_iter().chain(ends(&points)).all(|side| (0.010..0.020).contains(&side)), "{blocks:?}");
}
