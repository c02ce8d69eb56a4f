//! What a fit says beside its numbers: why a curve was refused, and what weakens a fit that was made.

use std::fmt;

use serde::Serialize;

use crate::units::{brief, si};

/// What a reader must know before believing a fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// The data hold every exponent within a factor that its interval tells honestly.
    Identified,
    /// A flat valley: the interval of this exponent spans nearly anything, as when the curve has not yet bent towards
    /// its floor and a low floor with a small exponent fits as well as a high floor with a large one.
    Unidentified {
        param: String,
        low: f64,
        high: f64,
    },
    /// As many parameters as runs, or more: the checkpoints of a run do not tell how far another run would lie off.
    FewRuns {
        runs: usize,
        need: usize,
    },
    /// Nothing is tested, for all of the curve or between these scales: fewer runs than `need` hold it there, and a run
    /// does not tell how far another would lie off.
    Untested {
        runs: usize,
        need: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<f64>,
    },
    /// Neighbouring rows miss the curve alike, and each counts as a run of its own (lag-one correlation of residuals).
    Serial {
        correlation: f64,
    },
    /// The best value lies on the edge of what is allowed: a floor of zero, a flat or a rising curve.
    AtBound {
        param: String,
        value: f64,
    },
    /// One seed per scale: the noise is judged from the scatter about the curve alone.
    OneSeed,
    /// The curve misses the means of the cells by more than the seeds scatter (F test of lack of fit).
    LackOfFit {
        p_value: f64,
    },
    /// One point lies so far from the curve of all others that chance does not explain it (t test of the largest
    /// externally studentised residual, Bonferroni over the points).
    Outlier {
        point: String,
        p_value: f64,
    },
    /// Points that repeat another in scale, seed and loss. They count as runs of their own; if they are copies, the
    /// intervals are too narrow.
    Repeated {
        points: usize,
    },
    /// Points whose tuned values (learning rate, …) are the smallest or largest tried: the best may lie beyond, and the
    /// curve too high.
    TunedAtEdge {
        keys: Vec<String>,
        points: usize,
        of: usize,
    },
    /// The best of several sizes stands for the curve, and which it is goes back and forth along the scale: the choice
    /// is noise. From each of `scales` on the size with so many `params` is the best.
    SizesFlip {
        scales: Vec<f64>,
        params: Vec<f64>,
    },
    /// Points chosen because their loss is low: the fitted frontier lies too low by about the size of the noise.
    ChosenForLowLoss {
        points: usize,
        of: usize,
    },
    /// Profiles without a minimum among the sizes measured; the exponent rests on the others.
    NonInterior {
        budgets: usize,
        of: usize,
    },
    /// Parabolas that miss the losses by more than neighbouring sizes scatter (F test): their minima are off, and the
    /// interval holds their noise alone.
    ParabolaMisfit {
        p_value: f64,
    },
    /// Runs that lie far above their profile, left out.
    OffProfile {
        points: usize,
        of: usize,
    },
    /// A crossover where nobody has measured both curves: only the laws say so.
    Extrapolation,
    /// A crossover of which one curve has no identified exponent: its interval may be too narrow.
    RestsOn {
        #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
        curve: String,
    },
    /// A crossover whose interval has no end on one side.
    OpenEnded,
    /// A lead of the fitted curve that the measured means contradict between these scales; it is not called.
    MeansContradict {
        from: f64,
        to: f64,
    },
    /// An established crossover, at `fitted`, and the crossing of the measured means lie apart; `at` is absent where
    /// the means have none.
    MeasuredElsewhere {
        fitted: f64,
        at: Option<f64>,
    },
    /// No resamples were asked for, or none could be fitted: nothing is tested.
    NoResamples,
    /// Fewer than half of the starts reached the best minimum.
    StartsDisagree {
        share: f64,
    },
    NotConverged,
    /// Resamples for which no fit was found; the intervals leave them out.
    FailedResamples {
        share: f64,
    },
    /// BCa was asked for, and the intervals of these are percentile ones: the fits with one run left out are not made
    /// (one-step, profiles), are missing, or do not tell the skew.
    PercentileInstead {
        of: Vec<String>,
    },
}

impl Verdict {
    /// Whether a conclusion about a curve beside another is weaker for it.
    pub fn bears_on_comparison(&self) -> bool {
        matches!(
            self,
            Verdict::Unidentified { .. }
                | Verdict::FewRuns { .. }
                | Verdict::Untested { .. }
                | Verdict::Serial { .. }
                | Verdict::OneSeed
                | Verdict::LackOfFit { .. }
                | Verdict::Outlier { .. }
                | Verdict::Repeated { .. }
                | Verdict::TunedAtEdge { .. }
                | Verdict::SizesFlip { .. }
                | Verdict::ChosenForLowLoss { .. }
                | Verdict::NotConverged
        )
    }

    /// The verdict in the fewest words, for a table.
    pub fn brief(&self) -> String {
        match self {
            Verdict::Identified => "identified".into(),
            Verdict::Unidentified { param, .. } => format!("{param} not identified"),
            Verdict::FewRuns { .. } => "few runs".into(),
            Verdict::Untested { from: Some(from), to: Some(to), .. } => {
                format!("too few runs from {} to {}", si(*from), si(*to))
            }
            Verdict::Untested { need, .. } if *need > 2 => "too few runs".into(),
            Verdict::Untested { .. } => "one run".into(),
            Verdict::Serial { .. } => "serial".into(),
            Verdict::AtBound { param, .. } => format!("{param} at bound"),
            Verdict::OneSeed => "one seed".into(),
            Verdict::LackOfFit { .. } => "law misfits".into(),
            Verdict::Outlier { .. } => "outlier".into(),
            Verdict::Repeated { .. } => "repeated points".into(),
            Verdict::TunedAtEdge { keys, .. } => format!("{} at edge", keys.join(", ")),
            Verdict::SizesFlip { .. } => "sizes flip".into(),
            Verdict::ChosenForLowLoss { .. } => "chosen for low loss".into(),
            Verdict::NonInterior { .. } => "minima outside".into(),
            Verdict::ParabolaMisfit { .. } => "parabolas misfit".into(),
            Verdict::OffProfile { .. } => "runs off profile".into(),
            Verdict::Extrapolation => "extrapolated".into(),
            Verdict::RestsOn { curve } => format!("rests on {curve}"),
            Verdict::OpenEnded => "open-ended".into(),
            Verdict::MeansContradict { .. } => "means contradict the law".into(),
            Verdict::MeasuredElsewhere { .. } => "means cross elsewhere".into(),
            Verdict::NoResamples => "not tested".into(),
            Verdict::StartsDisagree { .. } => "starts disagree".into(),
            Verdict::NotConverged => "not converged".into(),
            Verdict::FailedResamples { .. } => "failed resamples".into(),
            Verdict::PercentileInstead { .. } => "not BCa".into(),
        }
    }
}

impl Verdict {
    /// What it is about, the same for every curve of which it is told, and what is particular to one.
    pub fn note(&self) -> (String, String) {
        let of = |points: &usize, of: &usize| format!("{points} of {of} points");
        let (subject, detail): (&str, String) = match self {
            Verdict::Identified => ("identified", String::new()),
            Verdict::Unidentified { param, low, high } => {
                return (format!("{param} is not identified"), format!("{} to {}", si(*low), si(*high)));
            }
            Verdict::AtBound { param, value } => return (format!("{param} is at its bound"), brief(*value)),
            Verdict::FewRuns { runs, need } => {
                ("too few runs to tell their noise", format!("{runs}; {need} are needed"))
            }
            Verdict::Untested { need, from, to, .. } => {
                let held =
                    if *need > 2 { format!("fewer than {need} runs hold it") } else { "one run holds it".into() };
                let whole = format!("{held}: no interval and no lead, until there are others (add seeds)");
                return match from.zip(*to) {
                    Some((from, to)) => (format!("{held} there{}", &whole[held.len()..]), span(from, to)),
                    None => (whole, String::new()),
                };
            }
            Verdict::Serial { correlation } => (
                "neighbouring rows miss the curve alike: checkpoints (--column run=COLUMN), or a wrong law",
                format!("correlation {correlation:.2}"),
            ),
            Verdict::OneSeed => ("one seed a scale, noise judged from the scatter about the curve", String::new()),
            Verdict::LackOfFit { p_value } => {
                ("the law misses the cell means by more than the seeds scatter", format!("p = {p_value:.1e}"))
            }
            Verdict::Outlier { point, p_value } => {
                ("outlier (--exclude-top-loss leaves out the largest losses)", format!("{point}, p = {p_value:.1e}"))
            }
            Verdict::Repeated { points } => ("points that repeat another exactly", points.to_string()),
            Verdict::TunedAtEdge { keys, points, of: all } => {
                return (format!("{} chosen at the edge of its grid", keys.join(", ")), of(points, all));
            }
            Verdict::ChosenForLowLoss { points, of: all } => ("chosen for their low loss", of(points, all)),
            Verdict::NonInterior { budgets, of } => {
                ("budgets without a minimum among the sizes measured", format!("{budgets} of {of}"))
            }
            Verdict::ParabolaMisfit { p_value } => (
                "parabolas miss the losses by more than neighbouring sizes scatter, which their interval leaves out \
                 (--law isoflop-akima, or sizes nearer to the minima)",
                format!("p = {p_value:.1e}"),
            ),
            Verdict::OffProfile { points, of } => {
                ("runs far above their profile, as diverged ones, left out", format!("{points} of {of}"))
            }
            Verdict::StartsDisagree { share } => ("starts of the search that agree", format!("{:.0}%", 100.0 * share)),
            Verdict::NotConverged => ("the search stopped before it converged: no intervals", String::new()),
            Verdict::FailedResamples { share } => ("resamples without a fit", format!("{:.1}%", 100.0 * share)),
            other => return (other.to_string(), String::new()),
        };
        (subject.into(), detail)
    }
}

fn span(from: f64, to: f64) -> String {
    if from == to { format!("at {}", si(from)) } else { format!("from {} to {}", si(from), si(to)) }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| 100.0 * share;
        match self {
            Verdict::Identified => write!(f, "identified"),
            Verdict::Unidentified { param, low, high } => {
                write!(f, "{param} is not identified: anything from {} to {} fits", brief(*low), brief(*high))
            }
            Verdict::AtBound { param, value } => write!(f, "{param} is at its bound, {}", brief(*value)),
            Verdict::FewRuns { runs, need } => write!(f, "{runs} runs: their noise can be told from {need} on"),
            Verdict::Untested { .. } => {
                let (subject, detail) = self.note();
                write!(f, "{detail}{}{subject}", if detail.is_empty() { "" } else { ": " })
            }
            Verdict::Serial { correlation } => write!(
                f,
                "neighbouring rows miss the curve alike (correlation {correlation:.2}): if they are checkpoints, name \
                 their runs (--column run=COLUMN); if not, the law is wrong"
            ),
            Verdict::OneSeed => write!(f, "one seed per scale: noise judged from the scatter about the curve"),
            Verdict::LackOfFit { p_value } => {
                write!(f, "the law misses the cell means by more than the seeds scatter (p = {p_value:.2e})")
            }
            Verdict::Outlier { point, p_value } => {
                write!(f, "{point} is an outlier (p = {p_value:.1e}); --exclude-top-loss leaves out the largest losses")
            }
            Verdict::Repeated { points } => write!(f, "{points} points repeat another exactly"),
            Verdict::TunedAtEdge { keys, points, of } => {
                write!(f, "{points} of {of} points have {} at the edge of its grid", keys.join(", "))
            }
            Verdict::SizesFlip { scales, params } => {
                const NAMED: usize = 4;
                let turns = scales.iter().zip(params).map(|(at, params)| format!("{} from {}", si(*params), si(*at)));
                let named: Vec<String> = turns.take(NAMED).collect();
                let more = if scales.len() > NAMED { ", …" } else { "" };
                let named = named.join(", ");
                write!(f, "its best size goes back and forth with noise ({named}{more} params; --sizes each tells)")
            }
            Verdict::ChosenForLowLoss { points, of } => {
                write!(f, "{points} of {of} points, chosen for their low loss")
            }
            Verdict::NonInterior { budgets, of } => {
                write!(f, "{budgets} of {of} budgets have no minimum among the sizes measured")
            }
            Verdict::ParabolaMisfit { p_value } => write!(
                f,
                "parabolas miss the losses by more than neighbouring sizes scatter (p = {p_value:.1e}), which their \
                 interval leaves out: --law isoflop-akima, or sizes nearer to the minima"
            ),
            Verdict::OffProfile { points, of } => {
                write!(f, "{points} of {of} runs lie far above their profile, as diverged ones do, and are left out")
            }
            Verdict::Extrapolation => write!(f, "it lies beyond the data"),
            Verdict::RestsOn { curve } => write!(f, "the curve of {curve} is not identified"),
            Verdict::OpenEnded => write!(f, "its interval has no end on one side"),
            Verdict::MeansContradict { from, to } => {
                write!(f, "from {} to {} the measured means contradict its fitted lead", si(*from), si(*to))
            }
            Verdict::MeasuredElsewhere { fitted, at: Some(at) } => {
                write!(f, "fitted at {}, and the measured means cross at {}", si(*fitted), si(*at))
            }
            Verdict::MeasuredElsewhere { fitted, at: None } => {
                write!(f, "fitted at {}, and the measured means do not cross", si(*fitted))
            }
            Verdict::NoResamples => write!(f, "no resamples: nothing is tested"),
            Verdict::StartsDisagree { share } => write!(f, "only {:.0}% of the starts agree", percent(share)),
            Verdict::NotConverged => write!(f, "the search stopped before it converged"),
            Verdict::FailedResamples { share } => write!(f, "{:.1}% of the resamples have no fit", percent(share)),
            Verdict::PercentileInstead { of } => {
                write!(
                    f,
                    "the interval of {} is percentile, not BCa: leaving out runs does not tell its skew",
                    of.join(", ")
                )
            }
        }
    }
}
