//! crossover: which inductive bias wins at which scale, and where the curves cross.
//!
//! Two programs are made from these sources: `crossover`, and `crossover-worker` with `cfg(torch)`, the only one that
//! links libtorch.

#[cfg(not(torch))]
pub mod budget;
pub mod cache;
#[cfg(not(torch))]
pub mod cli;
pub mod error;
#[cfg(not(torch))]
pub mod estimate;
pub mod event;
#[cfg(not(torch))]
pub mod executor;
pub mod files;
#[cfg(not(torch))]
pub mod fit;
pub mod here;
pub mod lines;
pub mod model;
#[cfg(not(torch))]
pub mod next;
pub mod out;
#[cfg(not(torch))]
pub mod plan;
#[cfg(not(torch))]
pub mod plot;
#[cfg(not(torch))]
pub mod point;
#[cfg(not(torch))]
pub mod progress;
pub mod random;
pub mod run;
#[cfg(not(torch))]
pub mod script;
#[cfg(not(torch))]
pub mod shell;
#[cfg(not(torch))]
pub mod spec;
#[cfg(not(torch))]
pub mod store;
#[cfg(not(torch))]
pub mod study;
pub mod task;
#[cfg(torch)]
pub mod train;
pub mod trunk;
pub mod units;
pub mod worker;
