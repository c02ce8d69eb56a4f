//! Shared or separate: whether architectures differ in an exponent or in their floor, or only in what remains.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::compare;
use crate::fit::compare::crossover::Crossover;
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::sample::Sample;
use crate::fit::diagnosis::Case;
use crate::fit::estimate::Fit;
use crate::fit::estimate::{intervals, named};
use crate::fit::laws::law::{Domain, Law, Param, Role, Theta};
use crate::fit::settings::{Settings, solver_of};
use crate::fit::solve::pooled::{self, Pooled};
use crate::fit::solve::search::{Held, Search, Solution, Solver};
use crate::fit::uncertainty::bootstrap::{Draws, Fitted, VERY_MANY, redraw};
use crate::fit::uncertainty::interval::{Interval, IntervalKind};
use crate::fit::uncertainty::support::Support;
use crate::fit::verdict::Verdict;
use crate::point::Point;

/// Resamples of a test: p-values to a thousandth.
const RESAMPLES: usize = 999;

/// Below this p-value the curves are called different.
pub const SIGNIFICANCE: f64 = 0.05;

/// One restriction against separate fits.
#[derive(Clone, Debug, Serialize)]
pub struct Test {
    /// Parameters that are equal in all curves.
    pub shared: Vec<&'static str>,
    /// F: what the restriction costs, per parameter saved, over what separate fits leave, per degree of freedom.
    pub statistic: f64,
    /// Share of data sets drawn from the restricted fit whose statistic is as large; absent without resamples.
    pub p_value: Option<f64>,
    pub values: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
}

/// A curve's parameters where some are shared.
#[derive(Clone, Debug, Serialize)]
pub struct PooledFit {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
    /// Of this fit, by its own intervals: what separate curves do not hold, curves that share it may.
    pub verdicts: Vec<Verdict>,
}

/// The fits that share the most that no test objects to, and where those curves cross.
#[derive(Clone, Debug, Serialize)]
pub struct Pooling {
    pub shared: Vec<&'static str>,
    pub fits: Vec<PooledFit>,
    pub crossovers: Vec<Crossover>,
}

/// What a set of curves shares.
#[derive(Clone, Debug, Serialize)]
pub struct Sharing {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::all_both_names")]
    pub curves: Vec<String>,
    pub tests: Vec<Test>,
    /// Absent where every restriction is rejected, or without resamples.
    pub pooled: Option<Pooling>,
}

/// Tests each exponent and floor of the law, and all of them together, over all curves and over each pair.
///
/// The null distribution is drawn from the restricted fit (residual bootstrap, paired across curves as the intervals
/// are), so nothing is assumed of the noise but what the intervals assume. Errors: one curve; too many points to refit
/// a thousand times.
pub fn test(points: &[Point], fits: &[Fit], settings: &Settings) -> Result<Vec<Sharing>> {
    let [first, _, ..] = fits else {
        return Err(Error::failed("one curve shares nothing with itself").hint("name the curves with --by COLUMN"));
    };
    let domain = first.law.domain();
    if domain != Domain::Curve && domain != Domain::Surface {
        return Err(Error::bad_input(format!("--law {}: only curves and surfaces are tested", first.law.name()))
            .hint("fit a curve, as --law power-floor"));
    }
    let mut curves = curve::split(points, first.x, settings.exclude_top_loss);
    curves.retain(|curve| fits.iter().any(|fit| fit.curve == curve.name));
    if let Some(large) = curves.iter().find(|curve| curve.sample.len() >= VERY_MANY) {
        let (name, count) = (&large.name, large.sample.len());
        return Err(Error::failed(format!("{name}: {count} points are too many to refit {RESAMPLES} times"))
            .hint(format!("fewer than {VERY_MANY} a curve can be tested")));
    }
    let members: Vec<(&Fit, &Curve)> = fits.iter().zip(&curves).collect();
    let mut sets = vec![members.clone()];
    if members.len() > 2 {
        let pairs = |i: usize| members[i + 1..].iter().map(move |b| (i, *b));
        sets.extend((0..members.len()).flat_map(pairs).map(|(i, b)| vec![members[i], b]));
    }
    let solver = Solver { law: first.law, ..solver_of(settings) };
    Ok(sets.par_iter().map(|set| sharing(set, &solver, settings)).collect())
}

/// One restriction with all that its resamples say.
struct Restricted {
    test: Test,
    best: Pooled,
    /// The pooled parameters of each resample, by curve.
    draws: Vec<Draws>,
}

fn sharing(set: &[(&Fit, &Curve)], solver: &Solver, settings: &Settings) -> Sharing {
    let curves: Vec<Fitted> = set
        .iter()
        .map(|(fit, curve)| Fitted {
            solver: *solver,
            sample: &curve.sample,
            units: &curve.units,
            best: fit.theta,
            minima: Vec::new(),
        })
        .collect();
    // One run's residuals with either sign are no data sets of a null hypothesis.
    let tested = set.iter().all(|(fit, _)| !fit.untested());
    let settings = &Settings { bootstrap: if tested { settings.bootstrap } else { 0 }, ..settings.clone() };
    let tried: Vec<Restricted> =
        restrictions(solver.law).iter().filter_map(|shared| restricted(&curves, shared, settings)).collect();
    let passed = tried.iter().filter(|tried| tried.test.p_value.is_some_and(|p| p >= SIGNIFICANCE));
    let most = passed.max_by(|a, b| {
        let rank = |tried: &Restricted| (tried.test.shared.len(), tried.test.p_value.unwrap_or(0.0));
        rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1))
    });
    Sharing {
        curves: set.iter().map(|(fit, _)| fit.curve.clone()).collect(),
        pooled: most.map(|most| pooling(set, most, solver, settings)),
        tests: tried.into_iter().map(|tried| tried.test).collect(),
    }
}

/// A floor or an exponent: what architectures may have in common. Amplitudes depend on units.
fn may_be_shared(param: &Param) -> bool {
    param.is_exponent() || param.role == Role::Floor
}

/// Each such parameter alone, and all of them.
fn restrictions(law: &dyn Law) -> Vec<Held> {
    let chosen: Vec<usize> =
        law.params().iter().enumerate().filter(|(_, param)| may_be_shared(param)).map(|(i, _)| i).collect();
    let held = |these: &[usize]| std::array::from_fn(|i| these.contains(&i));
    let mut all: Vec<Held> = chosen.iter().map(|i| held(&[*i])).collect();
    if chosen.len() > 1 {
        all.push(held(&chosen));
    }
    all
}

fn restricted(curves: &[Fitted<'_>], shared: &Held, settings: &Settings) -> Option<Restricted> {
    let solver = &curves.first()?.solver;
    let samples: Vec<Sample> = curves.iter().map(|curve| curve.sample.clone()).collect();
    let own: Vec<Theta> = curves.iter().map(|curve| curve.best).collect();
    let best = pooled::fit(solver, &samples, shared, &pooled::starts(&own, shared))?;
    let statistic = |samples: &[Sample], restricted: f64| {
        let at_best = |(i, sample): (usize, &Sample)| {
            let starts = [&own[i], &best.thetas[i]];
            starts.map(|start| solver.descend(sample, start).objective).into_iter().fold(f64::INFINITY, f64::min)
        };
        let separate: f64 = samples.iter().enumerate().map(at_best).sum();
        let count = |held: &Held| held.iter().filter(|held| **held).count() * (curves.len() - 1);
        let points: usize = samples.iter().map(Sample::len).sum();
        let freedom = points.saturating_sub(curves.len() * solver.law.params().len()).max(1);
        (restricted - separate).max(0.0) / count(shared) as f64 / (separate / freedom as f64)
    };
    let observed = statistic(&samples, best.objective);
    let null: Vec<Fitted> =
        curves.iter().zip(&best.thetas).map(|(curve, theta)| Fitted { best: *theta, ..curve.clone() }).collect();
    let drawn = redraw(&null, settings.bootstrap.min(RESAMPLES), settings.seed, |samples| {
        let fit = pooled::fit(solver, &samples, shared, std::slice::from_ref(&best.thetas))?;
        Some((statistic(&samples, fit.objective), fit.thetas))
    });
    let found: Vec<&(f64, Vec<Theta>)> = drawn.iter().flatten().collect();
    let as_large = found.iter().filter(|(statistic, _)| *statistic >= observed).count();
    let draws: Vec<Draws> = (0..curves.len())
        .map(|g| Draws {
            resamples: drawn.iter().map(|draw| draw.as_ref().map(|(_, thetas)| thetas[g])).collect(),
            jackknife: Vec::new(),
        })
        .collect();
    let names: Vec<&'static str> =
        solver.law.params().iter().enumerate().filter(|(i, _)| shared[*i]).map(|(_, param)| param.name).collect();
    let of_shared = |name: &&'static str| names.contains(name);
    let support = Support::default();
    let test = Test {
        statistic: observed,
        p_value: (!found.is_empty()).then(|| (as_large + 1) as f64 / (found.len() + 1) as f64),
        values: named(solver.law, &best.thetas[0]).into_iter().filter(|(name, _)| of_shared(name)).collect(),
        intervals: intervals(
            solver.law,
            &best.thetas[0],
            (&draws[0], &support),
            IntervalKind::Percentile,
            settings.level,
        )
        .into_iter()
        .filter(|(name, _)| of_shared(name))
        .collect(),
        shared: names,
    };
    Some(Restricted { test, best, draws })
}

/// The curve's fit with the pooled parameters in place of its own, and all that follows from them.
fn repooled(fit: &Fit, curve: &Curve, most: &Restricted, g: usize, solver: &Solver, settings: &Settings) -> Fit {
    let theta = most.best.thetas[g];
    let objective = solver.local(&curve.sample, &theta).objective;
    let best = Solution { theta, objective, converged: most.best.converged };
    let search = Search { best, agree: most.best.agree, minima: Vec::new() };
    let draws = if best.converged { most.draws[g].clone() } else { Draws::default() };
    let asked = IntervalKind::Percentile;
    let intervals = intervals(fit.law, &theta, (&draws, &fit.support), asked, settings.level);
    let origin = settings.origin.as_ref();
    let case = Case { curve, solver, search: &search, draws: &draws, intervals: &intervals, asked, origin };
    Fit {
        verdicts: case.verdicts(),
        params: named(fit.law, &theta).into_iter().collect(),
        objective,
        holdout_rmse: None,
        converged: best.converged,
        starts_agree: search.agree,
        theta,
        intervals,
        draws,
        ..fit.clone()
    }
}

fn pooling(set: &[(&Fit, &Curve)], most: &Restricted, solver: &Solver, settings: &Settings) -> Pooling {
    let members = set.iter().enumerate();
    let fits: Vec<Fit> = members.map(|(g, (fit, curve))| repooled(fit, curve, most, g, solver, settings)).collect();
    let (crossovers, _) = compare::pairs(&fits, IntervalKind::Percentile, settings);
    let pooled = |Fit { curve, params, intervals, verdicts, .. }| PooledFit { curve, params, intervals, verdicts };
    Pooling { shared: most.test.shared.clone(), fits: fits.into_iter().map(pooled).collect(), crossovers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::data::origin::{Origin, SweepOrigin};
    use crate::fit::fit_curves;
    use crate::fit::tests::planted;
    use crate::point::Axis;

    const XS: [f64; 6] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0];

    fn tested(points: &[Point], bootstrap: usize) -> Vec<Sharing> {
        let settings = Settings { bootstrap, ..Settings::default() };
        let fits = fit_curves(points, Axis::Data, &Settings { bootstrap: 0, ..settings.clone() }).unwrap().fits;
        test(points, &fits, &settings).unwrap()
    }

    // import numpy as np; from scipy.optimize import least_squares; from scipy.stats import f as F
    // x = np.repeat([250., 1000, 4000, 16000, 64000], 2); a, b = np.array(A), np.array(B)
    // r = lambda e, l, s, y: np.log(e + np.exp(l) * x ** -s) - np.log(y)
    // def fit(share):
    //     def both(p):
    //         pa, pb = p[:3].copy(), p[3:].copy()
    //         for i in share: pb[i] = pa[i]
    //         return np.concatenate([r(*pa, a), r(*pb, b)])
    //     s = least_squares(both, [.4, 3, .5] * 2, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale=[.4, 2, .5] * 2)
    //     return s.x, 2 * s.cost
    // full = fit([])[1]
    // for share in [0], [2], [0, 2]:
    //     p, rss = fit(share); stat = (rss - full) / len(share) / (full / 14)
    //     print(p[share], stat, F.sf(stat, len(share), 14))
    #[test]
    fn equals_scipy() {
        let a = [1.92, 1.98, 1.21, 1.17, 0.80, 0.84, 0.61, 0.59, 0.50, 0.51];
        let b = [2.61, 2.52, 1.72, 1.66, 1.08, 1.13, 0.81, 0.78, 0.70, 0.66];
        let mut points =
            [planted("a", |_| 1.0, &XS[..5], 2, 0.0, 0), planted("b", |_| 1.0, &XS[..5], 2, 0.0, 0)].concat();
        points.iter_mut().zip(a.into_iter().chain(b)).for_each(|(point, y)| point.value = y);
        // Other seeds: nothing is paired, as the F test has it.
        points.iter_mut().filter(|point| point.curve == "b").for_each(|point| point.seed = point.seed.map(|s| s + 9));
        let found = tested(&points, 999).remove(0);
        let scipy: [(&[f64], f64, f64); 3] = [
            // F.sf is 0.0797; of 600 data sets with residuals of either sign, redrawn and refitted by scipy, 0.123.
            (&[0.411_918_647_769_237_87], 3.569_790_132_343_845_5, 0.123),
            (&[0.456_365_671_908_356_2], 0.674_002_099_223_727_9, 0.4254),
            (&[0.351_026_105_227_596_7, 0.393_641_152_646_234_17], 19.319_751_334_890_7, 9.4e-5),
        ];
        for (test, (values, statistic, p)) in found.tests.iter().zip(scipy) {
            for (name, value) in test.shared.iter().zip(values) {
                assert!((test.values[name] / value - 1.0).abs() < 1e-5, "{name} {:?}, scipy {value}", test.values);
            }
            assert!((test.statistic / statistic - 1.0).abs() < 1e-6, "{test:?}, scipy {statistic}");
            // The F distribution is exact for linear laws and normal noise only.
            assert!((test.p_value.unwrap() - p).abs() < 0.05, "{test:?}, scipy {p}");
        }
        let pooled = found.pooled.unwrap();
        assert_eq!(pooled.shared, ["alpha"]);
        assert_eq!(pooled.fits[0].params["alpha"], pooled.fits[1].params["alpha"]);
        assert!(pooled.fits[0].params["E"] != pooled.fits[1].params["E"] && pooled.crossovers.len() == 1);
    }

    /// Of 40 experiments, how many reject a shared E, a shared alpha, and both.
    fn rejections(b: impl Fn(f64) -> f64 + Copy) -> [usize; 3] {
        let a = |x: f64| 0.4 + 20.0 * x.powf(-0.45);
        let mut rejected = [0; 3];
        for trial in 0..40 {
            let points = [planted("a", a, &XS, 3, 0.02, trial), planted("b", b, &XS, 3, 0.02, trial)].concat();
            for (count, test) in rejected.iter_mut().zip(&tested(&points, 99)[0].tests) {
                *count += usize::from(test.p_value.unwrap() < SIGNIFICANCE);
            }
        }
        rejected
    }

    #[test]
    fn rejects_what_is_false_and_one_in_twenty_of_what_is_true() {
        // More than 7 of 40 at a true level of 5%: one chance in a thousand.
        assert!(rejections(|x| 0.4 + 30.0 * x.powf(-0.45)).iter().all(|count| *count <= 7));
        let [_, alpha, both] = rejections(|x| 0.4 + 12.0 * x.powf(-0.36));
        assert!(alpha >= 38 && both == 40, "{alpha} {both}");
        let [floor, _, both] = rejections(|x| 0.5 + 20.0 * x.powf(-0.45));
        assert!(floor >= 38 && both == 40, "{floor} {both}");
    }

    #[test]
    fn three_curves_are_tested_together_and_in_pairs() {
        let law = |x: f64| 0.4 + 20.0 * x.powf(-0.45);
        let other = |x: f64| 0.2 + 20.0 * x.powf(-0.3);
        let points = [
            planted("a", law, &XS, 2, 0.01, 0),
            planted("b", law, &XS, 2, 0.01, 0),
            planted("c", other, &XS, 2, 0.01, 0),
        ];
        let sets = tested(&points.concat(), 99);
        let curves: Vec<String> = sets.iter().map(|set| set.curves.concat()).collect();
        assert_eq!(curves, ["abc", "ab", "ac", "bc"]);
        let shares = |i: usize| sets[i].pooled.is_some();
        assert!(!shares(0) && shares(1) && !shares(2) && !shares(3));
        assert!(sets[1].tests.iter().all(|test| test.intervals.len() == test.shared.len()));
    }

    /// Alone, a does not tell its floor from zero; with the floor and the exponent of b it does.
    #[test]
    fn pooled_curves_are_judged_by_their_own_intervals() {
        let (a, b) = (|x: f64| 0.3 + 12.0 * x.powf(-0.4), |x: f64| 0.3 + 15.0 * x.powf(-0.4));
        let points = [planted("a", a, &XS[..4], 3, 0.1, 5), planted("b", b, &XS, 3, 0.1, 6)].concat();
        let settings = Settings { bootstrap: 400, ..Settings::default() };
        let fits = fit_curves(&points, Axis::Data, &settings).unwrap().fits;
        assert!(!fits[0].identified() && fits[1].identified(), "{:?} {:?}", fits[0].verdicts, fits[1].verdicts);
        let at_edge = [("a-250-0".to_owned(), vec!["lr".to_owned()])].into();
        let origin = Some(Origin::Sweep(SweepOrigin { at_edge, ..SweepOrigin::default() }));
        let settings = Settings { origin, ..settings };
        let pooled = test(&points, &fits, &settings).unwrap().remove(0).pooled.unwrap();
        assert_eq!(pooled.shared, ["E", "alpha"]);
        let edge = Verdict::TunedAtEdge { keys: vec!["lr".into()], points: 1, of: 12 };
        assert!(pooled.fits[0].verdicts.contains(&edge), "{:?}", pooled.fits[0].verdicts);
        for PooledFit { verdicts, intervals, .. } in &pooled.fits {
            let searched = |verdict: &Verdict| {
                matches!(verdict, Verdict::StartsDisagree { .. } | Verdict::NotConverged | Verdict::AtBound { .. })
            };
            assert!(
                verdicts.contains(&Verdict::Identified) && !verdicts.iter().any(searched),
                "{intervals:?} {verdicts:?}"
            );
        }
        let rests = |verdict: &Verdict| matches!(verdict, Verdict::RestsOn { .. } | Verdict::Unidentified { .. });
        let pair = &pooled.crossovers[0];
        assert!(!pair.weaknesses.iter().any(|weakness| rests(&weakness.verdict)), "{:?}", pair.weaknesses);
        assert!(!pair.roots.iter().flat_map(|root| &root.verdicts).any(rests), "{:?}", pair.roots);
    }

    #[test]
    fn one_curve_is_refused() {
        let points = planted("a", |x| 0.4 + 20.0 * x.powf(-0.45), &XS, 2, 0.01, 0);
        let fits = fit_curves(&points, Axis::Data, &Settings { bootstrap: 0, ..Settings::default() }).unwrap().fits;
        assert!(test(&points, &fits, &Settings::default()).is_err());
    }
}
