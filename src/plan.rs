//! From a sweep to its runs: axes expanded, sizes found, budgets resolved, costs added up. Pure: nothing is written.

use serde::Serialize;

use crate::model::{Costs, Io};
use crate::run::RunConfig;
use crate::units::Flops;

/// A sweep, expanded.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub sweep: String,
    pub question: Option<String>,
    /// The sweep file's text, kept with the results.
    #[serde(skip)]
    pub source: String,
    /// Keys minimised over on the validation split, for example `lr`.
    pub tuned: Vec<String>,
    pub runs: Vec<Planned>,
    pub dropped: Vec<Dropped>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    pub id: String,
    /// The curve it belongs to: the `[[model]]` entry's `name`, or its arch.
    pub label: String,
    /// Equal for runs that differ in nothing but tuned keys and seed.
    pub cell: String,
    pub config: RunConfig,
    pub io: Io,
    pub costs: Costs,
    /// 3 x forward x batch x steps.
    pub train_flops: Flops,
}

/// A cell of the grid that makes no sense.
#[derive(Clone, Debug, Serialize)]
pub struct Dropped {
    pub what: String,
    pub reason: String,
}
