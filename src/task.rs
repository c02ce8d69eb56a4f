//! Tasks: where examples come from and how they are split. What needs tensors is in `task/data.rs`, which only the
//! worker links.

use crate::error::Result;
use crate::model::Io;
use crate::run::{Named, Settings};

/// Sizes of the three splits; they never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splits {
    /// Training examples there are; none where the task is procedural and has as many as one asks for.
    pub train: Option<u64>,
    pub validation: u64,
    pub test: u64,
}

/// Names of all tasks.
pub fn names() -> Vec<&'static str> {
    todo!()
}

/// The task's config, all defaults filled in. Refuses unknown names, keys and values, with hints.
pub fn resolve(_name: &str, _given: &Settings) -> Result<Named> {
    todo!()
}

pub fn io(_task: &Named) -> Result<Io> {
    todo!()
}

pub fn splits(_task: &Named) -> Result<Splits> {
    todo!()
}
