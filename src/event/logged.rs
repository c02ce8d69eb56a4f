//! What earlier attempts have left in a run's log: whoever goes on writes what is missing, and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::Path;

use super::{Event, EventLog, LONGEST_LINE, Outcome, essential, line};
use crate::error::{Context, Result};
use crate::files;
use crate::lines::{Line, Lines};
use crate::run::RunConfig;

#[derive(Debug, Default)]
pub struct Logged {
    steps: BTreeSet<u64>,
    /// The run has ended and no evaluation is missing: nothing is to be trained.
    pub over: bool,
    /// Where its loss was not finite.
    diverged: Option<u64>,
    /// By number; how each ended, where it has said so.
    attempts: BTreeMap<u32, Option<Outcome>>,
}

impl Logged {
    /// From the log in a run's folder; lines that are no events are passed over.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(folder: &Path, config: &RunConfig) -> Result<Logged> {
        let path = folder.join(EventLog::FILE);
        let failed = || format!("cannot read {}", path.display());
        let file = BufReader::new(files::open(&path).context(failed)?);
        let (mut logged, mut done) = (Logged::default(), false);
        for read in Lines::new(file, LONGEST_LINE) {
            let Line::Whole(text) = read.context(failed)? else { continue };
            // Not UTF-8, and so no event to the index either.
            if text.contains(char::REPLACEMENT_CHARACTER) {
                continue;
            }
            match line::is_whole(text.as_bytes()).then(|| serde_json::from_str(&text).ok()).flatten() {
                Some(Event::Metrics { step, values }) => {
                    let has = |name: &&str| values.contains_key(*name);
                    if essential(step, config).iter().all(has) {
                        logged.steps.insert(step);
                    }
                }
                Some(Event::Start { attempt, .. }) => _ = logged.attempts.entry(attempt).or_default(),
                Some(Event::End { attempt, outcome, .. }) => {
                    match outcome {
                        Outcome::Done => done = true,
                        Outcome::Diverged { step } => (logged.over, logged.diverged) = (true, Some(step)),
                        _ => {}
                    }
                    logged.attempts.insert(attempt, Some(outcome));
                }
                _ => {}
            }
        }
        logged.over |= done && logged.reaches(config, config.steps);
        Ok(logged)
    }

    /// The same, where a run that nobody took up has no log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read_if_there(folder: &Path, config: &RunConfig) -> Result<Logged> {
        let is_there = folder.join(EventLog::FILE).symlink_metadata().is_ok();
        if is_there { Logged::read(folder, config) } else { Ok(Logged::default()) }
    }

    /// How the run ended, if it has.
    pub fn end(&self) -> Option<Outcome> {
        self.over.then(|| self.diverged.map_or(Outcome::Done, |step| Outcome::Diverged { step }))
    }

    /// How an attempt ended, where it has said so.
    pub fn outcome(&self, attempt: u32) -> Option<&Outcome> {
        self.attempts.get(&attempt).and_then(Option::as_ref)
    }

    /// The last attempt's number, and how it ended; attempt 0 is none.
    pub fn last(&self) -> (u32, Option<&Outcome>) {
        self.attempts.last_key_value().map_or((0, None), |(number, outcome)| (*number, outcome.as_ref()))
    }

    /// Whether the metrics of this step are there.
    pub fn has(&self, step: u64) -> bool {
        self.steps.contains(&step)
    }

    /// Whether every evaluation up to `step` is there: what a checkpoint at that step stands on. A run that went on from
    /// a checkpoint beyond lost lines would never measure them again.
    pub fn reaches(&self, config: &RunConfig, step: u64) -> bool {
        config.measured_at().into_iter().take_while(|at| *at <= step).all(|at| self.has(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Named, Recipe, Schedule, Settings};

    fn config() -> RunConfig {
        let named = |name: &str| Named { name: name.into(), settings: Settings::new() };
        let train = Recipe {
            batch: 1,
            lr: 1.0,
            weight_decay: 0.0,
            clip: None,
            schedule: Schedule::Constant,
            evals: 2,
            ..Recipe::default()
        };
        RunConfig { model: named("vit"), task: named("mnist1d"), examples: 9, steps: 100, train, seed: 0 }
    }

    /// Else a run would be tried again for ever: the index misses what the worker takes to be there.
    #[test]
    fn whatever_bit_flips_the_worker_takes_no_line_that_the_index_does_not() {
        let (folder, config) = (tempfile::tempdir().unwrap(), config());
        let path = folder.path().join(EventLog::FILE);
        let values = std::collections::BTreeMap::from([("val_loss".into(), 0.5)]);
        EventLog::open(folder.path()).unwrap().append(&Event::Metrics { step: 10, values }).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let end = whole.len() - 1;
        for bit in 0..8 * end {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let taken = Logged::read(folder.path(), &config).unwrap().has(10);
            let indexed = line::is_whole(&bytes[..end]) && serde_json::from_slice::<Event>(&bytes[..end]).is_ok();
            assert!(!taken || indexed, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_log_without_the_metrics_of_an_evaluation_is_not_over() {
        let config = config();
        let folder = tempfile::tempdir().unwrap();
        let read = |lines: &[&str]| {
            std::fs::write(folder.path().join(EventLog::FILE), lines.concat()).unwrap();
            Logged::read(folder.path(), &config).unwrap()
        };
        let metrics =
            |step: u64, values: &str| format!("{{\"event\":\"metrics\",\"step\":{step},\"values\":{{{values}}}}}\n");
        // The first release read the test split at every evaluation.
        let at = |step: u64| metrics(step, "\"val_loss\":1,\"test_loss\":1");
        let end = |outcome: &str| {
            format!(
                "{{\"event\":\"end\",\"attempt\":1,\"time\":1,\"seconds\":1,\"examples_per_second\":1,\"outcome\":{outcome}}}\n"
            )
        };
        let done = end("{\"outcome\":\"done\"}");
        assert!(read(&[&at(10), "\0\u{fffd}\n", &at(100), &done]).over);
        let lost = read(&[&at(100), &done]);
        assert!(!lost.over && lost.has(100) && !lost.has(10) && lost.reaches(&config, 9) && !lost.reaches(&config, 10));
        let garbled = |step: u64, name: &str| at(step).replace(name, "garbled");
        assert!(!read(&[&garbled(10, "val_loss"), &at(100), &done]).over);
        assert!(!read(&[&at(10), &garbled(100, "test_loss"), &done]).over);
        assert!(read(&[&metrics(10, "\"val_loss\":1"), &at(100), &done]).over);
        assert!(!read(&[&at(10), &at(100)]).over);
        assert!(read(&[&end("{\"outcome\":\"diverged\",\"step\":3}")]).over);
    }
}
