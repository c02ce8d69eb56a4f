//! What became of runs: the index of a store says it to its one writer, and their logs alone to a pilot, which never opens
//! an index.

use std::path::PathBuf;

use super::super::jobs::Pending;
use super::super::{Decision, Observer, report_skipped};
use super::local::orphans;
use crate::error::Result;
use crate::event::{Logged, Outcome};
use crate::store::{State, Store};
use crate::worker::Assignment;

pub(in crate::executor) trait Results {
    fn run_folder(&self, run: &str) -> PathBuf;

    /// The run as its worker is told of it.
    fn assignment(&self, run: &Pending) -> Assignment {
        Assignment {
            id: run.id.clone(),
            folder: self.run_folder(&run.id),
            attempt: run.attempt,
            io: run.io,
            config: run.config.clone(),
        }
    }

    /// Where the stderr of each slot's worker goes.
    fn slot_logs(&self) -> PathBuf;

    /// Waits for what an earlier orchestration left running; false where `stopped` says so first.
    ///
    /// # Errors
    /// It does not end.
    fn outlive(&self, decision: &Decision, observer: &mut dyn Observer, stopped: &dyn Fn() -> bool) -> Result<bool>;

    /// What is new in the logs of these runs is known from here on.
    ///
    /// # Errors
    /// A log cannot be read, or the index not be written.
    fn take_in(&mut self, runs: &[&str], observer: &mut dyn Observer) -> Result<()>;

    /// How this attempt ended, as far as its log says.
    ///
    /// # Errors
    /// The log or the index cannot be read.
    fn attempt(&self, run: &Pending) -> Result<Option<Outcome>>;

    /// `Done` or `Diverged` where nothing is left to do of the run, whichever attempt did it.
    ///
    /// # Errors
    /// The log or the index cannot be read.
    fn end(&self, run: &Pending) -> Result<Option<Outcome>>;
}

impl Results for Store {
    fn run_folder(&self, run: &str) -> PathBuf {
        self.reader().run_folder(run)
    }

    fn slot_logs(&self) -> PathBuf {
        self.reader().run_folder("workers")
    }

    fn outlive(&self, decision: &Decision, observer: &mut dyn Observer, stopped: &dyn Fn() -> bool) -> Result<bool> {
        orphans::outlive(self.reader(), decision, observer, stopped)
    }

    fn take_in(&mut self, runs: &[&str], observer: &mut dyn Observer) -> Result<()> {
        self.reader().still_there()?;
        let ingested = self.ingest_runs(runs.iter().copied())?;
        report_skipped(&ingested.skipped, observer);
        Ok(())
    }

    fn attempt(&self, run: &Pending) -> Result<Option<Outcome>> {
        let attempts = self.reader().attempts(&run.id)?;
        Ok(attempts.into_iter().find(|attempt| attempt.attempt == run.attempt).and_then(|found| found.outcome))
    }

    fn end(&self, run: &Pending) -> Result<Option<Outcome>> {
        let standing = self.reader().standing([run.id.as_str()])?;
        Ok(match standing.get(&run.id).map(|(state, _)| state) {
            Some(State::Done) => Some(Outcome::Done),
            Some(State::Diverged { step }) => Some(Outcome::Diverged { step: *step }),
            _ => None,
        })
    }
}

/// Logs alone.
pub(in crate::executor) struct Logs {
    /// Of the store.
    pub store: PathBuf,
    pub slots: PathBuf,
}

impl Results for Logs {
    fn run_folder(&self, run: &str) -> PathBuf {
        self.store.join(run)
    }

    fn slot_logs(&self) -> PathBuf {
        self.slots.clone()
    }

    /// Each worker waits for its run's log, and no run is known before it is taken.
    fn outlive(&self, _: &Decision, _: &mut dyn Observer, _: &dyn Fn() -> bool) -> Result<bool> {
        Ok(true)
    }

    /// They are read when they are asked for.
    fn take_in(&mut self, _runs: &[&str], _observer: &mut dyn Observer) -> Result<()> {
        Ok(())
    }

    fn attempt(&self, run: &Pending) -> Result<Option<Outcome>> {
        let logged = Logged::read_if_there(&self.run_folder(&run.id), &run.config)?;
        Ok(logged.outcome(run.attempt).cloned())
    }

    fn end(&self, run: &Pending) -> Result<Option<Outcome>> {
        Ok(Logged::read_if_there(&self.run_folder(&run.id), &run.config)?.end())
    }
}
