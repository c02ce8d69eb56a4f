//! How a person asks for a file to be read; what is not asked for is found by name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::filter::Filter;

/// The store keeps it beside an import, so fields come with a default and their names stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `-` for stdin; a folder of logs.
    #[serde(skip)]
    pub path: PathBuf,
    /// The columns whose values name the curves; `arch` unless given.
    pub by: Vec<String>,
    /// The metric's column.
    pub metric: Option<String>,
    /// Other names, as (meaning, column): ("params", "my_size").
    pub named: Vec<(String, String)>,
    /// Only rows that pass all of them.
    pub filters: Vec<Filter>,
    /// Columns of which the best value stands for a curve at each scale.
    pub tuned: Vec<String>,
    pub checkpoints: Option<Checkpoints>,
    /// The metric rises with scale, to this ceiling.
    pub rising: Option<Ceiling>,
    /// FLOPs for each parameter and example, where no column counts them.
    pub flops_per: Option<f64>,
}

/// Which rows of one run are points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Checkpoints {
    /// The last one of each run
    Last,
    /// Every one that has a scale of its own
    All,
}

/// What a rising metric rises to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ceiling {
    /// 1 for shares, 100 for percent, by its values.
    Found,
    Given(f64),
}

/// FLOPs for each parameter and example seen: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1.
pub const FLOPS_PER: f64 = 6.0;
