//! Back-test: the largest scales are hidden, who leads there is decided from the small ones, and the decision is held
//! against what was measured.

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::fit::analysis::{Analysis, analyse};
use crate::fit::auto;
use crate::fit::compare::band::{Band, bands};
use crate::fit::compare::conclusion::Kind;
use crate::fit::compare::crossover::{Crossover, Root};
use crate::fit::compare::measured::Means;
use crate::fit::data::curve;
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::laws::{Domain, Law};
use crate::fit::settings::{Settings, in_pool};
use crate::fit::uncertainty::interval::needed;
use crate::point::{Axis, Point};

/// Resamples for each number of hidden scales.
const RESAMPLES: usize = 400;

/// How many numbers of hidden scales are tried, and at how many of the scales hidden a decision is made.
const MOST: usize = 6;

/// A decision that this share of the resamples agrees with is made with confidence.
const CONFIDENT: f64 = 0.95;

/// Which law a trial fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LawOfTrial {
    /// That of the settings.
    AsSet,
    /// Chosen from what the trial sees, as `--law auto` chooses it from everything: a law chosen with the hidden scales
    /// in sight would know them.
    ChosenAnew,
}

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Right,
    Wrong,
    /// The band of the extrapolated curves does not tell them apart there: nobody is said to lead.
    Undecided,
}

/// Who leads at a hidden scale, predicted and measured. Gaps are of log loss, a's less b's: negative where a leads.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub a: String,
    pub b: String,
    /// How many of the largest scales of each curve were hidden.
    pub hidden: usize,
    /// The largest scale that was seen.
    pub seen_to: f64,
    pub at: f64,
    #[serde(flatten, serialize_with = "leader_by_both_names")]
    pub predicted: String,
    /// Share of the resamples that predict the same; absent without resamples.
    pub confidence: Option<f64>,
    pub measured: String,
    #[serde(flatten, serialize_with = "gap_by_both_names")]
    pub predicted_gap: f64,
    pub measured_gap: f64,
    /// Whether the fitted curves alone name the right leader, told apart or not.
    pub right: bool,
    /// Absent without resamples.
    pub outcome: Option<Outcome>,
}

/// A crossover found without the largest scales, and the one found with them.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    pub a: String,
    pub b: String,
    pub hidden: usize,
    /// What is concluded of the pair at the scales that were seen, and at all.
    pub conclusion: Kind,
    pub conclusion_of_all: Kind,
    pub roots: Vec<Root>,
    /// Crossovers of the fits to everything, within the data.
    pub found: Vec<f64>,
    /// Whether as many were predicted up to the largest measured scale.
    pub same_count: bool,
    /// Largest factor between a found crossover and the nearest predicted one; absent without a pair of them.
    pub off_by: Option<f64>,
    /// Whether the interval of a predicted one holds each found one.
    pub held: Option<bool>,
}

/// One number of hidden scales.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    pub hidden: usize,
    pub law: &'static dyn Law,
}

/// The decisions where the band tells the curves apart, and those where it does not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    pub right: usize,
    pub wrong: usize,
    pub undecided: usize,
    /// As those of all decisions.
    pub mean_cost: Option<f64>,
    pub worst_cost: Option<f64>,
    /// Probability that no lead of any pair at any scale hidden in a trial is a false one, if the law holds.
    pub level: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Backtest {
    pub decisions: Vec<Decision>,
    pub crossovers: Vec<Predicted>,
    pub trials: Vec<Trial>,
    /// Whether each trial chose its law from what it saw.
    pub law_chosen_anew: bool,
    /// Absent without resamples.
    pub decided: Option<Decided>,
    /// Of all decisions, told apart or not: those that named the wrong leader.
    pub wrong: usize,
    /// Mean and largest excess of loss over the measured leader's where the decision was wrong, as a share of it.
    pub mean_cost: Option<f64>,
    pub worst_cost: Option<f64>,
    /// Of the decisions that at least 95% of the resamples shared: how many there were, and how many were wrong.
    pub confident: usize,
    pub confident_wrong: usize,
}

/// A decision's leader in JSON, as `predicted` and as `foretold`, which the first release called it.
fn leader_by_both_names<S: Serializer>(leader: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names<'a> {
        predicted: &'a str,
        foretold: &'a str,
    }
    Names { predicted: leader, foretold: leader }.serialize(serializer)
}

/// The same of its gap.
fn gap_by_both_names<S: Serializer>(gap: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names {
        predicted_gap: f64,
        foretold_gap: f64,
    }
    Names { predicted_gap: *gap, foretold_gap: *gap }.serialize(serializer)
}

/// Hides one, two, … of each curve's largest scales, as many as leave enough to fit, and decides anew each time.
/// `full` is the analysis of all points.
///
/// Errors: no pair of curves with a scale to spare.
pub fn backtest(
    points: &[Point],
    axis: Axis,
    full: &Analysis,
    settings: &Settings,
    law: LawOfTrial,
) -> Result<Backtest> {
    let settings =
        Settings { bootstrap: settings.bootstrap.min(RESAMPLES.max(needed(settings.level))), ..settings.clone() };
    let scale = Scale::Curve(axis);
    let measured: Vec<Measured> = curve::split(points, scale, settings.exclude_top_loss)
        .iter()
        .map(|curve| Measured { name: curve.name.clone(), means: Means::of(curve) })
        .collect();
    let need = match law {
        LawOfTrial::AsSet => settings.law.params().len() + 1,
        LawOfTrial::ChosenAnew => auto::fewest_scales(Domain::Curve, &settings),
    };
    let most = measured.iter().map(|curve| curve.means.scales()).max().unwrap_or(0);
    let without = |hidden: usize| {
        let seen = points.iter().filter(|point| measured.iter().any(|curve| curve.sees(point, axis, hidden)));
        let seen: Vec<Point> = seen.cloned().collect();
        match law {
            LawOfTrial::AsSet => analyse(&seen, scale, &settings).ok(),
            LawOfTrial::ChosenAnew => {
                let settings = Settings { threads: None, ..settings.clone() }; // those of the pool it runs in
                auto::fit_auto(&seen, axis, Domain::Curve, &settings).ok()
            }
        }
    };
    let analyses: Vec<(usize, Analysis)> = in_pool(settings.threads, || {
        let hide = evenly(most.saturating_sub(need));
        hide.into_par_iter().filter_map(|hidden| Some((hidden, without(hidden)?))).collect()
    })?;
    let (mut decisions, mut crossovers) = (Vec::new(), Vec::new());
    for (hidden, analysis) in &analyses {
        let hiding = Hiding { hidden: *hidden, analysis, measured: &measured, settings: &settings };
        decisions.extend(hiding.decisions());
        crossovers.extend(hiding.crossovers(full));
    }
    if decisions.is_empty() {
        let name = if law == LawOfTrial::AsSet { settings.law.name() } else { "a law chosen by its error" };
        return Err(Error::failed(format!(
            "nothing to test: two curves of {} scales are needed, {need} to fit {name} and one to hide",
            need + 1
        ))
        .hint("add scales to the sweep, or fit a law with fewer parameters: --law power"));
    }
    let law_of =
        |(hidden, analysis): &(usize, Analysis)| Some(Trial { hidden: *hidden, law: analysis.fits.first()?.law });
    let trials = analyses.iter().filter_map(law_of).collect();
    Ok(summary(decisions, crossovers, trials, law == LawOfTrial::ChosenAnew, settings.level))
}

/// At most `MOST` numbers from 1 to `last`, `last` among them.
fn evenly(last: usize) -> Vec<usize> {
    let count = last.min(MOST);
    (1..=count).map(|i| i * last / count).collect()
}

/// A curve as it was measured.
struct Measured {
    name: String,
    means: Means,
}

impl Measured {
    fn sees(&self, point: &Point, axis: Axis, hidden: usize) -> bool {
        let cut = self.means.ln_largest(hidden);
        point.curve == self.name && point.x(axis).zip(cut).is_some_and(|(x, cut)| x.ln() < cut)
    }
}

/// One number of hidden scales, with the analysis of what is left.
struct Hiding<'a> {
    hidden: usize,
    analysis: &'a Analysis,
    measured: &'a [Measured],
    settings: &'a Settings,
}

impl Hiding<'_> {
    fn means(&self, curve: &str) -> Option<&Means> {
        self.measured.iter().find(|measured| measured.name == curve).map(|measured| &measured.means)
    }

    /// Every pair of curves at each scale that was hidden from both.
    fn decisions(&self) -> Vec<Decision> {
        let fits = &self.analysis.fits;
        let pairs: Vec<(usize, usize)> =
            (0..fits.len()).flat_map(|a| (a + 1..fits.len()).map(move |b| (a, b))).collect();
        let bands = self.bands(&pairs);
        let of_pair = |(pair, band): (&(usize, usize), &Option<Band>)| {
            let (a, b) = (&fits[pair.0], &fits[pair.1]);
            let (Some(of_a), Some(of_b)) = (self.means(&a.curve), self.means(&b.curve)) else { return Vec::new() };
            self.decide((a, of_a), (b, of_b), band.as_ref())
        };
        pairs.iter().zip(&bands).flat_map(of_pair).collect()
    }

    /// The bands of the extrapolated curves over the scales that were hidden, simultaneous over them and all pairs.
    fn bands(&self, pairs: &[(usize, usize)]) -> Vec<Option<Band>> {
        let extrapolated = |fit: &Fit| {
            let means = self.means(&fit.curve);
            let hidden = means.and_then(|means| means.ln_largest(self.hidden).zip(means.ln_largest(1)));
            Fit { range: hidden.map_or(fit.range, |(first, last)| (first.exp(), last.exp())), ..fit.clone() }
        };
        let extrapolated: Vec<Fit> = self.analysis.fits.iter().map(extrapolated).collect();
        bands(&extrapolated, pairs, self.settings.level)
    }

    /// A decision at each scale that was hidden from both curves and that both were measured at or between.
    fn decide(&self, (a, of_a): (&Fit, &Means), (b, of_b): (&Fit, &Means), band: Option<&Band>) -> Vec<Decision> {
        let cuts = of_a.ln_largest(self.hidden).zip(of_b.ln_largest(self.hidden));
        let Some(cut) = cuts.map(|(s, t)| s.max(t)) else { return Vec::new() };
        let mut scales: Vec<f64> = of_a.ln_scales().chain(of_b.ln_scales()).filter(|x| *x >= cut).collect();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        let scales = evenly(scales.len()).into_iter().map(|number| scales[number - 1]);
        let leader = |gap: f64| if gap <= 0.0 { a.curve.clone() } else { b.curve.clone() };
        let decision = |ln_x: f64| {
            let measured_gap = of_a.ln_loss(ln_x)? - of_b.ln_loss(ln_x)?;
            let predicted_gap = a.ln_loss(ln_x) - b.ln_loss(ln_x);
            let pairs = a.draws.resamples.iter().zip(&b.draws.resamples);
            let gaps = pairs.filter_map(|(s, t)| Some(a.ln_loss_of(&(*s)?, ln_x) - b.ln_loss_of(&(*t)?, ln_x)));
            let same: Vec<bool> = gaps.map(|gap| (gap <= 0.0) == (predicted_gap <= 0.0)).collect();
            let right = leader(predicted_gap) == leader(measured_gap);
            Some(Decision {
                a: a.curve.clone(),
                b: b.curve.clone(),
                hidden: self.hidden,
                seen_to: a.range.1.max(b.range.1),
                at: ln_x.exp(),
                confidence: (!same.is_empty() && a.tested_at(ln_x) && b.tested_at(ln_x))
                    .then(|| same.iter().filter(|same| **same).count() as f64 / same.len() as f64),
                predicted: leader(predicted_gap),
                measured: leader(measured_gap),
                outcome: (self.settings.bootstrap > 0).then(|| {
                    match band.is_some_and(|band| tells_apart(band, ln_x)) {
                        false => Outcome::Undecided,
                        true if right => Outcome::Right,
                        true => Outcome::Wrong,
                    }
                }),
                right,
                predicted_gap,
                measured_gap,
            })
        };
        scales.filter_map(decision).collect()
    }

    fn crossovers(&self, full: &Analysis) -> Vec<Predicted> {
        let of_pair = |seen: &Crossover| {
            let full = full.crossovers.iter().find(|full| full.a == seen.a && full.b == seen.b)?;
            Some(predicted(seen, full, self.means(&seen.a)?.overlap(self.means(&seen.b)?), self.hidden))
        };
        self.analysis.crossovers.iter().filter_map(of_pair).collect()
    }
}

/// Whether the band lies off zero at ln x, its ends on straight lines between places of the grid.
fn tells_apart(band: &Band, ln_x: f64) -> bool {
    let Some(last) = band.ln_x.len().checked_sub(1) else { return false };
    let after = band.ln_x.partition_point(|t| *t < ln_x).min(last);
    let before = after.saturating_sub(1);
    let (left, right) = (band.ln_x[before], band.ln_x[after]);
    let share = if left < right { ((ln_x - left) / (right - left)).clamp(0.0, 1.0) } else { 1.0 };
    let between = |of: &[f64]| of[before] + share * (of[after] - of[before]);
    between(&band.gap).abs() > between(&band.margin)
}

/// `first` and `last` are ln of the smallest and the largest scale that both curves were measured at.
fn predicted(crossover: &Crossover, full: &Crossover, (first, last): (f64, f64), hidden: usize) -> Predicted {
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
    Predicted {
        a: crossover.a.clone(),
        b: crossover.b.clone(),
        hidden,
        conclusion: crossover.conclusion.kind,
        conclusion_of_all: full.conclusion.kind,
        same_count: count == found.len(),
        off_by: matched.iter().map(|(at, root)| (root.at / at).ln().abs().exp()).reduce(f64::max),
        held: (!found.is_empty() && crossover.probability_inside.is_some())
            .then(|| matched.len() == found.len() && matched.iter().all(holds)),
        roots: crossover.roots.clone(),
        found,
    }
}

fn summary(
    decisions: Vec<Decision>,
    crossovers: Vec<Predicted>,
    trials: Vec<Trial>,
    law_chosen_anew: bool,
    level: f64,
) -> Backtest {
    let costs = |wrong: &dyn Fn(&Decision) -> bool| -> Vec<f64> {
        decisions.iter().filter(|d| wrong(d)).map(|d| d.measured_gap.abs().exp_m1()).collect()
    };
    let mean = |costs: &[f64]| (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64);
    let worst = |costs: &[f64]| costs.iter().copied().reduce(f64::max);
    let count = |outcome: Outcome| decisions.iter().filter(|decision| decision.outcome == Some(outcome)).count();
    let (all, told) = (costs(&|decision| !decision.right), costs(&|d| d.outcome == Some(Outcome::Wrong)));
    let decided = Decided {
        right: count(Outcome::Right),
        wrong: told.len(),
        undecided: count(Outcome::Undecided),
        mean_cost: mean(&told),
        worst_cost: worst(&told),
        level,
    };
    let confident = || decisions.iter().filter(|decision| decision.confidence.is_some_and(|share| share >= CONFIDENT));
    Backtest {
        trials,
        law_chosen_anew,
        decided: decisions.iter().any(|decision| decision.outcome.is_some()).then_some(decided),
        wrong: all.len(),
        mean_cost: mean(&all),
        worst_cost: worst(&all),
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
        backtest(&points, Axis::Data, &full, &settings, LawOfTrial::AsSet).unwrap()
    }

    #[test]
    fn laws_that_hold_are_predicted_exactly() {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.powf(-0.35));
        let found = tested(a, b, 0.0);
        // Of 8 scales 1, 2, 3 or 4 are hidden, and each hidden one is decided.
        assert_eq!(found.decisions.len(), 1 + 2 + 3 + 4);
        assert_eq!((found.wrong, found.mean_cost, found.confident_wrong), (0, None, 0));
        for decision in &found.decisions {
            let gap = (a(decision.at) / b(decision.at)).ln();
            assert!((decision.measured_gap - gap).abs() < 1e-9, "{decision:?}");
            assert!((decision.predicted_gap - gap).abs() < 1e-4, "{decision:?}");
            assert_eq!(decision.predicted, if gap < 0.0 { "a" } else { "b" });
        }
        for predicted in &found.crossovers {
            assert!(predicted.same_count && predicted.off_by.unwrap() < 1.001, "{predicted:?}");
        }
    }

    #[test]
    fn a_law_that_breaks_is_predicted_wrongly_and_the_cost_is_counted() {
        // b goes flat where a would have been overtaken.
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.min(16000.0).powf(-0.35));
        let found = tested(a, b, 0.0);
        let blind: Vec<&Decision> = found.decisions.iter().filter(|decision| decision.hidden == 4).collect();
        assert!(blind.iter().any(|decision| !decision.right && decision.predicted == "b" && decision.at > 1e5));
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

    /// Two curves so near each other that nobody can say who leads: the fitted curves are right half of the time, and
    /// the band says so.
    #[test]
    fn where_the_band_does_not_tell_nothing_is_decided() {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.5 + 30.05 * x.powf(-0.5));
        let points = [planted("a", a, &XS, 2, 0.02, 3), planted("b", b, &XS, 2, 0.02, 4)].concat();
        let settings = Settings { bootstrap: 100, ..Settings::default() };
        let full = fit_curves(&points, Axis::Data, &settings).unwrap();
        let found = backtest(&points, Axis::Data, &full, &settings, LawOfTrial::AsSet).unwrap();
        let decided = found.decided.clone().unwrap();
        assert_eq!((decided.undecided, decided.right, decided.wrong, decided.mean_cost), (10, 0, 0, None), "{found:?}");
        assert!(found.wrong > 0, "the curves alone name somebody");
        assert!(found.crossovers.iter().all(|pair| pair.conclusion == Kind::NotToldApart));
        // Far apart, every one is decided, and right.
        let found = tested(a, |x: f64| 0.7 + 40.0 * x.powf(-0.5), 0.01);
        let decided = found.decided.unwrap();
        assert_eq!((decided.undecided, decided.right, decided.wrong, decided.level), (0, 10, 0, 0.95));
        assert!(found.crossovers.iter().all(|pair| pair.conclusion == Kind::LeadsThroughout));
        // Without resamples nothing is known of this.
        let settings = Settings { bootstrap: 0, ..settings };
        let full = fit_curves(&points, Axis::Data, &settings).unwrap();
        let found = backtest(&points, Axis::Data, &full, &settings, LawOfTrial::AsSet).unwrap();
        assert!(found.decided.is_none() && found.decisions.iter().all(|decision| decision.outcome.is_none()));
    }

    #[test]
    fn a_wrong_decision_counts_where_the_band_is_sure() {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.min(16000.0).powf(-0.35));
        let found = tested(a, b, 0.002);
        let wrong: Vec<&Decision> =
            found.decisions.iter().filter(|decision| decision.outcome == Some(Outcome::Wrong)).collect();
        let decided = found.decided.as_ref().unwrap();
        assert!(!wrong.is_empty() && wrong.iter().all(|decision| !decision.right && decision.predicted == "b"));
        assert_eq!((decided.wrong, decided.right + decided.wrong + decided.undecided), (wrong.len(), 10));
        let costs: Vec<f64> = wrong.iter().map(|decision| decision.measured_gap.abs().exp() - 1.0).collect();
        assert!((decided.mean_cost.unwrap() * costs.len() as f64 / costs.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_band_is_read_between_its_places() {
        let band = Band { ln_x: vec![0.0, 2.0, 4.0], gap: vec![1.0, 1.0, -1.0], margin: vec![2.0, 0.5, 0.5] };
        let told = [-1.0, 0.0, 1.0, 1.4, 2.0, 2.4, 3.0, 4.0, 5.0].map(|ln_x| tells_apart(&band, ln_x));
        assert_eq!(told, [false, false, false, true, true, true, false, true, true]);
        let one = Band { ln_x: vec![3.0], gap: vec![1.0], margin: vec![0.5] };
        assert!(tells_apart(&one, 3.0) && !tells_apart(&Band { ln_x: vec![], gap: vec![], margin: vec![] }, 3.0));
    }

    /// Curves that bend where they are hidden: with everything in sight another law is chosen than without.
    #[test]
    fn the_law_is_chosen_from_what_is_seen() {
        let xs: Vec<f64> = (0..9).map(|i| 250.0 * 3f64.powi(i)).collect();
        let bent = |e: f64| move |x: f64| (e + 7.0 * x.powf(-0.3)) * (1.0 + (x / 3e4).powi(2)).powf(-0.2);
        let points = [planted("a", bent(0.0), &xs, 2, 0.001, 3), planted("b", bent(0.1), &xs, 2, 0.001, 3)].concat();
        let settings = Settings { bootstrap: 0, ..Settings::default() };
        let full = auto::fit_auto(&points, Axis::Data, Domain::Curve, &settings).unwrap();
        let settings = Settings { law: full.fits[0].law, ..settings };
        let found = backtest(&points, Axis::Data, &full, &settings, LawOfTrial::ChosenAnew).unwrap();
        assert!(found.law_chosen_anew && found.trials.len() == 5, "{:?}", found.trials);
        for trial in &found.trials {
            let seen: Vec<Point> =
                points.iter().filter(|point| point.data.unwrap() < xs[9 - trial.hidden]).cloned().collect();
            let alone = auto::fit_auto(&seen, Axis::Data, Domain::Curve, &settings).unwrap();
            assert_eq!(trial.law.name(), alone.fits[0].law.name(), "{} hidden", trial.hidden);
            for decision in found.decisions.iter().filter(|decision| decision.hidden == trial.hidden) {
                let gap = alone.fits[0].ln_loss(decision.at.ln()) - alone.fits[1].ln_loss(decision.at.ln());
                assert!((decision.predicted_gap - gap).abs() < 1e-12);
            }
        }
        assert!(found.trials.iter().any(|trial| trial.law.name() != settings.law.name()), "{:?}", found.trials);
    }

    #[test]
    fn json_says_predicted_and_for_one_release_foretold() {
        let found = tested(|x| 0.5 + 30.0 * x.powf(-0.5), |x| 0.3 + 15.0 * x.powf(-0.35), 0.01);
        let json = serde_json::to_value(&found).unwrap();
        let decision = &json["decisions"][0];
        assert!(decision["predicted"].is_string() && decision["predicted_gap"].is_number());
        assert_eq!(
            (&decision["predicted"], &decision["predicted_gap"]),
            (&decision["foretold"], &decision["foretold_gap"])
        );
        assert!(["right", "wrong", "undecided"].contains(&decision["outcome"].as_str().unwrap()));
        assert_eq!((&json["trials"][0]["law"], &json["decided"]["level"]), (&"power-floor".into(), &0.95.into()));
    }

    #[test]
    fn too_few_scales_are_refused() {
        let points = [planted("a", |x| 1.0 / x, &XS[..4], 2, 0.01, 3), planted("b", |x| 2.0 / x, &XS[..4], 2, 0.01, 3)];
        let settings = Settings { bootstrap: 0, ..Settings::default() };
        let full = fit_curves(&points.concat(), Axis::Data, &settings).unwrap();
        let error = backtest(&points.concat(), Axis::Data, &full, &settings, LawOfTrial::AsSet).unwrap_err();
        assert_eq!(
            error.message,
            "nothing to test: two curves of 5 scales are needed, 4 to fit power-floor and one to hide"
        );
        // Of the four that a law of two parameters needs, one is hidden to judge it.
        let error = backtest(&points.concat(), Axis::Data, &full, &settings, LawOfTrial::ChosenAnew).unwrap_err();
        assert_eq!(
            error.message,
            "nothing to test: two curves of 5 scales are needed, 4 to fit a law chosen by its error and one to hide"
        );
    }
}
