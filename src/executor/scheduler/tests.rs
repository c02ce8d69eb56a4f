use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::executor::jobs::Standing;
use crate::run::{Named, RunConfig, Schedule};
use crate::store::sample;

/// What a job is settled with whose worker said of no failure; here that means that its runs are done.
const NO_FAILURE: &str = "the worker returned without a result";

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn rules() -> Rules {
    Rules { retries: 1, trunks: true, starts: 64, hang: None, max_failures: None }
}

fn runs(count: u64) -> Vec<Pending> {
    let seeds: Vec<u64> = (0..count).collect();
    jobs::pending(&sample::plan(&["vit"], &[100], &[1e-3], &seeds), &Standing::new())
}

/// Three budgets of each seed: a trunk that two runs leave.
fn trunks(seeds: u64) -> Vec<Pending> {
    let budget = |run: &Pending, steps: u64| {
        let mut config = RunConfig { steps, ..run.config.clone() };
        config.train.schedule = Schedule::Wsd { cooldown: 0.2 };
        Pending { id: config.id(), train_flops: steps as f64, config, ..run.clone() }
    };
    runs(seeds).iter().flat_map(|run| [50, 200, 100].map(|steps| budget(run, steps))).collect()
}

/// As runs of a script.
fn scripts(mut runs: Vec<Pending>) -> Vec<Pending> {
    for run in &mut runs {
        run.config.model.name = Named::SCRIPT.into();
        run.id = run.config.id();
    }
    runs
}

fn names(slots: usize) -> Vec<String> {
    (0..slots).map(|slot| format!("cuda:{slot}")).collect()
}

/// What a job meets on a slot.
#[derive(Clone, Debug)]
enum Fate {
    Done,
    /// Every run of it fails.
    Fails(&'static str),
    /// Memory runs out for more runs than this.
    Fits(usize),
    /// Nothing is heard of it any more.
    Silent,
}

/// A backend without processes. Work takes a second; the fate of a job is a function of its slot and itself.
struct World<F> {
    scheduler: Scheduler,
    fate: F,
    now: f64,
    /// Slots whose workers never get ready.
    dead: BTreeSet<usize>,
    starting: BTreeSet<usize>,
    /// What the worker of each slot trains.
    trains: BTreeMap<usize, TrainedBy>,
    busy: BTreeMap<usize, (f64, PlannedJob)>,
    said: Vec<String>,
    /// Runs that were handed out, by slot.
    handed: Vec<(usize, Vec<String>)>,
    ends: Vec<(String, Outcome)>,
    killed: Vec<(usize, Option<Duration>)>,
}

impl<F: FnMut(usize, &PlannedJob) -> Fate> World<F> {
    fn new(runs: Vec<Pending>, pack: usize, slots: usize, rules: Rules, fate: F) -> World<F> {
        let jobs = jobs::jobs(runs, rules.trunks, pack, 1);
        World {
            scheduler: Scheduler::new(jobs, names(slots), rules),
            fate,
            now: 0.0,
            dead: BTreeSet::new(),
            starting: BTreeSet::new(),
            trains: BTreeMap::new(),
            busy: BTreeMap::new(),
            said: Vec::new(),
            handed: Vec::new(),
            ends: Vec::new(),
            killed: Vec::new(),
        }
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.scheduler.on(seconds(self.now), event) {
                match action {
                    Action::Start { slot, trains } => {
                        self.starting.insert(slot);
                        self.trains.insert(slot, trains);
                    }
                    Action::HandOut { slot, job } => {
                        assert_eq!(self.trains[&slot], job.trained_by());
                        self.handed.push((slot, job.runs.iter().map(|run| run.id.clone()).collect()));
                        self.busy.insert(slot, (self.now, job));
                    }
                    Action::Kill { slot, silent } => {
                        self.killed.push((slot, silent));
                        self.starting.remove(&slot);
                        self.busy.remove(&slot);
                        events.push_back(Event::Died { slot, reason: "killed".into() });
                    }
                    Action::Settle { slot, job, reason } => {
                        let outcome = match reason.as_str() {
                            NO_FAILURE => Outcome::Done,
                            _ => Outcome::Failed { reason: reason.clone() },
                        };
                        let runs = job.runs.into_iter().map(|run| (run, Some(outcome.clone()))).collect();
                        events.push_back(Event::Settled { slot, runs, memory: reason.contains("memory") });
                    }
                    Action::Report { run, outcome, retry, .. } => {
                        if !retry {
                            self.ends.push((run.id, outcome));
                        }
                    }
                    Action::Say(line) => self.said.push(line),
                    Action::AskToStop { .. } => {}
                }
            }
        }
    }

    fn run(&mut self) {
        self.feed(Event::Tick);
        for _ in 0..100_000 {
            if self.scheduler.is_over() {
                return;
            }
            self.now += 0.5;
            for slot in std::mem::take(&mut self.starting) {
                match self.dead.contains(&slot) {
                    true => self.feed(Event::Died { slot, reason: "no driver".into() }),
                    false => self.feed(Event::Ready { slot }),
                }
            }
            let due: Vec<usize> =
                self.busy.iter().filter(|(_, (since, _))| self.now - since >= 1.0).map(|(slot, _)| *slot).collect();
            for slot in due {
                let Some((since, job)) = self.busy.remove(&slot) else { continue };
                match (self.fate)(slot, &job) {
                    Fate::Done => self.finish(slot, None),
                    Fate::Fits(most) if job.runs.len() <= most => self.finish(slot, None),
                    Fate::Fits(_) => self.finish(slot, Some("CUDA out of memory")),
                    Fate::Fails(reason) => self.finish(slot, Some(reason)),
                    Fate::Silent => _ = self.busy.insert(slot, (since, job)),
                }
            }
            self.feed(Event::Tick);
        }
        panic!("it never ends");
    }

    fn finish(&mut self, slot: usize, failure: Option<&str>) {
        self.feed(Event::Finished { slot, failure: failure.map(Into::into) });
    }

    fn outcomes(&self) -> (usize, usize) {
        let done = self.ends.iter().filter(|(_, outcome)| *outcome == Outcome::Done).count();
        (done, self.ends.len() - done)
    }

    fn left_alone(&self) -> Vec<usize> {
        let slots = self.scheduler.slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.is_left_alone()).map(|(number, _)| number).collect()
    }
}

#[test]
fn a_sick_slot_is_left_alone_and_no_run_is_lost_to_it() {
    for (slots, sick) in [(2, 0), (4, 1), (4, 3)] {
        let fate = move |slot, _: &PlannedJob| if slot == sick { Fate::Fails("CUDA error: sick") } else { Fate::Done };
        let mut world = World::new(runs(40), 1, slots, rules(), fate);
        world.run();
        assert_eq!(world.outcomes(), (40, 0), "{slots} slots");
        assert_eq!(world.left_alone(), [sick]);
        assert_eq!(world.handed.iter().filter(|(slot, _)| *slot == sick).count(), STRIKES);
        let go = if slots == 2 { "1 slot goes on".to_string() } else { format!("{} slots go on", slots - 1) };
        assert_eq!(
            world.said,
            [format!("warning: cuda:{sick}: 3 jobs failed in a row, CUDA error: sick: left alone; {go}")]
        );
        assert!(world.scheduler.fault().is_none());
    }
}

/// Without retries a run that failed on it is lost to the sweep, but not the queue.
#[test]
fn a_sick_slot_is_left_alone_without_retries_too() {
    let fate = |slot, _: &PlannedJob| if slot == 2 { Fate::Fails("sick") } else { Fate::Done };
    let mut world = World::new(runs(40), 1, 4, Rules { retries: 0, ..rules() }, fate);
    world.run();
    assert_eq!((world.outcomes(), world.left_alone()), ((37, 3), vec![2]));
}

/// The null of the above: where runs are to blame, however many, no slot is ever left alone.
#[test]
fn runs_that_fail_everywhere_are_no_slots_fault() {
    let mut left_alone = 0;
    for sweep in 0..200_u64 {
        // Half of the runs fail, other ones in each sweep.
        let bad = |id: &str| u64::from_str_radix(&id[..6], 16).unwrap_or(0).wrapping_mul(2 * sweep + 1) >> 7 & 1 == 1;
        let fate = |_, job: &PlannedJob| if bad(&job.runs[0].id) { Fate::Fails("a shape") } else { Fate::Done };
        let (slots, retries) = (2 + (sweep % 4) as usize, 1 + (sweep % 3) as u32);
        let mut world = World::new(runs(30), 1, slots, Rules { retries, ..rules() }, fate);
        world.run();
        let expected = runs(30).iter().filter(|run| bad(&run.id)).count();
        assert_eq!(world.outcomes(), (30 - expected, expected), "sweep {sweep}");
        left_alone += world.left_alone().len();
    }
    assert_eq!(left_alone, 0);
}

#[test]
fn a_run_that_failed_is_tried_on_another_slot() {
    let fate = |_, _: &PlannedJob| Fate::Fails("always");
    let mut world = World::new(runs(1), 1, 2, Rules { retries: 3, ..rules() }, fate);
    world.run();
    let slots: Vec<usize> = world.handed.iter().map(|(slot, _)| *slot).collect();
    assert_eq!((slots.len(), world.outcomes()), (4, (0, 1)));
    assert_ne!(slots[0], slots[1]);
}

/// 1 s, then 2, then 4 lie between an end and the next, beside a quarter that starting a worker takes here.
#[test]
fn retries_back_off() {
    let mut times = Vec::new();
    let mut world =
        World::new(runs(1), 1, 1, Rules { retries: 3, ..rules() }, |_, _: &PlannedJob| Fate::Fails("always"));
    world.feed(Event::Tick);
    while !world.scheduler.is_over() {
        world.now += 0.25;
        for slot in std::mem::take(&mut world.starting) {
            world.feed(Event::Ready { slot });
        }
        if world.busy.remove(&0).is_some() {
            times.push(world.now);
            world.feed(Event::Finished { slot: 0, failure: Some("always".into()) });
        }
        world.feed(Event::Tick);
    }
    let waits: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [1.25, 2.25, 4.25]);
}

#[test]
fn slots_change_their_kind_of_worker_only_where_the_other_has_more_jobs() {
    let kinds = |world: &World<fn(usize, &PlannedJob) -> Fate>| world.trains.values().copied().collect::<Vec<_>>();
    for (ours, theirs, slots) in [(6, 6, 1), (6, 6, 2), (2, 9, 3), (9, 1, 3), (0, 4, 2)] {
        let all = [runs(ours), scripts(runs(theirs))].concat();
        let mut world: World<fn(usize, &PlannedJob) -> Fate> = World::new(all, 1, slots, rules(), |_, _| Fate::Done);
        world.run();
        assert_eq!(world.outcomes(), ((ours + theirs) as usize, 0), "{ours} {theirs} {slots}");
        assert!(world.said.is_empty() && world.left_alone().is_empty(), "{:?}", world.said);
        let (changes, last) = (world.killed.len(), kinds(&world));
        assert!(changes <= slots, "{ours} {theirs} {slots}: {changes} changes, {last:?}");
    }
    let all = [runs(9), scripts(runs(1))].concat();
    let mut world: World<fn(usize, &PlannedJob) -> Fate> = World::new(all, 1, 3, rules(), |_, _| Fate::Done);
    world.run();
    assert_eq!(kinds(&world).into_iter().filter(|trains| *trains == TrainedBy::Script).count(), 1);
}

#[test]
fn workers_that_do_not_start_are_a_fault_of_their_slot_or_of_all() {
    let mut world = World::new(runs(8), 1, 3, rules(), |_, _: &PlannedJob| Fate::Done);
    world.dead.insert(1);
    world.run();
    assert_eq!((world.outcomes(), world.left_alone()), ((8, 0), vec![1]));
    assert_eq!(world.said, ["warning: cuda:1: workers do not start, no driver: left alone; 2 slots go on"]);

    for slots in [1, 2, 16] {
        let mut world = World::new(runs(8), 1, slots, rules(), |_, _: &PlannedJob| Fate::Done);
        world.dead.extend(0..slots);
        world.run();
        assert!(world.scheduler.fault().is_some_and(|fault| fault.contains("no driver")), "{slots}");
        assert_eq!(world.outcomes(), (0, 0), "what is not done stays to do");
    }
}

#[test]
fn no_more_workers_start_at_once_than_cores_and_none_without_a_job() {
    let mut world = World::new(runs(5), 1, 64, Rules { starts: 2, ..rules() }, |_, _: &PlannedJob| Fate::Done);
    world.feed(Event::Tick);
    assert_eq!(world.starting.len(), 2);
    world.run();
    let used: BTreeSet<usize> = world.handed.iter().map(|(slot, _)| *slot).collect();
    assert!(used.len() <= 5, "{used:?}");
}

#[test]
fn memory_that_runs_out_halves_packs_and_is_remembered() {
    let fate = |_, _: &PlannedJob| Fate::Fits(3);
    let mut world = World::new(runs(24), 8, 1, rules(), fate);
    world.run();
    assert_eq!(world.outcomes(), (24, 0));
    let sizes: Vec<usize> = world.handed.iter().map(|(_, runs)| runs.len()).collect();
    // 8 and 4 do not fit, 2 do; what comes later of that shape is cut before it is tried.
    assert_eq!(sizes[..2], [8, 4]);
    assert!(sizes[2..].iter().filter(|size| **size > 3).count() <= 1, "{sizes:?}");
    assert!(world.left_alone().is_empty());
}

#[test]
fn a_worker_that_hangs_is_killed_and_its_run_tried_again() {
    let fate = |_, job: &PlannedJob| if job.runs[0].attempt == 1 { Fate::Silent } else { Fate::Done };
    let mut world = World::new(runs(2), 1, 1, Rules { hang: Some(seconds(30.0)), ..rules() }, fate);
    world.run();
    assert_eq!(world.outcomes(), (2, 0));
    assert_eq!(world.killed.iter().filter(|(_, silent)| silent.is_some()).count(), 2);
}

#[test]
fn how_much_silence_is_a_hang_follows_from_the_steps_seen() {
    let mut world = World::new(runs(1), 1, 1, rules(), |_, _: &PlannedJob| Fate::Silent);
    world.feed(Event::Tick);
    world.starting.clear();
    world.feed(Event::Ready { slot: 0 });
    // A step a minute: fifty of those are not yet a hang.
    for minute in 1..=10 {
        world.now = 60.0 * f64::from(minute);
        world.feed(Event::Progress { slot: 0 });
    }
    world.now += 49.0 * 60.0;
    world.feed(Event::Tick);
    assert!(world.killed.is_empty());
    world.now += 120.0;
    world.feed(Event::Tick);
    assert!(matches!(world.killed[..], [(0, Some(silent))] if silent > seconds(3000.0)));
}

#[test]
fn a_stop_lets_workers_write_and_a_second_one_does_not_wait() {
    let mut world = World::new(runs(4), 1, 2, rules(), |_, _: &PlannedJob| Fate::Silent);
    world.feed(Event::Tick);
    for slot in std::mem::take(&mut world.starting) {
        world.feed(Event::Ready { slot });
    }
    world.feed(Event::Stop);
    assert!(world.killed.is_empty() && !world.scheduler.is_over());
    // As timeout(1) sends it, to the process and to its group.
    world.now += 0.01;
    world.feed(Event::Stop);
    assert!(world.killed.is_empty() && !world.scheduler.is_over());
    world.now += 1.0;
    world.feed(Event::Stop);
    assert_eq!(world.killed.len(), 2);
    assert!(world.scheduler.is_over() && world.scheduler.tally().interrupted);

    // Nor does the first one for ever.
    let mut world = World::new(runs(4), 1, 2, rules(), |_, _: &PlannedJob| Fate::Silent);
    world.feed(Event::Tick);
    for slot in std::mem::take(&mut world.starting) {
        world.feed(Event::Ready { slot });
    }
    world.feed(Event::Stop);
    world.now += STOP_WITHIN.as_secs_f64() + 0.1;
    world.feed(Event::Tick);
    assert!(world.killed.len() == 2 && world.scheduler.is_over());
}

/// Its process waits in the kernel: no death is ever heard.
#[test]
fn a_worker_that_cannot_be_killed_is_left_behind() {
    let mut scheduler =
        Scheduler::new(jobs::jobs(runs(3), true, 1, 1), names(2), Rules { hang: Some(seconds(5.0)), ..rules() });
    let mut all: Vec<Action> = scheduler.on(Duration::ZERO, Event::Tick);
    for slot in [0, 1] {
        all.extend(scheduler.on(Duration::ZERO, Event::Ready { slot }));
    }
    all.extend(scheduler.on(seconds(6.0), Event::Progress { slot: 1 }));
    assert!(all.contains(&Action::Kill { slot: 0, silent: Some(seconds(6.0)) }));
    let actions = scheduler.on(seconds(17.0), Event::Progress { slot: 1 });
    assert!(actions.iter().any(|action| matches!(action, Action::Settle { slot: 0, .. })), "{actions:?}");
    assert!(scheduler.slots[0].is_left_alone() && scheduler.fault().is_none());
}

#[test]
fn a_sweep_that_fails_as_a_whole_ends_where_one_says_so() {
    let rules = Rules { max_failures: Some(3), retries: 0, ..rules() };
    let mut world = World::new(runs(40), 1, 1, rules, |_, _: &PlannedJob| Fate::Fails("a typo"));
    world.run();
    assert_eq!((world.scheduler.tally().failed, world.scheduler.tally().interrupted), (3, false));
    assert_eq!(world.said, ["3 runs failed, which ends the sweep (--max-failures 3)"]);
}

/// As a pilot takes them: no more than there are slots for.
#[test]
fn jobs_that_come_later_are_taken_as_slots_are_free() {
    let mut world = World::new(Vec::new(), 1, 2, rules(), |_, _: &PlannedJob| Fate::Done);
    let mut later: VecDeque<PlannedJob> = jobs::jobs(runs(7), true, 1, 1).into();
    assert!(world.scheduler.is_over(), "nothing is there yet");
    let mut most = 0;
    while !later.is_empty() {
        let wanted = world.scheduler.jobs_wanted();
        most = most.max(wanted);
        let jobs: Vec<PlannedJob> = later.drain(..wanted.min(later.len())).collect();
        let left = wanted - jobs.len();
        world.feed(Event::More { jobs });
        assert_eq!(world.scheduler.jobs_wanted(), left);
        world.run();
    }
    assert_eq!((most, world.outcomes()), (2, (7, 0)));
    world.feed(Event::Stop);
    assert_eq!(world.scheduler.jobs_wanted(), 0);
}

/// A backend that does whatever it likes with each number that it is given, and then behaves.
struct Chaos {
    scheduler: Scheduler,
    numbers: std::vec::IntoIter<u8>,
    now: f64,
    workers: Vec<Sim>,
    trains: Vec<TrainedBy>,
    stops: usize,
    /// The runs that are in a worker's hands.
    held: BTreeSet<String>,
    ended: BTreeMap<String, Outcome>,
    /// Jobs that it has not heard of.
    later: VecDeque<PlannedJob>,
}

#[derive(Debug)]
enum Sim {
    None,
    Starting,
    Idle,
    Busy(PlannedJob),
}

impl Chaos {
    /// 0 once they are used up.
    fn number(&mut self) -> u8 {
        self.numbers.next().unwrap_or(0)
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.scheduler.on(seconds(self.now), event) {
                events.extend(self.carry_out(action));
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Vec<Event> {
        match action {
            Action::Start { slot, trains } => {
                assert!(matches!(self.workers[slot], Sim::None), "two workers on slot {slot}");
                (self.workers[slot], self.trains[slot]) = (Sim::Starting, trains);
            }
            Action::HandOut { slot, job } => {
                assert!(job.runs.iter().all(|run| run.trained_by() == self.trains[slot]), "a worker of another kind");
                assert!(matches!(self.workers[slot], Sim::Idle), "{:?} is handed a job", self.workers[slot]);
                assert!(!job.runs.is_empty() && self.stops == 0);
                for run in &job.runs {
                    assert!(self.held.insert(run.id.clone()), "{} is handed out twice at once", run.id);
                    assert!(!self.ended.contains_key(&run.id), "{} was over", run.id);
                }
                self.workers[slot] = Sim::Busy(job);
            }
            Action::Kill { slot, .. } => {
                // Some take their time, and some never die.
                if self.number() % 4 != 1 && !matches!(self.workers[slot], Sim::None) {
                    self.workers[slot] = Sim::None;
                    return vec![Event::Died { slot, reason: "killed".into() }];
                }
            }
            Action::Settle { slot, job, reason } => return self.settle(slot, job, &reason),
            Action::Report { run, outcome, retry, .. } => {
                let is_end = match outcome {
                    Outcome::Done | Outcome::Diverged { .. } => true,
                    _ => !retry && self.stops == 0 && !self.scheduler.is_ending(),
                };
                assert!(!(is_end && retry));
                if is_end {
                    assert!(self.ended.insert(run.id.clone(), outcome).is_none(), "{} ends twice", run.id);
                }
            }
            Action::AskToStop { .. } | Action::Say(_) => {}
        }
        Vec::new()
    }

    fn settle(&mut self, slot: usize, job: PlannedJob, reason: &str) -> Vec<Event> {
        let failed = reason != NO_FAILURE;
        let mut runs = Vec::new();
        for run in job.runs {
            assert!(self.held.remove(&run.id), "{} was not handed out", run.id);
            let outcome = match (failed, self.number() % 8) {
                (false, 7) => Some(Outcome::Diverged { step: 1 }),
                (false, _) | (true, 6) => Some(Outcome::Done),
                (true, _) if self.scheduler.is_ending() => None,
                (true, 5) => Some(Outcome::Stopped { step: 1 }),
                (true, _) => Some(Outcome::Failed { reason: reason.into() }),
            };
            runs.push((run, outcome));
        }
        vec![Event::Settled { slot, runs, memory: failed && self.number() % 5 == 1 }]
    }

    fn tell_more(&mut self) {
        let wanted = self.scheduler.jobs_wanted().min(self.later.len());
        if wanted > 0 {
            let jobs = self.later.drain(..wanted).collect();
            self.feed(Event::More { jobs });
        }
    }

    fn step(&mut self) {
        let number = self.number();
        let slot = usize::from(self.number()) % self.workers.len();
        self.now += match number {
            250.. => 4000.0,
            200.. => 30.0,
            _ => 0.3,
        };
        if number == 249 {
            self.stops += 1;
            return self.feed(Event::Stop);
        }
        let worker = std::mem::replace(&mut self.workers[slot], Sim::None);
        match (worker, number % 8) {
            (Sim::None, _) => self.feed(Event::Tick),
            (Sim::Starting, 1) | (Sim::Idle, 1) | (Sim::Busy(_), 1) => {
                self.feed(Event::Died { slot, reason: "died".into() });
            }
            (Sim::Starting, _) => {
                self.workers[slot] = Sim::Idle;
                self.feed(Event::Ready { slot });
            }
            (Sim::Idle, _) => {
                self.workers[slot] = Sim::Idle;
                self.feed(Event::Tick);
            }
            // One that was given up says nothing that anybody hears.
            (Sim::Busy(mut job), 2) if self.scheduler.job(slot).is_some() => {
                let branches = |run: &Pending| run.shared_steps > run.step;
                let (left, stay) = job.runs.into_iter().partition::<Vec<_>, _>(branches);
                job.runs = stay;
                self.workers[slot] = Sim::Busy(job);
                let runs: Vec<Pending> = (left.into_iter())
                    .map(|run| Pending { step: run.config.trunk_steps(), attempt: run.attempt + 1, ..run })
                    .collect();
                runs.iter().for_each(|run| assert!(self.held.remove(&run.id)));
                self.feed(Event::Branched { slot, runs });
            }
            (busy @ Sim::Busy(_), 3) => {
                self.workers[slot] = busy;
                self.feed(Event::Progress { slot });
            }
            (busy @ Sim::Busy(_), 4) => {
                self.workers[slot] = busy;
                self.feed(Event::Tick);
            }
            (Sim::Busy(_), choice) => {
                self.workers[slot] = Sim::Idle;
                self.feed(Event::Finished { slot, failure: (choice == 5).then(|| "failed".into()) });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No run is lost, none is handed out twice at once, every end counts once, and it always ends.
    #[test]
    fn whatever_happens_no_run_is_lost(
        numbers in prop::collection::vec(any::<u8>(), 0..300),
        seeds in 1_u64..9,
        (slots, pack, starts) in (1_usize..6, 1_usize..5, 1_usize..4),
        retries in 0_u32..4,
        (with_trunks, of_scripts) in (any::<bool>(), 0_u64..4),
        max_failures in prop::option::of(1_usize..6),
        told_at_once in 0_usize..9,
    ) {
        let all = if with_trunks { trunks(seeds.div_ceil(3)) } else { runs(seeds) };
        let all = [all, scripts(runs(of_scripts))].concat();
        let ids: BTreeSet<String> = all.iter().map(|run| run.id.clone()).collect();
        let rules = Rules { retries, trunks: with_trunks, starts, hang: None, max_failures };
        let mut jobs = jobs::jobs(all, with_trunks, pack, slots);
        let later = jobs.split_off(told_at_once.min(jobs.len())).into();
        let mut chaos = Chaos {
            scheduler: Scheduler::new(jobs, names(slots), rules),
            later,
            numbers: numbers.into_iter(),
            now: 0.0,
            workers: (0..slots).map(|_| Sim::None).collect(),
            trains: vec![TrainedBy::Libtorch; slots],
            stops: 0,
            held: BTreeSet::new(),
            ended: BTreeMap::new(),
        };
        chaos.feed(Event::Tick);
        let mut turns = 0;
        while !chaos.scheduler.is_over() || !(chaos.later.is_empty() || chaos.scheduler.is_ending()) {
            chaos.tell_more();
            chaos.step();
            // Whoever behaves goes round the slots, and dies when it is killed.
            if chaos.numbers.len() == 0 {
                for slot in 0..slots {
                    let worker = std::mem::replace(&mut chaos.workers[slot], Sim::None);
                    match worker {
                        Sim::None => {}
                        Sim::Starting => {
                            chaos.workers[slot] = Sim::Idle;
                            chaos.feed(Event::Ready { slot });
                        }
                        Sim::Idle => chaos.workers[slot] = Sim::Idle,
                        Sim::Busy(_) => {
                            chaos.workers[slot] = Sim::Idle;
                            chaos.feed(Event::Finished { slot, failure: None });
                        }
                    }
                }
                chaos.now += 5.0;
                chaos.feed(Event::Tick);
            }
            turns += 1;
            prop_assert!(turns < 2000, "it never ends");
        }
        let tally = chaos.scheduler.tally();
        prop_assert_eq!(tally.interrupted, chaos.stops > 0);
        let count = |which: fn(&Outcome) -> bool| chaos.ended.values().filter(|outcome| which(outcome)).count();
        prop_assert_eq!(tally.done, count(|outcome| *outcome == Outcome::Done));
        prop_assert_eq!(tally.diverged, count(|outcome| matches!(outcome, Outcome::Diverged { .. })));
        if !chaos.scheduler.is_ending() {
            let ended: BTreeSet<String> = chaos.ended.keys().cloned().collect();
            prop_assert_eq!(ended, ids);
            prop_assert_eq!(tally.failed, chaos.ended.len() - tally.done - tally.diverged);
            prop_assert!(chaos.held.is_empty());
        }
    }
}
