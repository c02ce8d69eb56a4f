//! Where points come from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fit::data::scale::Dropped;
use crate::fit::verdict::Verdict;

/// Tuned keys at the edge of their grid, by source.
pub type AtEdge = BTreeMap<String, Vec<String>>;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    File(FileOrigin),
    Sweep(SweepOrigin),
    /// Studies that are analysed together.
    Several(Vec<Origin>),
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
    /// What weakens a curve's points before any fit, by curve.
    #[serde(skip)]
    pub verdicts: BTreeMap<String, Verdict>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileOrigin {
    pub path: String,
    pub sha256: String,
    /// Rows of data, without the header.
    pub rows: usize,
    /// The metric's column.
    pub metric: String,
    /// What is fitted in its place, as `1 - accuracy` of a metric that rises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitted: Option<String>,
    /// Whether the metric is written in percent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub percent: bool,
    /// The column of each meaning that was read.
    pub columns: BTreeMap<String, String>,
    /// How scales without a column were counted, as 6 N D.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub formulas: BTreeMap<String, String>,
    /// The filters that its rows passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// What was done with its rows before they were points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_as: Vec<String>,
    /// Rows that gave no point; the analysis lists them.
    #[serde(skip)]
    pub left_out: Vec<Dropped>,
    /// As for a sweep.
    #[serde(skip)]
    pub at_edge: AtEdge,
}

impl Origin {
    /// The metric as it is fitted.
    pub fn metric(&self) -> &str {
        match self {
            Origin::File(file) => file.fitted.as_deref().unwrap_or(&file.metric),
            Origin::Sweep(sweep) => &sweep.metric,
            Origin::Several(origins) => origins.first().map_or("loss", Origin::metric),
        }
    }

    /// What is lower where a curve leads, in a sentence.
    pub fn falling(&self) -> &str {
        match self {
            Origin::File(FileOrigin { fitted: Some(fitted), .. }) => fitted,
            Origin::File(_) | Origin::Sweep(_) => "loss",
            Origin::Several(origins) => origins.first().map_or("loss", Origin::falling),
        }
    }

    /// Runs, cells and rows that gave no point.
    pub fn left_out(&self) -> Vec<Dropped> {
        match self {
            Origin::File(file) => file.left_out.clone(),
            Origin::Sweep(sweep) => sweep.left_out.clone(),
            Origin::Several(origins) => origins.iter().flat_map(Origin::left_out).collect(),
        }
    }

    /// Tuned keys whose chosen value is at the edge of its grid, of a point's source.
    pub fn at_edge(&self, source: &str) -> Option<&Vec<String>> {
        match self {
            Origin::File(file) => file.at_edge.get(source),
            Origin::Sweep(sweep) => sweep.at_edge.get(source),
            Origin::Several(origins) => origins.iter().find_map(|origin| origin.at_edge(source)),
        }
    }

    /// What weakens a curve's points before any fit.
    pub fn verdict(&self, curve: &str) -> Option<&Verdict> {
        match self {
            Origin::File(_) => None,
            Origin::Sweep(sweep) => sweep.verdicts.get(curve),
            Origin::Several(origins) => origins.iter().find_map(|origin| origin.verdict(curve)),
        }
    }

    /// Gives curves other names.
    pub fn rename(&mut self, name: &impl Fn(&str) -> String) {
        match self {
            Origin::File(_) => {}
            Origin::Sweep(sweep) => {
                let verdicts = std::mem::take(&mut sweep.verdicts);
                sweep.verdicts = verdicts.into_iter().map(|(curve, verdict)| (name(&curve), verdict)).collect();
            }
            Origin::Several(origins) => origins.iter_mut().for_each(|origin| origin.rename(name)),
        }
    }
}
