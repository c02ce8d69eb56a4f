//! Workers on this machine: one process a slot, jobs handed out, results taken in as they come.

pub(super) mod orphans;
mod process;
pub(super) mod signals;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::super::failure::{Failure, Kind};
use super::super::jobs::{Pending, PlannedJob};
use super::super::scheduler::{Action, Event, Rules, Scheduler};
use super::super::{Decision, Observer, Tally, devices, tail};
use super::results::Results;
use super::source::{Decided, Source};
use crate::error::{Error, Result};
use crate::event::{self, EventLog, Outcome};
use crate::store::Store;
use crate::worker::program::{Program, TrainedBy, missing_library};
use crate::worker::{Job, Message};
use process::{FromWorker, WorkerProcess};

const TICK: Duration = Duration::from_millis(100);
/// Results reach the database this often while runs go on, and at once when a job ends.
const INGEST_EVERY: Duration = Duration::from_millis(500);
/// Where there was no job to take, there may be one after so long.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// After an error: workers may write their checkpoints.
const LET_GO_WITHIN: Duration = Duration::from_secs(35);

enum Happened {
    /// From the worker with this serial number on this slot.
    Heard(usize, u64, FromWorker),
    Signalled,
}

struct Worker {
    process: WorkerProcess,
    serial: u64,
    /// Length of its log when its job was handed out.
    log_mark: u64,
    /// Why it was killed, if it was killed for something that it did.
    killed_for: Option<String>,
}

struct Local<'a> {
    results: &'a mut dyn Results,
    source: &'a mut dyn Source,
    observer: &'a mut dyn Observer,
    decision: &'a Decision,
    /// One for each kind of worker that the jobs need.
    programs: HashMap<TrainedBy, Program>,
    events: Sender<Happened>,
    started: Instant,
    scheduler: Scheduler,
    workers: Vec<Option<Worker>>,
    serial: u64,
    /// Jobs that were handed out and that the observer has not heard of.
    unannounced: Vec<(usize, PlannedJob)>,
    /// When there was no job to take.
    found_none: Option<Instant>,
    /// Log of the attempt that a run's report is about, by run.
    logs: HashMap<String, String>,
    /// What was advised already.
    advised: HashSet<&'static str>,
}

/// Does the decision's jobs. Whatever happens, no worker is left when it returns.
pub(in super::super) fn act(store: &mut Store, decision: &Decision, observer: &mut dyn Observer) -> Result<Tally> {
    act_with(store, &mut Decided, decision, observer)
}

/// The same with jobs that come from somewhere, and results that are known from somewhere.
pub(super) fn act_with(
    results: &mut dyn Results,
    source: &mut dyn Source,
    decision: &Decision,
    observer: &mut dyn Observer,
) -> Result<Tally> {
    let kinds = decision.jobs.iter().map(PlannedJob::trained_by).collect::<HashSet<_>>().into_iter();
    let programs = kinds.map(|kind| Ok((kind, kind.program()?))).collect::<Result<_>>()?;
    let (events, happened) = mpsc::channel();
    let signals = signals::listen({
        let events = events.clone();
        move || drop(events.send(Happened::Signalled))
    })?;
    let rules = Rules {
        retries: decision.retries,
        trunks: decision.trunks,
        starts: devices::own_cores().len(),
        hang: decision.hang_timeout,
        max_failures: decision.max_failures,
    };
    let mut local = Local {
        results,
        source,
        observer,
        decision,
        programs,
        events,
        started: Instant::now(),
        scheduler: Scheduler::new(decision.jobs.clone(), devices::names(&decision.slots), rules),
        workers: decision.slots.iter().map(|_| None).collect(),
        serial: 0,
        unannounced: Vec::new(),
        found_none: None,
        logs: HashMap::new(),
        advised: HashSet::new(),
    };
    let worked = local.work(&happened);
    local.dismiss(&happened);
    let (tally, fault) = (local.scheduler.tally(), local.fault());
    signals.forget();
    worked?;
    fault.map_or(Ok(tally), Err)
}

impl Local<'_> {
    fn work(&mut self, happened: &Receiver<Happened>) -> Result<()> {
        let stopped = || matches!(happened.try_recv(), Ok(Happened::Signalled));
        if !self.results.outlive(self.decision, self.observer, &stopped)? {
            self.feed(Event::Stop)?;
        }
        let mut ingested = Instant::now();
        self.feed(Event::Tick)?;
        self.take()?;
        while !self.scheduler.is_over() {
            match happened.recv_timeout(TICK) {
                Ok(Happened::Signalled) if self.source.hears_once() && self.scheduler.is_ending() => {}
                Ok(Happened::Signalled) => self.feed(Event::Stop)?,
                Ok(Happened::Heard(slot, serial, heard)) => self.hear(slot, serial, heard)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("no worker can be heard any more")),
            }
            if ingested.elapsed() >= INGEST_EVERY {
                self.ingest_running()?;
                ingested = Instant::now();
                if !self.scheduler.is_ending() && self.source.is_called_off() {
                    self.feed(Event::Stop)?;
                }
            }
            self.feed(Event::Tick)?;
            self.take()?;
            self.observer.tick();
        }
        Ok(())
    }

    /// Takes jobs for slots that have nothing to do.
    fn take(&mut self) -> Result<()> {
        let wanted = self.scheduler.jobs_wanted();
        if wanted == 0 || self.found_none.is_some_and(|since| since.elapsed() < ASK_EVERY) {
            return Ok(());
        }
        let jobs = self.source.take(wanted)?;
        self.found_none = jobs.is_empty().then(Instant::now);
        if jobs.is_empty() { Ok(()) } else { self.feed(Event::More { jobs }) }
    }

    /// Tells the scheduler what happened and does what it says.
    fn feed(&mut self, event: Event) -> Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.scheduler.on(self.started.elapsed(), event) {
                events.extend(self.carry_out(action)?);
            }
        }
        // After what was said of the jobs before them.
        for (slot, job) in std::mem::take(&mut self.unannounced) {
            self.observer.job_started(slot, &job);
        }
        Ok(())
    }

    /// What follows from it at once.
    fn carry_out(&mut self, action: Action) -> Result<Vec<Event>> {
        match action {
            Action::Start { slot, trains } => return self.start(slot, trains),
            Action::HandOut { slot, job } => self.hand_out(slot, job),
            Action::AskToStop { slot } => {
                if let Some(worker) = &mut self.workers[slot] {
                    worker.process.ask_to_stop();
                }
            }
            Action::Kill { slot, silent } => self.kill(slot, silent),
            Action::Settle { slot, job, reason } => return self.settle(slot, job, &reason),
            Action::Report { slot, run, outcome, retry } => {
                if !retry && (!self.scheduler.is_ending() || !is_to_go_on(&outcome)) {
                    self.source.is_over(&run, &outcome)?;
                }
                self.report(slot, &run, outcome, retry);
            }
            Action::Say(line) => self.observer.say(&line),
        }
        Ok(Vec::new())
    }

    fn start(&mut self, slot: usize, trains: TrainedBy) -> Result<Vec<Event>> {
        self.serial += 1;
        let (serial, events) = (self.serial, self.events.clone());
        let hear = move |heard| {
            let _ = events.send(Happened::Heard(slot, serial, heard));
        };
        let log = self.results.slot_logs().join(format!("slot-{slot}.log"));
        let program = match self.programs.entry(trains) {
            Entry::Occupied(known) => known.into_mut(),
            // A pilot knows no jobs before it has taken some.
            Entry::Vacant(new) => new.insert(trains.program()?),
        };
        match WorkerProcess::start(program, slot, &self.decision.slots[slot], log, hear) {
            Ok(process) => {
                self.workers[slot] = Some(Worker { process, serial, log_mark: 0, killed_for: None });
                Ok(Vec::new())
            }
            Err(error) => Ok(vec![Event::Died { slot, reason: error.message }]),
        }
    }

    fn hand_out(&mut self, slot: usize, job: PlannedJob) {
        if let Some(worker) = &mut self.workers[slot] {
            worker.log_mark = worker.process.log().metadata().map_or(0, |log| log.len());
            worker.process.send(&Job { runs: job.runs.iter().map(|run| self.results.assignment(run)).collect() });
        }
        self.unannounced.push((slot, job));
    }

    fn kill(&mut self, slot: usize, silent: Option<Duration>) {
        if let Some(worker) = &mut self.workers[slot] {
            worker.killed_for = silent.map(|silent| worker.process.describe_silence(silent));
            worker.process.kill();
        }
    }

    fn hear(&mut self, slot: usize, serial: u64, heard: FromWorker) -> Result<()> {
        let Some(worker) = self.workers[slot].as_ref().filter(|worker| worker.serial == serial) else { return Ok(()) };
        match heard {
            FromWorker::Said(Message::Ready) => self.feed(Event::Ready { slot })?,
            FromWorker::Said(Message::Progress(progress)) => {
                self.observer.progress(slot, &progress);
                self.feed(Event::Progress { slot })?;
            }
            FromWorker::Said(Message::Warning { text }) => self.observer.say(&format!("warning: {text}")),
            FromWorker::Said(Message::Finished { failure }) => self.feed(Event::Finished { slot, failure })?,
            FromWorker::Garbled(line) => self.observer.say(&format!("warning: slot {slot} said: {line}")),
            FromWorker::Gone(how) => {
                let log = tail::read(worker.process.log(), worker.log_mark);
                if let Some(error) = missing_library(None, &log) {
                    return Err(error);
                }
                let died = worker.killed_for.clone().unwrap_or(how);
                let reason = Failure::in_log(&died, &log).reason;
                self.feed(Event::Died { slot, reason })?;
                // A worker that was started anew meanwhile is another one.
                if self.workers[slot].as_ref().is_some_and(|worker| worker.serial == serial) {
                    self.workers[slot] = None;
                }
            }
        }
        if self.scheduler.job(slot).is_none() {
            self.observer.slot_idle(slot);
        }
        Ok(())
    }

    /// What became of a job, by its runs' logs: they are the truth, also about a worker that died.
    fn settle(&mut self, slot: usize, mut job: PlannedJob, reason: &str) -> Result<Vec<Event>> {
        self.ingest(job.runs.iter().map(|run| run.id.as_str()))?;
        let branched = self.branched(&mut job)?;
        let failure = Failure::of(reason);
        let log = self.workers[slot]
            .as_ref()
            .map_or(String::new(), |worker| tail::read(worker.process.log(), worker.log_mark));
        let mut runs = Vec::new();
        for run in job.runs {
            let outcome = self.outcome(&run, &failure.reason)?;
            if matches!(outcome, Some(Outcome::Failed { .. })) {
                self.keep_log(slot, &run);
                self.logs.insert(run.id.clone(), log.clone());
            }
            runs.push((run, outcome));
        }
        let memory = failure.kind == Kind::Memory && self.decision.slots[slot].is_gpu();
        let settled = Event::Settled { slot, runs, memory };
        Ok(branched.map(|runs| Event::Branched { slot, runs }).into_iter().chain([settled]).collect())
    }

    /// Takes runs out of a job that have left it where their trunk ends.
    fn branched(&self, job: &mut PlannedJob) -> Result<Option<Vec<Pending>>> {
        let mut branched = Vec::new();
        for mut run in std::mem::take(&mut job.runs) {
            let end = Some(Outcome::Stopped { step: run.config.trunk_steps() });
            if run.shared_steps > run.step && self.results.attempt(&run)? == end {
                (run.step, run.attempt) = (run.config.trunk_steps(), run.attempt + 1);
                branched.push(run);
            } else {
                job.runs.push(run);
            }
        }
        Ok((!branched.is_empty()).then_some(branched))
    }

    /// How this attempt ended; none if it was cut off by a stop, to be gone on with.
    fn outcome(&mut self, run: &Pending, reason: &str) -> Result<Option<Outcome>> {
        if let Some(end) = self.results.end(run)? {
            return Ok(Some(end));
        }
        let ended = self.results.attempt(run)?;
        if ended.is_some() || self.scheduler.is_ending() {
            return Ok(ended);
        }
        let outcome = Outcome::Failed { reason: reason.to_string() };
        let end = event::Event::End {
            attempt: run.attempt,
            time: crate::here::now(),
            seconds: 0.0,
            examples_per_second: 0.0,
            outcome: outcome.clone(),
        };
        EventLog::open(&self.results.run_folder(&run.id))?.append(&end)?;
        self.ingest([run.id.as_str()])?;
        Ok(Some(outcome))
    }

    fn report(&mut self, slot: usize, run: &Pending, outcome: Outcome, retry: bool) {
        let mut log = self.logs.remove(&run.id).unwrap_or_default();
        let mut shown = outcome;
        if let Outcome::Failed { reason } = &mut shown {
            let failure = Failure::of(reason);
            let advice = failure.advice();
            // The log says the same, in forty lines where it is libtorch's.
            if advice.is_some() || failure.says_all_of(&log) {
                log.clear();
            }
            if let Some(advice) = advice.filter(|advice| self.advised.insert(advice)) {
                reason.push_str(&format!(" ({advice})"));
            }
        }
        self.observer.run_finished(slot, run, &shown, retry, &log);
    }

    /// The worker's last words stay with the run that they are about.
    fn keep_log(&self, slot: usize, run: &Pending) {
        let Some(worker) = &self.workers[slot] else { return };
        let log = tail::read_whole(worker.process.log(), worker.log_mark);
        if !log.is_empty() {
            let _ = std::fs::write(self.results.run_folder(&run.id).join("worker.log"), log);
        }
    }

    fn ingest_running(&mut self) -> Result<()> {
        for worker in self.workers.iter_mut().flatten() {
            worker.process.look_at_memory();
        }
        let slots = 0..self.workers.len();
        let busy: Vec<(usize, PlannedJob)> =
            slots.filter_map(|slot| Some((slot, self.scheduler.job(slot)?.clone()))).collect();
        self.ingest(busy.iter().flat_map(|(_, job)| &job.runs).map(|run| run.id.as_str()))?;
        for (slot, mut job) in busy {
            if let Some(runs) = self.branched(&mut job)? {
                self.feed(Event::Branched { slot, runs })?;
            }
        }
        Ok(())
    }

    fn ingest<'r>(&mut self, ids: impl IntoIterator<Item = &'r str>) -> Result<()> {
        let ids: Vec<&str> = ids.into_iter().collect();
        self.results.take_in(&ids, self.observer)
    }

    /// Why the sweep could not go on.
    fn fault(&self) -> Option<Error> {
        let fault = self.scheduler.fault()?;
        let by_hand = || {
            let program = self.programs.values().min_by_key(|program| program.trains()).map(Program::typed);
            format!("try it by hand: {} serve --help", program.unwrap_or_default())
        };
        let advice = Failure::of(fault).advice().map_or_else(by_hand, str::to_string);
        Some(Error::failed(fault.to_string()).hint(advice))
    }

    /// Lets all workers go, after the work or after an error: those that are busy then may write their checkpoints.
    fn dismiss(&mut self, happened: &Receiver<Happened>) {
        let since = Instant::now();
        for (slot, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker else { continue };
            match self.scheduler.job(slot) {
                Some(_) => worker.process.ask_to_stop(),
                None => worker.process.kill(),
            }
        }
        while self.workers.iter().flatten().any(|worker| worker.process.is_there()) && since.elapsed() < LET_GO_WITHIN {
            match happened.recv_timeout(TICK) {
                Ok(Happened::Signalled) => break,
                _ if self.scheduler.is_over() && since.elapsed() > Duration::from_secs(2) => break,
                _ => {}
            }
        }
        self.workers.iter_mut().flatten().for_each(|worker| worker.process.kill());
    }
}

/// Somebody else, or the next time, goes on with it.
fn is_to_go_on(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Stopped { .. } | Outcome::Failed { .. })
}
