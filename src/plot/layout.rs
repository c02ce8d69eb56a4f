//! Where everything in a figure goes: what is measured first gets its room, and labels go where they cover nothing.

use super::canvas::Xy;
use super::font::{BOX, Type, printable};
use super::geometry::{NEVER, Obstacle, Rect, clip, free_spot, sampled};
use super::legend::{Entry, FAINT, FRONTIER, FRONTIER_WIDTH, Legend, Sample, TEXT, column_size};
use super::look::{DOTS, LINE_WIDTH};
use super::marks::Marks;
use super::ticks::{Scale, Ticks, drawable};
use super::{AxisSpec, Figure, Series};
use crate::error::{Error, Result};

/// Of the whole sheet and of the plot inside it, in pixels of 1/96 inch.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 310.0;
/// So many curves have their names in a column beside the plot, which makes the sheet wider and, if need be, higher.
const COLUMN_FROM: usize = 5;
const WIDE: f64 = 660.0;
const MOST_HEIGHT: f64 = 430.0;
/// More bands than this would be one grey.
const MOST_BANDS: usize = 8;
const MOST_NOTE_LINES: usize = 8;
pub const MARGIN: f64 = 12.0;

pub const TITLE: Type = Type::bold(14.0);
pub const LABEL: Type = Type::regular(12.5);
pub const TICK: Type = Type::regular(11.0);
pub const SMALL: Type = Type::regular(9.5);
pub const TICK_LENGTH: f64 = 4.0;
/// Height of a line of text, in em.
pub const LINE: f64 = 1.35;

/// What is drawn of a figure: its scales, and its values in pixels.
pub struct Layout<'f> {
    pub figure: &'f Figure,
    pub x: Scale,
    pub y: Scale,
    pub x_ticks: Ticks,
    pub y_ticks: Ticks,
    pub plot: Rect,
    pub size: Xy,
    /// Wrapped to lines, like the labels, the notes and the footnote.
    pub title: Vec<String>,
    pub x_label: Vec<String>,
    pub y_label: Vec<String>,
    pub notes: Vec<String>,
    pub footnote: Vec<String>,
    /// Top of the notes.
    pub print_top: f64,
    pub marks: Marks<'f>,
    pub legend: Legend,
    pub legend_place: Rect,
    /// What the numbers of crossovers mean, below the plot.
    pub key: Legend,
    pub key_place: Rect,
}

/// Pieces of a series' line, cut off at the plot: within its points, and beyond them.
pub struct Strokes {
    pub inside: Vec<Vec<Xy>>,
    pub beyond: Vec<Vec<Xy>>,
}

impl<'f> Layout<'f> {
    /// Errors: nothing in `figure` can be drawn on its axes.
    pub fn of(figure: &'f Figure) -> Result<Layout<'f>> {
        let (x, y) = scales(figure).ok_or_else(|| {
            let what = figure.title.as_deref().unwrap_or("figure");
            Error::bad_input(format!("{what}: no point or line that can be drawn on its axes"))
                .hint("a logarithmic axis shows positive, finite values only; 'fit --json' with the same flags lists the points")
        })?;
        let column = if figure.series.len() < COLUMN_FROM { None } else { column_of(figure) };
        let column = column.filter(|size| size.1 <= MOST_HEIGHT);
        let height = column.map_or(HEIGHT, |size| size.1.max(HEIGHT));
        let sheet = if column.is_some() { WIDE } else { WIDTH };

        let y_ticks = y.ticks(|_| 2.0 * TICK.size / height);
        let y_tick_width = y_ticks.major.iter().map(|tick| TICK.width(&tick.label)).fold(0.0, f64::max);
        let y_label = LABEL.wrap_within(&named(&figure.y), height, 3);
        let left = MARGIN + LINE * LABEL.size * y_label.len() as f64 + y_tick_width + TICK_LENGTH + 12.0;
        let text_width = sheet - left - MARGIN;
        let width = text_width - column.map_or(8.0, |size| size.0);

        let title = TITLE.wrap_within(figure.title.as_deref().unwrap_or_default(), text_width, 4);
        let marks = Marks::of(figure, &x, left, width);
        let top = MARGIN + LINE * (TITLE.size * title.len() as f64 + TICK.size * marks.rows() as f64) + 8.0;
        let mut layout = Layout {
            figure,
            x,
            y,
            x_ticks: x.ticks(|label| (TICK.width(label) + 12.0) / width),
            y_ticks,
            plot: Rect::new((left, top), (width, height)),
            size: (sheet, 0.0),
            title,
            x_label: LABEL.wrap_within(&named(&figure.x), width, 3),
            y_label,
            notes: notes(figure, text_width),
            footnote: SMALL.wrap(&small_print(figure, marks.left_out), text_width),
            print_top: 0.0,
            marks,
            legend: Legend::default(),
            legend_place: Rect::default(),
            key: Legend::default(),
            key_place: Rect::default(),
        };
        layout.place_legend(column.is_some(), text_width);
        Ok(layout)
    }

    /// The legend goes beside the plot, or inside where it covers neither points nor lines, else below the axis; below
    /// that, the key of the crossovers, notes and small print.
    fn place_legend(&mut self, beside: bool, text_width: f64) {
        let (plot, entries) = (self.plot, self.entries());
        let mut bottom = plot.bottom + TICK_LENGTH + LINE * (TICK.size + LABEL.size * self.x_label.len() as f64) + 10.0;
        let mut below = |legend: &Legend| {
            let place = Rect::new((plot.left, bottom), legend.size());
            bottom = place.bottom + 4.0;
            place
        };
        if beside {
            self.legend = Legend::beside(entries, &plot);
            self.legend_place = Rect::new((plot.right, plot.top), self.legend.size());
        } else {
            let inside = Legend::new(entries.clone(), 0.6 * plot.width(), 1);
            match free_spot(&plot, inside.size(), &self.obstacles(), 9.0) {
                Some(place) => (self.legend, self.legend_place) = (inside, place),
                None => {
                    self.legend = Legend::new(entries, plot.width(), 4);
                    self.legend_place = below(&self.legend);
                }
            }
        }
        let key = self.marks.key();
        if !key.is_empty() {
            self.key = Legend::key(key, text_width);
            self.key_place = below(&self.key);
        }
        self.print_top = bottom;
        let lines = (self.notes.len() + self.footnote.len()) as f64;
        self.size.1 = bottom + LINE * SMALL.size * lines + MARGIN;
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |series: &Series| {
            let look = series.look();
            Entry {
                label: series.label.clone(),
                ink: TEXT,
                sample: Sample::Curve {
                    line: (!series.line.is_empty()).then_some((look.ink, LINE_WIDTH, look.dashes)),
                    marker: (!series.points.is_empty()).then_some((look.ink, look.shape)),
                },
                end: self.end(series),
            }
        };
        let mut entries: Vec<Entry> = self.figure.series.iter().map(entry).collect();
        let line = |label: &str, ink, width, dashes| Entry {
            label: label.to_string(),
            ink: TEXT,
            sample: Sample::Curve { line: Some((ink, width, dashes)), marker: None },
            end: None,
        };
        if self.figure.frontier.is_some() {
            entries.push(line("frontier", FRONTIER, FRONTIER_WIDTH, &[]));
        }
        if self.figure.series.iter().any(|series| !self.strokes(series).beyond.is_empty()) {
            entries.push(line("extrapolated", FAINT, LINE_WIDTH, DOTS));
        }
        entries
    }

    /// The rightmost of what is drawn of a curve, in pixels.
    fn end(&self, series: &Series) -> Option<Xy> {
        let Strokes { inside, beyond } = self.strokes(series);
        let lines = [inside, beyond].concat().concat();
        let drawn = if lines.is_empty() { self.pixels(&series.points) } else { lines };
        drawn.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Far outside the plot for values beyond its ends, none for values without a place on the axes.
    fn pixel(&self, (x, y): Xy) -> Option<Xy> {
        let known = drawable(x, self.x.log) && drawable(y, self.y.log);
        known.then(|| {
            let (along, up) = (self.x.position(x), self.y.position(y));
            (self.plot.left + along * self.plot.width(), self.plot.bottom - up * self.plot.height())
        })
    }

    pub fn pixels(&self, points: &[Xy]) -> Vec<Xy> {
        points.iter().filter_map(|&point| self.pixel(point)).collect()
    }

    pub fn strokes(&self, series: &Series) -> Strokes {
        let line = self.pixels(&series.line);
        let along = self.pixels(&series.points).into_iter().map(|(x, _)| x);
        let ends = along.fold(None, |ends: Option<(f64, f64)>, x| match ends {
            Some((first, last)) => Some((first.min(x), last.max(x))),
            None => Some((x, x)),
        });
        let Some((first, last)) = ends else { return Strokes { inside: clip(&line, &self.plot), beyond: Vec::new() } };
        let part = |left: f64, right: f64| {
            let (left, right) = (left.max(self.plot.left), right.min(self.plot.right));
            if left < right { clip(&line, &Rect { left, right, ..self.plot }) } else { Vec::new() }
        };
        let beyond = [part(f64::NEG_INFINITY, first - 0.5), part(last + 0.5, f64::INFINITY)].concat();
        Strokes { inside: part(first - 0.5, last + 0.5), beyond }
    }

    /// Upper edge forwards, lower edge backwards, cut off at the plot.
    pub fn band(&self, series: &Series) -> Vec<Xy> {
        let inside = |(x, _, _): &&(f64, f64, f64)| self.x.contains(*x);
        let end = |x: f64, y: f64, otherwise: f64| {
            let height = |y: f64| self.plot.bottom - self.y.position(y) * self.plot.height();
            let y = if drawable(y, self.y.log) { height(y) } else { otherwise };
            (self.plot.left + self.x.position(x) * self.plot.width(), y.clamp(self.plot.top, self.plot.bottom))
        };
        let known = series.band.iter().filter(inside).filter(|(_, low, high)| !low.is_nan() && !high.is_nan());
        let upper = known.clone().map(|&(x, _, high)| end(x, high, self.plot.top));
        let lower = known.rev().map(|&(x, low, _)| end(x, low, self.plot.bottom));
        upper.chain(lower).collect()
    }

    pub fn obstacles(&self) -> Vec<Obstacle> {
        const STEP: f64 = 4.0;
        let mut obstacles: Vec<Obstacle> = Vec::new();
        let mut along = |line: &[Xy], weight: f64| {
            obstacles.extend(sampled(line, STEP).into_iter().map(|at| (at, weight)));
        };
        for series in &self.figure.series {
            let Strokes { inside, beyond } = self.strokes(series);
            for line in [inside, beyond].concat() {
                along(&line, 10.0);
            }
            along(&self.band(series), 0.02);
            series.sizes.iter().for_each(|size| along(&self.pixels(size), 4.0));
        }
        for line in self.frontier() {
            along(&line, 10.0);
        }
        for reference in &self.figure.references {
            along(&self.across(reference.y), 2.0);
        }
        for drawn in self.marks.drawn.iter().filter(|drawn| self.x.contains(drawn.mark.x)) {
            along(&self.upright(drawn.mark.x), 0.3);
        }
        let points = self.figure.series.iter().flat_map(|series| self.pixels(&series.points));
        let best = self.figure.series.iter().filter_map(|series| self.pixel(series.best?.at));
        obstacles.extend(points.chain(best).map(|at| (at, NEVER)));
        obstacles
    }

    pub fn frontier(&self) -> Vec<Vec<Xy>> {
        clip(&self.pixels(self.figure.frontier.as_deref().unwrap_or_default()), &self.plot)
    }

    /// In pixels; none where the axis does not reach `y`.
    pub fn height(&self, y: f64) -> Option<f64> {
        self.y.contains(y).then(|| self.plot.bottom - self.y.position(y) * self.plot.height())
    }

    /// From left to right at `y`.
    pub fn across(&self, y: f64) -> Vec<Xy> {
        self.height(y).map_or(Vec::new(), |height| vec![(self.plot.left, height), (self.plot.right, height)])
    }

    /// From bottom to top at `x`, at the nearer end where the axis does not reach it.
    pub fn upright(&self, x: f64) -> Vec<Xy> {
        let along = self.plot.left + self.x.position(x).clamp(0.0, 1.0) * self.plot.width();
        vec![(along, self.plot.bottom), (along, self.plot.top)]
    }
}

pub fn named(spec: &AxisSpec) -> String {
    match &spec.unit {
        Some(unit) if !unit.is_empty() => format!("{} ({unit})", spec.label),
        _ => spec.label.clone(),
    }
}

/// Everything measured is inside; a fit or a band that runs away may stretch the axis by a share only.
fn scales(figure: &Figure) -> Option<(Scale, Scale)> {
    const STRETCH: f64 = 0.3;
    let sizes = || figure.series.iter().flat_map(|series| series.sizes.iter().flatten());
    let points = || {
        let points = figure.series.iter().flat_map(|series| &series.points);
        points.chain(figure.frontier.iter().flatten()).chain(sizes())
    };
    let lines = || figure.series.iter().flat_map(|series| &series.line);
    let bands = || figure.series.iter().flat_map(|series| &series.band);
    let both = |&&(x, y): &&Xy| drawable(x, figure.x.log) && drawable(y, figure.y.log);

    let x_values = points().chain(lines()).filter(both).map(|&(x, _)| x);
    let x = Scale::covering(x_values.clone(), figure.x.log)?;
    let near =
        |x_value: &f64| drawable(*x_value, figure.x.log) && (-STRETCH..=1.0 + STRETCH).contains(&x.position(*x_value));
    let marks = figure.crossovers.iter().map(|mark| mark.x).filter(near);
    let x = Scale::covering(x_values.chain(marks), figure.x.log)?;

    let references = figure.references.iter().map(|reference| reference.y);
    let measured: Vec<f64> = points().filter(both).map(|&(_, y)| y).collect();
    let measured = if measured.is_empty() { lines().filter(both).map(|&(_, y)| y).collect() } else { measured };
    let core: Vec<f64> = measured.into_iter().chain(references).collect();
    let y = Scale::covering(core.iter().copied(), figure.y.log)?;
    let stretched = |value: f64| y.value(y.position(value).clamp(-STRETCH, 1.0 + STRETCH));
    let bars = figure.series.iter().flat_map(|series| &series.bars);
    let intervals = bands().chain(bars).flat_map(|&(_, low, high)| [low, high]);
    let drawn = lines().map(|&(_, y)| y).chain(intervals);
    let drawn = drawn.filter(|&value| drawable(value, figure.y.log)).map(stretched);
    let y = Scale::covering(core.iter().copied().chain(drawn), figure.y.log)?;
    Some((x.padded(0.04), y.padded(0.05)))
}

/// The names of all curves, and of what else a column may have to hold.
fn column_of(figure: &Figure) -> Option<Xy> {
    let names = figure.series.iter().map(|series| series.label.as_str());
    column_size(names.chain(["frontier", "extrapolated"]))
}

/// Each from a line of its own.
fn notes(figure: &Figure, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, note) in figure.notes.iter().enumerate() {
        let own = SMALL.wrap_within(note, width, 3);
        if lines.len() + own.len() > MOST_NOTE_LINES {
            lines.push(format!("and {}: crossover fit", count(figure.notes.len() - index, "more pair")));
            break;
        }
        lines.extend(own);
    }
    lines
}

/// The footnote, and a word on what is not drawn: nothing is left out in silence.
fn small_print(figure: &Figure, marks_left_out: usize) -> String {
    let place = |&(x, y): &Xy| drawable(x, figure.x.log) && drawable(y, figure.y.log);
    let points = figure.series.iter().flat_map(|series| &series.points).filter(|point| !place(point)).count();
    let marks = figure.crossovers.iter().filter(|mark| !drawable(mark.x, figure.x.log)).count();
    let rule =
        if figure.x.log || figure.y.log { "not finite, or not positive on a logarithmic axis" } else { "not finite" };
    let mut parts: Vec<String> = figure.footnote.clone().into_iter().collect();
    if marks_left_out > 0 {
        parts.push(format!("And {} not drawn: crossover fit.", count(marks_left_out, "more crossover")));
    }
    if !bands_drawn(figure) && figure.series.iter().any(|series| !series.band.is_empty()) {
        parts.push(format!("Not drawn: the bands of {} curves.", figure.series.len()));
    }
    if points > 0 {
        parts.push(format!("Not drawn: {} ({rule}).", count(points, "point")));
    }
    if marks > 0 {
        parts.push(format!("Not drawn: {} ({rule}).", count(marks, "crossover")));
    }
    let names =
        figure.series.iter().map(|series| &series.label).chain(figure.crossovers.iter().map(|mark| &mark.label));
    let words = names.chain(&figure.notes).chain(&figure.title).chain([&figure.x.label, &figure.y.label]);
    if words.chain(&figure.footnote).any(|text| printable(text).contains(BOX)) {
        parts.push(format!("{BOX} stands for a character that the figure's fonts lack."));
    }
    let sentence = |part: String| if part.ends_with(['.', '!', '?', '。']) { part } else { part + "." };
    if parts.len() > 1 { parts.into_iter().map(sentence).collect::<Vec<_>>().join(" ") } else { parts.concat() }
}

pub fn bands_drawn(figure: &Figure) -> bool {
    figure.series.len() <= MOST_BANDS
}

fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}
