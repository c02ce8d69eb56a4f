//! One run of a pack: its log, its evaluations, and how it ends.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::event::{Event, EventLog, Logged, Outcome};
use crate::train::evaluation::Evaluated;
use crate::worker::Assignment;

pub struct Row<'a> {
    pub run: &'a Assignment,
    /// Which of the pack's models is this run's.
    pub lane: usize,
    pub log: EventLog,
    /// Steps after which it is evaluated.
    evaluations: Vec<u64>,
    /// How this attempt ended; none while it is under way.
    pub outcome: Option<Outcome>,
    pub end_logged: bool,
    /// Of the losses since the last evaluation.
    pub loss_sum: f64,
    pub loss_count: u64,
    pub last_loss: f64,
    /// By earlier attempts.
    logged: Logged,
}

impl<'a> Row<'a> {
    /// None if the log says that the run is over.
    pub fn open(run: &'a Assignment) -> Result<Option<Self>> {
        let log = EventLog::open(&run.folder)?;
        let logged = Logged::read(&run.folder, &run.config)?;
        if logged.over {
            return Ok(None);
        }
        Ok(Some(Self {
            run,
            lane: 0,
            log,
            evaluations: run.config.evaluations(),
            outcome: None,
            end_logged: false,
            loss_sum: 0.0,
            loss_count: 0,
            last_loss: f64::NAN,
            logged,
        }))
    }

    pub fn log_start(&mut self, device: &str, from_step: u64) -> Result<()> {
        self.log.append(&self.run.start(device, from_step))
    }

    pub fn read_loss(&mut self, step: u64, loss: f64) {
        if self.outcome.is_some() {
            return;
        }
        if !loss.is_finite() {
            self.outcome = Some(Outcome::Diverged { step });
            return;
        }
        self.loss_sum += loss;
        self.loss_count += 1;
        self.last_loss = loss;
    }

    pub fn forget_losses(&mut self) {
        (self.loss_sum, self.loss_count) = (0.0, 0);
    }

    /// Whether it is evaluated after this step.
    pub fn is_due(&self, step: u64) -> bool {
        self.outcome.is_none() && self.evaluations.binary_search(&step).is_ok()
    }

    /// Whether it is, and no earlier attempt has logged it.
    pub fn wants_metrics(&self, step: u64) -> bool {
        self.is_due(step) && !self.logged.has(step)
    }

    /// Whether the test split is among what it wants: at the end of its own budget, which may be in the middle of the pack's.
    pub fn wants_test(&self, step: u64) -> bool {
        self.wants_metrics(step) && step == self.run.config.steps
    }

    /// Whether the log has all that was measured up to a step: a run that went on from a checkpoint beyond lost lines would
    /// never measure them again.
    pub fn bears_out(&self, step: u64) -> bool {
        self.logged.reaches(&self.run.config, step)
    }

    /// Whether a longer run of the pack's goes on from this step without it.
    pub fn branches(&self, step: u64, steps: u64) -> bool {
        self.outcome.is_none() && self.run.config.steps < steps && self.run.config.trunk_steps() == step
    }

    /// Logs what its lane measured, of `test` only what it wants. A loss that is not finite ends the run instead.
    pub fn log_metrics(&mut self, step: u64, validation: &Evaluated, test: Option<&Evaluated>) -> Result<()> {
        if !self.wants_metrics(step) {
            return Ok(());
        }
        let index = self.lane;
        let mut values = BTreeMap::from([
            ("val_loss".to_owned(), validation.loss[index]),
            ("val_error".to_owned(), validation.error[index]),
        ]);
        if let Some(test) = test.filter(|_| self.wants_test(step)) {
            values.insert("test_loss".to_owned(), test.loss[index]);
            values.insert("test_error".to_owned(), test.error[index]);
        }
        if self.loss_count > 0 {
            values.insert("train_loss".to_owned(), self.loss_sum / self.loss_count as f64);
        }
        values.extend(validation.extra.iter().map(|(name, rows)| (name.clone(), rows[index])));
        if values.values().all(|value| value.is_finite()) {
            self.log.append(&Event::Metrics { step, values })
        } else {
            self.outcome = Some(Outcome::Diverged { step });
            Ok(())
        }
    }
}
