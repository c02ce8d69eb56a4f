//! `crossover plot`: points, fitted curves with their bands, crossovers and the frontier, as a figure.

use std::path::PathBuf;

use super::fit;
use crate::error::{Kind, Result};
use crate::fit::{Analysis, Crossover, Fit, Scale, SweepOrigin, frontier::frontier};
use crate::plot::{self, AxisSpec, Figure, HLine, Mark, Series};
use crate::point::{Axis, Point};
use crate::units::si;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  crossover plot quickstart --x data -o data.svg
  crossover plot quickstart --x compute -o compute.png
  crossover plot quickstart --x data --multiplier -o times.svg
  crossover plot --csv runs.csv --by arch --x data -o runs.svg")]
pub struct Args {
    #[command(flatten)]
    fit: fit::Args,
    /// Figure to write
    #[arg(short, long, value_name = "FILE.svg|FILE.png")]
    output: PathBuf,
    /// Draw how many times the scale one curve needs to equal another, in place of losses
    #[arg(long)]
    multiplier: bool,
    /// Title above the figure
    #[arg(long)]
    title: Option<String>,
}

impl Args {
    pub fn fit(&self) -> &fit::Args {
        &self.fit
    }
}

/// Draws what `crossover fit` with the same flags fits. Curves that cannot be fitted are drawn as points, and said.
/// `floors_of_sweep` gives the losses below which no model of local features gets on the tasks of these curves.
pub fn run(
    args: &Args,
    points_of_sweep: impl FnOnce(&str, &str) -> Result<(Vec<Point>, SweepOrigin)>,
    floors_of_sweep: impl FnOnce(&str, &[&str]) -> Result<Vec<f64>>,
) -> Result<()> {
    let settings = fit::settings(&args.fit)?;
    let (points, settings) = fit::points(&args.fit, settings, points_of_sweep)?;
    let analysis = match fit::analyse(&args.fit, &points, &settings) {
        Ok(analysis) => Some(analysis),
        // Points can be drawn without curves; multipliers, or what cannot be asked for, cannot.
        Err(error) if args.multiplier || error.kind == Kind::BadInput => return Err(error),
        Err(error) => {
            eprintln!("drawn without curves: {error}");
            None
        }
    };
    let metric = settings.origin.as_ref().map_or("test_loss", |origin| origin.metric());
    let figure = match analysis.as_ref().filter(|_| args.multiplier) {
        Some(analysis) => multiplier_figure(args, analysis),
        None => {
            let curves: Vec<&str> = points.iter().map(|point| point.group.as_str()).collect();
            let floors = match &args.fit.sweep {
                Some(sweep) if metric.ends_with("loss") => floors_of_sweep(sweep, &curves)?,
                _ => Vec::new(),
            };
            let line = |y| HLine { y, label: format!("floor of local features, {y:.3}") };
            Figure {
                references: floors.into_iter().map(line).collect(),
                ..figure(args, metric, &points, analysis.as_ref())
            }
        }
    };
    plot::write(&figure, &args.output)?;
    println!("{}", args.output.display());
    Ok(())
}

fn figure(args: &Args, metric: &str, points: &[Point], analysis: Option<&Analysis>) -> Figure {
    let axis = args.fit.x;
    let fits = analysis.map_or(&[][..], |analysis| &analysis.fits);
    for refused in analysis.iter().flat_map(|analysis| &analysis.refused) {
        eprintln!("{}: drawn without a curve: {}", refused.group, refused.summary);
    }
    if fits.first().is_some_and(|fit| fit.x != Scale::Curve(axis)) {
        eprintln!("drawn without curves: {} is not fitted over {axis} alone", fits[0].law.name());
    }
    let xs = points.iter().filter_map(|point| point.x(axis)).filter(|x| *x > 0.0);
    let range = xs.fold((f64::INFINITY, 0f64), |(low, high), x| (low.min(x), high.max(x)));
    let mut groups: Vec<&str> = Vec::new();
    for point in points {
        if !groups.contains(&point.group.as_str()) {
            groups.push(&point.group);
        }
    }
    Figure {
        title: args.title.clone(),
        x: x_axis(axis),
        y: y_axis(metric),
        series: groups
            .iter()
            .enumerate()
            .map(|(look, group)| Series { look, ..series(group, points, axis, fits, range) })
            .collect(),
        crossovers: analysis.map_or(Vec::new(), marks),
        frontier: (axis == Axis::Compute).then(|| {
            let along = frontier(points).into_iter();
            along.filter_map(|point| Some((point.compute?, point.value))).collect()
        }),
        references: Vec::new(),
        notes: Vec::new(),
        footnote: fits.first().map(footnote),
    }
}

/// One line for each pair, over the scales at which both were measured.
fn multiplier_figure(args: &Args, analysis: &Analysis) -> Figure {
    let axis = args.fit.x;
    let of_pair = |(look, pair): (usize, &Crossover)| {
        let found = analysis.multipliers.iter().find(|m| m.who == pair.b && m.of == pair.a)?;
        let measured = || found.curve.iter().filter(|at| at.inside_data);
        Some(Series {
            label: format!("{}, to equal {}", found.who, found.of),
            look,
            points: Vec::new(),
            line: measured().map(|at| (at.x, at.times)).collect(),
            band: measured().filter_map(|at| at.interval.map(|ends| (at.x, ends.low, ends.high))).collect(),
        })
    };
    Figure {
        title: args.title.clone(),
        x: x_axis(axis),
        y: AxisSpec { label: format!("times as much {axis}"), unit: None, log: true },
        series: analysis.crossovers.iter().enumerate().filter_map(of_pair).collect(),
        crossovers: marks(analysis),
        frontier: None,
        references: vec![HLine { y: 1.0, label: "as much".into() }],
        notes: Vec::new(),
        footnote: analysis.fits.first().map(footnote),
    }
}

fn x_axis(axis: Axis) -> AxisSpec {
    let (label, unit) = match axis {
        Axis::Params => ("model size", "parameters"),
        Axis::Data => ("training set size", "examples"),
        Axis::Compute => ("training compute", "FLOPs"),
    };
    AxisSpec { label: label.into(), unit: Some(unit.into()), log: true }
}

/// Losses are in nats per example, errors are shares (`task`, `train`).
fn y_axis(metric: &str) -> AxisSpec {
    let unit = match metric {
        _ if metric.ends_with("loss") => Some("nats per example".into()),
        _ if metric.ends_with("error") => Some("share of examples".into()),
        _ => None,
    };
    AxisSpec { label: metric.replace('_', " "), unit, log: true }
}

fn series(group: &str, points: &[Point], axis: Axis, fits: &[Fit], (low, high): (f64, f64)) -> Series {
    const STEPS: usize = 160;
    let own = points.iter().filter(|point| point.group == group);
    let mut series = Series {
        label: group.to_owned(),
        points: own.filter_map(|point| Some((point.x(axis)?, point.value))).collect(),
        ..Series::default()
    };
    if let Some(fit) = fits.iter().find(|fit| fit.group == group && fit.x == Scale::Curve(axis)) {
        let grid = (0..=STEPS).map(|step| (low.ln() + (high / low).ln() * step as f64 / STEPS as f64).exp());
        for x in grid {
            series.line.push((x, fit.predict(x)));
            if !fit.draws.resamples.is_empty() {
                let (below, above) = fit.band(x);
                series.band.push((x, below, above));
            }
        }
    }
    series
}

/// Crossovers inside the data; those beyond it are for the table, not for the eye.
fn marks(analysis: &Analysis) -> Vec<Mark> {
    let mut marks = Vec::new();
    for crossover in &analysis.crossovers {
        for root in crossover.roots.iter().filter(|root| root.inside_data) {
            marks.push(Mark {
                x: root.at,
                interval: Some((root.low.unwrap_or(0.0), root.high.unwrap_or(f64::INFINITY))),
                label: format!("{} overtakes at {}", root.leads_above, si(root.at)),
                established: true,
            });
        }
    }
    marks
}

fn footnote(fit: &Fit) -> String {
    format!("{}; bands: {:.0}% of {} resamples", fit.formula, 100.0 * fit.provenance.level, fit.draws.resamples.len())
}
