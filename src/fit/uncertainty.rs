//! Resampling, and what it says: intervals and tails.

pub mod bootstrap;
pub mod distribution;
pub mod interval;
pub mod support;
