//! What a person sees while a sweep runs: the whole sweep and each busy slot on a terminal, plain lines elsewhere.

mod bar;
mod behind;
mod screen;
mod waiting;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::units::{duration, si};
use bar::Whole;
use behind::Behind;
use screen::Screen;

pub use screen::{cut, stdout_columns};
pub use waiting::Waiting;

/// Without a terminal, a line on the whole sweep at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Runs and their work (training FLOPs): all of the sweep's, or those of it that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    pub runs: u64,
    pub work: f64,
}

/// A run in a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    pub label: String,
    /// Where it starts: more than 0 when it is resumed.
    pub step: u64,
    pub steps: u64,
    /// Steps before this one are another run's work.
    pub from: u64,
    /// Of the run from there on, in FLOPs.
    pub work: f64,
}

impl Running {
    fn work_of(&self, steps: u64) -> f64 {
        self.work * steps as f64 / self.steps.saturating_sub(self.from).max(1) as f64
    }
}

/// Not shared between threads: the orchestrator's loop owns it.
pub struct Progress {
    title: String,
    total: Amount,
    done: Amount,
    /// Work that was done while this was watching: what the speed is taken from.
    gained: f64,
    slots: BTreeMap<usize, Slot>,
    view: View,
    clock: Box<dyn Fn() -> Duration + Send>,
}

struct Slot {
    run: Running,
    /// Loss and examples per second, once measured.
    measured: Option<(f64, f64)>,
}

impl Slot {
    fn shown(&self, number: usize) -> bar::Slot<'_> {
        let Running { label, step, steps, .. } = &self.run;
        let measured = self.measured.map(|(loss, rate)| (loss, si(rate)));
        bar::Slot { number, step: *step, steps: *steps, measured, label }
    }
}

enum View {
    Bars(Screen),
    Lines { out: Box<dyn Write + Send>, due: Duration },
}

impl Progress {
    /// Bars if stderr is a terminal that can move its cursor, else lines without control codes.
    pub fn new(title: &str, total: Amount, done: Amount) -> Progress {
        let view = match is_drawn() {
            true => View::Bars(Screen::stderr()),
            false => View::Lines { out: Box::new(Behind::new(std::io::stderr())), due: LINE_EVERY },
        };
        let started = Instant::now();
        Self::with(title, total, done, view, Box::new(move || started.elapsed()))
    }

    fn with(title: &str, total: Amount, done: Amount, view: View, clock: Box<dyn Fn() -> Duration + Send>) -> Progress {
        let title = title.to_string();
        let mut progress = Progress { title, total, done, gained: 0.0, slots: BTreeMap::new(), view, clock };
        if matches!(progress.view, View::Lines { .. }) {
            let to_do = total.runs.saturating_sub(done.runs);
            progress.say(&format!("{}: {} runs, {} done, {to_do} to do", progress.title, total.runs, done.runs));
        }
        progress.tick();
        progress
    }

    /// A slot took a run up.
    pub fn slot_started(&mut self, slot: usize, run: Running) {
        self.slots.insert(slot, Slot { run, measured: None });
        self.tick();
    }

    /// `step` steps are done.
    pub fn slot_progress(&mut self, slot: usize, step: u64, loss: f64, examples_per_second: f64) {
        self.advance(slot, step);
        if let Some(busy) = self.slots.get_mut(&slot) {
            busy.measured = Some((loss, examples_per_second));
        }
        self.tick();
    }

    /// A run of the slot's job is done; `work` is its FLOPs.
    pub fn run_finished(&mut self, slot: usize, label: &str, work: f64) {
        self.run_over(slot, work);
        self.done.runs += 1;
        if matches!(self.view, View::Lines { .. }) {
            self.say(&format!("{}/{} {label}: done", self.done.runs, self.total.runs));
        }
        self.tick();
    }

    /// A run of the slot's job ended without a result, and will not be tried again now.
    pub fn run_lost(&mut self, slot: usize, work: f64) {
        self.run_over(slot, work);
        self.tick();
    }

    fn run_over(&mut self, slot: usize, work: f64) {
        let steps = self.slots.get(&slot).map_or(0, |busy| busy.run.steps);
        self.advance(slot, steps);
        self.slots.remove(&slot);
        self.done.work += work;
    }

    /// The slot has nothing to do, or its attempt failed and may be tried again.
    pub fn slot_idle(&mut self, slot: usize) {
        self.slots.remove(&slot);
        self.tick();
    }

    /// A line that stays, above the bars.
    pub fn say(&mut self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        match &mut self.view {
            View::Bars(screen) => screen.say(&line),
            // A closed stderr is no reason to stop a sweep.
            View::Lines { out, .. } => _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()),
        }
        self.draw();
    }

    /// Time has passed: brings the whole up to date. For loops that wait while nothing else happens.
    pub fn tick(&mut self) {
        let now = (self.clock)();
        match &mut self.view {
            View::Bars(screen) if screen.is_due(now) => self.draw(),
            View::Lines { due, .. } if now >= *due => {
                *due = now + LINE_EVERY;
                self.say(&format!("{}: {}", self.title, self.whole().state()));
            }
            View::Bars(_) | View::Lines { .. } => {}
        }
    }

    fn draw(&mut self) {
        let View::Bars(screen) = &self.view else { return };
        let size = screen.size();
        let slots: Vec<bar::Slot> = self.slots.iter().map(|(number, slot)| slot.shown(*number)).collect();
        let (now, lines) = ((self.clock)(), bar::lines(&self.whole(), &slots, size));
        if let View::Bars(screen) = &mut self.view {
            screen.draw(now, size, lines);
        }
    }

    /// Takes the bars away and says how far the sweep got.
    pub fn finish(mut self) {
        if let View::Bars(screen) = &mut self.view {
            screen.clear();
        }
        let (Amount { runs: done, .. }, Amount { runs: total, .. }) = (self.done, self.total);
        let elapsed = duration((self.clock)().as_secs_f64());
        let line = format!("{}: {done} of {total} runs done, {elapsed}", self.title);
        match &mut self.view {
            View::Bars(screen) => screen.say(&line),
            View::Lines { .. } => self.say(&line),
        }
    }

    fn advance(&mut self, slot: usize, step: u64) {
        if let Some(Slot { run, .. }) = self.slots.get_mut(&slot) {
            let step = step.min(run.steps);
            self.gained += run.work_of(step.saturating_sub(run.step));
            run.step = run.step.max(step);
        }
    }

    fn done_work(&self) -> f64 {
        let part = |slot: &Slot| slot.run.work_of(slot.run.step.saturating_sub(slot.run.from));
        self.done.work + self.slots.values().map(part).sum::<f64>()
    }

    /// 0 to 1, by work, so that a large run counts more than a small one.
    fn share(&self) -> f64 {
        if self.total.work > 0.0 { (self.done_work() / self.total.work).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// None before any work was done.
    fn seconds_left(&self) -> Option<f64> {
        let left = (self.total.work - self.done_work()).max(0.0);
        (self.gained > 0.0).then(|| left / self.gained * (self.clock)().as_secs_f64())
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            title: &self.title,
            share: self.share(),
            runs: format!("{}/{} runs", self.done.runs, self.total.runs),
            running: self.slots.len(),
            left: self.seconds_left().map(duration),
        }
    }
}

/// Whether lines can be drawn over: stderr is a terminal that can move its cursor.
fn is_drawn() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// A terminal that a person can resize; its lines do not flow.
    #[derive(Clone)]
    struct Terminal(Arc<Mutex<vt100::Parser>>);

    impl Terminal {
        fn new(rows: u16, columns: u16) -> Self {
            Self(Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))))
        }
        fn contents(&self) -> String {
            self.0.lock().unwrap().screen().contents().trim_end().to_owned()
        }
        fn view(&self) -> View {
            let terminal = self.clone();
            let size = move || {
                let (rows, columns) = terminal.0.lock().unwrap().screen().size();
                (columns.into(), rows.into())
            };
            View::Bars(Screen::new(Box::new(self.clone()), Box::new(size), Box::new(|| true)))
        }
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().process(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A clock that stands still until it is told.
    fn clock() -> (Arc<Mutex<Duration>>, Box<dyn Fn() -> Duration + Send>) {
        let now = Arc::new(Mutex::new(Duration::ZERO));
        (now.clone(), Box::new(move || *now.lock().unwrap()))
    }

    fn run(label: &str, step: u64, work: f64) -> Running {
        Running { label: label.into(), step, from: 0, steps: 1000, work }
    }

    /// Drawing is limited to so many a second; the loop that owns the bars ticks on.
    fn settled(terminal: &Terminal, now: &Mutex<Duration>, progress: &mut Progress) -> String {
        *now.lock().unwrap() += Duration::from_millis(100);
        progress.tick();
        terminal.contents()
    }

    const TOTAL: Amount = Amount { runs: 3, work: 1000.0 };

    #[test]
    fn without_a_terminal_there_are_few_plain_lines() {
        let (now, clock) = clock();
        let sink = Sink::default();
        let done = Amount { runs: 1, work: 200.0 };
        let view = View::Lines { out: Box::new(sink.clone()), due: LINE_EVERY };
        let mut progress = Progress::with("quickstart", TOTAL, done, view, clock);
        progress.slot_started(0, run("vit 4k", 500, 400.0));
        progress.slot_started(1, run("convnet 4k", 0, 400.0));
        for step in 501..=750 {
            *now.lock().unwrap() += Duration::from_millis(80);
            progress.slot_progress(0, step, 0.5, 1e4);
        }
        progress.say("vit 1k failed:\x1b[31m out of memory");
        progress.run_finished(0, "vit 4k", 400.0);
        progress.slot_idle(0);
        progress.finish();
        // 20 s: 100 of work gained, 500 left; then 200 gained and 400 left.
        assert_eq!(
            sink.text(),
            "quickstart: 3 runs, 1 done, 2 to do\n\
             quickstart: 45%, 1/3 runs, 2 running, 1 min 50 s left\n\
             quickstart: 50%, 1/3 runs, 2 running, 1 min 40 s left\n\
             vit 1k failed:[31m out of memory\n\
             2/3 vit 4k: done\n\
             quickstart: 2 of 3 runs done, 20 s\n"
        );
    }

    #[test]
    fn on_a_terminal_lines_stand_above_one_bar_for_all_and_one_for_each_busy_slot() {
        let (now, clock) = clock();
        let terminal = Terminal::new(12, 90);
        let mut progress = Progress::with("quickstart", TOTAL, Amount::default(), terminal.view(), clock);
        progress.slot_started(2, run("convnet/4000/seed 1", 0, 400.0));
        progress.slot_started(0, run("vit/4000/seed 0", 0, 400.0));
        *now.lock().unwrap() = Duration::from_secs(10);
        progress.slot_progress(0, 250, 0.4123, 8123.0);
        progress.say("vit/1000/seed 0 failed: out of memory");
        let seen = settled(&terminal, &now, &mut progress);
        let lines: Vec<&str> = seen.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "vit/1000/seed 0 failed: out of memory");
        assert!(
            lines[1].starts_with("quickstart ━━╸─") && lines[1].ends_with("10%, 0/3 runs, 2 running, 1 min 31 s left"),
            "{seen}"
        );
        assert!(
            lines[2].starts_with("  0 ━━╸") && lines[2].ends_with("250/1000  loss 0.4123  8.12k ex/s  vit/4000/seed 0"),
            "{seen}"
        );
        assert!(
            lines[3].starts_with("  2 ──") && lines[3].ends_with("0/1000  starting  convnet/4000/seed 1"),
            "{seen}"
        );
        assert_eq!(lines.len(), 4, "{seen}");

        progress.run_finished(0, "vit/4000/seed 0", 400.0);
        progress.slot_idle(0);
        let seen = settled(&terminal, &now, &mut progress);
        assert!(!seen.contains("vit/4000") && seen.contains("40%, 1/3 runs, 1 running"), "{seen}");
        progress.finish();
        assert_eq!(terminal.contents(), "vit/1000/seed 0 failed: out of memory\nquickstart: 1 of 3 runs done, 10 s");
    }

    #[test]
    fn long_labels_and_many_slots_keep_to_the_terminal() {
        let (now, clock) = clock();
        let terminal = Terminal::new(6, 60);
        let mut progress = Progress::with("s", TOTAL, Amount::default(), terminal.view(), clock);
        for slot in 0..20 {
            progress.slot_started(slot, run(&"a long label ".repeat(9), 0, 1.0));
        }
        for said in ["", "still readable"] {
            progress.say(said);
            let seen = settled(&terminal, &now, &mut progress);
            assert!(seen.lines().count() <= 6 && seen.contains("20 running") && seen.contains(said), "{seen}");
        }
    }

    /// Wider, narrower, lower: what stands there is what was drawn last.
    #[test]
    fn a_resized_terminal_shows_each_bar_once() {
        let (now, clock) = clock();
        let terminal = Terminal::new(12, 100);
        let mut progress = Progress::with("quickstart", TOTAL, Amount::default(), terminal.view(), clock);
        for slot in 0..4 {
            progress.slot_started(slot, run("convnet, 4000 examples, 400 steps, lr 0.003, seed 1", 0, 400.0));
        }
        settled(&terminal, &now, &mut progress);
        for (rows, columns) in [(12, 140), (12, 110), (10, 120)] {
            terminal.0.lock().unwrap().screen_mut().set_size(rows, columns);
            let seen = settled(&terminal, &now, &mut progress);
            assert_eq!((seen.matches("quickstart").count(), seen.matches("starting").count()), (1, 4), "{seen}");
        }
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let sink = Sink::default();
        let (now, clock) = clock();
        let none = Amount::default();
        let view = View::Lines { out: Box::new(sink.clone()), due: LINE_EVERY };
        let mut progress = Progress::with("empty", none, none, view, clock);
        progress.slot_progress(7, 3, f64::NAN, f64::INFINITY);
        progress.slot_started(0, Running { label: "nothing".into(), step: 9, from: 0, steps: 0, work: 0.0 });
        progress.slot_progress(0, 12, f64::NAN, 0.0);
        *now.lock().unwrap() = Duration::from_secs(60);
        progress.tick();
        progress.run_finished(0, "nothing", 0.0);
        progress.finish();
        assert!(sink.text().contains("empty: 100%, 0/0 runs, 1 running\n1/0 nothing: done\n"), "{}", sink.text());
    }
}
