//! crossover: which inductive bias wins at which scale, and where the curves cross.

pub mod error;
pub mod point;
