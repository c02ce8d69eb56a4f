//! Trains runs by starting a user's script for each: what it says becomes the run's log, of which this is the one writer.

mod record;

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::program::how_it_ended;
use super::{Assignment, Job, Report, Trainer, checkpoint};
use crate::error::{Error, Result};
use crate::event::{Event, EventLog, Outcome};
use crate::here::now;
use crate::out;
use crate::script::attempt::{self, Attempt};
use crate::script::describe::last_words;
use crate::script::process::{Guard, end_all_of};
use crate::script::protocol::{self, Asked};
use crate::script::{Script, files as own_files};
use crate::task::files::data_dir;
use record::{Record, Said};

/// Between SIGTERM and the end of its whole group: less than a worker has itself.
pub const GRACE: Duration = Duration::from_secs(25);
/// How often it is looked at: soon at first, so that what ends at once holds up nothing.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(40));

pub struct Scripts {
    device: String,
    threads: usize,
    /// Of this worker, from its first run on.
    guard: Option<Guard>,
}

impl Scripts {
    pub fn new(device: &str, threads: usize) -> Scripts {
        Scripts { device: device.to_owned(), threads, guard: None }
    }

    fn train_one(&mut self, run: &Assignment, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<()> {
        let script = Script::of(&run.config.model)?;
        // Whoever waits here for the last worker to end then sees what that one wrote.
        let log = EventLog::open(&run.folder)?;
        attempt::end_leftovers(&run.folder)?;
        let mut record = Record::read(run, log)?;
        record.log.append(&run.start(&self.device, record.checkpoint))?;
        let mut life = Life { from_step: record.checkpoint, since_hello: Instant::now() };
        if let Some(outcome) = record.over() {
            return self.end(run, &mut record, &life, outcome);
        }
        if own_files::hash(&script.declared)? != script.hash {
            return Err(changed(&script));
        }
        let asked = attempt::asked_file(&run.folder, run.attempt);
        self.guard()?.look_after(&asked)?;
        let mut attempt = self.begin(run, &script, record.checkpoint)?;
        let lived = live(&mut attempt, &mut record, &mut life, self.guard()?, stop, report);
        // What has left its group too, as ranks of torchrun do: the next run of this slot wants the device for itself.
        end_all_of(&asked)?;
        let status = lived?;
        if let Some(rest) = attempt.unended() {
            report(Report::Warning(format!("run {}: its last line has no end: {rest}", run.id)));
        }
        if attempt.running.overstayed {
            let grace = GRACE.as_secs();
            let text = format!("run {}: asked to stop, its script had not left after {grace} s and was killed", run.id);
            report(Report::Warning(text));
        }
        match record.outcome(status, attempt.running.was_asked()) {
            Ok(outcome) => self.end(run, &mut record, &life, outcome),
            Err(reason) => {
                let log = run.folder.join(attempt::LOG);
                out::say(format_args!("{}:{}", log.display(), last_words(&log)));
                Err(Error::failed(reason))
            }
        }
    }

    fn guard(&mut self) -> Result<&mut Guard> {
        if self.guard.is_none() {
            self.guard = Some(Guard::start()?);
        }
        self.guard.as_mut().ok_or_else(|| Error::failed("nothing looks after scripts"))
    }

    fn begin(&self, run: &Assignment, script: &Script, resume: u64) -> Result<Attempt> {
        let (config, data) = (&run.config, data_dir()?);
        let events = attempt::lines_file(&run.folder, run.attempt);
        let asked = Asked {
            protocol: protocol::VERSION,
            id: &run.id,
            attempt: run.attempt,
            config: &script.keys,
            task: protocol::task(config),
            examples: config.examples,
            steps: config.steps,
            seed: config.seed,
            train: config.train.keys(),
            evaluations: config.evaluations(),
            resume,
            threads: self.threads,
            grace: GRACE.as_secs_f64(),
            folder: &run.folder,
            events: &events,
            data: &data,
        };
        Attempt::start(script, &asked, GRACE)
    }

    /// The log before what stands on it.
    fn end(&self, run: &Assignment, record: &mut Record, life: &Life, outcome: Outcome) -> Result<()> {
        let seconds = record.seconds.unwrap_or_else(|| life.since_hello.elapsed().as_secs_f64());
        let examples = record.last_step.saturating_sub(life.from_step) * run.config.train.batch;
        let examples_per_second = examples as f64 / seconds.max(1e-9);
        let goes_on = matches!(outcome, Outcome::Stopped { .. });
        let (attempt, time) = (run.attempt, now());
        record.log.append(&Event::End { attempt, time, seconds, examples_per_second, outcome })?;
        record.log.sync()?;
        if goes_on {
            return Ok(());
        }
        attempt::remove_lines(&run.folder)?;
        checkpoint::remove_all(&run.folder)
    }
}

impl Trainer for Scripts {
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn train(&mut self, job: &Job, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<()> {
        job.runs.iter().try_for_each(|run| self.train_one(run, stop, report))
    }
}

/// What of an attempt its speed is taken from.
struct Life {
    from_step: u64,
    since_hello: Instant,
}

/// Until its process has ended, and all that it said is in the log.
fn live(
    attempt: &mut Attempt,
    record: &mut Record,
    life: &mut Life,
    guard: &mut Guard,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Report),
) -> Result<ExitStatus> {
    let mut wait = LOOK_EVERY.0;
    loop {
        let ended = attempt.ended()?;
        let heard = attempt.heard()?;
        wait = if heard.is_empty() { (2 * wait).min(LOOK_EVERY.1) } else { LOOK_EVERY.0 };
        for said in heard {
            match record.take(&said)? {
                Said::Hello(hello) => (life.from_step, life.since_hello) = (hello.step, Instant::now()),
                Said::Step { step, loss } => {
                    let seconds = life.since_hello.elapsed().as_secs_f64();
                    report(Report::Progress(record.progress(step, loss, life.from_step, seconds)));
                }
                Said::Bad(why) => report(Report::Warning(why)),
                Said::Nothing => {}
            }
        }
        if let Some(status) = ended {
            return Ok(status);
        }
        guard.keep()?;
        if record.diverged.is_some() {
            attempt.running.kill();
        } else if stop.load(Ordering::Relaxed) {
            attempt.running.ask_to_stop();
        }
        thread::sleep(wait);
    }
}

fn changed(script: &Script) -> Error {
    Error::failed(format!("the files of {} have changed since this was planned", script.declared.typed()))
        .hint("'crossover run' the sweep's file again: a changed script is another run")
}

/// How a process ended that said no end.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => "it left with exit code 0 and said no `end`: it is done once it says so".into(),
        _ => format!("it {}", how_it_ended(status)),
    }
}
