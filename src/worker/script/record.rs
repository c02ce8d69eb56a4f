//! What a script has said so far, of all its attempts, made into the run's log: each value once, the first that was said.

use std::collections::{BTreeMap, HashSet};
use std::io::BufReader;
use std::process::ExitStatus;

use super::describe;
use crate::error::{Context, Result};
use crate::event::{Event, EventLog, LONGEST_LINE, Outcome, line};
use crate::files;
use crate::lines::{Line as Text, Lines};
use crate::progress::cut;
use crate::script::attempt::{Said as Heard, Tail, all_lines_files};
use crate::script::protocol::{Ending, Hello, Line};
use crate::worker::{Assignment, Progress};

/// Lines that break a rule, told of one attempt.
const TOLD: usize = 3;
/// Columns of a line that a person reads.
const SHOWN: usize = 120;
/// What a run has after its last step once it is done.
const MEASURED: &str = "val_loss";

pub(super) struct Record {
    pub log: EventLog,
    id: String,
    steps: u64,
    batch: u64,
    /// What the log has.
    known: HashSet<(u64, String)>,
    /// The step of the last checkpoint that was said.
    pub checkpoint: u64,
    /// The step at which a value was not finite.
    pub diverged: Option<u64>,
    /// The furthest step that was spoken of in this attempt.
    pub last_step: u64,
    loss: f64,
    end: Option<Ending>,
    pub seconds: Option<f64>,
    greeted: bool,
    bad: usize,
}

/// What a line is to whoever watches.
pub(super) enum Said {
    Hello(Hello),
    Step {
        step: u64,
        loss: Option<f64>,
    },
    /// It breaks a rule.
    Bad(String),
    Nothing,
}

impl Record {
    /// From the log, and from what earlier attempts said that a killed worker did not take over.
    ///
    /// # Errors
    /// The folder cannot be read, or the log not be written.
    pub fn read(run: &Assignment, log: EventLog) -> Result<Record> {
        let mut record = Record {
            log,
            id: run.id.clone(),
            steps: run.config.steps,
            batch: run.config.train.batch,
            known: HashSet::new(),
            checkpoint: 0,
            diverged: None,
            last_step: 0,
            loss: f64::NAN,
            end: None,
            seconds: None,
            greeted: false,
            bad: 0,
        };
        record.read_log(run)?;
        for path in all_lines_files(&run.folder)? {
            record.greeted = false;
            for said in Tail::of(&path)?.said(record.steps)? {
                record.take(&said)?;
            }
            // How an attempt ended is of no account to the next, unless that was the end.
            record.end = record.end.take().filter(|end| *end == Ending::Done && record.is_measured());
            record.seconds = record.seconds.filter(|_| record.end.is_some());
        }
        (record.greeted, record.bad, record.last_step) = (false, 0, 0);
        Ok(record)
    }

    fn read_log(&mut self, run: &Assignment) -> Result<()> {
        let path = run.folder.join(EventLog::FILE);
        let failed = || format!("cannot read {}", path.display());
        for text in Lines::new(BufReader::new(files::open(&path).context(failed)?), LONGEST_LINE) {
            let Text::Whole(text) = text.context(failed)? else { continue };
            match line::is_whole(text.as_bytes()).then(|| serde_json::from_str(&text).ok()).flatten() {
                Some(Event::Metrics { step, values }) => {
                    self.known.extend(values.into_keys().map(|name| (step, name)));
                }
                Some(Event::End { outcome: Outcome::Diverged { step }, .. }) => self.diverged = Some(step),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes what is new of a line into the log.
    ///
    /// # Errors
    /// The log cannot be written; the attempt did not begin with a hello.
    pub fn take(&mut self, heard: &Heard) -> Result<Said> {
        let line = match &heard.line {
            Ok(line) => line.clone(),
            Err(why) => {
                self.bad += 1;
                let told = format!(
                    "run {}: its script said a line that is none ({why}): {}",
                    self.id,
                    cut(&heard.text, SHOWN)
                );
                return Ok(if self.bad <= TOLD { Said::Bad(told) } else { Said::Nothing });
            }
        };
        if !self.greeted && !matches!(line, Line::Hello(_)) {
            self.greeted = true;
            let told = format!("run {}: its script began without a hello: {}", self.id, cut(&heard.text, SHOWN));
            self.write(line)?;
            return Ok(Said::Bad(told));
        }
        self.write(line)
    }

    fn write(&mut self, line: Line) -> Result<Said> {
        Ok(match line {
            Line::Hello(hello) => {
                self.greeted = true;
                (self.last_step, self.checkpoint) = (hello.step, hello.step);
                Said::Hello(hello)
            }
            Line::Metrics { step, values } => {
                let loss = ["train_loss", MEASURED].iter().find_map(|name| values.get(*name)).copied();
                self.measured(step, values)?;
                self.at(step, loss)
            }
            Line::Progress { step, loss } => self.at(step, loss),
            Line::Checkpoint { step } => {
                self.checkpoint = step;
                // A checkpoint never knows of steps whose metrics are lost.
                self.log.sync()?;
                self.at(step, None)
            }
            Line::End(end) => {
                self.end = Some(end.outcome);
                self.seconds = end.seconds.filter(|seconds| *seconds > 0.0);
                Said::Nothing
            }
        })
    }

    fn at(&mut self, step: u64, loss: Option<f64>) -> Said {
        self.last_step = self.last_step.max(step);
        Said::Step { step, loss }
    }

    fn measured(&mut self, step: u64, values: BTreeMap<String, f64>) -> Result<()> {
        if values.values().any(|value| !value.is_finite()) {
            self.diverged.get_or_insert(step);
        }
        if self.diverged.is_some() {
            return Ok(());
        }
        let new = |(name, _): &(String, f64)| self.known.insert((step, name.clone()));
        let values: BTreeMap<String, f64> = values.into_iter().filter(new).collect();
        if values.is_empty() { Ok(()) } else { self.log.append(&Event::Metrics { step, values }) }
    }

    /// The speed is that since the attempt's hello.
    pub fn progress(&mut self, step: u64, loss: Option<f64>, from_step: u64, seconds: f64) -> Progress {
        self.loss = loss.unwrap_or(self.loss);
        let examples = (step.saturating_sub(from_step) * self.batch) as f64;
        Progress { step, loss: self.loss, examples_per_second: examples / seconds.max(1e-9) }
    }

    fn is_measured(&self) -> bool {
        self.known.contains(&(self.steps, MEASURED.into()))
    }

    /// How the run ended, where an earlier attempt has said so.
    pub fn over(&self) -> Option<Outcome> {
        match (self.diverged, &self.end) {
            (Some(step), _) => Some(Outcome::Diverged { step }),
            (None, Some(Ending::Done)) => Some(Outcome::Done),
            _ => None,
        }
    }

    /// How an attempt ended whose process did, `asked` to or not; else why it failed.
    pub fn outcome(&self, status: ExitStatus, asked: bool) -> Result<Outcome, String> {
        match (self.diverged, &self.end) {
            (Some(step), _) => Ok(Outcome::Diverged { step }),
            (None, Some(Ending::Done)) if self.is_measured() => Ok(Outcome::Done),
            (None, Some(Ending::Done)) => {
                Err(format!("it said that it is done, and no {MEASURED} at step {}, its last", self.steps))
            }
            (None, Some(Ending::Failed { reason })) if !reason.is_empty() => Err(reason.clone()),
            (None, Some(Ending::Failed { .. })) => Err("it said that it failed".into()),
            (None, Some(Ending::Stopped)) | (None, None) if asked || self.end.is_some() => match self.checkpoint {
                0 => Err("it was stopped before its first checkpoint: it starts over".into()),
                step => Ok(Outcome::Stopped { step }),
            },
            (None, _) => Err(describe(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::model::Io;
    use crate::run::{Named, Recipe, RunConfig, Settings};
    use crate::script::attempt::lines_file;

    fn run(folder: &std::path::Path) -> Assignment {
        let named = |name: &str| Named { name: name.into(), settings: Settings::new() };
        let train = Recipe { batch: 4, ..Recipe::default() };
        let config = RunConfig { model: named("script"), task: named("own"), examples: 9, steps: 40, train, seed: 0 };
        let io = Io { channels: 0, height: 0, width: 0, classes: 0 };
        Assignment { id: "abc".into(), folder: folder.into(), attempt: 3, io, config }
    }

    /// What is read of these lines of two attempts.
    fn record(folder: &std::path::Path, attempts: [&str; 2]) -> Record {
        for (number, text) in (1..).zip(attempts) {
            std::fs::write(lines_file(folder, number), text).unwrap();
        }
        Record::read(&run(folder), EventLog::open(folder).unwrap()).unwrap()
    }

    const HELLO: &str = "{\"event\":\"hello\",\"protocol\":1}\n";

    fn metrics(step: u64, loss: &str) -> String {
        format!("{{\"event\":\"metrics\",\"step\":{step},\"values\":{{\"val_loss\":{loss}}}}}\n")
    }

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn what_a_killed_worker_did_not_take_over_is_taken_once_and_the_first_value_stays() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = "{\"event\":\"checkpoint\",\"step\":10}\n";
        let first = [HELLO, &metrics(10, "1.5"), checkpoint, &metrics(20, "1.0"), "{\"event\":\"metr"].concat();
        let again = HELLO.replace("1}", "1,\"step\":10}");
        let second = [&again, &metrics(20, "7.0"), &metrics(40, "0.5")].map(String::as_str).concat();
        let read = || record(dir.path(), [&first, &second]);
        let found = read();
        assert_eq!((found.checkpoint, found.over(), found.diverged), (10, None, None));
        drop(found);
        drop(read());
        let log = std::fs::read_to_string(dir.path().join(EventLog::FILE)).unwrap();
        let values: Vec<Event> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let event = |step, loss| Event::Metrics { step, values: BTreeMap::from([("val_loss".into(), loss)]) };
        assert_eq!(values, [event(10, 1.5), event(20, 1.0), event(40, 0.5)]);
    }

    #[test]
    fn an_end_that_nobody_took_over_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let end = |outcome: &str| format!("{{\"event\":\"end\",\"outcome\":\"{outcome}\"}}\n");
        let done = [HELLO, &metrics(40, "0.5"), &end("done")].concat();
        assert_eq!(record(dir.path(), [&done, ""]).over(), Some(Outcome::Done));
        let lost = [HELLO, &end("done")].concat();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(record(dir.path(), [&lost, ""]).over(), None, "its last value is not there");
        let stopped = [HELLO, &metrics(10, "1"), &end("stopped")].concat();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(record(dir.path(), [&stopped, ""]).over(), None);
        let dir = tempfile::tempdir().unwrap();
        let diverged = [HELLO, &metrics(10, "NaN"), &metrics(20, "1")].concat();
        assert_eq!(record(dir.path(), [&diverged, ""]).over(), Some(Outcome::Diverged { step: 10 }));
        assert_eq!(std::fs::read_to_string(dir.path().join(EventLog::FILE)).unwrap(), "");
    }

    #[test]
    fn how_a_process_ends_is_asked_only_where_it_said_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut found = record(dir.path(), ["", ""]);
        let failed = |found: &Record, code, asked| found.outcome(exit(code), asked).unwrap_err();
        assert_eq!(failed(&found, 3, false), "it ended with exit code 3");
        assert!(failed(&found, 0, false).contains("exit code 0 and said no `end`"));
        assert!(failed(&found, 0, true).contains("before its first checkpoint"));
        assert!(found.outcome(ExitStatus::from_raw(9), false).unwrap_err().contains("SIGKILL"));
        found.checkpoint = 20;
        // Also where it ended badly: what it goes on from is in place.
        assert_eq!(found.outcome(exit(1), true), Ok(Outcome::Stopped { step: 20 }));
        assert_eq!(failed(&found, 1, false), "it ended with exit code 1");
        found.end = Some(Ending::Done);
        assert!(failed(&found, 0, false).contains("no val_loss at step 40"));
        found.known.insert((40, "val_loss".into()));
        assert_eq!(found.outcome(exit(1), true), Ok(Outcome::Done));
        found.end = Some(Ending::Failed { reason: "no room".into() });
        assert_eq!(failed(&found, 0, false), "no room");
    }
}
