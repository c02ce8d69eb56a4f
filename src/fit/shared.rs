//! Shared or separate: whether architectures differ in an exponent or in their floor, or only in what remains.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::bootstrap::{Draws, Fitted, VERY_MANY, redraw};
use super::crossover::{self, Crossover};
use super::estimate::{intervals, named};
use super::group::{self, Group};
use super::interval::{Interval, IntervalKind};
use super::law::{Law, Param, Theta};
use super::pooled::{self, Pooled};
use super::sample::Sample;
use super::solve::{Held, Solver};
use super::{Fit, Scale, Settings, solver_of};
use crate::error::{Error, Result};
use crate::point::Point;

/// Resamples of a test: p-values to a thousandth.
const RESAMPLES: usize = 999;

/// Below this p-value the groups are called different.
pub const SIGNIFICANCE: f64 = 0.05;

/// One restriction against separate fits.
#[derive(Clone, Debug, Serialize)]
pub struct Test {
    /// Parameters that are equal in all groups.
    pub shared: Vec<&'static str>,
    /// F: what the restriction costs, per parameter saved, over what separate fits leave, per degree of freedom.
    pub statistic: f64,
    /// Share of data sets drawn from the restricted fit whose statistic is as large; absent without resamples.
    pub p_value: Option<f64>,
    pub values: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
}

/// A group's parameters where some are shared.
#[derive(Clone, Debug, Serialize)]
pub struct PooledFit {
    pub group: String,
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
}

/// The fits that share the most that no test objects to, and where those curves cross.
#[derive(Clone, Debug, Serialize)]
pub struct Pooling {
    pub shared: Vec<&'static str>,
    pub fits: Vec<PooledFit>,
    pub crossovers: Vec<Crossover>,
}

/// What a set of groups shares.
#[derive(Clone, Debug, Serialize)]
pub struct Sharing {
    pub groups: Vec<String>,
    pub tests: Vec<Test>,
    /// Absent where every restriction is rejected, or without resamples.
    pub pooled: Option<Pooling>,
}

/// Tests each exponent and floor of the law, and all of them together, over all groups and over each pair.
///
/// The null distribution is drawn from the restricted fit (residual bootstrap, paired across groups as the intervals
/// are), so nothing is assumed of the noise but what the intervals assume. Errors: one group; too many points to refit
/// a thousand times.
pub fn test(points: &[Point], fits: &[Fit], settings: &Settings) -> Result<Vec<Sharing>> {
    let [first, _, ..] = fits else {
        return Err(Error::failed("one curve shares nothing with itself").hint("name the curves with --by COLUMN"));
    };
    let mut groups = group::split(points, first.x, settings.exclude_top_loss);
    groups.retain(|group| fits.iter().any(|fit| fit.group == group.name));
    if let Some(large) = groups.iter().find(|group| group.sample.len() >= VERY_MANY) {
        let (name, count) = (&large.name, large.sample.len());
        return Err(Error::failed(format!("{name}: {count} points are too many to refit {RESAMPLES} times"))
            .hint(format!("fewer than {VERY_MANY} a curve can be tested")));
    }
    let members: Vec<(&Fit, &Group)> = fits.iter().zip(&groups).collect();
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
    /// The pooled parameters of each resample, by group.
    draws: Vec<Draws>,
}

fn sharing(set: &[(&Fit, &Group)], solver: &Solver, settings: &Settings) -> Sharing {
    let groups: Vec<Fitted> = set
        .iter()
        .map(|(fit, group)| Fitted {
            solver: *solver,
            sample: &group.sample,
            units: &group.units,
            best: fit.theta,
            minima: Vec::new(),
        })
        .collect();
    let tried: Vec<Restricted> =
        restrictions(solver.law).iter().filter_map(|shared| restricted(&groups, shared, settings)).collect();
    let passed = tried.iter().filter(|tried| tried.test.p_value.is_some_and(|p| p >= SIGNIFICANCE));
    let most = passed.max_by(|a, b| {
        let rank = |tried: &Restricted| (tried.test.shared.len(), tried.test.p_value.unwrap_or(0.0));
        rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1))
    });
    Sharing {
        groups: set.iter().map(|(fit, _)| fit.group.clone()).collect(),
        pooled: most.map(|most| pooling(set, most, settings)),
        tests: tried.into_iter().map(|tried| tried.test).collect(),
    }
}

/// A floor or an exponent: what architectures may have in common. Amplitudes depend on units.
fn may_be_shared(param: &Param) -> bool {
    param.exponent || (!param.log && param.low == 0.0 && param.high == f64::INFINITY)
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

fn restricted(groups: &[Fitted<'_>], shared: &Held, settings: &Settings) -> Option<Restricted> {
    let solver = &groups.first()?.solver;
    let samples: Vec<Sample> = groups.iter().map(|group| group.sample.clone()).collect();
    let best = pooled::fit(solver, &samples, shared, &pooled::starts(groups, shared))?;
    let own: Vec<Theta> = groups.iter().map(|group| group.best).collect();
    let statistic = |samples: &[Sample], restricted: f64| {
        let at_best = |(i, sample): (usize, &Sample)| {
            let starts = [&own[i], &best.thetas[i]];
            starts.map(|start| solver.descend(sample, start).objective).into_iter().fold(f64::INFINITY, f64::min)
        };
        let separate: f64 = samples.iter().enumerate().map(at_best).sum();
        let count = |held: &Held| held.iter().filter(|held| **held).count() * (groups.len() - 1);
        let points: usize = samples.iter().map(Sample::len).sum();
        let freedom = points.saturating_sub(groups.len() * solver.law.params().len()).max(1);
        (restricted - separate).max(0.0) / count(shared) as f64 / (separate / freedom as f64)
    };
    let observed = statistic(&samples, best.objective);
    let null: Vec<Fitted> =
        groups.iter().zip(&best.thetas).map(|(group, theta)| Fitted { best: *theta, ..group.clone() }).collect();
    let drawn = redraw(&null, settings.bootstrap.min(RESAMPLES), settings.seed, |samples| {
        let fit = pooled::fit(solver, &samples, shared, std::slice::from_ref(&best.thetas))?;
        Some((statistic(&samples, fit.objective), fit.thetas))
    });
    let found: Vec<&(f64, Vec<Theta>)> = drawn.iter().flatten().collect();
    let as_large = found.iter().filter(|(statistic, _)| *statistic >= observed).count();
    let draws: Vec<Draws> = (0..groups.len())
        .map(|g| Draws {
            resamples: drawn.iter().map(|draw| draw.as_ref().map(|(_, thetas)| thetas[g])).collect(),
            jackknife: Vec::new(),
        })
        .collect();
    let names: Vec<&'static str> =
        solver.law.params().iter().enumerate().filter(|(i, _)| shared[*i]).map(|(_, param)| param.name).collect();
    let of_shared = |name: &&'static str| names.contains(name);
    let test = Test {
        statistic: observed,
        p_value: (!found.is_empty()).then(|| (as_large + 1) as f64 / (found.len() + 1) as f64),
        values: named(solver.law, &best.thetas[0]).into_iter().filter(|(name, _)| of_shared(name)).collect(),
        intervals: intervals(solver.law, &best.thetas[0], &draws[0], IntervalKind::Percentile, settings.level)
            .into_iter()
            .filter(|(name, _)| of_shared(name))
            .collect(),
        shared: names,
    };
    Some(Restricted { test, best, draws })
}

fn pooling(set: &[(&Fit, &Group)], most: &Restricted, settings: &Settings) -> Pooling {
    let members = set.iter().zip(&most.best.thetas).zip(&most.draws);
    let fits: Vec<Fit> = members
        .map(|(((fit, _), theta), draws)| Fit {
            theta: *theta,
            params: named(fit.law, theta).into_iter().collect(),
            intervals: intervals(fit.law, theta, draws, IntervalKind::Percentile, settings.level),
            draws: draws.clone(),
            ..(*fit).clone()
        })
        .collect();
    let pairs = (0..fits.len()).flat_map(|i| (i + 1..fits.len()).map(move |j| (i, j)));
    let compare =
        |(i, j): (usize, usize)| crossover::compare(&fits[i], &fits[j], IntervalKind::Percentile, settings.level);
    let crossovers = match fits.first().map(|fit| fit.x) {
        Some(Scale::Curve(_)) => pairs.map(compare).collect(),
        _ => Vec::new(),
    };
    let fits = fits.into_iter().map(|fit| PooledFit { group: fit.group, params: fit.params, intervals: fit.intervals });
    Pooling { shared: most.test.shared.clone(), fits: fits.collect(), crossovers }
}
