//! A trainer that trains nothing, to measure and to test everything around training: its loss is a function of
//! (seed, step), it checkpoints, it resumes, and it fails when told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, TensorView};

use super::{Assignment, Job, Progress, Report, Trainer, checkpoint};
use crate::error::{Context, Error, Result};
use crate::event::{Event, EventLog, Logged, Outcome};
use crate::here::now;
use crate::out;

/// How it behaves, from the environment: `CROSSOVER_NOOP="step_millis=5 checkpoint_every=10 crash=3:20"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noop {
    step_millis: f64,
    /// Steps between checkpoints; 0: none but when stopped.
    checkpoint_every: u64,
    /// The process aborts at this step of attempts up to this number, as `ATTEMPT:STEP`.
    crash: Option<(u32, u64)>,
    /// An error at this step of attempts up to this number.
    fail: Option<(u32, u64)>,
    /// The loss of seeds from this one on is not finite at step 3.
    diverge_from_seed: Option<u64>,
    /// Nothing is heard any more from this step of attempts up to this number on.
    hang: Option<(u32, u64)>,
    /// Every job of this slot fails, as on a GPU that is broken.
    sick: Option<u32>,
    /// Workers of this slot end before they are ready.
    dead: Option<u32>,
}

impl Noop {
    /// The variable that makes `crossover-worker serve` use this trainer.
    pub const VARIABLE: &str = "CROSSOVER_NOOP";

    /// # Errors
    /// A key that is not known, or a value that is not a number.
    pub fn parse(text: &str) -> Result<Noop> {
        let mut noop = Noop::default();
        for part in text.split_whitespace() {
            let bad = || Error::bad_input(format!("{}: cannot read '{part}'", Self::VARIABLE));
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            let at = || {
                let (attempt, step) = value.split_once(':')?;
                Some((attempt.parse().ok()?, step.parse().ok()?))
            };
            match key {
                "step_millis" => noop.step_millis = value.parse().map_err(|_| bad())?,
                "checkpoint_every" => noop.checkpoint_every = value.parse().map_err(|_| bad())?,
                "crash" => noop.crash = Some(at().ok_or_else(bad)?),
                "fail" => noop.fail = Some(at().ok_or_else(bad)?),
                "hang" => noop.hang = Some(at().ok_or_else(bad)?),
                "sick" => noop.sick = Some(value.parse().map_err(|_| bad())?),
                "dead" => noop.dead = Some(value.parse().map_err(|_| bad())?),
                "diverge_from_seed" => noop.diverge_from_seed = Some(value.parse().map_err(|_| bad())?),
                _ => return Err(bad()),
            }
        }
        Ok(noop)
    }

    fn train_one(&self, run: &Assignment, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<Outcome> {
        let started = Instant::now();
        let mut log = EventLog::open(&run.folder)?;
        let logged = Logged::read(&run.folder, &run.config)?;
        if let Some(end) = logged.end() {
            return Ok(end);
        }
        let evaluations = run.config.evaluations();
        let found = checkpoint::read(run, &|step| logged.reaches(&run.config, step), &|step, _| Ok(step))?;
        found.warning.into_iter().for_each(|text| report(Report::Warning(text)));
        let from_step = found.saved.unwrap_or(0);
        log.append(&run.start("cpu", from_step))?;
        let mut outcome = Outcome::Done;
        for step in from_step + 1..=run.config.steps {
            self.provoke(run.attempt, step)?;
            if step == 3 && self.diverge_from_seed.is_some_and(|seed| run.config.seed >= seed) {
                outcome = Outcome::Diverged { step };
                break;
            }
            let loss = loss(run, step);
            if evaluations.binary_search(&step).is_ok() && !logged.has(step) {
                let values = [("train_loss", 0.9), ("val_loss", 1.0), ("test_loss", 1.1), ("test_error", 0.1)];
                // The test split is read at the end alone.
                let measured = if step < run.config.steps { 2 } else { values.len() };
                let values = values[..measured].iter().map(|(name, factor)| (name.to_string(), loss * factor));
                log.append(&Event::Metrics { step, values: values.collect() })?;
            }
            thread::sleep(Duration::from_secs_f64(self.step_millis / 1e3));
            let speed = run.config.train.batch as f64 * (step - from_step) as f64 / started.elapsed().as_secs_f64();
            report(Report::Progress(Progress { step, loss, examples_per_second: speed }));
            let stopping = stop.load(Ordering::Relaxed) && step < run.config.steps;
            if stopping || (self.checkpoint_every > 0 && step % self.checkpoint_every == 0) {
                log.sync()?;
                write_checkpoint(run, step)?;
            }
            if stopping {
                outcome = Outcome::Stopped { step };
                break;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let speed = run.config.train.batch as f64 * (run.config.steps - from_step) as f64 / seconds.max(1e-9);
        log.append(&Event::End {
            attempt: run.attempt,
            time: now(),
            seconds,
            examples_per_second: speed,
            outcome: outcome.clone(),
        })?;
        if !matches!(outcome, Outcome::Stopped { .. }) {
            checkpoint::remove(&run.folder)?;
        }
        Ok(outcome)
    }

    fn provoke(&self, attempt: u32, step: u64) -> Result<()> {
        let due = |at: Option<(u32, u64)>| at.is_some_and(|(last, at)| attempt <= last && step == at);
        if due(self.crash) {
            out::say(format_args!("told to crash at step {step} of attempt {attempt}"));
            std::process::abort();
        }
        if due(self.hang) {
            thread::sleep(Duration::MAX);
        }
        if due(self.fail) {
            return Err(Error::failed(format!("told to fail at step {step} of attempt {attempt}")));
        }
        Ok(())
    }
}

impl Trainer for Noop {
    fn prepare(&mut self) -> Result<()> {
        if self.dead.is_some() && self.dead == own_slot() {
            return Err(Error::failed("CUDA error: told to be no good"));
        }
        Ok(())
    }

    fn train(&mut self, job: &Job, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<()> {
        if self.sick.is_some() && self.sick == own_slot() {
            return Err(Error::failed("CUDA error: told to be sick"));
        }
        for run in &job.runs {
            self.train_one(run, stop, report)?;
        }
        Ok(())
    }
}

/// As the orchestrator numbers it.
fn own_slot() -> Option<u32> {
    std::env::var("CROSSOVER_SLOT").ok()?.parse().ok()
}

/// A power law over steps and examples with its own level per arch, and a little noise per seed: fits work on it.
fn loss(run: &Assignment, step: u64) -> f64 {
    let level = 1.0 + run.config.model.name.len() as f64 / 10.0;
    let tuned = 1.0 + (run.config.train.lr.log10() + 3.0).powi(2) / 10.0;
    let scale = (run.config.examples as f64).powf(-0.3) + (step as f64).powf(-0.5);
    0.1 + level * tuned * scale * (1.0 + 0.01 * ((run.config.seed * 31 + step) as f64).sin())
}

fn write_checkpoint(run: &Assignment, step: u64) -> Result<()> {
    let bytes = step.to_le_bytes();
    let step = TensorView::new(Dtype::I64, vec![1], &bytes).context(|| "cannot write a checkpoint")?;
    checkpoint::write(&run.folder, &run.id, vec![(checkpoint::STEP, step)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_read_from_text() {
        let noop = Noop::parse("step_millis=0.5 checkpoint_every=10 crash=1:20").unwrap();
        assert_eq!(noop, Noop { step_millis: 0.5, checkpoint_every: 10, crash: Some((1, 20)), ..Noop::default() });
        assert_eq!(Noop::parse("").unwrap(), Noop::default());
        for bad in ["speed=1", "crash=3", "step_millis=x", "fast"] {
            assert!(Noop::parse(bad).unwrap_err().message.contains(bad), "{bad}");
        }
    }
}
