//! One fit: the estimate, its intervals, what went in, and what to be wary of.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fit::compare::measured::Means;
use crate::fit::data::curve::Curve;
use crate::fit::data::origin::Origin;
use crate::fit::data::scale::{Dropped, Scale};
use crate::fit::laws::fixed::Fix;
use crate::fit::laws::law::{Law, Theta};
use crate::fit::settings::Settings;
use crate::fit::solve::objective::Objective;
use crate::fit::uncertainty::bootstrap::{Draws, Resampling};
use crate::fit::uncertainty::interval::{Interval, IntervalKind, interval, quantile};
use crate::fit::uncertainty::support::Support;
use crate::fit::verdict::Verdict;

/// Where a fit came from, enough to make it again.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    pub version: &'static str,
    pub seed: u64,
    /// Resamples asked for.
    pub bootstrap: usize,
    pub resampling: Option<Resampling>,
    /// The kind of the intervals as they were made; where a verdict says `percentile-instead`, not of those it names.
    pub interval: IntervalKind,
    pub level: f64,
    /// Largest losses left out of each curve.
    pub exclude_top_loss: usize,
    /// Parameters that were given a value or held equal to others, as they were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<Fix>,
    /// The file or the sweep that the points were read from, as `file` or `sweep`.
    #[serde(flatten)]
    pub origin: Option<Origin>,
    /// Sources of the points used (run ids), where they came from the store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

/// A law fitted to one curve.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub law: &'static dyn Law,
    pub formula: &'static str,
    pub x: Scale,
    /// The law's parameters by name, and what follows from them.
    pub params: BTreeMap<&'static str, f64>,
    pub intervals: BTreeMap<&'static str, Interval>,
    pub objective: f64,
    pub objective_kind: Objective,
    pub points_used: usize,
    pub points_dropped: Vec<Dropped>,
    pub verdicts: Vec<Verdict>,
    /// Root mean squared residual of log loss on the largest scales, fitted without them.
    pub holdout_rmse: Option<f64>,
    pub converged: bool,
    /// Share of the starts that reached this minimum.
    pub starts_agree: f64,
    /// Smallest and largest scale of the points used (of the parameters, for a surface).
    pub range: (f64, f64),
    pub provenance: Provenance,
    /// The same of each of the law's scales, in their logarithms.
    #[serde(skip)]
    pub ln_ranges: [(f64, f64); 3],
    #[serde(skip)]
    pub theta: Theta,
    #[serde(skip)]
    pub draws: Draws,
    /// On how many runs it rests, where several checkpoints are of one.
    #[serde(skip)]
    pub support: Support,
    /// What was measured, without the law.
    #[serde(skip)]
    pub means: Means,
}

impl Fit {
    /// The fitted loss at a scale. For curves.
    pub fn predict(&self, x: f64) -> f64 {
        self.ln_loss(x.ln()).exp()
    }

    /// The fitted loss at N parameters and D examples. For surfaces.
    pub fn predict_surface(&self, params: f64, data: f64) -> f64 {
        self.law.ln_loss(&self.theta, &[params.ln(), data.ln(), 0.0], &mut Theta::default()).exp()
    }

    /// The pointwise interval of the fitted loss at a scale; the estimate itself where nothing is tested.
    pub fn band(&self, x: f64) -> (f64, f64) {
        let mut losses: Vec<f64> =
            self.draws.resamples.iter().flatten().map(|theta| self.ln_loss_of(theta, x.ln())).collect();
        if losses.is_empty() || !self.tested_at(x.ln()) {
            return (self.predict(x), self.predict(x));
        }
        losses.sort_by(f64::total_cmp);
        let tail = (1.0 - self.provenance.level) / 2.0;
        (quantile(&losses, tail).exp(), quantile(&losses, 1.0 - tail).exp())
    }

    /// ln of the fitted loss at ln x.
    pub fn ln_loss(&self, ln_x: f64) -> f64 {
        self.ln_loss_of(&self.theta, ln_x)
    }

    /// The same for other parameters, as those of a resample.
    pub fn ln_loss_of(&self, theta: &Theta, ln_x: f64) -> f64 {
        self.law.ln_loss(theta, &[ln_x, 0.0, 0.0], &mut Theta::default())
    }

    /// Whether the resamples tell how far the curve may lie off there.
    pub fn tested_at(&self, ln_x: f64) -> bool {
        self.support.holds_at(self.law, &self.theta, ln_x)
    }

    /// Whether nothing of it is tested, for want of runs.
    pub fn untested(&self) -> bool {
        self.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Untested { from: None, .. }))
    }

    /// Names of the parameters and derived quantities, in the law's order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        named(self.law, &self.theta).into_iter().map(|(name, _)| name)
    }

    /// Whether every exponent is known well enough for its interval to be believed.
    pub fn identified(&self) -> bool {
        self.verdicts.contains(&Verdict::Identified)
    }
}

/// The law's parameters and derived quantities at `theta`, by name, in the law's order.
pub fn named(law: &dyn Law, theta: &Theta) -> Vec<(&'static str, f64)> {
    law.named(theta)
}

/// Intervals of all that `named` gives, but for what `--fix` gave a value and what too few runs hold.
pub fn intervals(
    law: &dyn Law,
    best: &Theta,
    (draws, support): (&Draws, &Support),
    kind: IntervalKind,
    level: f64,
) -> BTreeMap<&'static str, Interval> {
    let columns = |thetas: &[Option<Theta>], i: usize| -> Vec<f64> {
        thetas.iter().flatten().map(|theta| named(law, theta)[i].1).collect()
    };
    let mut intervals = BTreeMap::new();
    let given = law.given();
    for (i, (name, value)) in named(law, best).into_iter().enumerate().filter(|(_, (name, _))| !given.contains(name)) {
        if !support.tells(best, &|theta| named(law, theta)[i].1) {
            continue;
        }
        let found = interval(kind, level, value, &columns(&draws.resamples, i), &columns(&draws.jackknife, i));
        intervals.extend(found.map(|found| (name, found)));
    }
    intervals
}

/// The kind of these intervals: BCa where any is. As asked for where there is none.
pub fn applied(intervals: &BTreeMap<&'static str, Interval>, asked: IntervalKind) -> IntervalKind {
    if intervals.is_empty() || intervals.values().any(|interval| interval.kind == asked) {
        asked
    } else {
        IntervalKind::Percentile
    }
}

pub fn provenance(
    curve: &Curve,
    resampling: Option<Resampling>,
    interval: IntervalKind,
    settings: &Settings,
) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION"),
        seed: settings.seed,
        bootstrap: settings.bootstrap,
        resampling,
        interval,
        level: settings.level,
        exclude_top_loss: settings.exclude_top_loss,
        fixed: settings.fixed.clone(),
        origin: settings.origin.clone(),
        runs: if matches!(settings.origin, Some(Origin::File(_))) { Vec::new() } else { curve.runs() },
    }
}
