//! Curves beside one another.

pub mod backtest;
pub mod band;
pub mod conclusion;
pub mod crossover;
pub mod measured;
pub mod multiplier;
pub mod multiverse;
pub mod sentence;
pub mod shared;
