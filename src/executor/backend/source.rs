//! Where the jobs of a backend come from beside those that were decided: a pilot takes them one after the other.

use crate::error::Result;
use crate::event::Outcome;

use super::super::jobs::{Pending, PlannedJob};

pub(in crate::executor) trait Source {
    /// Up to `most` further jobs; none: there is nothing to take now.
    ///
    /// # Errors
    /// What says which jobs there are cannot be read or written.
    fn take(&mut self, most: usize) -> Result<Vec<PlannedJob>>;

    /// A run that was taken is over, or given up: nobody is to take it again.
    fn is_over(&mut self, run: &Pending, outcome: &Outcome) -> Result<()>;

    /// Whether somebody wants all of it to stop.
    fn is_called_off(&self) -> bool;

    /// Whether a second signal says no more than the first: a cluster sends several.
    fn hears_once(&self) -> bool;
}

/// All jobs are in the decision.
pub(in crate::executor) struct Decided;

impl Source for Decided {
    fn take(&mut self, _most: usize) -> Result<Vec<PlannedJob>> {
        Ok(Vec::new())
    }

    fn is_over(&mut self, _run: &Pending, _outcome: &Outcome) -> Result<()> {
        Ok(())
    }

    fn is_called_off(&self) -> bool {
        false
    }

    fn hears_once(&self) -> bool {
        false
    }
}
