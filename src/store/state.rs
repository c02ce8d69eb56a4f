//! How a run stands, as the event log tells it.

use serde::Serialize;

use crate::event::Outcome;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    ToDo,
    /// A worker took it up and has not said how it ended. With no writer on the store, that worker was killed.
    Running,
    /// Asked to stop, with a checkpoint at this step.
    Stopped {
        step: u64,
    },
    Done,
    /// The loss was not finite at this step; final.
    Diverged {
        step: u64,
    },
    /// The last attempt failed; another may succeed.
    Failed {
        reason: String,
    },
}

impl State {
    /// Steps done, as far as the log says.
    pub fn step(&self) -> u64 {
        match self {
            State::Stopped { step } | State::Diverged { step } => *step,
            _ => 0,
        }
    }

    /// Nothing is left to do.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Done | State::Diverged { .. })
    }

    /// The word in the database, in `--json` and in exports.
    pub fn word(&self) -> &'static str {
        match self {
            State::ToDo => "to_do",
            State::Running => "running",
            State::Stopped { .. } => "stopped",
            State::Done => "done",
            State::Diverged { .. } => "diverged",
            State::Failed { .. } => "failed",
        }
    }

    /// From the columns `state`, `step` and `reason`.
    pub(super) fn from_columns(word: &str, step: Option<i64>, reason: Option<String>) -> State {
        let step = step.and_then(|step| u64::try_from(step).ok()).unwrap_or(0);
        match word {
            "running" => State::Running,
            "stopped" => State::Stopped { step },
            "done" => State::Done,
            "diverged" => State::Diverged { step },
            "failed" => State::Failed { reason: reason.unwrap_or_default() },
            _ => State::ToDo,
        }
    }
}

impl From<&Outcome> for State {
    fn from(outcome: &Outcome) -> State {
        match outcome {
            Outcome::Done => State::Done,
            Outcome::Diverged { step } => State::Diverged { step: *step },
            Outcome::Stopped { step } => State::Stopped { step: *step },
            Outcome::Failed { reason } => State::Failed { reason: reason.clone() },
        }
    }
}
