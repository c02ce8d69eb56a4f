//! Why a curve cannot be fitted.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::error::Error;
use crate::fit::data::curve::Curve;
use crate::fit::laws::law::{Domain, Role};
use crate::fit::solve::search::Solver;
use crate::point::Axis;

/// Why a curve has no fit.
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
    /// No run sees an example twice, so nothing tells what a repeat is worth.
    NoRepeats,
    /// Over seconds: runs of one budget differ in them by the load of the machine alone.
    EqualBudgets {
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
            Refusal::NoRepeats => {
                write!(f, "no run sees its examples more than once: nothing tells what a repeat is worth")
            }
            Refusal::EqualBudgets { have, need, law } => {
                write!(
                    f,
                    "its runs have {have} different {}, and where that is equal seconds differ by the load of the \
                     machine alone: {law} needs {need}",
                    if *have == 1 { "amount of compute" } else { "amounts of compute" }
                )
            }
            Refusal::EqualLosses { value } => {
                write!(f, "every loss is {value}: a curve that does not change with scale has no law")
            }
            Refusal::NoMinimum { law } => write!(f, "no start of {law} leads to a finite objective"),
        }
    }
}

impl Refusal {
    pub fn into_error(self, curve: &str) -> Error {
        let error = Error::failed(format!("{curve}: {self}"));
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
            Refusal::NoRepeats => error.hint("fit the surface of new data: --law chinchilla"),
            Refusal::EqualBudgets { .. } => error.hint(
                "curves over what was planned: --x data, or --x compute where that differs; or add budgets to the sweep",
            ),
            Refusal::EqualLosses { .. } => error.hint("see whether --metric names the column that was meant"),
            Refusal::NoMinimum { .. } => error.hint("try the law power, and look at the points for outliers"),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub reason: Refusal,
    /// The reason in words.
    pub summary: String,
}

/// Whether the law can be fitted to a curve at all.
pub fn check(curve: &Curve, solver: &Solver) -> Result<(), Refusal> {
    let law = solver.law;
    let fitted = solver.fitted(&curve.sample);
    if fitted.is_empty() {
        return Err(unusable(curve));
    }
    let (have, need) = (fitted.distinct_scales(), law.params().len() + 1);
    match law.domain() {
        _ if have >= need => (),
        Domain::Curve => return Err(Refusal::TooFewScales { have, need, law: law.name().into() }),
        Domain::Surface | Domain::Repeated | Domain::Frontier => {
            return Err(Refusal::TooFewPoints { have, need, law: law.name().into() });
        }
    }
    if let Some(have) = curve.budgets.filter(|have| *have < need) {
        return Err(Refusal::EqualBudgets { have, need, law: law.name().into() });
    }
    if law.domain() == Domain::Repeated && fitted.ln_x.iter().all(|ln_x| ln_x[2] <= ln_x[1] + 1e-6) {
        return Err(Refusal::NoRepeats);
    }
    if matches!(law.domain(), Domain::Surface | Domain::Repeated) {
        // Through two values a curve goes with any floor.
        let need = if law.params().iter().any(|param| param.role == Role::Floor) { 3 } else { 2 };
        for (scale, i) in [(Axis::Params, 0), (Axis::Data, 1)] {
            let have = fitted.ln_x.iter().map(|ln_x| ln_x[i].to_bits()).collect::<HashSet<_>>().len();
            if have < need {
                return Err(Refusal::TooFewOf { scale, have, need, law: law.name().into() });
            }
        }
    }
    let first = fitted.ln_y[0];
    if fitted.ln_y.iter().all(|ln_y| *ln_y == first) {
        return Err(Refusal::EqualLosses { value: first.exp() });
    }
    Ok(())
}

/// That every point was dropped.
pub fn unusable(curve: &Curve) -> Refusal {
    let first = curve.dropped.first().map_or_else(|| "there was none".into(), |first| first.reason.clone());
    Refusal::NoUsablePoints { dropped: curve.dropped.len(), first }
}
