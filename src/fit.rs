//! From points to laws, and from laws to verdicts on pairs of curves, each with its uncertainty and with what weakens it.
//!
//! The rooms in the order in which data flow: `data`, `laws`, `solve`, `uncertainty`, then one fit (`estimate`,
//! `diagnosis`) and all of them (`analysis`), then `compare` and `design`.

pub mod analysis;
pub mod auto;
pub mod compare;
pub mod data;
pub mod design;
mod diagnosis;
pub mod estimate;
pub mod isoflop;
pub mod laws;
mod method;
pub mod predict;
pub mod refusal;
pub mod settings;
pub mod solve;
pub mod tuned;
pub mod uncertainty;
pub mod verdict;

pub use self::analysis::{Analysis, fit_curves};
pub use self::compare::crossover::Crossover;
pub use self::data::origin::{AtEdge, FileOrigin, Origin, SweepOrigin};
pub use self::data::scale::{Dropped, Scale};
pub use self::estimate::Fit;
pub use self::laws::Law;
pub use self::method::Method;
pub use self::refusal::Refusal;
pub use self::settings::{Settings, in_pool};
pub use self::solve::objective::Objective;
pub use self::uncertainty::interval::IntervalKind;
pub use self::verdict::Verdict;

#[cfg(test)]
mod tests;
