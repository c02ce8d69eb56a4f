//! crossover: which inductive bias wins at which scale, and where the curves cross.

pub mod error;
pub mod event;
pub mod model;
pub mod plan;
pub mod point;
pub mod random;
pub mod run;
pub mod store;
pub mod task;
pub mod units;
pub mod worker;
