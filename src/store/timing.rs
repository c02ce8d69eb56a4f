//! How long a run trained, from what its attempts measured.

use super::query::{Attempt, Run};
use super::state::State;

/// Evaluations left out. The runs of a pack are trained together: each has the time of its pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Of its steps at the speed of its attempts: what a killed attempt did without saying so counts too, and what was
    /// done twice counts once.
    pub seconds: f64,
    pub examples_per_second: f64,
    /// That it was trained on; several where it moved.
    pub devices: Vec<String>,
}

impl Timing {
    /// None before an attempt has said how it ended.
    pub fn of(run: &Run, attempts: &[Attempt]) -> Option<Timing> {
        let steps = match run.state {
            State::Done => run.config.steps,
            State::Stopped { step } | State::Diverged { step } => step,
            State::ToDo | State::Running | State::Failed { .. } => return None,
        };
        let measured = || attempts.iter().filter_map(|attempt| Some((attempt.seconds?, attempt.examples_per_second?)));
        let seconds: f64 = measured().map(|(seconds, _)| seconds).sum();
        let examples: f64 = measured().map(|(seconds, speed)| seconds * speed).sum();
        if !(seconds > 0.0 && examples > 0.0) {
            return None;
        }
        let examples_per_second = examples / seconds;
        let mut devices: Vec<String> = Vec::new();
        for device in attempts.iter().filter_map(|attempt| attempt.device.as_ref()) {
            if !devices.contains(device) {
                devices.push(device.clone());
            }
        }
        let seconds = (steps * run.config.train.batch) as f64 / examples_per_second;
        Some(Timing { seconds, examples_per_second, devices })
    }
}
