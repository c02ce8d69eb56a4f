//! How each series looks, and the legend that says so.

use super::canvas::{Align, Canvas, Ink, Type, Xy};
use super::geometry::{Rect, dashed};
use crate::error::Result;

pub const TEXT: Ink = Ink(0x22_22_22, 1.0);
pub const FAINT: Ink = Ink(0x66_66_66, 1.0);
pub const FRONTIER: Ink = Ink(0x22_22_22, 0.22);
pub const FRONTIER_WIDTH: f64 = 6.0;
pub const WHITE: Ink = Ink(0xff_ff_ff, 1.0);
pub const LINE_WIDTH: f64 = 1.7;
pub const MARKER_RADIUS: f64 = 3.7;
/// Where a line is extrapolated.
pub const DOTS: &[f64] = &[1.6, 2.6];

const FONT: Type = Type::regular(11.5);
const ROW: f64 = 17.0;
const SAMPLE: f64 = 30.0;
const GAP: f64 = 8.0;
const COLUMN_GAP: f64 = 20.0;
const PADDING: f64 = 6.0;

/// Okabe and Ito (2008), told apart by colour-blind readers; their yellow is too pale for lines on white, so the
/// eighth is a grey.
const COLOURS: [u32; 8] =
    [0x00_72_b2, 0xd5_5e_00, 0x00_9e_73, 0xcc_79_a7, 0xe6_9f_00, 0x56_b4_e9, 0x00_00_00, 0x7f_7f_7f];
/// Seven against eight colours: 56 series before two look the same.
const SHAPES: [Shape; 7] =
    [Shape::Circle, Shape::Square, Shape::Up, Shape::Diamond, Shape::Down, Shape::Plus, Shape::Star];
const DASHES: [&[f64]; 5] = [&[], &[8.0, 3.0], &[8.0, 2.5, 1.8, 2.5], &[4.0, 2.2], &[10.0, 2.5, 1.8, 2.5, 1.8, 2.5]];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Plus,
    Star,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub ink: Ink,
    pub shape: Shape,
    pub dashes: &'static [f64],
}

impl Look {
    /// Of the series at `index`: no two of the first 56 share both colour and marker.
    pub fn of(index: usize) -> Look {
        Look {
            ink: Ink(COLOURS[index % COLOURS.len()], 1.0),
            shape: SHAPES[index % SHAPES.len()],
            dashes: DASHES[index % DASHES.len()],
        }
    }
}

impl Shape {
    /// Outline around `at`, of about the same area for every shape.
    pub fn outline(self, (x, y): Xy, radius: f64) -> Vec<Xy> {
        let polygon = |corners: usize, radii: &[f64], turn: f64| -> Vec<Xy> {
            (0..corners)
                .map(|corner| (radii[corner % radii.len()] * radius, corner as f64 / corners as f64 + turn))
                .map(|(r, turn)| {
                    (x + r * (turn * std::f64::consts::TAU).cos(), y + r * (turn * std::f64::consts::TAU).sin())
                })
                .collect()
        };
        match self {
            Shape::Circle => polygon(28, &[1.0], 0.0),
            Shape::Square => polygon(4, &[1.28], 0.125),
            Shape::Diamond => polygon(4, &[1.35], 0.0),
            Shape::Up => polygon(3, &[1.5], 0.75),
            Shape::Down => polygon(3, &[1.5], 0.25),
            Shape::Star => polygon(10, &[1.55, 0.72], 0.75),
            Shape::Plus => {
                let (arm, half) = (1.35 * radius, 0.45 * radius);
                let quarter = [(half, arm), (half, half), (arm, half)];
                let corner = |(dx, dy): Xy| [(dx, dy), (dy, -dx), (-dx, -dy), (-dy, dx)];
                (0..4).flat_map(|turn| quarter.map(|at| corner(at)[turn])).map(|(dx, dy)| (x + dx, y + dy)).collect()
            }
        }
    }
}

/// One row of the legend.
#[derive(Clone, Debug)]
pub struct Entry {
    pub label: String,
    pub line: Option<(Ink, f64, &'static [f64])>,
    pub marker: Option<(Ink, Shape)>,
}

/// Entries in columns, measured but not yet placed.
#[derive(Clone, Debug, Default)]
pub struct Legend {
    cells: Vec<(Entry, Vec<String>)>,
    columns: usize,
    column_width: f64,
    row_heights: Vec<f64>,
}

impl Legend {
    /// As many columns as fit into `width`, at most `most_columns`; labels are wrapped to fit.
    pub fn new(entries: Vec<Entry>, width: f64, most_columns: usize) -> Legend {
        let text_width = width - SAMPLE - GAP - 2.0 * PADDING;
        let cells: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let lines = FONT.wrap(&entry.label, text_width);
                (entry, lines)
            })
            .collect();
        let widest = cells.iter().flat_map(|(_, lines)| lines).map(|line| FONT.width(line)).fold(0.0, f64::max);
        let column_width = SAMPLE + GAP + widest;
        let fitting = ((width - 2.0 * PADDING + COLUMN_GAP) / (column_width + COLUMN_GAP)) as usize;
        let columns = fitting.clamp(1, most_columns.max(1)).min(cells.len().max(1));
        let row_heights = cells
            .chunks(columns)
            .map(|row| ROW * row.iter().map(|(_, lines)| lines.len()).max().unwrap_or(1).max(1) as f64)
            .collect();
        Legend { cells, columns, column_width, row_heights }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub fn size(&self) -> Xy {
        let columns = self.columns as f64;
        let width = columns * self.column_width + (columns - 1.0) * COLUMN_GAP + 2.0 * PADDING;
        (width, self.row_heights.iter().sum::<f64>() + 2.0 * PADDING - 4.0)
    }

    pub fn draw(&self, canvas: &Canvas, place: &Rect) -> Result<()> {
        canvas.fill(&place.corners(), WHITE.at(0.88))?;
        let mut top = place.top + PADDING - 2.0;
        for (row, height) in self.cells.chunks(self.columns).zip(&self.row_heights) {
            for (column, (entry, lines)) in row.iter().enumerate() {
                let left = place.left + PADDING + column as f64 * (self.column_width + COLUMN_GAP);
                entry.draw(canvas, (left, top + 0.5 * ROW))?;
                for (index, line) in lines.iter().enumerate() {
                    let baseline = top + (index as f64 + 0.5) * ROW + 0.36 * FONT.size;
                    canvas.text(line, (left + SAMPLE + GAP, baseline), Align::Left, FONT, TEXT)?;
                }
            }
            top += height;
        }
        Ok(())
    }
}

impl Entry {
    fn draw(&self, canvas: &Canvas, (left, middle): Xy) -> Result<()> {
        if let Some((ink, width, dashes)) = self.line {
            for stroke in dashed(&[(left, middle), (left + SAMPLE, middle)], dashes) {
                canvas.line(&stroke, width, ink)?;
            }
        }
        match self.marker {
            Some((ink, shape)) => marker(canvas, (left + 0.5 * SAMPLE, middle), ink, shape),
            None => Ok(()),
        }
    }
}

/// A marker with a thin white edge, so that neighbours stay apart.
pub fn marker(canvas: &Canvas, at: Xy, ink: Ink, shape: Shape) -> Result<()> {
    canvas.fill(&shape.outline(at, MARKER_RADIUS + 0.9), WHITE.at(0.75))?;
    canvas.fill(&shape.outline(at, MARKER_RADIUS), ink)
}
