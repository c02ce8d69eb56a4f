//! How a person asks for a file to be read; what is not asked for is found by name.

use std::path::PathBuf;

use super::filter::Filter;

#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `-` for stdin.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Checkpoints {
    /// The last one of each run
    Last,
    /// Every one that has a scale of its own
    All,
}

/// What a rising metric rises to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ceiling {
    /// 1 for shares, 100 for percent, by its values.
    Found,
    Given(f64),
}

/// FLOPs for each parameter and example seen: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1.
pub const FLOPS_PER: f64 = 6.0;
