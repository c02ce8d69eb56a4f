//! Acts on a decision on this machine: one worker process a slot, jobs handed out, results taken in as they come.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::jobs::{self, Pending, PlannedJob};
use super::process::{FromWorker, WorkerProcess};
use super::{Decision, Observer, Tally, signals, tail};
use crate::error::{Error, Result};
use crate::event::{Event, EventLog, Outcome};
use crate::store::{State, Store};
use crate::worker::program::{Program, missing_library};
use crate::worker::{Assignment, Job, Message};

const TICK: Duration = Duration::from_millis(100);
/// Results reach the database this often while runs go on, and at once when a job ends.
const INGEST_EVERY: Duration = Duration::from_millis(500);
/// A worker that was asked to stop is killed after this long; it gives up by itself a little earlier.
const STOP_WITHIN: Duration = Duration::from_secs(35);
/// Workers that end before they are ready, one after the other: something is wrong with all of them.
const BAD_STARTS: u32 = 3;

enum Happened {
    /// From the worker with this serial number on this slot.
    Heard(usize, u64, FromWorker),
    Signalled,
}

struct Worker {
    process: WorkerProcess,
    serial: u64,
    ready: bool,
    job: Option<PlannedJob>,
    /// Whether the observer knows of the job.
    announced: bool,
    /// Length of its log when the job was handed out.
    log_mark: u64,
}

struct Local<'a> {
    store: &'a mut Store,
    observer: &'a mut dyn Observer,
    decision: &'a Decision,
    program: Program,
    events: Sender<Happened>,
    queue: VecDeque<PlannedJob>,
    workers: Vec<Option<Worker>>,
    serial: u64,
    bad_starts: u32,
    /// Failed attempts of this orchestration, by run.
    failures: HashMap<String, u32>,
    tally: Tally,
    /// When workers were asked to stop.
    stopping: Option<Instant>,
}

/// Does the decision's jobs. Whatever happens, no worker is left when it returns.
pub(super) fn act(store: &mut Store, decision: &Decision, observer: &mut dyn Observer) -> Result<Tally> {
    let program = Program::find()?;
    let (events, happened) = mpsc::channel();
    let signals = signals::listen({
        let events = events.clone();
        move || drop(events.send(Happened::Signalled))
    })?;
    let mut local = Local {
        store,
        observer,
        decision,
        program,
        events,
        queue: decision.jobs.clone().into(),
        workers: decision.slots.iter().map(|_| None).collect(),
        serial: 0,
        bad_starts: 0,
        failures: HashMap::new(),
        tally: Tally::default(),
        stopping: None,
    };
    let worked = local.work(&happened);
    local.dismiss(&happened);
    let tally = local.tally;
    signals.forget();
    worked.map(|()| tally)
}

impl Local<'_> {
    fn work(&mut self, happened: &Receiver<Happened>) -> Result<()> {
        let mut ingested = Instant::now();
        loop {
            self.hand_out()?;
            self.announce();
            if !self.is_busy() {
                return Ok(());
            }
            match happened.recv_timeout(TICK) {
                Ok(event) => self.handle(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("no worker can be heard any more")),
            }
            if ingested.elapsed() >= INGEST_EVERY {
                self.ingest_running()?;
                ingested = Instant::now();
            }
            self.kill_late_ones();
            self.observer.tick();
        }
    }

    fn is_busy(&self) -> bool {
        self.workers.iter().flatten().any(|worker| worker.job.is_some())
    }

    /// Gives each idle slot the next job.
    fn hand_out(&mut self) -> Result<()> {
        for slot in 0..self.workers.len() {
            if self.stopping.is_some() || self.queue.is_empty() {
                return Ok(());
            }
            if self.workers[slot].is_none() {
                self.workers[slot] = Some(self.start_worker(slot)?);
            }
            if let Some(worker) = &mut self.workers[slot]
                && worker.job.is_none()
                && let Some(job) = self.queue.pop_front()
            {
                worker.log_mark = worker.process.log().metadata().map_or(0, |log| log.len());
                let runs = job.runs.iter().map(|run| assignment(self.store, run)).collect();
                worker.process.send(&Job { runs })?;
                (worker.job, worker.announced) = (Some(job), false);
            }
        }
        Ok(())
    }

    /// Says which jobs were handed out; after what was said of the jobs before them.
    fn announce(&mut self) {
        for (slot, worker) in self.workers.iter_mut().enumerate() {
            if let Some(Worker { job: Some(job), announced, .. }) = worker
                && !std::mem::replace(announced, true)
            {
                self.observer.job_started(slot, job);
            }
        }
    }

    fn start_worker(&mut self, slot: usize) -> Result<Worker> {
        self.serial += 1;
        let serial = self.serial;
        let events = self.events.clone();
        let hear = move |heard| {
            let _ = events.send(Happened::Heard(slot, serial, heard));
        };
        let log = self.store.reader().run_folder("workers").join(format!("slot-{slot}.log"));
        let process = WorkerProcess::start(&self.program, &self.decision.slots[slot], log, hear)?;
        Ok(Worker { process, serial, ready: false, job: None, announced: true, log_mark: 0 })
    }

    fn handle(&mut self, event: Happened) -> Result<()> {
        let (slot, serial, heard) = match event {
            Happened::Signalled => {
                self.stop();
                return Ok(());
            }
            Happened::Heard(slot, serial, heard) => (slot, serial, heard),
        };
        let Some(worker) = self.workers[slot].as_mut().filter(|worker| worker.serial == serial) else { return Ok(()) };
        match heard {
            FromWorker::Said(Message::Ready) => {
                worker.ready = true;
                self.bad_starts = 0;
            }
            FromWorker::Said(Message::Progress(progress)) => self.observer.progress(slot, &progress),
            FromWorker::Said(Message::Warning { text }) => self.observer.say(&format!("warning: {text}")),
            FromWorker::Said(Message::Finished { failure }) => {
                let log = tail::read(worker.process.log(), worker.log_mark);
                if let Some(job) = worker.job.take() {
                    // The worker goes on while its last results are taken in.
                    self.hand_out()?;
                    let reason = failure.unwrap_or_else(|| "the worker returned without a result".into());
                    self.settle(slot, job, &reason, &log)?;
                }
            }
            FromWorker::Garbled(line) => self.observer.say(&format!("warning: slot {slot} said: {line}")),
            FromWorker::Closed => self.bury(slot)?,
        }
        if self.workers[slot].as_ref().is_none_or(|worker| worker.job.is_none()) {
            self.observer.slot_idle(slot);
        }
        Ok(())
    }

    /// A worker died.
    fn bury(&mut self, slot: usize) -> Result<()> {
        let Some(worker) = self.workers[slot].take() else { return Ok(()) };
        let log = tail::read(worker.process.log(), worker.log_mark);
        let reason = worker.process.reap();
        let Some(job) = worker.job else { return Ok(()) };
        if worker.ready || self.stopping.is_some() {
            return self.settle(slot, job, &reason, &log);
        }
        if let Some(error) = missing_library(None, &log) {
            return Err(error);
        }
        self.bad_starts += 1;
        if self.bad_starts >= BAD_STARTS {
            return Err(Error::failed(format!("workers do not start: {reason}{}", tail::indented(&log)))
                .hint(format!("try it by hand: {} serve --help", self.program.path().display())));
        }
        self.queue.push_front(job);
        Ok(())
    }

    /// What became of a job, by its runs' logs: they are the truth, also about a worker that died.
    fn settle(&mut self, slot: usize, mut job: PlannedJob, reason: &str, log: &str) -> Result<()> {
        self.ingest(job.runs.iter().map(|run| run.id.as_str()))?;
        self.branch_off(&mut job)?;
        let (together, lanes) = (job.runs.len(), job.leaders().count());
        let mut again = Vec::new();
        for mut run in job.runs {
            let Some(outcome) = self.outcome(&run, reason)? else { continue };
            let retry = self.count(&run, &outcome);
            let log = if matches!(outcome, Outcome::Failed { .. }) { self.keep_log(&run, log) } else { "" };
            self.observer.run_finished(slot, &run, &outcome, retry, log);
            if retry {
                run.attempt += 1;
                again.push(run);
            }
        }
        // A pack may be too large for the memory there is: its halves may not be.
        let pack = if again.len() == together { lanes.div_ceil(2) } else { lanes };
        self.queue.extend(jobs::jobs(again, self.decision.trunks, pack, 1));
        Ok(())
    }

    /// Runs that have left their job where their trunk ends are a job of their own, and the next: their checkpoints
    /// do not pile up.
    fn branch_off(&mut self, job: &mut PlannedJob) -> Result<()> {
        let mut branched = Vec::new();
        for mut run in std::mem::take(&mut job.runs) {
            let end = Some(Outcome::Stopped { step: run.config.trunk_steps() });
            if run.shared_steps > run.step && self.attempt_outcome(&run)? == end {
                (run.step, run.attempt) = (run.config.trunk_steps(), run.attempt + 1);
                branched.push(run);
            } else {
                job.runs.push(run);
            }
        }
        // Runs that branch off at different steps are different jobs; those of one pack stay one.
        while let Some(first) = branched.first() {
            let steps = first.config.steps;
            let (runs, others) = branched.into_iter().partition(|run| run.config.steps == steps);
            self.queue.push_front(PlannedJob { runs });
            branched = others;
        }
        Ok(())
    }

    /// How this attempt ended, as far as its log says.
    fn attempt_outcome(&self, run: &Pending) -> Result<Option<Outcome>> {
        let attempts = self.store.reader().attempts(&run.id)?;
        Ok(attempts.into_iter().find(|attempt| attempt.attempt == run.attempt).and_then(|found| found.outcome))
    }

    /// How this attempt ended; none if it was cut off by a stop, to be gone on with.
    fn outcome(&mut self, run: &Pending, reason: &str) -> Result<Option<Outcome>> {
        let standing = self.store.reader().standing([run.id.as_str()])?;
        match standing.get(&run.id).map(|(state, _)| state) {
            Some(State::Done) => return Ok(Some(Outcome::Done)),
            Some(State::Diverged { step }) => return Ok(Some(Outcome::Diverged { step: *step })),
            _ => {}
        }
        let ended = self.attempt_outcome(run)?;
        if ended.is_some() || self.stopping.is_some() {
            return Ok(ended);
        }
        let outcome = Outcome::Failed { reason: reason.to_string() };
        let end = Event::End {
            attempt: run.attempt,
            time: crate::store::now(),
            seconds: 0.0,
            examples_per_second: 0.0,
            outcome: outcome.clone(),
        };
        EventLog::open(&self.store.reader().run_folder(&run.id))?.append(&end)?;
        self.ingest([run.id.as_str()])?;
        Ok(Some(outcome))
    }

    /// Whether the run is to be tried again. A worker stopped by someone else counts as a failure.
    fn count(&mut self, run: &Pending, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Done => self.tally.done += 1,
            Outcome::Diverged { .. } => self.tally.diverged += 1,
            Outcome::Stopped { .. } | Outcome::Failed { .. } if self.stopping.is_some() => {}
            Outcome::Stopped { .. } | Outcome::Failed { .. } => {
                let failures = self.failures.entry(run.id.clone()).or_default();
                *failures += 1;
                if *failures <= self.decision.retries {
                    return true;
                }
                self.tally.failed += 1;
            }
        }
        false
    }

    /// The worker's last words stay with the run that they are about.
    fn keep_log<'l>(&self, run: &Pending, log: &'l str) -> &'l str {
        let path = self.store.reader().run_folder(&run.id).join("worker.log");
        if !log.is_empty() {
            let _ = std::fs::write(path, format!("{log}\n"));
        }
        log
    }

    fn ingest_running(&mut self) -> Result<()> {
        let busy = self.workers.iter().flatten().filter_map(|worker| worker.job.as_ref());
        let ids: Vec<String> = busy.flat_map(|job| job.runs.iter().map(|run| run.id.clone())).collect();
        self.ingest(ids.iter().map(String::as_str))?;
        for slot in 0..self.workers.len() {
            let Some(mut job) = self.workers[slot].as_mut().and_then(|worker| worker.job.take()) else { continue };
            self.branch_off(&mut job)?;
            if let Some(worker) = &mut self.workers[slot] {
                worker.job = Some(job);
            }
        }
        Ok(())
    }

    fn ingest<'r>(&mut self, ids: impl IntoIterator<Item = &'r str>) -> Result<()> {
        let ingested = self.store.ingest_runs(ids)?;
        super::report_skipped(&ingested.skipped, self.observer);
        Ok(())
    }

    /// The first time workers are asked to write a checkpoint and end, the second time they are killed.
    fn stop(&mut self) {
        self.tally.interrupted = true;
        if self.stopping.is_some() {
            self.observer.say("killing the workers; the next run goes on from their last checkpoints");
            self.workers.iter_mut().flatten().for_each(|worker| worker.process.kill());
            return;
        }
        self.stopping = Some(Instant::now());
        self.observer.say("stopping: workers write their checkpoints (Ctrl-C again kills them)");
        self.workers.iter_mut().flatten().for_each(|worker| worker.process.ask_to_stop());
    }

    fn kill_late_ones(&mut self) {
        if self.stopping.is_some_and(|since| since.elapsed() > STOP_WITHIN) {
            self.workers.iter_mut().flatten().for_each(|worker| worker.process.kill());
        }
    }

    /// Lets all workers go, after the work or after an error.
    fn dismiss(&mut self, happened: &Receiver<Happened>) {
        let since = Instant::now();
        self.stopping.get_or_insert(since);
        self.workers.iter_mut().flatten().for_each(|worker| worker.process.ask_to_stop());
        while self.workers.iter().any(Option::is_some) && since.elapsed() < STOP_WITHIN {
            match happened.recv_timeout(TICK) {
                Ok(Happened::Heard(slot, serial, FromWorker::Closed))
                    if self.workers[slot].as_ref().is_some_and(|worker| worker.serial == serial) =>
                {
                    self.workers[slot] = None;
                }
                Ok(Happened::Signalled) => break,
                _ => {}
            }
        }
        self.workers.clear();
    }
}

fn assignment(store: &Store, run: &Pending) -> Assignment {
    Assignment {
        id: run.id.clone(),
        folder: store.reader().run_folder(&run.id),
        attempt: run.attempt,
        io: run.io,
        config: run.config.clone(),
    }
}
