//! From observations to the parameters with the smallest objective.

pub mod objective;
pub mod pooled;
pub mod scalar;
pub mod search;
