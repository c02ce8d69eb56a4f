//! What analysis eats: one measured value at one scale, with where it came from.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::run::Settings;

/// One point, from a run's final evaluation or from a row of a file. Scales are absent where the source has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Curve it belongs to: the architecture, or the value of the column named by `--by`.
    pub curve: String,
    /// N, model parameters.
    pub params: Option<f64>,
    /// D, unique training examples.
    pub data: Option<f64>,
    /// Examples seen in training, repeats counted: D times the epochs. Absent where nobody says.
    pub seen: Option<f64>,
    /// C, training FLOPs.
    pub compute: Option<f64>,
    /// Training seconds, the mean over the seeds of its cell; only where they are the scale.
    pub seconds: Option<f64>,
    /// The metric's value, for example test loss in nats per example.
    pub value: f64,
    pub seed: Option<i64>,
    /// Run id, or `FILE:LINE` for a row of a file: what every number in a figure is traced to.
    pub source: String,
    /// Of a run of the store, or of a row whose tuned values were chosen; shared by the seeds of a cell.
    pub made: Option<Arc<Made>>,
}

/// What a person would have to set to get a point again, beside its scales and its seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Made {
    /// The keys of the model in which the sizes of its curve differ; empty where the curve has one size.
    pub size: Settings,
    /// Tuned keys, with the values chosen.
    pub tuned: Settings,
    /// The budget, in training steps; absent where a file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Sizes and budgets of the curve at this scale, of which this is the best.
    pub best_of: usize,
}

/// The scale that a curve is drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    Params,
    Data,
    Compute,
    /// What the runs of a sweep took where they ran; no plan and no file knows it.
    Seconds,
}

/// As `--x` takes it.
impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Params => "params",
            Axis::Data => "data",
            Axis::Compute => "compute",
            Axis::Seconds => "seconds",
        })
    }
}

impl Point {
    pub fn x(&self, axis: Axis) -> Option<f64> {
        match axis {
            Axis::Params => self.params,
            Axis::Data => self.data,
            Axis::Compute => self.compute,
            Axis::Seconds => self.seconds,
        }
    }
}
