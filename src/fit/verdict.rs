//! What a fit says beside its numbers: why a group was refused, and what weakens a fit that was made.

use std::fmt;

use serde::Serialize;

use crate::error::Error;
use crate::point::Axis;
use crate::units::brief;

/// Why a group has no fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Refusal {
    NoUsablePoints {
        dropped: usize,
        first: String,
    },
    TooFewScales {
        have: usize,
        need: usize,
        law: String,
    },
    TooFewPoints {
        have: usize,
        need: usize,
        law: String,
    },
    /// Of a surface: with fewer, the exponent of this scale is anything.
    TooFewOf {
        scale: Axis,
        have: usize,
        need: usize,
        law: String,
    },
    EqualLosses {
        value: f64,
    },
    NoMinimum {
        law: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoUsablePoints { dropped, first } => {
                write!(f, "no usable points: all {dropped} were dropped, the first because {first}")
            }
            Refusal::TooFewScales { have, need, law } => {
                write!(
                    f,
                    "too few scales: {law} needs {need} different ones, one more than its parameters, and has {have}"
                )
            }
            Refusal::TooFewPoints { have, need, law } => {
                write!(f, "too few points: {law} needs {need}, one more than its parameters, and has {have}")
            }
            Refusal::TooFewOf { scale, have, need, law } => {
                write!(f, "too few values of {scale}: {law} needs {need} different ones, and has {have}")
            }
            Refusal::EqualLosses { value } => {
                write!(f, "every loss is {value}: a curve that does not change with scale has no law")
            }
            Refusal::NoMinimum { law } => write!(f, "no start of {law} leads to a finite objective"),
        }
    }
}

impl Refusal {
    pub fn into_error(self, group: &str) -> Error {
        let error = Error::failed(format!("{group}: {self}"));
        match self {
            Refusal::NoUsablePoints { .. } => error.hint(
                "a point needs a positive, finite scale and loss; of a CSV file --column examples=COLUMN (params, flops) \
                 and --metric name other columns",
            ),
            Refusal::TooFewOf { .. } => error.hint("add such runs, or fit curves: --law power-floor --x params or data"),
            Refusal::TooFewScales { law, .. } | Refusal::TooFewPoints { law, .. } if law == "power" => {
                error.hint("add scales to the sweep")
            }
            Refusal::TooFewScales { .. } | Refusal::TooFewPoints { .. } => {
                error.hint("add scales to the sweep, or fit a law with fewer parameters, as power")
            }
            Refusal::EqualLosses { .. } => error.hint("see whether --metric names the column that was meant"),
            Refusal::NoMinimum { .. } => error.hint("try the law power, and look at the points for outliers"),
        }
    }
}

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
    /// A crossover where nobody has measured both curves: only the laws say so.
    Extrapolation,
    /// A crossover of which one curve has no identified exponent: its interval may be too narrow.
    RestsOn {
        group: String,
    },
    /// A crossover whose interval has no end on one side.
    OpenEnded,
    /// Fewer than half of the starts reached the best minimum.
    StartsDisagree {
        share: f64,
    },
    NotConverged,
    /// Resamples for which no fit was found; the intervals leave them out.
    FailedResamples {
        share: f64,
    },
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
            Verdict::ChosenForLowLoss { points, of } => {
                write!(f, "{points} of {of} points, chosen for their low loss")
            }
            Verdict::NonInterior { budgets, of } => {
                write!(f, "{budgets} of {of} budgets have no minimum among the sizes measured")
            }
            Verdict::Extrapolation => write!(f, "it lies beyond the data"),
            Verdict::RestsOn { group } => write!(f, "the curve of {group} is not identified"),
            Verdict::OpenEnded => write!(f, "its interval has no end on one side"),
            Verdict::StartsDisagree { share } => write!(f, "only {:.0}% of the starts agree", percent(share)),
            Verdict::NotConverged => write!(f, "the search stopped before it converged"),
            Verdict::FailedResamples { share } => write!(f, "{:.1}% of the resamples have no fit", percent(share)),
        }
    }
}
