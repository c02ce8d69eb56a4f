//! Where points come from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fit::data::scale::Dropped;

/// Tuned keys at the edge of their grid, by source.
pub type AtEdge = BTreeMap<String, Vec<String>>;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    File(FileOrigin),
    Sweep(SweepOrigin),
}

/// A sweep of the store, with what its runs do not tell by themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SweepOrigin {
    pub name: String,
    pub metric: String,
    /// Runs and cells that gave no point; the analysis lists them.
    #[serde(skip)]
    pub left_out: Vec<Dropped>,
    /// Tuned keys whose chosen value is at the edge of its grid, by run; the verdicts tell.
    #[serde(skip)]
    pub at_edge: AtEdge,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileOrigin {
    pub path: String,
    pub sha256: String,
    /// Rows of data, without the header.
    pub rows: usize,
    /// The metric's column.
    pub metric: String,
}

impl Origin {
    /// Tuned keys at the edge of their grid, of a sweep.
    pub fn at_edge(&self) -> Option<&AtEdge> {
        match self {
            Origin::File(_) => None,
            Origin::Sweep(sweep) => Some(&sweep.at_edge),
        }
    }

    pub fn metric(&self) -> &str {
        match self {
            Origin::File(file) => &file.metric,
            Origin::Sweep(sweep) => &sweep.metric,
        }
    }
}
