//! What a person sees while a sweep runs: the whole sweep and each busy slot on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::{duration, si};

/// Without a terminal, a line on the whole sweep at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Parts that a bar is divided into.
const PARTS: u64 = 1000;

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
    out: Box<dyn Write + Send>,
    clock: Box<dyn Fn() -> Duration + Send>,
}

struct Slot {
    run: Running,
    /// Loss and examples per second, once measured.
    measured: Option<(f64, f64)>,
}

enum View {
    Bars { all: MultiProgress, whole: ProgressBar, slots: BTreeMap<usize, ProgressBar> },
    Lines { due: Duration },
}

impl Progress {
    /// Bars if stderr is a terminal that can move its cursor, else lines without control codes.
    pub fn new(title: &str, total: Amount, done: Amount) -> Progress {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let view = if terminal { View::bars(ProgressDrawTarget::stderr()) } else { View::Lines { due: LINE_EVERY } };
        let started = Instant::now();
        Self::with(title, total, done, view, Box::new(std::io::stderr()), Box::new(move || started.elapsed()))
    }

    fn with(
        title: &str,
        total: Amount,
        done: Amount,
        view: View,
        out: Box<dyn Write + Send>,
        clock: Box<dyn Fn() -> Duration + Send>,
    ) -> Progress {
        let title = title.to_string();
        let mut progress = Progress { title, total, done, gained: 0.0, slots: BTreeMap::new(), view, out, clock };
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
        self.show_slot(slot);
        self.tick();
    }

    /// `step` steps are done.
    pub fn slot_progress(&mut self, slot: usize, step: u64, loss: f64, examples_per_second: f64) {
        self.advance(slot, step);
        if let Some(busy) = self.slots.get_mut(&slot) {
            busy.measured = Some((loss, examples_per_second));
        }
        self.show_slot(slot);
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
        if let View::Bars { all, slots, .. } = &mut self.view
            && let Some(bar) = slots.remove(&slot)
        {
            all.remove(&bar);
        }
        self.tick();
    }

    /// A line that stays, above the bars.
    pub fn say(&mut self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        // A closed stderr is no reason to stop a sweep.
        let mut write = || _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        match &self.view {
            View::Bars { all, .. } => all.suspend(write),
            View::Lines { .. } => write(),
        }
    }

    /// Time has passed: brings the whole up to date. For loops that wait while nothing else happens.
    pub fn tick(&mut self) {
        let now = (self.clock)();
        let (state, share) = (self.state(), self.share());
        match &mut self.view {
            View::Bars { whole, .. } => {
                whole.set_prefix(self.title.clone());
                whole.set_position((share * PARTS as f64) as u64);
                whole.set_message(state);
            }
            View::Lines { due } if now >= *due => {
                *due = now + LINE_EVERY;
                self.say(&format!("{}: {state}", self.title));
            }
            View::Lines { .. } => {}
        }
    }

    /// Takes the bars away and says how far the sweep got.
    pub fn finish(mut self) {
        self.view.clear();
        let (Amount { runs: done, .. }, Amount { runs: total, .. }) = (self.done, self.total);
        let elapsed = duration((self.clock)().as_secs_f64());
        self.say(&format!("{}: {done} of {total} runs done, {elapsed}", self.title));
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

    fn state(&self) -> String {
        let left = self.seconds_left().map_or(String::new(), |seconds| format!(", {} left", duration(seconds)));
        let percent = (100.0 * self.share()) as u64;
        format!("{percent}%, {}/{} runs, {} running{left}", self.done.runs, self.total.runs, self.slots.len())
    }

    fn show_slot(&mut self, slot: usize) {
        let View::Bars { all, slots, .. } = &mut self.view else { return };
        let Some(Slot { run, measured }) = self.slots.get(&slot) else { return };
        if !slots.contains_key(&slot) {
            // Below the whole, in order of the slots.
            let place = 1 + slots.range(..slot).count();
            let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::hidden());
            bar.set_style(style("{prefix:>3} {bar:10} {wide_msg}"));
            bar.set_prefix(slot.to_string());
            slots.insert(slot, all.insert(place, bar));
        }
        let steps = format!("{:>width$}/{}", run.step, run.steps, width = run.steps.to_string().len());
        let numbers = match measured {
            Some((loss, rate)) => format!("loss {loss:<7.4} {:>5} ex/s", si(*rate)),
            None => "starting".to_string(),
        };
        if let Some(bar) = slots.get(&slot) {
            bar.set_message(format!("{steps}  {numbers}  {}", run.label));
            bar.set_position((PARTS as f64 * run.step as f64 / run.steps.max(1) as f64) as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.view.clear();
    }
}

impl View {
    fn bars(target: ProgressDrawTarget) -> View {
        let all = MultiProgress::with_draw_target(target);
        let whole = all.add(ProgressBar::new(PARTS));
        whole.set_style(style("{prefix} {bar:24} {wide_msg}"));
        View::Bars { all, whole, slots: BTreeMap::new() }
    }

    fn clear(&self) {
        if let View::Bars { all, .. } = self {
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }
}

/// No colours: the bars read without. Templates are constants of this file; a broken one shows as indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{InMemoryTerm, TermLike};
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

    /// Writes to the terminal that the bars are on, as stderr does.
    struct Screen(InMemoryTerm);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
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
    fn settled(screen: &InMemoryTerm, progress: &mut Progress) -> String {
        std::thread::sleep(Duration::from_millis(100));
        progress.tick();
        screen.contents()
    }

    const TOTAL: Amount = Amount { runs: 3, work: 1000.0 };

    #[test]
    fn without_a_terminal_there_are_few_plain_lines() {
        let (now, clock) = clock();
        let sink = Sink::default();
        let done = Amount { runs: 1, work: 200.0 };
        let view = View::Lines { due: LINE_EVERY };
        let mut progress = Progress::with("quickstart", TOTAL, done, view, Box::new(sink.clone()), clock);
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
        let screen = InMemoryTerm::new(12, 90);
        let view = View::bars(ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255));
        let out = Box::new(Screen(screen.clone()));
        let mut progress = Progress::with("quickstart", TOTAL, Amount::default(), view, out, clock);
        progress.slot_started(2, run("convnet/4000/seed 1", 0, 400.0));
        progress.slot_started(0, run("vit/4000/seed 0", 0, 400.0));
        *now.lock().unwrap() = Duration::from_secs(10);
        progress.slot_progress(0, 250, 0.4123, 8123.0);
        progress.say("vit/1000/seed 0 failed: out of memory");
        let seen = settled(&screen, &mut progress);
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[0], "vit/1000/seed 0 failed: out of memory");
        assert!(
            lines[1].starts_with("quickstart ━━╸─") && lines[1].ends_with("10%, 0/3 runs, 2 running, 1 min 30 s left"),
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
        let seen = settled(&screen, &mut progress);
        assert!(!seen.contains("vit/4000") && seen.contains("40%, 1/3 runs, 1 running"), "{seen}");
        progress.finish();
        assert_eq!(screen.contents(), "vit/1000/seed 0 failed: out of memory\nquickstart: 1 of 3 runs done, 10 s");
    }

    #[test]
    fn long_labels_and_many_slots_keep_to_the_terminal() {
        let screen = InMemoryTerm::new(6, 60);
        let view = View::bars(ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255));
        let mut progress =
            Progress::with("s", TOTAL, Amount::default(), view, Box::new(Screen(screen.clone())), clock().1);
        for slot in 0..20 {
            progress.slot_started(slot, run(&"a long label ".repeat(9), 0, 1.0));
        }
        let seen = settled(&screen, &mut progress);
        assert!(seen.lines().count() <= 6 && seen.contains("20 running"), "{seen}");
        progress.say("still readable");
        let seen = settled(&screen, &mut progress);
        assert!(seen.lines().count() <= 6 && seen.contains("20 running"), "{seen}");
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let sink = Sink::default();
        let (now, clock) = clock();
        let none = Amount::default();
        let mut progress =
            Progress::with("empty", none, none, View::Lines { due: LINE_EVERY }, Box::new(sink.clone()), clock);
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
