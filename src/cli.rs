//! The command line: one module per command, thin over the library.

pub mod compare;
pub mod export;
pub mod fit;
pub mod ingest;
pub mod model;
pub mod next;
pub mod plan;
pub mod plot;
pub mod run;
mod sheet;
pub mod show;
pub mod simulate;
pub mod status;
mod table;
pub mod task;

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::fit::{AtEdge, Dropped, SweepOrigin};
use crate::plan::Plan;
use crate::point::{Axis, Point};
use crate::spec;
use crate::store::{self, Reader};

/// Find out which inductive bias wins at which scale
///
/// A sweep file says which architectures to train on how much data and compute; crossover plans it, trains it on
/// whatever cores or GPUs are there, resumes what was interrupted, fits scaling laws and says where one
/// architecture overtakes another.
#[derive(Parser)]
#[command(
    name = "crossover",
    version,
    after_help = "Examples:
  crossover plan sweeps/quickstart.toml        what would be trained, and what it costs
  crossover run sweeps/quickstart.toml         train what is not trained yet
  crossover status                             how far it is
  crossover fit quickstart --x data            fitted curves, and where they cross
  crossover plot quickstart --x data -o a.svg  the picture

Exit codes: 0 done, 1 the work failed, 2 the input was bad."
)]
pub struct Cli {
    /// Folder of all runs and their database
    #[arg(long, global = true, value_name = "DIR", default_value = "runs")]
    store: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a sweep would train: runs, params, FLOPs, time, disk
    Plan(plan::Args),
    /// Train what is not trained yet; the same command again goes on where it stopped
    Run(run::Args),
    /// Go on with unfinished sweeps
    Resume(run::ResumeArgs),
    /// Show how far sweeps are, what failed and why
    Status(status::Args),
    /// Show one run: config, attempts, metrics
    Show(show::Args),
    /// Bring the database up to what the event logs say
    Ingest(ingest::Args),
    /// Fit laws to a sweep or a CSV file, and say where curves cross
    Fit(fit::Command),
    /// Say which further runs would tell most per FLOP, as a sweep file
    Next(next::Args),
    /// Say how surely a sweep would find a crossover, before it is run
    Simulate(simulate::Args),
    /// Draw points, fitted curves and crossovers
    Plot(plot::Args),
    /// Write all metrics of a sweep as CSV or JSON
    Export(export::Args),
    /// List tasks, show one, fetch its files
    Task(task::Args),
    /// Architectures: what there is, what a config costs, a forward pass
    Model(model::Args),
    /// Print the completion script of a shell
    ///
    /// For bash: crossover completions bash > ~/.local/share/bash-completion/completions/crossover
    Completions { shell: clap_complete::Shell },
}

/// A sweep file, as an argument.
#[derive(clap::Args)]
pub struct SweepFile {
    /// Sweep file
    #[arg(value_name = "SWEEP.toml")]
    path: PathBuf,
}

impl SweepFile {
    pub fn plan(&self) -> Result<Plan> {
        let name = self.path.display().to_string();
        let text = std::fs::read_to_string(&self.path).map_err(|error| {
            Error::bad_input(format!("cannot read the sweep file {name}: {error}"))
                .hint("'ls sweeps/' lists the ones that come along")
        })?;
        load_plan(&text, &name)
    }
}

/// The plan of a sweep file's text; `name` is what errors call the file.
pub fn load_plan(text: &str, name: &str) -> Result<Plan> {
    crate::plan::plan(&spec::parse(text, name)?)
}

/// The name of a sweep that is given by name or as its file.
fn sweep_name(given: &str) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    if !given.ends_with(".toml") {
        return Ok(given.to_owned());
    }
    let read = std::fs::read_to_string(given).map_err(|error| error.to_string());
    let named = read.and_then(|text| toml::from_str::<Named>(&text).map_err(|error| error.message().to_owned()));
    named.map(|named| named.name).map_err(|error| {
        Error::bad_input(format!("cannot read the sweep's name from {given}: {error}"))
            .hint("'crossover status' lists the sweeps of the store by name")
    })
}

/// The points of a sweep of the store, and what is to be said of them: what gives no point, and tuned values at the edge
/// of their grid, which stand in the fit's JSON and verdicts and on stderr.
fn points_of_sweep(store: &Path, sweep: &str, metric: &str, fit: &fit::Args) -> Result<(Vec<Point>, SweepOrigin)> {
    let axis = fit.is_curve()?.then_some(fit.x);
    let name = sweep_name(sweep)?;
    let found = Reader::open(store)?.points(&name, metric, axis)?;
    const SHOWN: usize = 5;
    for left in found.left_out.iter().take(SHOWN) {
        eprintln!("left out: {}: {}", left.what, left.reason);
    }
    if found.left_out.len() > SHOWN {
        eprintln!("and {} more; 'crossover fit {name} --json' lists them all", found.left_out.len() - SHOWN);
    }
    if !found.outshone.is_empty() {
        let count = found.outshone.len();
        eprintln!("{count} cells left out: another size or budget has a lower validation loss at the same scale");
    }
    let at_edge: AtEdge = (found.choices.into_iter().filter(|choice| !choice.at_edge.is_empty()))
        .flat_map(|choice| choice.runs.into_iter().map(move |run| (run, choice.at_edge.clone())))
        .collect();
    let left_out = found.left_out.into_iter().chain(found.outshone);
    let left_out = left_out.map(|left| Dropped { point: left.what, reason: left.reason }).collect();
    Ok((found.points, SweepOrigin { name, metric: metric.to_owned(), left_out, at_edge }))
}

/// Other counts of the scale of a sweep's runs: 6 N D with every example counted as often as it is seen, and the
/// parameters that one example passes through where some models have more.
fn recounts(store: &Path, sweep: &str, axis: Axis) -> Result<Vec<(String, HashMap<String, f64>)>> {
    let runs = Reader::open(store)?.runs(&sweep_name(sweep)?)?;
    let count = |name: &str, count: &dyn Fn(&store::Run) -> f64| {
        vec![(name.to_owned(), runs.iter().map(|run| (run.id.clone(), count(run))).collect())]
    };
    Ok(match axis {
        Axis::Data => Vec::new(),
        Axis::Compute => {
            count("6 N D", &|run| 6.0 * run.costs.params as f64 * (run.config.steps * run.config.train.batch) as f64)
        }
        Axis::Params if runs.iter().all(|run| run.costs.active_params == run.costs.params) => Vec::new(),
        Axis::Params => count("active parameters", &|run| run.costs.active_params as f64),
    })
}

/// The positive losses below which no model of local, position-free features gets on the tasks of a sweep's curves.
fn floors_of_sweep(store: &Path, sweep: &str, curves: &[&str]) -> Result<Vec<f64>> {
    let runs = Reader::open(store)?.runs(&sweep_name(sweep)?)?;
    let drawn = runs.iter().filter(|run| curves.contains(&run.label.as_str()));
    let mut floors: Vec<f64> =
        drawn.filter_map(|run| crate::task::floor(&run.config.task).transpose()).collect::<Result<_>>()?;
    floors.retain(|floor| *floor > 0.0);
    floors.sort_by(f64::total_cmp);
    floors.dedup();
    Ok(floors)
}

pub fn run(cli: Cli) -> Result<ExitCode> {
    end_with_the_reader();
    let store = cli.store.as_path();
    match &cli.command {
        Command::Plan(args) => plan::run(args)?,
        Command::Run(args) => return run::run(args, store),
        Command::Resume(args) => return run::resume(args, store),
        Command::Status(args) => status::run(args, store)?,
        Command::Show(args) => show::run(args, store)?,
        Command::Ingest(args) => ingest::run(args, store)?,
        Command::Fit(command) => fit::run(
            command,
            |sweep, metric| points_of_sweep(store, sweep, metric, &command.fit),
            |sweep, axis| recounts(store, sweep, axis),
        )?,
        Command::Next(args) => next::run(args, store)?,
        Command::Simulate(args) => simulate::run(args)?,
        Command::Plot(args) => {
            let points = |sweep: &str, metric: &str| points_of_sweep(store, sweep, metric, args.fit());
            plot::run(args, points, |sweep, curves| floors_of_sweep(store, sweep, curves))?;
        }
        Command::Export(args) => export::run(args, store)?,
        Command::Task(args) => task::run(args)?,
        Command::Model(args) => model::run(args)?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "crossover", &mut io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A reader of stdout that has seen enough (`head`, `less`) ends the program in silence, as it ends other tools; the
/// executor, which has workers to talk to, turns that off.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// `error: …` and `hint: …` on stderr, coloured on a terminal unless NO_COLOR is set.
pub fn complain(error: &Error) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = |colour_of: AnsiColor| if colour { colour_of.on_default().bold() } else { Style::new() };
    let (red, green) = (style(AnsiColor::Red), style(AnsiColor::Green));
    eprintln!("{red}error:{red:#} {}", error.message);
    if let Some(hint) = &error.hint {
        eprintln!("{green}hint:{green:#} {hint}");
    }
}

/// Data for programs, on stdout.
pub fn print_json(data: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(data).context(|| "cannot write JSON")?;
    writeln!(io::stdout(), "{text}").context(|| "cannot write to stdout")
}
