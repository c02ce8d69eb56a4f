//! The lines of a sweep's progress, made to fit: what a person waits for stays, names and bars give way.

use super::screen::{Size, cut};
use textwrap::core::display_width;

/// Columns of the bar of the whole, where there is room.
const WHOLE: usize = 24;
/// And of a slot.
const SLOT: usize = 10;
/// A bar or a name of fewer says nothing.
const LEAST: usize = 4;

/// How far the whole is.
pub struct Whole<'a> {
    pub title: &'a str,
    pub share: f64,
    pub runs: String,
    pub running: usize,
    pub left: Option<String>,
}

impl Whole<'_> {
    /// 45%, 1/3 runs, 2 running, 1 min 50 s left.
    pub fn state(&self) -> String {
        [self.percent(), self.runs.clone(), self.running(), self.left()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub fn line(&self, width: usize) -> String {
        let least = 2 * (LEAST + 1);
        // What is told the longest is how many runs there are and how long it takes.
        let (runs, left) = (self.runs.clone(), self.left());
        let short = [runs, left].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let full = self.state();
        let state = if display_width(&full) + least <= width { full } else { short };
        let Some(room) = width.checked_sub(display_width(&state)).filter(|room| *room > LEAST) else { return state };
        let name = display_width(self.title);
        // The bar gives way before the name does, and the name before the bar is nothing.
        match room.checked_sub(name + 2) {
            Some(columns) if columns >= LEAST => {
                format!("{} {} {state}", self.title, bar(self.share, columns.min(WHOLE)))
            }
            _ if room >= least + 2 => {
                let columns = LEAST.max(room / 4);
                format!("{} {} {state}", cut(self.title, room - columns - 2), bar(self.share, columns))
            }
            _ => format!("{} {state}", cut(self.title, room - 1)),
        }
    }

    fn percent(&self) -> String {
        format!("{}%", (100.0 * self.share) as u64)
    }

    fn running(&self) -> String {
        format!("{} running", self.running)
    }

    fn left(&self) -> String {
        self.left.as_ref().map_or(String::new(), |left| format!("{left} left"))
    }
}

/// What a slot does.
pub struct Slot<'a> {
    pub number: usize,
    pub step: u64,
    pub steps: u64,
    /// Loss and examples per second, once measured.
    pub measured: Option<(f64, String)>,
    pub label: &'a str,
}

impl Slot<'_> {
    pub fn line(&self, width: usize) -> String {
        let share = self.step as f64 / self.steps.max(1) as f64;
        let steps = format!("{:>width$}/{}", self.step, self.steps, width = self.steps.to_string().len());
        let (loss, speed) = match &self.measured {
            Some((loss, rate)) if loss.is_nan() => ("loss -     ".to_owned(), format!(" {rate:>5} ex/s")),
            Some((loss, rate)) => (format!("loss {loss:<7.4}"), format!(" {rate:>5} ex/s")),
            None => ("starting".to_owned(), String::new()),
        };
        let full = format!("{:>3} {} {steps}  {loss}{speed}", self.number, bar(share, SLOT));
        let plain = format!("{:>3} {steps}  {loss}", self.number);
        // A name that is cut to a few letters is worth less than a bar, and more than a few letters are worth more.
        let enough = display_width(self.label).min(2 * SLOT);
        let numbers = if display_width(&full) + 2 + enough <= width { full } else { plain };
        match width.checked_sub(display_width(&numbers) + 2) {
            Some(room) if room >= LEAST => format!("{numbers}  {}", cut(self.label, room)),
            _ => cut(&numbers, width),
        }
    }
}

/// The whole and as many slots as there are rows for; how many more there are.
pub fn lines(whole: &Whole, slots: &[Slot], (width, height): Size) -> Vec<String> {
    let width = width.saturating_sub(1);
    // One row stays free for what is said above.
    let room = height.saturating_sub(2).max(1);
    let shown = if slots.len() <= room { slots.len() } else { room - 1 };
    let mut lines = vec![whole.line(width)];
    lines.extend(slots[..shown].iter().map(|slot| slot.line(width)));
    if shown < slots.len() {
        lines.push(cut(&format!("    and {} more slots", slots.len() - shown), width));
    }
    lines
}

/// ━━━━╸───
fn bar(share: f64, columns: usize) -> String {
    let halves = (2.0 * share.clamp(0.0, 1.0) * columns as f64).round() as usize;
    let (full, half) = (halves / 2, halves % 2);
    "━".repeat(full) + if half > 0 { "╸" } else { "" } + &"─".repeat(columns - full - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(title: &str) -> Whole<'_> {
        let left = Some("1 h 50 min".into());
        Whole { title, share: 0.45, runs: "123/456 runs".into(), running: 16, left }
    }

    #[test]
    fn runs_and_time_left_stay_with_long_names_on_narrow_terminals() {
        let long = "a sweep of a name that is as long as nobody would write it unless it came from a generator";
        for title in ["quickstart", long, "一个名字很长的实验一个名字很长的实验一个名字很长的实验"]
        {
            for width in 30..=200 {
                let line = whole(title).line(width);
                assert!(display_width(&line) <= width, "{width}: {line}");
                assert!(line.contains("123/456 runs") && line.ends_with("1 h 50 min left"), "{width}: {line}");
                let name: String = title.chars().take(2).collect();
                assert!(width < 40 || line.starts_with(&name), "{width}: {line}");
            }
        }
        assert_eq!(
            whole("quickstart").line(79),
            "quickstart ━━━━━━━━━╸─────────── 45%, 123/456 runs, 16 running, 1 h 50 min left"
        );
    }

    #[test]
    fn a_slot_keeps_its_steps_and_its_loss() {
        let label = "convnet, 4000 examples, 400 steps, lr 0.003, seed 1";
        let slot = Slot { number: 3, step: 250, steps: 1000, measured: Some((0.4123, "8.12k".into())), label };
        for width in 30..=200 {
            let line = slot.line(width);
            assert!(display_width(&line) <= width && line.contains("250/1000  loss 0.4123"), "{width}: {line}");
        }
        assert_eq!(slot.line(79), "  3 ━━╸───────  250/1000  loss 0.4123  8.12k ex/s  convnet, 4000 examples, 400…");
        assert_eq!(slot.line(40), "  3  250/1000  loss 0.4123   convnet, 4…");
    }

    #[test]
    fn more_slots_than_rows_are_counted() {
        let slot = |number| Slot { number, step: 0, steps: 9, measured: None, label: "vit" };
        let slots: Vec<Slot> = (0..20).map(slot).collect();
        let lines = super::lines(&whole("s"), &slots, (60, 6));
        assert_eq!((lines.len(), lines[4].as_str()), (5, "    and 17 more slots"));
    }
}
