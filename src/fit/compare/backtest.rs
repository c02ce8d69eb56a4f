//! Back-test: the largest scales are hidden, who leads there is decided from the small ones, and the decision is held
//! against what was measured.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::analysis::{Analysis, analyse};
use crate::fit::compare::crossover::{Crossover, Root};
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::settings::{Settings, in_pool};
use crate::fit::uncertainty::interval::needed;
use crate::point::{Axis, Point};

/// Resamples for each number of hidden scales.
const RESAMPLES: usize = 400;

/// How many numbers of hidden scales are tried, and at how many of the scales hidden a decision is made.
const MOST: usize = 6;

/// A decision that this share of the resamples agrees with is made with confidence.
const CONFIDENT: f64 = 0.95;

/// Who leads at a hidden scale, foretold and measured. Gaps are of log loss, a's less b's: negative where a leads.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub a: String,
    pub b: String,
    /// How many of the largest scales of each curve were hidden.
    pub hidden: usize,
    /// The largest scale that was seen.
    pub seen_to: f64,
    pub at: f64,
    pub foretold: String,
    /// Share of the resamples that foretell the same; absent without resamples.
    pub confidence: Option<f64>,
    pub measured: String,
    pub foretold_gap: f64,
    pub measured_gap: f64,
    pub right: bool,
}

/// A crossover found without the largest scales, and the one found with them.
#[derive(Clone, Debug, Serialize)]
pub struct Foretold {
    pub a: String,
    pub b: String,
    pub hidden: usize,
    pub roots: Vec<Root>,
    /// Crossovers of the fits to everything, within the data.
    pub found: Vec<f64>,
    /// Whether as many were foretold up to the largest measured scale.
    pub same_count: bool,
    /// Largest factor between a found crossover and the nearest foretold one; absent without a pair of them.
    pub off_by: Option<f64>,
    /// Whether the interval of a foretold one holds each found one.
    pub held: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Backtest {
    pub decisions: Vec<Decision>,
    pub crossovers: Vec<Foretold>,
    /// Decisions that named the wrong leader.
    pub wrong: usize,
    /// Mean and largest excess of loss over the measured leader's where the decision was wrong, as a share of it.
    pub mean_cost: Option<f64>,
    pub worst_cost: Option<f64>,
    /// Of the decisions that at least 95% of the resamples shared: how many there were, and how many were wrong.
    pub confident: usize,
    pub confident_wrong: usize,
}

/// Hides one, two, … of each curve's largest scales, as many as leave enough to fit, and decides anew each time.
/// `full` is the analysis of all points.
///
/// Errors: no pair of curves with a scale to spare.
pub fn backtest(points: &[Point], axis: Axis, full: &Analysis, settings: &Settings) -> Result<Backtest> {
    let settings =
        Settings { bootstrap: settings.bootstrap.min(RESAMPLES.max(needed(settings.level))), ..settings.clone() };
    let scale = Scale::Curve(axis);
    let measured: Vec<Measured> =
        curve::split(points, scale, settings.exclude_top_loss).iter().map(Measured::of).collect();
    let most = measured.iter().map(|curve| curve.means.len()).max().unwrap_or(0);
    let hide = evenly(most.saturating_sub(settings.law.params().len() + 1));
    let without = |hidden: usize| {
        let seen = points.iter().filter(|point| measured.iter().any(|curve| curve.sees(point, axis, hidden)));
        analyse(&seen.cloned().collect::<Vec<_>>(), scale, &settings).ok()
    };
    let trials: Vec<(usize, Analysis)> = in_pool(settings.threads, || {
        hide.into_par_iter().filter_map(|hidden| Some((hidden, without(hidden)?))).collect()
    })?;
    let (mut decisions, mut crossovers) = (Vec::new(), Vec::new());
    for (hidden, analysis) in &trials {
        for crossover in &analysis.crossovers {
            let fit = |name: &str| analysis.fits.iter().find(|fit| fit.curve == name);
            let means = |name: &str| measured.iter().find(|curve| curve.name == name);
            let (Some(a), Some(b)) = (fit(&crossover.a), fit(&crossover.b)) else { continue };
            let (Some(of_a), Some(of_b)) = (means(&crossover.a), means(&crossover.b)) else { continue };
            decisions.extend(decide((a, of_a), (b, of_b), *hidden));
            let found = full.crossovers.iter().find(|full| full.a == crossover.a && full.b == crossover.b);
            crossovers.extend(found.map(|found| foretold(crossover, found, of_a.overlap(of_b), *hidden)));
        }
    }
    if decisions.is_empty() {
        let (law, params) = (settings.law.name(), settings.law.params().len());
        return Err(Error::failed(format!(
            "nothing to test: two curves of {} scales are needed, {} to fit {law} and one to hide",
            params + 2,
            params + 1
        ))
        .hint("add scales to the sweep, or fit a law with fewer parameters: --law power"));
    }
    Ok(summary(decisions, crossovers))
}

/// At most `MOST` numbers from 1 to `last`, `last` among them.
fn evenly(last: usize) -> Vec<usize> {
    let count = last.min(MOST);
    (1..=count).map(|i| i * last / count).collect()
}

/// The mean log loss at each scale of a curve, in order of scale.
struct Measured {
    name: String,
    means: Vec<(f64, f64)>,
}

impl Measured {
    fn of(curve: &Curve) -> Self {
        let mut cells: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
        for (x, y) in curve.sample.ln_x.iter().zip(&curve.sample.ln_y) {
            let cell = cells.entry(x[0].to_bits()).or_insert((x[0], 0.0, 0.0));
            (cell.1, cell.2) = (cell.1 + y, cell.2 + 1.0);
        }
        let mut means: Vec<(f64, f64)> = cells.into_values().map(|(x, sum, count)| (x, sum / count)).collect();
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { name: curve.name.clone(), means }
    }

    /// The first of the `hidden` largest scales.
    fn cut(&self, hidden: usize) -> Option<f64> {
        Some(self.means.get(self.means.len().checked_sub(hidden)?)?.0)
    }

    fn sees(&self, point: &Point, axis: Axis, hidden: usize) -> bool {
        let cut = self.cut(hidden);
        point.curve == self.name && point.x(axis).zip(cut).is_some_and(|(x, cut)| x.ln() < cut)
    }

    /// The scales that both were measured at or between, in ln.
    fn overlap(&self, other: &Measured) -> (f64, f64) {
        let ends =
            |curve: &Measured| curve.means.first().zip(curve.means.last()).map(|(first, last)| (first.0, last.0));
        match (ends(self), ends(other)) {
            (Some(one), Some(two)) => (one.0.max(two.0), one.1.min(two.1)),
            _ => (f64::INFINITY, f64::NEG_INFINITY),
        }
    }

    /// Log loss at a scale: what was measured there, else on the straight line between the scales beside it.
    fn ln_loss(&self, ln_x: f64) -> Option<f64> {
        let above = self.means.iter().position(|(x, _)| *x >= ln_x)?;
        let (right, high) = self.means[above];
        if right == ln_x {
            return Some(high);
        }
        let (left, low) = *self.means.get(above.checked_sub(1)?)?;
        Some(low + (high - low) * (ln_x - left) / (right - left))
    }
}

/// A decision at each scale that was hidden from both curves and that both were measured at or between.
fn decide((a, of_a): (&Fit, &Measured), (b, of_b): (&Fit, &Measured), hidden: usize) -> Vec<Decision> {
    let Some(cut) = of_a.cut(hidden).zip(of_b.cut(hidden)).map(|(s, t)| s.max(t)) else { return Vec::new() };
    let mut scales: Vec<f64> = of_a.means.iter().chain(&of_b.means).map(|(x, _)| *x).filter(|x| *x >= cut).collect();
    scales.sort_by(f64::total_cmp);
    scales.dedup();
    let scales = evenly(scales.len()).into_iter().map(|number| scales[number - 1]);
    let leader = |gap: f64| if gap <= 0.0 { a.curve.clone() } else { b.curve.clone() };
    let decision = |ln_x: f64| {
        let measured_gap = of_a.ln_loss(ln_x)? - of_b.ln_loss(ln_x)?;
        let foretold_gap = a.ln_loss(ln_x) - b.ln_loss(ln_x);
        let pairs = a.draws.resamples.iter().zip(&b.draws.resamples);
        let gaps = pairs.filter_map(|(s, t)| Some(a.ln_loss_of(&(*s)?, ln_x) - b.ln_loss_of(&(*t)?, ln_x)));
        let same: Vec<bool> = gaps.map(|gap| (gap <= 0.0) == (foretold_gap <= 0.0)).collect();
        Some(Decision {
            a: a.curve.clone(),
            b: b.curve.clone(),
            hidden,
            seen_to: a.range.1.max(b.range.1),
            at: ln_x.exp(),
            confidence: (!same.is_empty())
                .then(|| same.iter().filter(|same| **same).count() as f64 / same.len() as f64),
            foretold: leader(foretold_gap),
            measured: leader(measured_gap),
            right: leader(foretold_gap) == leader(measured_gap),
            foretold_gap,
            measured_gap,
        })
    };
    scales.filter_map(decision).collect()
}

/// `first` and `last` are ln of the smallest and the largest scale that both curves were measured at.
fn foretold(crossover: &Crossover, full: &Crossover, (first, last): (f64, f64), hidden: usize) -> Foretold {
    let found: Vec<f64> = full.roots.iter().filter(|root| root.inside_data).map(|root| root.at).collect();
    let inside = |root: &&Root| (first..=last).contains(&root.at.ln());
    let count = crossover.roots.iter().filter(inside).count();
    let nearest = |at: &f64| {
        let factor = |root: &&Root| (root.at / at).ln().abs();
        crossover.roots.iter().min_by(|r, s| factor(r).total_cmp(&factor(s)))
    };
    let matched: Vec<(f64, &Root)> = found.iter().filter_map(|at| Some((*at, nearest(at)?))).collect();
    let holds =
        |(at, root): &(f64, &Root)| root.low.is_none_or(|low| low <= *at) && root.high.is_none_or(|high| *at <= high);
    Foretold {
        a: crossover.a.clone(),
        b: crossover.b.clone(),
        hidden,
        same_count: count == found.len(),
        off_by: matched.iter().map(|(at, root)| (root.at / at).ln().abs().exp()).reduce(f64::max),
        held: (!found.is_empty() && crossover.probability_inside.is_some())
            .then(|| matched.len() == found.len() && matched.iter().all(holds)),
        roots: crossover.roots.clone(),
        found,
    }
}

fn summary(decisions: Vec<Decision>, crossovers: Vec<Foretold>) -> Backtest {
    let costs: Vec<f64> = decisions.iter().filter(|d| !d.right).map(|d| d.measured_gap.abs().exp_m1()).collect();
    let confident = || decisions.iter().filter(|decision| decision.confidence.is_some_and(|share| share >= CONFIDENT));
    Backtest {
        wrong: costs.len(),
        mean_cost: (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64),
        worst_cost: costs.iter().copied().reduce(f64::max),
        confident: confident().count(),
        confident_wrong: confident().filter(|decision| !decision.right).count(),
        decisions,
        crossovers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit_curves;
    use crate::fit::tests::planted;

    const XS: [f64; 8] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0, 1_024_000.0, 4_096_000.0];

    fn tested(a: impl Fn(f64) -> f64, b: impl Fn(f64) -> f64, sigma: f64) -> Backtest {
        let points = [planted("a", a, &XS, 2, sigma, 3), planted("b", b, &XS, 2, sigma, 3)].concat();
        let settings = Settings { bootstrap: 100, ..Settings::default() };
        let full = fit_curves(&points, Axis::Data, &settings).unwrap();
        backtest(&points, Axis::Data, &full, &settings).unwrap()
    }

    #[test]
    fn laws_that_hold_are_foretold_exactly() {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.powf(-0.35));
        let found = tested(a, b, 0.0);
        // Of 8 scales 1, 2, 3 or 4 are hidden, and each hidden one is decided.
        assert_eq!(found.decisions.len(), 1 + 2 + 3 + 4);
        assert_eq!((found.wrong, found.mean_cost, found.confident_wrong), (0, None, 0));
        for decision in &found.decisions {
            let gap = (a(decision.at) / b(decision.at)).ln();
            assert!((decision.measured_gap - gap).abs() < 1e-9, "{decision:?}");
            assert!((decision.foretold_gap - gap).abs() < 1e-4, "{decision:?}");
            assert_eq!(decision.foretold, if gap < 0.0 { "a" } else { "b" });
        }
        for foretold in &found.crossovers {
            assert!(foretold.same_count && foretold.off_by.unwrap() < 1.001, "{foretold:?}");
        }
    }

    #[test]
    fn a_law_that_breaks_is_foretold_wrongly_and_the_cost_is_counted() {
        // b goes flat where a would have been overtaken.
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.min(16000.0).powf(-0.35));
        let found = tested(a, b, 0.0);
        let blind: Vec<&Decision> = found.decisions.iter().filter(|decision| decision.hidden == 4).collect();
        assert!(blind.iter().any(|decision| !decision.right && decision.foretold == "b" && decision.at > 1e5));
        let costs: Vec<f64> =
            found.decisions.iter().filter(|decision| !decision.right).map(|d| b(d.at) / a(d.at) - 1.0).collect();
        assert_eq!(costs.len(), found.wrong);
        let mean = costs.iter().sum::<f64>() / costs.len() as f64;
        assert!((found.mean_cost.unwrap() / mean - 1.0).abs() < 1e-6, "{found:?}");
        assert!(found.confident_wrong > 0 && found.confident_wrong <= found.confident);
    }

    #[test]
    fn of_many_a_few_are_taken_evenly() {
        assert_eq!(evenly(0), Vec::<usize>::new());
        assert_eq!(evenly(4), [1, 2, 3, 4]);
        assert_eq!(evenly(500_000), [83_333, 166_666, 250_000, 333_333, 416_666, 500_000]);
    }

    #[test]
    fn losses_between_scales_lie_on_the_line_between() {
        let of = Measured { name: "a".into(), means: vec![(0.0, 1.0), (2.0, 0.0)] };
        assert_eq!([-1.0, 0.0, 0.5, 2.0, 2.5].map(|x| of.ln_loss(x)), [None, Some(1.0), Some(0.75), Some(0.0), None]);
    }

    #[test]
    fn too_few_scales_are_refused() {
        let points = [planted("a", |x| 1.0 / x, &XS[..4], 2, 0.01, 3), planted("b", |x| 2.0 / x, &XS[..4], 2, 0.01, 3)];
        let settings = Settings { bootstrap: 0, ..Settings::default() };
        let full = fit_curves(&points.concat(), Axis::Data, &settings).unwrap();
        let error = backtest(&points.concat(), Axis::Data, &full, &settings).unwrap_err();
        assert_eq!(
            error.message,
            "nothing to test: two curves of 5 scales are needed, 4 to fit power-floor and one to hide"
        );
    }
}
