//! crossover: which inductive bias wins at which scale, and where the curves cross.

pub mod cache;
pub mod cli;
pub mod error;
pub mod event;
pub mod files;
pub mod model;
pub mod plan;
pub mod point;
pub mod random;
pub mod run;
pub mod task;
pub mod units;
