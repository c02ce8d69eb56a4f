//! What stands beside or below a plot to say what is what: the names of the curves, the key of numbered crossovers.

use super::canvas::{Align, Canvas, Ink, Xy};
use super::font::Type;
use super::geometry::{Rect, dashed, spread};
use super::look::{MARKER_RADIUS, Shape, WHITE, marker};
use crate::error::Result;

pub const TEXT: Ink = Ink(0x22_22_22, 1.0);
pub const FAINT: Ink = Ink(0x66_66_66, 1.0);
pub const FRONTIER: Ink = Ink(0x22_22_22, 0.22);
pub const FRONTIER_WIDTH: f64 = 6.0;

const GAP: f64 = 8.0;
const COLUMN_GAP: f64 = 20.0;
const PADDING: f64 = 6.0;
/// From the plot to a column of names beside it: room for lines that lead from the curves to their names.
const LEADER: f64 = 24.0;

/// How the entries of a legend are set.
#[derive(Clone, Copy, Debug)]
struct Setting {
    font: Type,
    /// Height of a line of text.
    row: f64,
    /// Width of what stands before the text.
    sample: f64,
    /// A longer label is shortened in the middle.
    most_lines: usize,
}

const NAMES: Setting = Setting { font: Type::regular(11.5), row: 17.0, sample: 30.0, most_lines: 3 };
/// Beside the plot.
const COLUMN: Setting = Setting { font: Type::regular(11.0), row: 16.0, sample: 26.0, most_lines: 2 };
const KEY: Setting = Setting { font: Type::regular(9.5), row: 12.8, sample: 8.0, most_lines: 3 };
const COLUMN_TEXT: f64 = 150.0;
const MANY_NAMES: usize = 6;
const FEW_NUMBERS: usize = 4;

/// One row of the legend.
#[derive(Clone, Debug)]
pub struct Entry {
    pub label: String,
    pub ink: Ink,
    pub sample: Sample,
    /// Where its curve ends, in pixels, if it is a curve.
    pub end: Option<Xy>,
}

#[derive(Clone, Debug)]
pub enum Sample {
    Curve { line: Option<(Ink, f64, &'static [f64])>, marker: Option<(Ink, Shape)> },
    Number(String),
}

#[derive(Clone, Debug)]
struct Cell {
    entry: Entry,
    lines: Vec<String>,
    /// Its top left corner, from the legend's.
    at: Xy,
}

/// Entries measured, but not yet placed on the sheet.
#[derive(Clone, Debug)]
pub struct Legend {
    cells: Vec<Cell>,
    setting: Setting,
    size: Xy,
    /// A thin line leads from each curve's end to its name.
    leads: bool,
}

impl Default for Legend {
    fn default() -> Legend {
        Legend { cells: Vec::new(), setting: NAMES, size: (0.0, 0.0), leads: false }
    }
}

/// Width and least height of a column of these names beside a plot; none where a name is too long for one.
pub fn column_size<'a>(names: impl Iterator<Item = &'a str>) -> Option<Xy> {
    let lines: Vec<_> = names.map(|name| COLUMN.font.wrap(name, COLUMN_TEXT)).collect();
    if lines.iter().any(|lines| lines.len() > COLUMN.most_lines) {
        return None;
    }
    let widest = lines.iter().flatten().map(|line| COLUMN.font.width(line)).fold(0.0, f64::max);
    let height = COLUMN.row * lines.iter().map(|lines| lines.len().max(1) as f64).sum::<f64>();
    Some((LEADER + COLUMN.sample + GAP + widest, height))
}

impl Legend {
    /// In as many columns as fit into `width`, at most `most_columns`; labels are wrapped to fit, or shortened.
    pub fn new(entries: Vec<Entry>, width: f64, most_columns: usize) -> Legend {
        // Many long names are a line each, or the legend would be longer than the plot.
        let most_lines = if entries.len() > MANY_NAMES { 1 } else { NAMES.most_lines };
        Legend::columns(entries, width, width, most_columns, Setting { most_lines, ..NAMES })
    }

    /// Of numbers, in two columns where that makes it shorter.
    pub fn key(entries: Vec<Entry>, width: f64) -> Legend {
        let half = 0.5 * (width - COLUMN_GAP) + PADDING;
        let narrow = |entry: &Entry| KEY.font.wrap(&entry.label, half - KEY.sample - GAP - 2.0 * PADDING).len() <= 2;
        let halved = entries.len() > FEW_NUMBERS && entries.iter().all(narrow);
        Legend::columns(entries, if halved { half } else { width }, width, 2, KEY)
    }

    /// No column is wider than `most_width`.
    fn columns(entries: Vec<Entry>, most_width: f64, width: f64, most_columns: usize, setting: Setting) -> Legend {
        let mut cells = measured(entries, most_width - setting.sample - GAP - 2.0 * PADDING, setting);
        let column_width = setting.sample + GAP + widest(&cells, setting);
        let fitting = ((width - 2.0 * PADDING + COLUMN_GAP) / (column_width + COLUMN_GAP)) as usize;
        let columns = fitting.clamp(1, most_columns.max(1)).min(cells.len().max(1));
        let mut top = PADDING - 2.0;
        for row in cells.chunks_mut(columns) {
            for (column, cell) in row.iter_mut().enumerate() {
                cell.at = (PADDING + column as f64 * (column_width + COLUMN_GAP), top);
            }
            top += row.iter().map(|cell| cell.height(setting)).fold(0.0, f64::max);
        }
        let width = columns as f64 * (column_width + COLUMN_GAP) - COLUMN_GAP + 2.0 * PADDING;
        Legend { cells, setting, size: (width, top + PADDING - 2.0), leads: false }
    }

    /// One column to the right of `plot`, each name as near as can be to the end of its curve.
    pub fn beside(entries: Vec<Entry>, plot: &Rect) -> Legend {
        let mut cells = measured(entries, COLUMN_TEXT, COLUMN);
        // What is no curve stands last.
        let wanted =
            |cell: &Cell| cell.entry.end.map_or(plot.bottom, |(_, y)| y - 0.5 * cell.height(COLUMN)) - plot.top;
        cells.sort_by(|a, b| {
            let key = |cell: &Cell| (cell.entry.end.is_none(), wanted(cell));
            key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let boxes: Vec<(f64, f64)> = cells.iter().map(|cell| (wanted(cell), cell.height(COLUMN))).collect();
        for (cell, top) in cells.iter_mut().zip(spread(&boxes, plot.height())) {
            cell.at = (LEADER, top);
        }
        let width = LEADER + COLUMN.sample + GAP + widest(&cells, COLUMN);
        Legend { cells, setting: COLUMN, size: (width, plot.height()), leads: true }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub fn size(&self) -> Xy {
        self.size
    }

    pub fn draw(&self, canvas: &Canvas, place: &Rect) -> Result<()> {
        let Setting { font, row, sample, .. } = self.setting;
        if !self.leads {
            canvas.fill(&place.corners(), WHITE.at(0.88))?;
        }
        for Cell { entry, lines, at } in &self.cells {
            let (left, top) = (place.left + at.0, place.top + at.1);
            // Beside a plot the sample stands at the middle of a name of two lines, where the leader ends.
            let middle = top + 0.5 * row * if self.leads { lines.len().max(1) as f64 } else { 1.0 };
            entry.draw(canvas, (left, middle), self.setting)?;
            if let (true, Some(end), Some(ink)) = (self.leads, entry.end, entry.line_ink()) {
                let leader = [(end.0 + 2.0, end.1), (place.left + 1.0, end.1), (left - 3.0, middle)];
                canvas.line(&leader, 0.6, ink.at(0.7))?;
            }
            for (index, line) in lines.iter().enumerate() {
                let baseline = top + (index as f64 + 0.5) * row + 0.36 * font.size;
                canvas.text(line, (left + sample + GAP, baseline), Align::Left, font, entry.ink)?;
            }
        }
        Ok(())
    }
}

fn measured(entries: Vec<Entry>, text_width: f64, setting: Setting) -> Vec<Cell> {
    let labels: Vec<&str> = entries.iter().map(|entry| entry.label.as_str()).collect();
    let lines = setting.font.wrap_apart(&labels, text_width, setting.most_lines);
    entries.into_iter().zip(lines).map(|(entry, lines)| Cell { entry, lines, at: (0.0, 0.0) }).collect()
}

fn widest(cells: &[Cell], setting: Setting) -> f64 {
    cells.iter().flat_map(|cell| &cell.lines).map(|line| setting.font.width(line)).fold(0.0, f64::max)
}

impl Cell {
    fn height(&self, setting: Setting) -> f64 {
        setting.row * self.lines.len().max(1) as f64
    }
}

impl Entry {
    fn line_ink(&self) -> Option<Ink> {
        match &self.sample {
            Sample::Curve { line, marker } => line.map(|line| line.0).or(marker.map(|marker| marker.0)),
            Sample::Number(_) => None,
        }
    }

    fn draw(&self, canvas: &Canvas, (left, middle): Xy, setting: Setting) -> Result<()> {
        match &self.sample {
            Sample::Number(number) => {
                let baseline = middle + 0.36 * setting.font.size;
                canvas.text(number, (left + setting.sample, baseline), Align::Right, setting.font, self.ink)
            }
            Sample::Curve { line, marker: sign } => {
                if let Some((ink, width, dashes)) = *line {
                    for stroke in dashed(&[(left, middle), (left + setting.sample, middle)], dashes) {
                        canvas.line(&stroke, width, ink)?;
                    }
                }
                match *sign {
                    Some((ink, shape)) => {
                        marker(canvas, (left + 0.5 * setting.sample, middle), MARKER_RADIUS, ink, shape)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}
