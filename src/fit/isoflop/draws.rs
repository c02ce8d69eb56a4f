//! Profiles drawn anew: what the minima and their trend could have been.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use crate::fit::isoflop::budget::Budget;
use crate::fit::isoflop::noise::Noise;
use crate::fit::isoflop::profile::{Outcome, Profile, minimum};
use crate::fit::isoflop::trend::Trend;
use crate::fit::settings::Settings;
use crate::fit::uncertainty::interval::{Interval, IntervalKind, interval};
use crate::random;

/// One resample of all budgets.
#[derive(Clone, Debug)]
pub struct Draw {
    pub trend: Trend,
    /// (ln N_opt, loss) of each budget; none where it has no minimum inside.
    pub minima: Vec<Option<(f64, f64)>>,
}

/// All resamples of a curve.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    estimate: Option<Trend>,
    pub asked: usize,
    /// Those whose minima have a trend.
    pub draws: Vec<Draw>,
    /// With one run left out at a time, where BCa is asked for; empty where one of these has no trend.
    jackknife: Vec<Trend>,
}

/// (ln C, ln N_opt) of the budgets with an interior minimum.
pub fn minima(budgets: &[Budget], outcomes: &[Outcome]) -> Vec<(f64, f64)> {
    let both = budgets.iter().zip(outcomes);
    both.filter_map(|(budget, outcome)| Some((budget.ln_compute, inside(outcome)?.0))).collect()
}

/// (ln N_opt, loss).
fn inside(outcome: &Outcome) -> Option<(f64, f64)> {
    match outcome {
        Outcome::Interior { params, loss } => Some((params.ln(), *loss)),
        _ => None,
    }
}

fn draw(budgets: &[Budget], profile: Profile) -> Option<Draw> {
    let outcomes: Vec<Outcome> = budgets.iter().map(|budget| minimum(&budget.points, profile)).collect();
    let trend = Trend::through(&minima(budgets, &outcomes))?;
    Some(Draw { trend, minima: outcomes.iter().map(inside).collect() })
}

impl Drawn {
    pub fn of(budgets: &[Budget], profile: Profile, estimate: Trend, noise: &Noise, settings: &Settings) -> Self {
        let draws = (0..settings.bootstrap).into_par_iter().filter_map(|index| {
            let mut rng = random::stream(settings.seed, "isoflop", index as u64);
            draw(&noise.redrawn(budgets, &mut rng)?, profile)
        });
        // A spline without one of its points is another curve, and does not tell the skew.
        let jackknife =
            if settings.interval == IntervalKind::Bca && profile == Profile::Parabola && settings.bootstrap > 0 {
                left_out(budgets, profile).unwrap_or_default()
            } else {
                Vec::new()
            };
        Self { estimate: Some(estimate), asked: settings.bootstrap, draws: draws.collect(), jackknife }
    }

    /// Of a and k.
    pub fn intervals(&self, settings: &Settings) -> BTreeMap<&'static str, Interval> {
        let mut intervals = BTreeMap::new();
        let Some(estimate) = self.estimate.filter(|_| self.asked > 0) else { return intervals };
        type Part = fn(&Trend) -> f64;
        let parts: [(&str, Part); 2] = [("a", |trend| trend.a), ("k", |trend| trend.ln_k.exp())];
        for (name, part) in parts {
            let draws: Vec<f64> = self.draws.iter().map(|draw| part(&draw.trend)).collect();
            let jackknife: Vec<f64> = self.jackknife.iter().map(part).collect();
            let found = interval(settings.interval, settings.level, part(&estimate), &draws, &jackknife);
            intervals.extend(found.map(|found| (name, found)));
        }
        intervals
    }

    /// Of size, examples and loss at the minimum of the i-th budget; `product` is N D there. None where more resamples
    /// have no minimum than an interval leaves out.
    pub fn at_minimum(&self, i: usize, product: f64, level: f64) -> BTreeMap<&'static str, Interval> {
        let found: Vec<(f64, f64)> = self.draws.iter().filter_map(|draw| draw.minima[i]).collect();
        if (found.len() as f64) < level * self.draws.len() as f64 {
            return BTreeMap::new();
        }
        let of = |values: Vec<f64>| interval(IntervalKind::Percentile, level, 0.0, &values, &[]);
        let params = of(found.iter().map(|(ln_n, _)| ln_n.exp()).collect());
        let data = of(found.iter().map(|(ln_n, _)| product / ln_n.exp()).collect());
        let loss = of(found.iter().map(|(_, loss)| *loss).collect());
        let named = [("params", params), ("data", data), ("loss", loss)];
        named.into_iter().filter_map(|(name, interval)| Some((name, interval?))).collect()
    }
}

/// Trends with one run left out at a time.
fn left_out(budgets: &[Budget], profile: Profile) -> Option<Vec<Trend>> {
    let observations: Vec<usize> = budgets.iter().flat_map(|budget| budget.observations.clone()).collect();
    let without = |observation: usize| {
        let out = HashSet::from([observation]);
        let budgets: Vec<Budget> = budgets.iter().map(|budget| budget.without(&out)).collect();
        Some(draw(&budgets, profile)?.trend)
    };
    observations.into_par_iter().map(without).collect()
}
