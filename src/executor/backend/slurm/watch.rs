//! `--wait`: takes results in as they come and looks after the pilots, until nothing is left that they would do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::super::jobs::{self, Pending, PlannedJob};
use super::super::super::{Decision, Observer, Tally, report_skipped};
use super::super::local::signals;
use super::care::{self, Replace, View};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::plan::Plan;
use crate::store::{State, Store};

const TICK: Duration = Duration::from_millis(500);
/// Files of the pilots are looked at this often; Slurm is asked far less.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// # Errors
/// The store cannot be read or written. A signal is no error: pilots go on without this.
pub fn wait(store: &mut Store, plan: &Plan, observer: &mut dyn Observer) -> Result<Tally> {
    let (sender, signalled) = mpsc::channel();
    let listening = signals::listen(move || _ = sender.send(()))?;
    let waited = Waiting::new(store, plan, observer)?.wait(&signalled);
    listening.forget();
    waited
}

struct Waiting<'a> {
    store: &'a mut Store,
    ids: BTreeSet<&'a str>,
    /// By id.
    left: BTreeMap<String, Pending>,
    before: Tally,
    observer: &'a mut dyn Observer,
    /// Runs that pilots have now, each with a number for the display.
    shown: BTreeMap<String, usize>,
    said: String,
    /// What is said once: it would be said again at each look.
    told: BTreeSet<String>,
}

impl<'a> Waiting<'a> {
    fn new(store: &'a mut Store, plan: &'a Plan, observer: &'a mut dyn Observer) -> Result<Waiting<'a>> {
        let ids: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
        let standing = store.reader().standing(ids.iter().copied())?;
        let pending = jobs::pending(plan, &standing);
        let all: f64 = plan.runs.iter().map(|run| run.train_flops.as_f64()).sum();
        observer.sweep_started(&Decision {
            sweep: plan.sweep.clone(),
            runs: plan.runs.len(),
            ended: plan.runs.len() - pending.len(),
            ended_flops: all - pending.iter().map(|run| run.train_flops).sum::<f64>(),
            slots: Vec::new(),
            jobs: jobs::jobs(pending.clone(), false, 1, 1),
            retries: 0,
            hang_timeout: None,
            max_failures: None,
            trunks: false,
            notes: Vec::new(),
        });
        let left = pending.into_iter().map(|run| (run.id.clone(), run)).collect();
        let before = Tally::of_ended(&standing);
        let (shown, said, told) = (BTreeMap::new(), String::new(), BTreeSet::new());
        Ok(Waiting { store, ids, left, before, observer, shown, said, told })
    }

    fn wait(mut self, signalled: &mpsc::Receiver<()>) -> Result<Tally> {
        let mut tally = self.before;
        let mut looked: Option<Instant> = None;
        loop {
            let views = match looked {
                Some(looked) if looked.elapsed() < LOOK_EVERY => None,
                _ => Some(self.look()?),
            };
            // After the look: what a pilot did before it left is known then.
            self.take_in(&mut tally)?;
            if let Some(views) = views {
                looked = Some(Instant::now());
                if self.left.is_empty() || views.is_empty() {
                    break;
                }
                let idle = |view: &&View| view.pilots.is_empty() && view.held.is_empty();
                if let Some(why) = views.iter().filter(idle).find_map(|view| view.failing.clone()) {
                    return Err(Error::failed(why).hint("'crossover resume' submits pilots again once that is mended"));
                }
            }
            match signalled.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => self.observer.tick(),
                _ => {
                    self.observer.say("pilots go on without this; 'crossover cancel' stops them");
                    tally.interrupted = true;
                    return Ok(tally);
                }
            }
        }
        let standing = self.store.reader().standing(self.left.keys().map(String::as_str))?;
        tally.failed = standing.values().filter(|(state, _)| matches!(state, State::Failed { .. })).count();
        Ok(tally)
    }

    fn look(&mut self) -> Result<Vec<View>> {
        let folder = self.store.reader().folder().to_path_buf();
        let (ids, observer, told) = (&self.ids, &mut *self.observer, &mut self.told);
        let mut say = |line: &str| {
            if told.insert(line.to_owned()) {
                observer.say(line);
            }
        };
        let mut views = care::look(&folder, &|run| ids.contains(run), false, Replace::Lost, &mut say)?;
        // Nobody can wait for what is not known.
        views.retain(|view| view.unknown.is_none());
        let held: BTreeSet<String> = views.iter().flat_map(|view| view.held.iter().cloned()).collect();
        self.show(&held);
        let said: Vec<String> = views.iter().map(View::told).collect();
        let said = said.join("; ");
        if !said.is_empty() && said != self.said {
            self.observer.say(&said);
            self.said = said;
        }
        Ok(views)
    }

    /// Runs that pilots have come and go.
    fn show(&mut self, held: &BTreeSet<String>) {
        let gone: Vec<String> = self.shown.keys().filter(|run| !held.contains(*run)).cloned().collect();
        for place in gone.iter().filter_map(|run| self.shown.remove(run)) {
            self.observer.slot_idle(place);
        }
        for run in held.iter().filter_map(|run| self.left.get(run)) {
            let mut places = 0..;
            let free = places.find(|place| self.shown.values().all(|shown| shown != place));
            if let (Some(place), false) = (free, self.shown.contains_key(&run.id)) {
                self.shown.insert(run.id.clone(), place);
                self.observer.job_started(place, &PlannedJob { runs: vec![run.clone()] });
            }
        }
    }

    fn take_in(&mut self, tally: &mut Tally) -> Result<()> {
        report_skipped(&self.store.ingest_runs(self.left.keys().map(String::as_str))?.skipped, self.observer);
        let standing = self.store.reader().standing(self.left.keys().map(String::as_str))?;
        for (id, (state, _)) in standing {
            let outcome = match state {
                State::Done => Outcome::Done,
                State::Diverged { step } => Outcome::Diverged { step },
                _ => continue,
            };
            match outcome {
                Outcome::Done => tally.done += 1,
                _ => tally.diverged += 1,
            }
            if let Some(run) = self.left.remove(&id) {
                let place = self.shown.remove(&id).unwrap_or(usize::MAX);
                self.observer.run_finished(place, &run, &outcome, false, "");
            }
        }
        Ok(())
    }
}

impl View {
    /// In words, without numbers that change all the time.
    pub fn told(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for pilot in &self.pilots {
            let reason = pilot.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
            *counts.entry(format!("{}{reason}", pilot.state)).or_default() += 1;
        }
        let pilots: Vec<String> = counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        let pilots = if pilots.is_empty() { "none".into() } else { pilots.join(", ") };
        let cancelled = if self.cancelled { ", cancelled" } else { "" };
        format!("Slurm pilots: {pilots}{cancelled}")
    }
}
