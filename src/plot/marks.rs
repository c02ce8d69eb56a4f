//! Crossovers: which of them are drawn, and how they are named above the plot, or by numbers in a key below it.

use super::canvas::{Align, Canvas, Ink, Xy};
use super::geometry::{Rect, dashed};
use super::layout::{LINE, Layout, TICK};
use super::legend::{Entry, Sample};
use super::look::WHITE;
use super::ticks::{Scale, drawable};
use super::{Figure, Mark};
use crate::error::Result;

/// More of them would bury the curves.
const MOST: usize = 12;
/// So many names stand above the plot, in so many rows; more are numbered.
const MOST_NAMED: usize = 4;
const MOST_NAME_ROWS: usize = 2;
/// So many intervals are shaded; more would be one grey, and are drawn above the plot.
const MOST_SHADED: usize = 3;
/// Where intervals above the plot take more rows, the key alone has them.
const MOST_INTERVAL_ROWS: usize = 8;

const ESTABLISHED: Ink = Ink(0x55_55_55, 1.0);
const POSSIBLE: Ink = Ink(0x76_76_76, 1.0);
/// Many lines are faint ones, so that the curves under them can be followed to where they cross.
const NUMBERED: f64 = 0.45;
const POSSIBLE_DASHES: &[f64] = &[1.2, 2.8];
const GAP: f64 = 10.0;

#[derive(Clone, Debug, Default)]
pub struct Marks<'f> {
    /// Numbered ones in order along the axis.
    pub drawn: Vec<Drawn<'f>>,
    pub numbered: bool,
    /// How many could be drawn but are not.
    pub left_out: usize,
}

#[derive(Clone, Debug)]
pub struct Drawn<'f> {
    pub mark: &'f Mark,
    /// Above the plot: a name or a number.
    pub text: String,
    /// X of the text's middle, in pixels.
    pub middle: f64,
    /// Of the rows above the plot, from below.
    pub row: usize,
    /// Interval at the height of the text, in pixels.
    whisker: Option<Xy>,
}

impl<'f> Marks<'f> {
    /// For a plot that reaches from `left` over `width`.
    pub fn of(figure: &'f Figure, x: &Scale, left: f64, width: f64) -> Marks<'f> {
        let known = figure.crossovers.iter().filter(|mark| drawable(mark.x, x.log));
        let (established, possible): (Vec<&Mark>, Vec<&Mark>) = known.partition(|mark| mark.established);
        let left_out = (established.len() + possible.len()).saturating_sub(MOST);
        let mut chosen: Vec<&Mark> = established.into_iter().chain(possible).take(MOST).collect();
        let room = Room { x, left, width };
        if chosen.len() <= MOST_NAMED
            && let Some(drawn) = room.names(&chosen)
        {
            return Marks { drawn, numbered: false, left_out };
        }
        chosen.sort_by(|a, b| a.x.total_cmp(&b.x));
        let shaded = chosen.iter().filter(|mark| mark.established).count() <= MOST_SHADED;
        let intervals = (!shaded).then(|| room.numbers(&chosen, true));
        let drawn = intervals.filter(|drawn| drawn.iter().all(|mark| mark.row < MOST_INTERVAL_ROWS));
        Marks { drawn: drawn.unwrap_or_else(|| room.numbers(&chosen, false)), numbered: true, left_out }
    }

    /// Rows above the plot.
    pub fn rows(&self) -> usize {
        self.drawn.iter().map(|drawn| drawn.row + 1).max().unwrap_or(0)
    }

    fn shaded(&self) -> bool {
        !self.numbered || self.drawn.iter().filter(|drawn| drawn.mark.established).count() <= MOST_SHADED
    }

    /// What the numbers mean.
    pub fn key(&self) -> Vec<Entry> {
        let entry = |drawn: &Drawn| Entry {
            label: drawn.mark.label.clone(),
            ink: drawn.ink(),
            sample: Sample::Number(drawn.text.clone()),
            end: None,
        };
        if self.numbered { self.drawn.iter().map(entry).collect() } else { Vec::new() }
    }
}

/// Along the top of the plot.
struct Room<'s> {
    x: &'s Scale,
    left: f64,
    width: f64,
}

impl Room<'_> {
    fn along(&self, x: f64) -> f64 {
        self.left + self.x.position(x).clamp(0.0, 1.0) * self.width
    }

    /// With an arrow where the axis does not reach the mark.
    fn pointed(&self, x: f64, text: &str) -> String {
        match self.x.position(x) {
            position if position < 0.0 => format!("← {text}"),
            position if position > 1.0 => format!("{text} →"),
            _ => text.to_string(),
        }
    }

    /// None where they need too many rows, or one is wider than the plot.
    fn names<'f>(&self, marks: &[&'f Mark]) -> Option<Vec<Drawn<'f>>> {
        let mut placed = Placed::default();
        marks
            .iter()
            .map(|&mark| {
                let text = self.pointed(mark.x, &mark.label);
                let half = 0.5 * TICK.width(&text);
                let middle = self.along(mark.x).min(self.left + self.width - half).max(self.left + half);
                let row = placed.row((middle - half, middle + half));
                let fits = 2.0 * half <= self.width && row < MOST_NAME_ROWS;
                fits.then_some(Drawn { mark, text, middle, row, whisker: None })
            })
            .collect()
    }

    fn numbers<'f>(&self, marks: &[&'f Mark], intervals: bool) -> Vec<Drawn<'f>> {
        let mut placed = Placed::default();
        let number = |(index, &mark): (usize, &&'f Mark)| {
            let text = self.pointed(mark.x, &(index + 1).to_string());
            let (middle, half) = (self.along(mark.x), 0.5 * TICK.width(&text));
            let ends = mark.interval.filter(|(low, high)| intervals && mark.established && low <= high);
            let whisker = ends.map(|(low, high)| (self.end(low, self.x.low), self.end(high, self.x.high)));
            let (low, high) = whisker.unwrap_or((middle, middle));
            let row = placed.row((low.min(middle - half), high.max(middle + half)));
            Drawn { mark, text, middle, row, whisker }
        };
        marks.iter().enumerate().map(number).collect()
    }

    fn end(&self, x: f64, otherwise: f64) -> f64 {
        self.along(if drawable(x, self.x.log) { x } else { otherwise })
    }
}

/// What is taken of each row: each text goes to the lowest where it touches no other.
#[derive(Default)]
struct Placed(Vec<Vec<Xy>>);

impl Placed {
    fn row(&mut self, (low, high): Xy) -> usize {
        let free = |row: &Vec<Xy>| row.iter().all(|(from, to)| high + GAP < *from || *to + GAP < low);
        let row = self.0.iter().position(free).unwrap_or(self.0.len());
        if row == self.0.len() {
            self.0.push(Vec::new());
        }
        self.0[row].push((low, high));
        row
    }
}

impl Drawn<'_> {
    fn ink(&self) -> Ink {
        if self.mark.established { ESTABLISHED } else { POSSIBLE }
    }

    /// Baseline of its text over a plot that begins at `top`.
    fn baseline(&self, top: f64) -> f64 {
        top - 5.0 - LINE * TICK.size * self.row as f64
    }
}

impl Layout<'_> {
    /// Under the curves.
    pub fn draw_marks(&self, canvas: &Canvas) -> Result<()> {
        let shaded = self.marks.shaded();
        for Drawn { mark, .. } in self.marks.drawn.iter().filter(|drawn| drawn.mark.established && shaded) {
            if let Some((low, high)) = mark.interval.filter(|(low, high)| low <= high) {
                let low = if drawable(low, self.x.log) { low } else { self.x.low };
                let high = if drawable(high, self.x.log) { high } else { self.x.high };
                let outline = [self.upright(low), self.upright(high).into_iter().rev().collect()].concat();
                canvas.fill(&outline, ESTABLISHED.at(0.10))?;
            }
        }
        for drawn in self.marks.drawn.iter().filter(|drawn| self.x.contains(drawn.mark.x)) {
            let mut line = self.upright(drawn.mark.x);
            if self.marks.numbered {
                // Up to its number.
                line[1].1 = drawn.baseline(self.plot.top) + 3.0;
            }
            let (width, opacity) = if self.marks.numbered { (0.8, NUMBERED) } else { (1.1, 1.0) };
            if drawn.mark.established {
                canvas.line(&line, width, ESTABLISHED.at(opacity))?;
            } else {
                for stroke in dashed(&line, POSSIBLE_DASHES) {
                    canvas.line(&stroke, 0.8, POSSIBLE)?;
                }
            }
        }
        Ok(())
    }

    /// Names or numbers above the plot, with the intervals that are not shaded.
    pub fn draw_mark_texts(&self, canvas: &Canvas) -> Result<()> {
        for drawn in &self.marks.drawn {
            let (baseline, width) = (drawn.baseline(self.plot.top), TICK.width(&drawn.text));
            if let Some((low, high)) = drawn.whisker {
                let height = baseline - 0.36 * TICK.size;
                canvas.line(&[(low, height), (high, height)], 1.0, drawn.ink().at(0.7))?;
                for (end, edge) in [(low, self.plot.left), (high, self.plot.right)] {
                    // An interval that goes on beyond the axis has no end to show.
                    if (end - edge).abs() > 0.5 {
                        canvas.line(&[(end, height - 2.5), (end, height + 2.5)], 1.0, drawn.ink().at(0.7))?;
                    }
                }
            }
            if self.marks.numbered {
                let corner = (drawn.middle - 0.5 * width - 2.0, baseline - TICK.size);
                canvas.fill(&Rect::new(corner, (width + 4.0, 1.25 * TICK.size)).corners(), WHITE)?;
            }
            canvas.text(&drawn.text, (drawn.middle, baseline), Align::Centre, TICK, drawn.ink())?;
        }
        Ok(())
    }
}
