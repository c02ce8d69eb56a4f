//! Where workers live: carries out what the scheduler says and tells it what happened.

pub(super) mod local;
mod results;
pub mod slurm;
mod source;
