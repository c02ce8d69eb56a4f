//! A figure's ink, from the back to the front.

use super::canvas::{self, Align, Canvas, Drawing, Ink};
use super::geometry::{NEVER, Rect, clip, covered, dashed};
use super::layout::{LABEL, LINE, Layout, MARGIN, SMALL, Strokes, TICK, TICK_LENGTH, TITLE, bands_drawn, named};
use super::legend::{FAINT, FRONTIER, FRONTIER_WIDTH, TEXT};
use super::look::{DOTS, LINE_WIDTH, MARKER_RADIUS, Shape, marker};
use super::ticks::Ticks;
use super::{AxisSpec, Figure};
use crate::error::Result;

const GRID: Ink = Ink(0xe2_e2_e2, 1.0);
const FINE_GRID: Ink = Ink(0xf1_f1_f1, 1.0);
const SPINE: Ink = Ink(0x44_44_44, 1.0);
const MINOR_LENGTH: f64 = 2.5;
/// Of the lines of single sizes, and of what was measured of them.
const SIZE_WIDTH: f64 = 0.8;
const SIZE_RADIUS: f64 = 1.5;
const FEW_POINTS: usize = 100;
const MANY_POINTS: usize = 200;
const FEW_CURVES: usize = 3;

/// Errors: nothing in `figure` can be drawn on its axes.
pub fn figure(figure: &Figure) -> Result<Drawing> {
    let layout = Layout::of(figure)?;
    let title = figure.title.clone().unwrap_or_else(|| format!("{} against {}", figure.y.label, figure.x.label));
    canvas::draw(layout.size, &title, &described(figure), |canvas| layout.draw(canvas))
}

fn described(figure: &Figure) -> String {
    let axis = |spec: &AxisSpec| format!("{}{}", named(spec), if spec.log { ", logarithmic" } else { "" });
    let series: Vec<_> =
        figure.series.iter().map(|series| format!("{} ({} points)", series.label, series.points.len())).collect();
    let marks: Vec<_> = figure.crossovers.iter().map(|mark| mark.label.as_str()).collect();
    let parts = [axis(&figure.x), axis(&figure.y), series.join(", "), marks.join(", "), figure.notes.join(" ")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

impl Layout<'_> {
    fn draw(&self, canvas: &Canvas) -> Result<()> {
        self.draw_grid(canvas)?;
        self.draw_marks(canvas)?;
        self.draw_bands(canvas)?;
        for line in self.frontier() {
            canvas.line(&line, FRONTIER_WIDTH, FRONTIER)?;
        }
        self.draw_references(canvas)?;
        self.draw_sizes(canvas)?;
        // Few points are what was measured and stand out; many are a cloud that the lines must stay visible in.
        match self.figure.series.iter().map(|series| series.points.len()).sum::<usize>() {
            0..=FEW_POINTS => {
                self.draw_lines(canvas)?;
                self.draw_points(canvas, MARKER_RADIUS, 0.8)?;
            }
            count => {
                let share = if count <= MANY_POINTS { 0.65 } else { 0.5 };
                self.draw_points(canvas, share * MARKER_RADIUS, 0.55)?;
                self.draw_lines(canvas)?;
            }
        }
        self.draw_intervals(canvas)?;
        self.draw_axes(canvas)?;
        self.draw_words(canvas)?;
        self.draw_mark_texts(canvas)?;
        self.key.draw(canvas, &self.key_place)?;
        if !self.legend.is_empty() { self.legend.draw(canvas, &self.legend_place) } else { Ok(()) }
    }

    /// The more of them, the fainter, so that what lies under all is still seen.
    fn draw_bands(&self, canvas: &Canvas) -> Result<()> {
        let count = self.figure.series.iter().filter(|series| !series.band.is_empty()).count();
        let opacity = 0.16 * (FEW_CURVES as f64 / count as f64).min(1.0);
        for series in self.figure.series.iter().filter(|_| bands_drawn(self.figure)) {
            let band = self.band(series);
            if band.len() > 2 {
                canvas.fill(&band, series.look().ink.at(opacity))?;
            }
        }
        Ok(())
    }

    fn draw_lines(&self, canvas: &Canvas) -> Result<()> {
        let width = if bands_drawn(self.figure) { LINE_WIDTH } else { 0.8 * LINE_WIDTH };
        for series in &self.figure.series {
            let look = series.look();
            let Strokes { inside, beyond } = self.strokes(series);
            let inside = inside.iter().flat_map(|line| dashed(line, look.dashes));
            for stroke in inside.chain(beyond.iter().flat_map(|line| dashed(line, DOTS))) {
                canvas.line(&stroke, width, look.ink)?;
            }
        }
        Ok(())
    }

    /// With a dot at each measured mean, so that a size measured once is seen too.
    fn draw_sizes(&self, canvas: &Canvas) -> Result<()> {
        for series in &self.figure.series {
            let look = series.look();
            for size in &series.sizes {
                let line = self.pixels(size);
                for part in clip(&line, &self.plot) {
                    canvas.line(&part, SIZE_WIDTH, look.ink.at(0.45))?;
                }
                for at in line.into_iter().filter(|at| self.plot.contains(*at)) {
                    canvas.fill(&look.shape.outline(at, SIZE_RADIUS), look.ink.at(0.45))?;
                }
            }
        }
        Ok(())
    }

    fn draw_points(&self, canvas: &Canvas, radius: f64, opacity: f64) -> Result<()> {
        for series in &self.figure.series {
            let look = series.look();
            for at in self.pixels(&series.points) {
                marker(canvas, at, radius, look.ink.at(opacity), look.shape)?;
            }
        }
        Ok(())
    }

    /// Upright ones of points; of lowest points level ones, with a mark larger than the points'.
    fn draw_intervals(&self, canvas: &Canvas) -> Result<()> {
        const CAP: f64 = 3.0;
        for series in &self.figure.series {
            let ink = series.look().ink;
            for &(x, low, high) in &series.bars {
                let ends = self.pixels(&[(x, low), (x, high)]);
                for bar in clip(&ends, &self.plot) {
                    canvas.line(&bar, 1.2, ink)?;
                }
            }
            let Some(best) = series.best else { continue };
            let Some(&(x, y)) = self.pixels(&[best.at]).first() else { continue };
            if let Some((low, high)) = best.interval {
                let ends = self.pixels(&[(low, best.at.1), (high, best.at.1)]);
                for bar in clip(&ends, &self.plot) {
                    canvas.line(&bar, 1.6, ink)?;
                    for &(end, _) in &bar {
                        canvas.line(&[(end, y - CAP), (end, y + CAP)], 1.6, ink)?;
                    }
                }
            }
            marker(canvas, (x, y), 1.7 * MARKER_RADIUS, ink, Shape::Diamond)?;
        }
        Ok(())
    }

    fn draw_grid(&self, canvas: &Canvas) -> Result<()> {
        let x_lines = |ticks: &[f64]| ticks.iter().map(|&x| self.upright(x)).collect::<Vec<_>>();
        let y_lines = |ticks: &[f64]| ticks.iter().map(|&y| self.across(y)).collect::<Vec<_>>();
        let values = |ticks: &Ticks| ticks.major.iter().map(|tick| tick.value).collect::<Vec<_>>();
        for line in [x_lines(&self.x_ticks.minor), y_lines(&self.y_ticks.minor)].concat() {
            canvas.line(&line, 0.7, FINE_GRID)?;
        }
        for line in [x_lines(&values(&self.x_ticks)), y_lines(&values(&self.y_ticks))].concat() {
            canvas.line(&line, 0.8, GRID)?;
        }
        Ok(())
    }

    fn draw_references(&self, canvas: &Canvas) -> Result<()> {
        let obstacles = self.obstacles();
        for reference in &self.figure.references {
            let Some(y) = self.height(reference.y) else { continue };
            for stroke in dashed(&self.across(reference.y), &[5.0, 4.0]) {
                canvas.line(&stroke, 0.9, FAINT)?;
            }
            let size = (SMALL.width(&reference.label), 1.2 * SMALL.size);
            let (left, right) = (self.plot.left + 4.0, self.plot.right - size.0 - 4.0);
            let (above, below) = (y - size.1 - 2.0, y + 2.0);
            let places = [(right, above), (right, below), (left, above), (left, below)];
            let hidden = |place: &Rect| place.touches(&self.legend_place) || !self.plot.holds(place);
            let cost = |place: &Rect| covered(place, &obstacles) + if hidden(place) { NEVER } else { 0.0 };
            let places = places.into_iter().map(|corner| Rect::new(corner, size));
            if let Some(place) = places.min_by(|a, b| cost(a).total_cmp(&cost(b))) {
                let baseline = place.bottom - 0.3 * SMALL.size;
                canvas.text(&reference.label, (place.left, baseline), Align::Left, SMALL, FAINT)?;
            }
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas) -> Result<()> {
        let Rect { left, top, right, bottom } = self.plot;
        canvas.line(&[(left, top), (left, bottom), (right, bottom)], 0.9, SPINE)?;
        let tick = |x: f64, y: f64, (dx, dy): (f64, f64)| canvas.line(&[(x, y), (x + dx, y + dy)], 0.9, SPINE);
        for &x in &self.x_ticks.minor {
            tick(self.upright(x)[0].0, bottom, (0.0, MINOR_LENGTH))?;
        }
        for y in self.y_ticks.minor.iter().filter_map(|&y| self.height(y)) {
            tick(left, y, (-MINOR_LENGTH, 0.0))?;
        }
        for major in &self.x_ticks.major {
            let x = self.upright(major.value)[0].0;
            tick(x, bottom, (0.0, TICK_LENGTH))?;
            canvas.text(&major.label, (x, bottom + TICK_LENGTH + 1.2 * TICK.size), Align::Centre, TICK, TEXT)?;
        }
        for (major, y) in self.y_ticks.major.iter().filter_map(|major| Some((major, self.height(major.value)?))) {
            tick(left, y, (-TICK_LENGTH, 0.0))?;
            canvas.text(&major.label, (left - TICK_LENGTH - 4.0, y + 0.36 * TICK.size), Align::Right, TICK, TEXT)?;
        }
        Ok(())
    }

    fn draw_words(&self, canvas: &Canvas) -> Result<()> {
        let Rect { left, top, bottom, .. } = self.plot;
        let (middle, centre) = (left + 0.5 * self.plot.width(), top + 0.5 * self.plot.height());
        for (row, line) in self.title.iter().enumerate() {
            canvas.text(line, (left, MARGIN + LINE * TITLE.size * (row as f64 + 0.75)), Align::Left, TITLE, TEXT)?;
        }
        for (row, line) in self.x_label.iter().enumerate() {
            let y = bottom + TICK_LENGTH + 1.6 * TICK.size + LINE * LABEL.size * (row as f64 + 0.85);
            canvas.text(line, (middle, y), Align::Centre, LABEL, TEXT)?;
        }
        for (row, line) in self.y_label.iter().enumerate() {
            canvas.text_up(line, (MARGIN + LINE * LABEL.size * (row as f64 + 0.8), centre), LABEL, TEXT)?;
        }
        let notes = self.notes.iter().map(|line| (line, TEXT));
        let small_print = self.footnote.iter().map(|line| (line, FAINT));
        for (row, (line, ink)) in notes.chain(small_print).enumerate() {
            let baseline = self.print_top + LINE * SMALL.size * (row as f64 + 0.8);
            canvas.text(line, (left, baseline), Align::Left, SMALL, ink)?;
        }
        Ok(())
    }
}
