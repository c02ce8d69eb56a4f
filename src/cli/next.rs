//! `crossover next`: the sweep that would narrow a crossover or an exponent most per FLOP.

use std::path::{Path, PathBuf};

use super::given::Given;
use super::print_json;
use crate::error::{Error, Result, nearest};
use crate::files::{refuse_to_replace, write_new};
use crate::fit::design::extend::{Move, Target};
use crate::fit::{self, Analysis, Method, Settings};
use crate::next::{Next, Question, next};
use crate::out;
use crate::plan::Planned;
use crate::point::Axis;
use crate::shell::quoted;
use crate::spec;
use crate::store::Sizes;
use crate::study::{self, OfSweep, Study};
use crate::units::si;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover next quickstart -o next.toml && crossover run next.toml && crossover fit next.toml
  crossover next quickstart --narrow alpha --flops 1e14
  crossover next quickstart --between convnet,vit --x compute > more.toml

The new sweep holds the old one: its runs are done and cost nothing, so one fit sees everything.")]
pub struct Args {
    /// A sweep's name or file; it has to have been run
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Sweep file to write [default: stdout]; one that crossover did not write stays as it is
    #[arg(short, long, value_name = "NEXT.toml")]
    output: Option<PathBuf>,

    /// Replace the file to write where it is there
    #[arg(long)]
    force: bool,

    /// Scale that curves are drawn over
    #[arg(long, value_enum, default_value_t = Axis::Data)]
    x: Axis,

    /// Whether the best size at each scale stands for a curve, or each size is a curve of its own
    #[arg(long, value_enum, default_value_t = Sizes::Best)]
    sizes: Sizes,

    /// What shall be known better: 'crossover', or a parameter of the law
    #[arg(long, value_name = "crossover|PARAM", default_value = "crossover")]
    narrow: String,

    /// Only these two curves, where a sweep has more
    #[arg(long, value_name = "A,B")]
    between: Option<String>,

    /// Training FLOPs that may be spent [default: as many as the sweep itself costs]
    #[arg(long, value_name = "FLOPS", value_parser = positive)]
    flops: Option<f64>,

    /// Metric to fit
    #[arg(long, default_value = "test_loss")]
    metric: String,

    /// Law to fit
    #[arg(long, value_name = "NAME", alias = "fit", default_value = "power-floor")]
    law: String,

    /// Resamples for the intervals
    #[arg(long, value_name = "B", default_value_t = 2000)]
    bootstrap: usize,

    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Print JSON, the file's text in it
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a positive number, as 1e14 is".into()),
    }
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    // Before anything is computed for it.
    args.output.as_deref().map_or(Ok(()), |path| refuse_to_replace(path, args.force))?;
    let given = Given::new(&args.sweep, store)?;
    let (name, reader) = (given.name.as_str(), given.reader(store)?);
    let (stored, done) = study::stored(&reader, name)?;
    let parsed = spec::parse_within(&stored.source, &format!("{name} (as stored)"), u64::MAX)?;
    let sweep = spec::Sweep { name: name.to_owned(), ..parsed };
    let (metric, over) = (args.metric.as_str(), Some(args.x));
    let study = Study::of_sweep(OfSweep { reader, name, typed: &given.typed, metric, over, sizes: args.sizes })?;
    super::fit::say_notes(&study, store);
    let study = between(study, args.between.as_deref())?;
    let law = fit::laws::by_name(&args.law)?;
    if law.domain() != fit::laws::Domain::Curve {
        return Err(Error::bad_input(format!("--law {}: curves cross, surfaces do not", args.law))
            .hint("fit a law over one scale, as power-floor is"));
    }
    let settings = Settings { law, bootstrap: args.bootstrap, seed: args.seed, ..Settings::default() };
    let analysis = study.analyse(Method::Law(law), args.x, &settings)?;
    let target = match args.narrow.as_str() {
        "crossover" => Target::Crossover,
        param => Target::Param(param.to_owned()),
    };
    let stem = args.output.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let called = spec::to_name(&stem.unwrap_or_else(|| format!("{name}-next")));
    let curve_of = &|run: &Planned| study.curve_of(run);
    let question = Question { name: &called, axis: args.x, target, flops: args.flops, curve_of };
    let found = next(&sweep, study.points(), &analysis, &settings, &question, &done)?;
    if let Some(path) = &args.output {
        write_new(path, found.toml.as_bytes(), args.force)?;
    }
    match (&args.output, args.json) {
        (_, true) => print_json(&found)?,
        (Some(path), false) => out::text(explanation(args, &found, &analysis, &quoted(&path.display().to_string())))?,
        (None, false) => {
            out::say(explanation(args, &found, &analysis, "NEXT.toml").trim_end());
            out::text(&found.toml)?;
        }
    }
    Ok(())
}

/// The points of the two curves, or all of them.
fn between(mut study: Study, pair: Option<&str>) -> Result<Study> {
    let Some(pair) = pair else { return Ok(study) };
    let names: Vec<&str> = pair.split(',').map(str::trim).collect();
    if names.len() != 2 {
        return Err(Error::bad_input(format!("--between {pair}: name two curves, as in convnet,vit")));
    }
    let points = study.points();
    for name in &names {
        if !points.iter().any(|point| point.curve == *name) {
            let near = nearest(name, points.iter().map(|point| point.curve.as_str()));
            let error = Error::bad_input(format!("--between {pair}: the sweep has no points of a curve '{name}'"));
            return Err(match near {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error.hint(format!("the curves are {}", study.curves().join(", "))),
            });
        }
    }
    study.retain(|curve| names.contains(&curve));
    Ok(study)
}

/// What was chosen, why, and how to look before running it.
fn explanation(args: &Args, next: &Next, analysis: &Analysis, file: &str) -> String {
    let mut text = String::new();
    for expected in &next.design.expected {
        text += &format!("{expected}\n");
    }
    for name in &next.design.undetermined {
        text += &format!("left out: {name}: its points do not determine its law\n");
    }
    for step in &next.design.steps {
        let taken = match step.taken {
            Move::Level(value) => format!("a value of {}", si(value)),
            Move::Seed => "a seed more".into(),
        };
        text += &format!("{taken}, for {} FLOPs: to {:.0}%\n", si(step.flops), 100.0 * step.width);
    }
    text += &format!("{} new runs, {} training FLOPs\n", next.runs, next.flops);
    // 'simulate' knows a sweep's curves, not their sizes.
    if args.sizes == Sizes::Each {
        return text;
    }
    let laws: String = (analysis.fits.iter())
        .map(|fit| {
            let named = fit.law.params().iter().map(|param| format!("{}={:.4e}", param.name, fit.params[param.name]));
            format!(" --truth '{}: {}'", fit.curve, named.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let axis = match analysis.fits.first().map(|fit| fit.x) {
        Some(fit::Scale::Curve(axis)) if axis != Axis::Data => format!(" --x {axis}"),
        _ => String::new(),
    };
    let noise = next.design.noise.iter().map(|(_, noise)| *noise).fold(0.0, f64::max);
    text + &format!("to try it on paper: crossover simulate {file}{axis} --noise {noise:.3}{laws}\n")
}
