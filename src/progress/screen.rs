//! A few lines at the bottom of a terminal that are drawn again and again, with text that stays above them.
//!
//! Drawn here and not by indicatif, which counts the rows of what it drew by the width of that time: narrowed, a terminal
//! breaks them into more, and stale ones stay.

use std::io::Write;
use std::time::Duration;

use textwrap::core::display_width;

use super::behind::Behind;

/// Drawn at most this often.
const EVERY: Duration = Duration::from_millis(100);

/// Columns and rows.
pub type Size = (usize, usize);

pub struct Screen {
    out: Box<dyn Write + Send>,
    /// Asked at every draw: people resize windows.
    size: Box<dyn Fn() -> Size + Send>,
    /// Whether what was written stands there: nothing is drawn over what still waits.
    written: Box<dyn Fn() -> bool + Send>,
    /// Widths of the lines that stand there.
    drawn: Vec<usize>,
    due: Duration,
}

impl Screen {
    pub fn new(
        out: Box<dyn Write + Send>,
        size: Box<dyn Fn() -> Size + Send>,
        written: Box<dyn Fn() -> bool + Send>,
    ) -> Self {
        Self { out, size, written, drawn: Vec::new(), due: Duration::ZERO }
    }

    /// On stderr.
    pub fn stderr() -> Self {
        let out = Behind::new(std::io::stderr());
        let idle = out.idle();
        Self::new(Box::new(out), Box::new(stderr_size), Box::new(idle))
    }

    pub fn size(&self) -> Size {
        (self.size)()
    }

    /// Whether the next `draw` does anything.
    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// The lines, made for a size, in place of those that stand there.
    pub fn draw(&mut self, now: Duration, (width, height): Size, mut lines: Vec<String>) {
        if !(self.written)() {
            return;
        }
        lines.truncate(height.saturating_sub(1).max(1));
        // A line as wide as the terminal leaves the cursor where terminals do not agree.
        lines.iter_mut().for_each(|line| *line = cut(line, width.saturating_sub(1)));
        let text = format!("{}{}", self.erased(width), lines.join("\r\n"));
        self.write(&text);
        self.drawn = lines.iter().map(|line| display_width(line)).collect();
        self.due = now + EVERY;
    }

    /// A line that stays, in place of the lines that stand there: the next draw puts them below it.
    pub fn say(&mut self, line: &str) {
        let text = format!("{}{}\r\n", self.erased((self.size)().0), line.replace('\n', "\r\n"));
        self.write(&text);
        self.due = Duration::ZERO;
    }

    pub fn clear(&mut self) {
        let text = self.erased((self.size)().0);
        self.write(&text);
    }

    /// What takes the lines away, from the cursor behind the last of them. On a narrower terminal than they were drawn
    /// on they have become more rows.
    fn erased(&mut self, width: usize) -> String {
        let rows = |columns: &usize| columns.div_ceil(width.max(1)).max(1);
        let rows: usize = std::mem::take(&mut self.drawn).iter().map(rows).sum();
        // Row by row: some terminals keep a copy of a screen that is cleared as a whole.
        match rows {
            0 => String::new(),
            rows => format!("\r\x1b[2K{}", "\x1b[1A\x1b[2K".repeat(rows - 1)),
        }
    }

    /// A terminal that is gone is no reason to stop a sweep.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Of the terminal on stderr; 80 columns where nothing says how wide it is.
pub fn stderr_size() -> Size {
    match terminal_size::terminal_size_of(std::io::stderr()) {
        Some((width, height)) if width.0 > 0 => (width.0.into(), height.0.into()),
        _ => (80, 24),
    }
}

/// Of the terminal on stdout; where it is none, what `COLUMNS` says, if anything: who pipes wants whole lines.
pub fn stdout_columns() -> Option<usize> {
    let given = || std::env::var("COLUMNS").ok()?.trim().parse().ok();
    let columns = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    columns.filter(|width| *width > 0).or_else(given).filter(|width| *width > 0)
}

/// At most so many columns; what is missing is told by an ellipsis.
pub fn cut(text: &str, columns: usize) -> String {
    if display_width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        if display_width(&kept) + display_width(letter.encode_utf8(&mut [0; 4])) + 1 > columns {
            break;
        }
        kept.push(letter);
    }
    if columns > 0 { kept + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_are_cut_by_columns() {
        assert_eq!(cut("convnet", 7), "convnet");
        assert_eq!(cut("convnet", 5), "conv…");
        assert_eq!(cut("卷积网络", 5), "卷积…");
        assert_eq!((cut("a", 0).as_str(), cut("", 0).as_str()), ("", ""));
    }
}
