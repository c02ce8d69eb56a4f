//! What a worker writes to `runs/<id>/events.jsonl`, one JSON object a line ([`line`]), and what the store reads from it.
//!
//! A resumed run may write the same `(step, metric)` again; the store keeps the first. Non-finite values are never
//! written: they end the run as `diverged`.

pub mod line;
mod log;
mod logged;

use std::collections::BTreeMap;

pub use log::EventLog;
pub use logged::Logged;
use serde::{Deserialize, Serialize};

use crate::run::{Precision, RunConfig};

/// Bytes of a line of a log beyond which it is no event: no more than these are held in memory.
pub const LONGEST_LINE: usize = 16 << 20;

/// What the evaluation after `step` steps measures: one of which the log does not have these is missing. The test split is
/// read at the end alone; up to version 0.1 every evaluation read it, and logs have more of it. A script may have none.
pub fn essential(step: u64, config: &RunConfig) -> &'static [&'static str] {
    if step < config.steps || config.model.is_script() { &["val_loss"] } else { &["val_loss", "test_loss"] }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A worker took the run up. `time` is in seconds since the Unix epoch; `precision`, what it computes in, is not said by
    /// the first release.
    Start {
        attempt: u32,
        time: f64,
        host: String,
        device: String,
        pid: u32,
        from_step: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        precision: Option<Precision>,
    },
    /// Values measured after `step` steps: `train_loss`, `val_loss` (nats per example), `val_error`, …; after the last
    /// step also `test_loss` and `test_error`.
    Metrics { step: u64, values: BTreeMap<String, f64> },
    /// The attempt is over. `seconds` and `examples_per_second` are of this attempt's training alone.
    End { attempt: u32, time: f64, seconds: f64, examples_per_second: f64, outcome: Outcome },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// The loss was not finite at this step; the run is over and is not tried again.
    Diverged {
        step: u64,
    },
    /// Asked to stop; a checkpoint at this step was written.
    Stopped {
        step: u64,
    },
    /// The attempt failed; another may succeed.
    Failed {
        reason: String,
    },
}
