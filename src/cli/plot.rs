//! `crossover plot`: points, fitted curves with their bands, crossovers and the frontier, as a figure.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{fit, points, print_json, profiles};
use crate::error::{Error, Kind, Result};
use crate::fit::compare::sentence;
use crate::fit::isoflop::Profiles;
use crate::fit::laws::frontier::frontier;
use crate::fit::{Analysis, Crossover, Fit, Method, Scale, Settings};
use crate::out;
use crate::plot::{self, AxisSpec, Figure, HLine, Mark, Series};
use crate::point::{Axis, Point};
use crate::study::labels::Label;
use crate::study::rows::in_words;
use crate::study::{SizeLine, Study};
use crate::units::si;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  crossover plot quickstart --x data -o data.svg
  crossover plot quickstart --x compute -o compute.png
  crossover plot quickstart --x data --multiplier -o times.svg
  crossover plot frontier --x compute --every-size -o frontier.svg
  crossover plot --file runs.csv --by arch --x data -o runs.svg
  crossover plot --file runs.csv --law isoflop -o profiles.svg
  crossover plot quickstart --json | jq '.figures[0].series[] | {label, points}'")]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    fit: fit::Args,
    /// Figure to write; one that is there is replaced. With --json it may be left out
    #[arg(short, long, value_name = "FILE.svg|FILE.png", required_unless_present = "json")]
    output: Option<PathBuf>,
    /// Draw how many times the scale one curve needs to equal another, in place of losses
    #[arg(long)]
    multiplier: bool,
    /// Draw every size of each curve as a thin line behind it, also where another size stands for the curve
    #[arg(long, conflicts_with = "multiplier")]
    every_size: bool,
    /// Title above the figure
    #[arg(long)]
    title: Option<String>,
}

/// What is drawn, as data.
#[derive(Serialize)]
struct Report<'a> {
    output: Option<&'a Path>,
    figures: &'a [Figure],
    #[serde(flatten)]
    known: fit::Known<'a>,
}

/// Draws what `crossover fit` with the same flags fits. Curves that cannot be fitted are drawn as points, and said.
pub fn run(args: &Args, store: &Path) -> Result<()> {
    let (method, settings) = (Method::by_name(&args.fit.law)?, fit::settings(&args.fit)?);
    let study = fit::study(&args.fit, store)?;
    fit::say_notes(&study, store);
    let figures = figures(args, &study, method, &settings).map_err(|error| error.with(&fit::Known::of(&study)))?;
    if let Some(path) = &args.output {
        plot::write_panels(&figures, path)?;
    }
    match &args.output {
        output if args.fit.json => {
            print_json(&Report { output: output.as_deref(), figures: &figures, known: fit::Known::of(&study) })
        }
        Some(path) => out::line(path.display()),
        None => Ok(()),
    }
}

fn figures(args: &Args, study: &Study, method: Method, settings: &Settings) -> Result<Vec<Figure>> {
    if let Method::IsoFlop(profile) = method {
        return of_profiles(args, study, &study.profiles(profile, settings)?);
    }
    let analysis = match study.analyse(method, args.fit.x, settings) {
        Ok(analysis) => Some(analysis),
        // Points can be drawn without curves; multipliers, or what cannot be asked for, cannot.
        Err(error) if args.multiplier || error.kind == Kind::BadInput => return Err(error),
        Err(error) => {
            out::say(format_args!("drawn without curves: {error}"));
            None
        }
    };
    let figure = match analysis.as_ref().filter(|_| args.multiplier) {
        Some(analysis) => multiplier_figure(args, study, analysis),
        None => {
            let floors = if study.metric().ends_with("loss") { study.floors()? } else { Vec::new() };
            let line = |y| HLine { y, label: format!("floor of local features, {y:.3}") };
            let mut figure = figure(args, study, analysis.as_ref());
            figure.references = floors.into_iter().map(line).collect();
            if args.every_size {
                add_sizes(&mut figure, study.every_size(args.fit.x)?);
            }
            figure
        }
    };
    Ok(vec![figure])
}

/// Profiles, and the best sizes and examples over compute.
fn of_profiles(args: &Args, study: &Study, found: &Profiles) -> Result<Vec<Figure>> {
    if args.multiplier || args.every_size {
        let flag = if args.multiplier { "--multiplier" } else { "--every-size" };
        return Err(Error::bad_input(format!("{flag}: --law {} gives no curves of loss", args.fit.law))
            .hint("fit a law, as --law power-floor"));
    }
    for refused in &found.refused {
        out::say(format_args!("{}: not drawn: {}", refused.curve, refused.summary));
    }
    let (loss, scale) = (on_axis(study.y_label()), |axis| on_axis(study.x_label(axis)));
    Ok(profiles::figures(found, study.curves(), args.title.as_deref(), &loss, scale))
}

fn figure(args: &Args, study: &Study, analysis: Option<&Analysis>) -> Figure {
    let (axis, points) = (args.fit.x, study.points());
    let fits = analysis.map_or(&[][..], |analysis| &analysis.fits);
    for refused in analysis.iter().flat_map(|analysis| &analysis.refused) {
        out::say(format_args!("{}: drawn without a curve: {}", refused.curve, refused.summary));
    }
    if fits.first().is_some_and(|fit| fit.x != Scale::Curve(axis)) {
        let law = fits[0].law.name();
        out::say(format_args!("drawn without curves: {law} is not fitted over {axis} alone"));
    }
    let xs = points.iter().filter_map(|point| point.x(axis)).filter(|x| *x > 0.0);
    let range = xs.fold((f64::INFINITY, 0f64), |(low, high), x| (low.min(x), high.max(x)));
    let drawn: HashSet<&str> = points.iter().map(|point| point.curve.as_str()).collect();
    // A curve looks the same whatever others are drawn.
    let curves = study.curves().iter().enumerate().filter(|(_, curve)| drawn.contains(curve.as_str()));
    Figure {
        title: args.title.clone(),
        x: on_axis(study.x_label(axis)),
        y: on_axis(study.y_label()),
        series: curves.map(|(look, curve)| Series { look, ..series(curve, points, axis, fits, range) }).collect(),
        crossovers: analysis.map_or(Vec::new(), marks),
        frontier: (axis == Axis::Compute).then(|| {
            let along = frontier(points).into_iter();
            along.filter_map(|point| Some((point.compute?, point.value))).collect()
        }),
        references: Vec::new(),
        notes: analysis.map_or(Vec::new(), |analysis| notes(&analysis.crossovers)),
        footnote: footnote(study, analysis, axis),
    }
}

fn add_sizes(figure: &mut Figure, sizes: Vec<SizeLine>) {
    if sizes.is_empty() {
        out::say("--every-size: no curve has several sizes");
    }
    for size in sizes {
        let own = figure.series.iter_mut().find(|series| series.label == size.curve);
        own.into_iter().for_each(|series| series.sizes.push(size.line.clone()));
    }
}

/// One line for each pair, over the scales at which both were measured.
fn multiplier_figure(args: &Args, study: &Study, analysis: &Analysis) -> Figure {
    let axis = args.fit.x;
    let all = study.curves();
    let place = |curve: &str| all.iter().position(|other| other == curve).unwrap_or(all.len());
    let of_pair = |pair: &Crossover| {
        let (a, b) = (place(&pair.a), place(&pair.b));
        let (low, high) = (a.min(b), a.max(b));
        let found = analysis.multipliers.iter().find(|m| m.who == pair.b && m.of == pair.a)?;
        let measured = || found.curve.iter().filter(|at| at.inside_data);
        Some(Series {
            label: format!("{}, to equal {}", found.who, found.of),
            // The number of the pair among all pairs: 0-1, 0-2, 1-2, 0-3, …
            look: high * high.saturating_sub(1) / 2 + low,
            points: Vec::new(),
            line: measured().map(|at| (at.x, at.times)).collect(),
            band: measured().filter_map(|at| at.interval.map(|ends| (at.x, ends.low, ends.high))).collect(),
            ..Series::default()
        })
    };
    Figure {
        title: args.title.clone(),
        x: on_axis(study.x_label(axis)),
        y: AxisSpec { label: format!("times as much {axis}"), unit: None, log: true },
        series: analysis.crossovers.iter().filter_map(of_pair).collect(),
        crossovers: marks(analysis),
        frontier: None,
        references: vec![HLine { y: 1.0, label: "as much".into() }],
        notes: notes(&analysis.crossovers),
        footnote: footnote(study, Some(analysis), axis),
    }
}

fn on_axis((label, unit): Label) -> AxisSpec {
    AxisSpec { label, unit, log: true }
}

fn series(curve: &str, points: &[Point], axis: Axis, fits: &[Fit], (low, high): (f64, f64)) -> Series {
    const STEPS: usize = 160;
    let own = points.iter().filter(|point| point.curve == curve);
    let mut series = Series {
        label: curve.to_owned(),
        points: own.filter_map(|point| Some((point.x(axis)?, point.value))).collect(),
        ..Series::default()
    };
    if let Some(fit) = fits.iter().find(|fit| fit.curve == curve && fit.x == Scale::Curve(axis)) {
        let grid = (0..=STEPS).map(|step| (low.ln() + (high / low).ln() * step as f64 / STEPS as f64).exp());
        for x in grid {
            series.line.push((x, fit.predict(x)));
            if !fit.draws.resamples.is_empty() && fit.tested_at(x.ln()) {
                let (below, above) = fit.band(x);
                series.band.push((x, below, above));
            }
        }
    }
    series
}

/// Established crossovers; of a pair on its own also where the fitted curves meet and nothing is established.
fn marks(analysis: &Analysis) -> Vec<Mark> {
    let told =
        analysis.crossovers.iter().flat_map(|pair| pair.conclusion.established.iter().map(move |told| (pair, told)));
    let told = told.map(|(pair, told)| Mark {
        x: told.at,
        interval: Some((told.low, told.high)),
        label: sentence::overtakes(pair, told),
        established: true,
    });
    let alone = analysis.crossovers.iter().filter(|_| analysis.crossovers.len() == 1);
    let maybe = alone.flat_map(|pair| &pair.conclusion.may_cross);
    told.chain(maybe.map(|at| Mark {
        x: *at,
        interval: None,
        label: format!("may cross near {}", si(*at)),
        established: false,
    }))
    .collect()
}

/// The outcome of each pair that no mark tells, in order of importance.
fn notes(pairs: &[Crossover]) -> Vec<String> {
    let unmarked = sentence::by_importance(pairs).into_iter().filter(|pair| pair.conclusion.established.is_empty());
    sentence::together(unmarked.collect())
}

/// The law, then what the points of each curve are where something of them was chosen.
fn footnote(study: &Study, analysis: Option<&Analysis>, axis: Axis) -> Option<String> {
    const CURVES: usize = 8;
    let law = analysis.and_then(|analysis| analysis.fits.first()).map(|fit| {
        let level = 100.0 * fit.provenance.level;
        let drawn = |analysis: &Analysis| analysis.fits.iter().map(|fit| fit.draws.resamples.len()).max();
        match analysis.and_then(drawn).unwrap_or(0) {
            0 => fit.formula.to_owned(),
            resamples => format!("{}; bands: {level:.0}% of {resamples} resamples", fit.formula),
        }
    });
    let rows = match analysis {
        Some(analysis) => points::used(study, analysis, axis),
        None => study.rows(axis, []),
    };
    let curves = in_words(&rows, study.chose_budgets());
    let more = curves.len().saturating_sub(CURVES);
    let more = (more > 0).then(|| format!("{more} more curves, which 'crossover fit' tells"));
    let parts: Vec<String> = law.into_iter().chain(curves.into_iter().take(CURVES)).chain(more).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::event::{Event, EventLog, Outcome};
    use crate::store::{Reader, Sizes, Store, sample};
    use crate::study::OfSweep;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// A convnet whose best learning rate is 1e-3 on 100 examples and 1e-2 on 200.
    fn study(store: &Path) -> Study {
        let plan = sample::plan(&["convnet"], &[100, 200], &[1e-3, 1e-2], &[0]);
        let mut writer = Store::open(store).unwrap();
        writer.register(&plan).unwrap();
        for run in &plan.runs {
            let loss = if (run.config.examples == 100) == (run.config.train.lr < 5e-3) { 0.5 } else { 0.6 };
            let values = [("val_loss", loss), ("test_loss", loss)].map(|(name, loss)| (name.to_string(), loss)).into();
            let mut log = EventLog::open(&store.join(&run.id)).unwrap();
            log.append(&Event::Metrics { step: 20, values }).unwrap();
            let outcome = Outcome::Done;
            log.append(&Event::End { attempt: 1, time: 2.0, seconds: 1.0, examples_per_second: 9.0, outcome }).unwrap();
        }
        writer.ingest().unwrap();
        let over = Some(Axis::Data);
        let reader = Reader::open(store).unwrap();
        let (name, metric, sizes) = ("small", "test_loss", Sizes::Best);
        Study::of_sweep(OfSweep { reader, name, typed: name, metric, over, sizes }).unwrap()
    }

    #[test]
    fn the_small_print_says_what_was_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let args = Line::try_parse_from(["plot", "small", "-o", "small.svg"]).map(|line| line.args).unwrap();
        let figure = figure(&args, &study(dir.path()), None);
        assert_eq!(figure.footnote.as_deref(), Some("convnet: lr 1e-3 to 1e-2"));
        assert_eq!(figure.series.len(), 1);
    }
}
