//! What a fit says beside its numbers: why a group was refused, and what weakens a fit that was made.

use std::fmt;

use serde::Serialize;

use crate::error::Error;

/// Why a group has no fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Refusal {
    NoUsablePoints { dropped: usize },
    TooFewScales { have: usize, need: usize, law: String },
    TooFewPoints { have: usize, need: usize, law: String },
    NoMinimum { law: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoUsablePoints { dropped } => {
                write!(f, "no usable points: all {dropped} were dropped")
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
            Refusal::NoMinimum { law } => write!(f, "no start of {law} leads to a finite objective"),
        }
    }
}

impl Refusal {
    pub fn into_error(self, group: &str) -> Error {
        let error = Error::failed(format!("{group}: {self}"));
        match self {
            Refusal::NoUsablePoints { .. } => error.hint("a point needs a positive, finite scale and loss"),
            Refusal::TooFewScales { law, .. } | Refusal::TooFewPoints { law, .. } if law == "power" => {
                error.hint("add scales to the sweep")
            }
            Refusal::TooFewScales { .. } | Refusal::TooFewPoints { .. } => {
                error.hint("add scales to the sweep, or fit a law with fewer parameters: --law power")
            }
            Refusal::NoMinimum { .. } => error.hint("try --law power, and look at the points for outliers"),
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
                write!(f, "{param} is not identified: anything from {low:.3} to {high:.3} fits")
            }
            Verdict::AtBound { param, value } => write!(f, "{param} is at its bound, {value}"),
            Verdict::OneSeed => write!(f, "one seed per scale: noise judged from the scatter about the curve"),
            Verdict::LackOfFit { p_value } => {
                write!(f, "the law misses the cell means by more than the seeds scatter (p = {p_value:.2e})")
            }
            Verdict::StartsDisagree { share } => write!(f, "only {:.0}% of the starts agree", percent(share)),
            Verdict::NotConverged => write!(f, "the search stopped before it converged"),
            Verdict::FailedResamples { share } => write!(f, "{:.1}% of the resamples have no fit", percent(share)),
        }
    }
}
