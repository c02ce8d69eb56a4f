//! Which slot does what next: a state machine without processes, clocks or files. Events go in, actions come out; a
//! backend carries them out and says what happened, so that this machine, a cluster and a random test drive the same
//! code.
//!
//! A failed attempt is somebody's fault: the run's or the slot's. A run is tried again on another slot than the one
//! where it failed; what fails on two slots is the run's fault, what fails on one and succeeds on another is a strike
//! against the first. A slot with [`STRIKES`] strikes in a row, one of them confirmed, is left alone; until one is
//! confirmed it only takes runs that failed elsewhere, so that the queue does not drain through a broken slot.
//!
//! A worker trains our own models or scripts. A slot whose worker has nothing left of its kind lets it go, and starts one
//! of the other where that has more jobs than workers that come.

mod slot;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::Tally;
use super::jobs::{self, Pending, PlannedJob};
use crate::event::Outcome;
use crate::worker::program::TrainedBy;
use slot::{Slot, Worker};

/// Failed jobs in a row of one slot that others can do.
pub const STRIKES: usize = 3;
/// Workers of one slot that end, one after the other, before they are ready.
const BAD_STARTS: u32 = 2;
/// Slots whose workers never got ready: where no other slot's did, the sweep's fault.
const BAD_SLOTS: usize = 3;
/// A worker that was asked to stop is killed after this long; it gives up by itself a little earlier.
pub const STOP_WITHIN: Duration = Duration::from_secs(35);
/// Between a kill and the end of the process: longer, and it is left behind; a stop does not wait even so long.
const DEATH: Duration = Duration::from_secs(10);
const DEATH_WHILE_STOPPING: Duration = Duration::from_millis(700);
/// Within which a second signal is the first one again.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
/// Of the first retry; each further one of a run waits twice as long.
const BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Nothing in it changes while a sweep runs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Tries again after a failed attempt.
    pub retries: u32,
    /// Whether runs of one trunk train it once.
    pub trunks: bool,
    /// Workers that may start at once: each loads libtorch.
    pub starts: usize,
    /// Silence of a busy worker that is a hang; none: it follows from the times between steps.
    pub hang: Option<Duration>,
    /// Failed runs that end the sweep.
    pub max_failures: Option<usize>,
}

/// What happened. Slots are numbered from 0.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker has computed something on its device.
    Ready { slot: usize },
    /// A worker goes on with its job.
    Progress { slot: usize },
    /// A worker is through with its job; how the runs ended is in their logs.
    Finished { slot: usize, failure: Option<String> },
    /// A worker is gone.
    Died { slot: usize, reason: String },
    /// Runs of a job have left their trunk, with the step they stand at and the attempt that comes next.
    Branched { slot: usize, runs: Vec<Pending> },
    /// The answer to [`Action::Settle`]: how each run's attempt ended, none where a stop cut it off. `memory`: the
    /// failure was that memory ran out.
    Settled { slot: usize, runs: Vec<(Pending, Option<Outcome>)>, memory: bool },
    /// Further jobs, as long as there are slots that want some ([`Scheduler::jobs_wanted`]).
    More { jobs: Vec<PlannedJob> },
    /// A person or the system asks to stop; a second time: at once.
    Stop,
    /// Time has passed.
    Tick,
}

/// What a backend has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Start {
        slot: usize,
        trains: TrainedBy,
    },
    HandOut {
        slot: usize,
        job: PlannedJob,
    },
    /// Let the worker write its checkpoint and end.
    AskToStop {
        slot: usize,
    },
    /// `silent`: it is killed because nothing was heard of it for so long.
    Kill {
        slot: usize,
        silent: Option<Duration>,
    },
    /// Find out how the runs of a job ended, and say so with [`Event::Settled`]. `reason` is why its worker or the
    /// attempt failed, for runs whose log does not say.
    Settle {
        slot: usize,
        job: PlannedJob,
        reason: String,
    },
    /// How a run's attempt ended, and whether another follows.
    Report {
        slot: usize,
        run: Box<Pending>,
        outcome: Outcome,
        retry: bool,
    },
    Say(String),
}

pub struct Scheduler {
    rules: Rules,
    slots: Vec<Slot>,
    queue: VecDeque<PlannedJob>,
    /// Jobs that are tried again, and when.
    waiting: Vec<(Duration, PlannedJob)>,
    /// Jobs that are being settled.
    settling: usize,
    /// On which slots the attempts of a run failed.
    failures: HashMap<String, Vec<usize>>,
    /// Runs of a shape that are known to fit into memory together.
    fits: HashMap<String, usize>,
    /// The longest time between two steps' reports of a job.
    longest_gap: Duration,
    tally: Tally,
    /// Since when.
    stopping: Option<Duration>,
    fault: Option<String>,
    actions: Vec<Action>,
}

impl Scheduler {
    /// `names` of the slots, as a person calls them.
    pub fn new(jobs: Vec<PlannedJob>, names: Vec<String>, rules: Rules) -> Scheduler {
        Scheduler {
            rules,
            slots: names.into_iter().map(Slot::new).collect(),
            queue: jobs.into(),
            waiting: Vec::new(),
            settling: 0,
            failures: HashMap::new(),
            fits: HashMap::new(),
            longest_gap: Duration::ZERO,
            tally: Tally::default(),
            stopping: None,
            fault: None,
            actions: Vec::new(),
        }
    }

    /// What is to be done about an event, `now` after the beginning.
    pub fn on(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Ready { slot } => self.slots[slot].is_ready(),
            Event::Progress { slot } => self.progress(slot, now),
            Event::Finished { slot, failure } => self.finished(slot, now, failure),
            Event::Died { slot, reason } => self.died(slot, now, reason),
            Event::Branched { slot, runs } => self.branched(slot, runs),
            Event::Settled { slot, runs, memory } => self.settled(slot, now, runs, memory),
            Event::More { jobs } => self.queue.extend(jobs),
            Event::Stop => self.stop(now),
            Event::Tick => {}
        }
        self.look_at_clocks(now);
        self.hand_out(now);
        std::mem::take(&mut self.actions)
    }

    /// Nothing is left to be done, or to be waited for.
    pub fn is_over(&self) -> bool {
        let busy = self.settling > 0 || self.slots.iter().any(Slot::is_busy);
        let left = !self.queue.is_empty() || !self.waiting.is_empty();
        !busy && (self.is_ending() || !left)
    }

    /// No run is handed out any more.
    pub fn is_ending(&self) -> bool {
        self.stopping.is_some() || self.fault.is_some()
    }

    /// Jobs that slots would take now beside those that are there.
    pub fn jobs_wanted(&self) -> usize {
        let free = self.slots.iter().filter(|slot| slot.is_free()).count();
        if self.is_ending() { 0 } else { free.saturating_sub(self.queue.len() + self.waiting.len()) }
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Why the sweep cannot go on, if it cannot.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The job that a slot does now.
    pub fn job(&self, slot: usize) -> Option<&PlannedJob> {
        self.slots[slot].job()
    }

    fn say(&mut self, line: String) {
        self.actions.push(Action::Say(line));
    }

    fn progress(&mut self, slot: usize, now: Duration) {
        if let Worker::Busy { heard, reports, .. } = &mut self.slots[slot].worker {
            // Before the first report a worker reads its data.
            if *reports > 0 {
                self.longest_gap = self.longest_gap.max(now.saturating_sub(*heard));
            }
            (*heard, *reports) = (now, *reports + 1);
        }
    }

    fn finished(&mut self, slot: usize, now: Duration, failure: Option<String>) {
        let Some(job) = self.slots[slot].take_job() else { return };
        match &failure {
            None => {
                self.slots[slot].worker = Worker::Idle;
                // It goes on while its last results are taken in.
                self.hand_out(now);
            }
            // What broke may be the process: a GPU's context does not survive an error.
            Some(_) => self.kill(slot, now, None),
        }
        self.settle(slot, job, failure.unwrap_or_else(|| "the worker returned without a result".into()));
    }

    fn died(&mut self, slot: usize, now: Duration, reason: String) {
        let worker = std::mem::replace(&mut self.slots[slot].worker, Worker::None);
        match worker {
            Worker::Busy { job, .. } => self.settle(slot, job, reason),
            Worker::Starting { .. } if !self.is_ending() => self.bad_start(slot, now, reason),
            Worker::Idle => self.slots[slot].not_before = now + BACKOFF,
            Worker::LeftAlone => self.slots[slot].worker = Worker::LeftAlone,
            Worker::None | Worker::Starting { .. } | Worker::Leaving { .. } => {}
        }
    }

    fn settle(&mut self, slot: usize, job: PlannedJob, reason: String) {
        self.settling += 1;
        self.slots[slot].last_words = reason.clone();
        self.actions.push(Action::Settle { slot, job, reason });
    }

    fn bad_start(&mut self, slot: usize, now: Duration, reason: String) {
        let state = &mut self.slots[slot];
        state.bad_starts += 1;
        state.not_before = now + BACKOFF;
        if state.bad_starts < BAD_STARTS {
            return;
        }
        self.leave_alone(slot, now, format!("workers do not start, {reason}"));
        let bad = self.slots.iter().filter(|slot| slot.is_left_alone()).count();
        if bad >= BAD_SLOTS && !self.slots.iter().any(|slot| slot.was_ready) {
            self.give_up(now, format!("workers do not start: {reason}"));
        }
    }

    /// Runs that are a job of their own now, and the next: their checkpoints do not pile up. Those that branch off at
    /// different steps are different jobs; those of one pack stay one.
    fn branched(&mut self, slot: usize, runs: Vec<Pending>) {
        if let Some(job) = self.slots[slot].job_mut() {
            job.runs.retain(|run| runs.iter().all(|branched| branched.id != run.id));
        }
        let mut left = runs;
        while let Some(first) = left.first() {
            let steps = first.config.steps;
            let (runs, others) = left.into_iter().partition(|run| run.config.steps == steps);
            self.queue.push_front(PlannedJob { runs });
            left = others;
        }
    }

    fn settled(&mut self, slot: usize, now: Duration, runs: Vec<(Pending, Option<Outcome>)>, memory: bool) {
        self.settling = self.settling.saturating_sub(1);
        let together = PlannedJob { runs: runs.iter().map(|(run, _)| run.clone()).collect() };
        let lanes = together.leaders().count();
        let halved = memory && lanes > 1;
        if halved && let Some(first) = together.runs.first() {
            self.fits.insert(first.config.shape_id(), lanes.div_ceil(2));
        }
        let (all, mut again, mut failed, mut succeeded) = (runs.len(), Vec::new(), Vec::new(), false);
        for (mut run, outcome) in runs {
            let Some(outcome) = outcome else { continue };
            let retry = match outcome {
                Outcome::Done | Outcome::Diverged { .. } => {
                    succeeded = true;
                    self.confirm(slot, &run.id);
                    false
                }
                Outcome::Stopped { .. } | Outcome::Failed { .. } if self.stopping.is_some() => false,
                Outcome::Stopped { .. } | Outcome::Failed { .. } => {
                    if matches!(outcome, Outcome::Failed { .. }) && !halved {
                        failed.push(run.id.clone());
                    }
                    halved || self.may_retry(slot, &run.id)
                }
            };
            self.count(&outcome, retry);
            self.actions.push(Action::Report { slot, run: Box::new(run.clone()), outcome, retry });
            if retry {
                run.attempt += 1;
                again.push(run);
            }
        }
        match failed.is_empty() {
            true if succeeded => self.slots[slot].forgive(now),
            true => {}
            false => self.strike(slot, now, &failed, !again.is_empty()),
        }
        let wait = if halved { Duration::ZERO } else { self.backoff(&again) };
        // A pack may be too large for the memory there is: its halves may not be.
        let pack = if again.len() == all { lanes.div_ceil(2) } else { lanes };
        let jobs = jobs::jobs(again, self.rules.trunks, pack, 1);
        self.waiting.extend(jobs.into_iter().map(|job| (now + wait, job)));
        self.judge(now);
        self.mind_failures(now);
    }

    fn may_retry(&mut self, slot: usize, id: &str) -> bool {
        let failures = self.failures.entry(id.to_string()).or_default();
        failures.push(slot);
        failures.len() <= self.rules.retries as usize
    }

    fn backoff(&self, again: &[Pending]) -> Duration {
        let tries = again.iter().filter_map(|run| self.failures.get(&run.id)).map(Vec::len).max().unwrap_or(1);
        BACKOFF.saturating_mul(1 << (tries.saturating_sub(1)).min(6)).min(LONGEST_BACKOFF)
    }

    fn count(&mut self, outcome: &Outcome, retry: bool) {
        match outcome {
            Outcome::Done => self.tally.done += 1,
            Outcome::Diverged { .. } => self.tally.diverged += 1,
            Outcome::Stopped { .. } | Outcome::Failed { .. } if retry || self.stopping.is_some() => {}
            Outcome::Stopped { .. } | Outcome::Failed { .. } => self.tally.failed += 1,
        }
    }

    /// What failed elsewhere can be done: that is the other slot's fault.
    fn confirm(&mut self, slot: usize, id: &str) {
        for (number, other) in self.slots.iter_mut().enumerate() {
            other.confirmed |= number != slot && other.strikes.iter().any(|strike| strike.contains(id));
        }
    }

    /// A job failed on a slot. Where some of it failed elsewhere before, the runs are to blame, else maybe the slot:
    /// `again`, others will try.
    fn strike(&mut self, slot: usize, now: Duration, failed: &[String], again: bool) {
        let before = self.slots.iter().map(|slot| slot.strikes.len()).sum::<usize>();
        for (_, other) in self.slots.iter_mut().enumerate().filter(|(number, _)| *number != slot) {
            other.strikes.retain(|strike| failed.iter().all(|id| !strike.contains(id)));
        }
        let to_blame = self.slots.iter().map(|slot| slot.strikes.len()).sum::<usize>() < before;
        let state = &mut self.slots[slot];
        if !to_blame && (again || self.rules.retries == 0) {
            state.struck_since.get_or_insert(now);
            state.strikes.push(failed.iter().cloned().collect::<HashSet<_>>());
        }
    }

    /// Leaves slots alone whose fault it is. A busy one may yet show that it is not.
    fn judge(&mut self, now: Duration) {
        for slot in 0..self.slots.len() {
            let state = &self.slots[slot];
            if state.strikes.len() < STRIKES || state.is_busy() || state.is_left_alone() {
                continue;
            }
            let (others, since) = (self.others(slot), state.struck_since.unwrap_or(now));
            // Without retries nobody tries what failed here; that others succeed meanwhile has to do.
            let others_succeed =
                self.rules.retries == 0 && others.iter().any(|other| self.slots[*other].succeeded > Some(since));
            if !others.is_empty() && (state.confirmed || others_succeed) {
                let why = format!("{} jobs failed in a row, {}", state.strikes.len(), state.last_words);
                self.leave_alone(slot, now, why);
            }
        }
    }

    /// Slots beside this one that can be given jobs.
    fn others(&self, slot: usize) -> Vec<usize> {
        let usable = |other: &usize| *other != slot && !self.slots[*other].is_left_alone();
        (0..self.slots.len()).filter(usable).collect()
    }

    fn leave_alone(&mut self, slot: usize, now: Duration, why: String) {
        if self.slots[slot].has_worker() {
            self.actions.push(Action::Kill { slot, silent: None });
        }
        self.slots[slot].worker = Worker::LeftAlone;
        let left = self.others(slot).len();
        let name = &self.slots[slot].name;
        if left == 0 {
            return self.give_up(now, format!("{name}: {why}"));
        }
        let go = if left == 1 { "1 slot goes on".to_string() } else { format!("{left} slots go on") };
        self.say(format!("warning: {name}: {why}: left alone; {go}"));
    }

    /// The sweep cannot go on; what is not done stays to do.
    fn give_up(&mut self, now: Duration, why: String) {
        if self.fault.is_none() {
            self.fault = Some(why);
            self.let_go(now);
        }
    }

    fn mind_failures(&mut self, now: Duration) {
        if let Some(most) = self.rules.max_failures
            && self.tally.failed >= most
            && !self.is_ending()
        {
            self.say(format!("{} runs failed, which ends the sweep (--max-failures {most})", self.tally.failed));
            self.stopping = Some(now);
            self.let_go(now);
        }
    }

    fn stop(&mut self, now: Duration) {
        let told_before = std::mem::replace(&mut self.tally.interrupted, true);
        if let Some(since) = self.stopping {
            // timeout(1) and some shells signal the process and then its group.
            if told_before && now.saturating_sub(since) < ONE_SIGNAL {
                return;
            }
            self.say("killing the workers; the next run goes on from their last checkpoints".into());
            self.stopping = Some(now);
            return (0..self.slots.len()).for_each(|slot| self.kill(slot, now, None));
        }
        self.stopping = Some(now);
        self.say("stopping: workers write their checkpoints (Ctrl-C again kills them)".into());
        self.let_go(now);
    }

    /// Busy workers write their checkpoints; the others have none to write.
    fn let_go(&mut self, now: Duration) {
        for slot in 0..self.slots.len() {
            match self.slots[slot].is_busy() {
                true => self.actions.push(Action::AskToStop { slot }),
                false => self.kill(slot, now, None),
            }
        }
    }

    fn kill(&mut self, slot: usize, now: Duration, silent: Option<Duration>) {
        if self.slots[slot].kill(now) {
            self.actions.push(Action::Kill { slot, silent });
        }
    }

    /// Kills what is late or hangs, gives up what cannot be killed, and lets waiting jobs in.
    fn look_at_clocks(&mut self, now: Duration) {
        for slot in 0..self.slots.len() {
            let late = self.stopping.is_some_and(|since| now.saturating_sub(since) > STOP_WITHIN);
            if late {
                self.kill(slot, now, None);
            } else if let Some(silent) = self.slots[slot].silence(now)
                && silent > self.slots[slot].patience(self.rules.hang, self.longest_gap)
                && self.stopping.is_none()
            {
                self.kill(slot, now, Some(silent));
            }
            let patience = if self.is_ending() { DEATH_WHILE_STOPPING } else { DEATH };
            if self.slots[slot].killed().is_some_and(|since| now.saturating_sub(since) > patience) {
                self.abandon(slot, now);
            }
        }
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= now);
        self.waiting = waiting;
        Vec::into_iter(due).rev().for_each(|(_, job): (Duration, PlannedJob)| self.queue.push_front(job));
    }

    /// A process that a kill does not end waits in the kernel, for a disk or a device: its slot is no good.
    fn abandon(&mut self, slot: usize, now: Duration) {
        let reason = "its worker cannot be killed";
        if let Some(job) = self.slots[slot].take_job() {
            self.settle(slot, job, reason.into());
        }
        self.slots[slot].worker = Worker::LeftAlone;
        if !self.is_ending() {
            self.leave_alone(slot, now, reason.into());
        }
    }

    /// Gives idle workers jobs, and starts workers for the jobs that are left.
    fn hand_out(&mut self, now: Duration) {
        if self.is_ending() {
            return;
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_idle()
                && let Some(at) = self.next_for(slot, |trains| trains == self.slots[slot].trains)
                && let Some(job) = self.queue.remove(at)
            {
                let job = self.cut(job);
                self.slots[slot].worker = Worker::busy(job.clone(), now);
                self.actions.push(Action::HandOut { slot, job });
            }
        }
        self.start_workers(now);
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_idle()
                && let Some(trains) = self.wanted(slot)
            {
                self.slots[slot].make_room(now, trains);
                self.actions.push(Action::Kill { slot, silent: None });
            }
        }
    }

    fn start_workers(&mut self, now: Duration) {
        let count = |which: fn(&Slot) -> bool| self.slots.iter().filter(|slot| which(slot)).count();
        let mut starting = count(Slot::is_starting);
        // Those at work are not to be delayed.
        let at_once = self.rules.starts.saturating_sub(count(Slot::is_busy)).max(1);
        for slot in 0..self.slots.len() {
            if starting < at_once
                && self.slots[slot].may_start(now)
                && let Some(trains) = self.wanted(slot)
            {
                self.slots[slot].trains = trains;
                self.slots[slot].worker = Worker::Starting { since: now, killed: None };
                self.actions.push(Action::Start { slot, trains });
                starting += 1;
            }
        }
    }

    /// The kind of worker that this slot should have for a job in the queue: one of which there are more jobs than come.
    fn wanted(&self, slot: usize) -> Option<TrainedBy> {
        let more = |trains: TrainedBy| {
            let coming = self.slots.iter().filter(|slot| slot.is_coming(trains)).count();
            self.queue.iter().filter(|job| job.trained_by() == trains).nth(coming).is_some()
        };
        let more = [TrainedBy::Libtorch, TrainedBy::Script].map(|trains| (trains, more(trains)));
        let at = self.next_for(slot, |trains| more.contains(&(trains, true)))?;
        self.queue.get(at).map(PlannedJob::trained_by)
    }

    /// The first job in the queue, of a kind that fits, that this slot should take.
    fn next_for(&self, slot: usize, fits: impl Fn(TrainedBy) -> bool) -> Option<usize> {
        let suspended =
            self.slots[slot].strikes.len() >= STRIKES && self.rules.retries > 0 && !self.others(slot).is_empty();
        let failed_before = |run: &Pending| self.failures.contains_key(&run.id);
        self.queue.iter().position(|job| {
            let avoided = job.runs.iter().any(|run| self.avoids(slot, run));
            fits(job.trained_by()) && !avoided && (!suspended || job.runs.iter().any(failed_before))
        })
    }

    /// It failed here, and there is a slot where it did not.
    fn avoids(&self, slot: usize, run: &Pending) -> bool {
        let Some(failed) = self.failures.get(&run.id) else { return false };
        failed.contains(&slot) && self.others(slot).iter().any(|other| !failed.contains(other))
    }

    /// No more runs together than are known to fit; the rest is the next job.
    fn cut(&mut self, job: PlannedJob) -> PlannedJob {
        let shape = job.runs.first().map(|run| run.config.shape_id());
        let fits = shape.and_then(|shape| self.fits.get(&shape)).copied().unwrap_or(usize::MAX);
        if job.leaders().count() <= fits {
            return job;
        }
        let mut jobs: VecDeque<_> = jobs::jobs(job.runs, self.rules.trunks, fits, 1).into();
        let first = jobs.pop_front().unwrap_or(PlannedJob { runs: Vec::new() });
        jobs.into_iter().rev().for_each(|job| self.queue.push_front(job));
        first
    }
}
