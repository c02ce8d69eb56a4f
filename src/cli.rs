//! The command line: one module per command, thin over the library.

mod answer;
mod audits;
pub mod compare;
pub mod export;
pub mod fit;
mod fixed;
mod given;
pub mod import;
pub mod ingest;
mod input;
pub mod model;
pub mod next;
pub mod plan;
pub mod plot;
mod points;
mod predict;
mod profiles;
pub mod rename;
pub mod run;
mod sheet;
pub mod show;
pub mod simulate;
pub mod status;
mod table;
pub mod task;
mod tuned;
mod typed;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::error::{Context, Error, Result, nearest};
use crate::plan::Plan;
use crate::shell::quoted;
use crate::spec;

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
    /// Folder of all runs and their database [default: $CROSSOVER_STORE, else runs]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
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
    /// Give a sweep of the store another name
    Rename(rename::Args),
    /// Bring the database up to what the event logs say
    Ingest(ingest::Args),
    /// Keep a file or the logs of another program as a study of the store
    Import(import::Args),
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
    /// Also where it has more than a million runs
    #[arg(long)]
    force: bool,
}

impl SweepFile {
    /// As it can be typed again.
    fn typed(&self) -> String {
        quoted(&self.path.display().to_string())
    }

    pub fn plan(&self) -> Result<Plan> {
        let (text, name) = (read_sweep(&self.path)?, self.path.display().to_string());
        let most = if self.force { u64::MAX } else { spec::MOST_RUNS };
        crate::plan::plan(&spec::parse_within(&text, &name, most)?)
    }
}

/// The text of a sweep file.
fn read_sweep(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let others = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let others = others.filter(|other| other.extension().is_some_and(|ending| ending == "toml"));
        let mut others: Vec<String> =
            others.map(|other| other.strip_prefix(".").unwrap_or(&other).display().to_string()).collect();
        others.sort();
        let asked = path.display().to_string();
        let near = nearest(&asked, others.iter().map(String::as_str)).filter(|near| *near != asked);
        let hint = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None if others.is_empty() => "sweeps/README.md says what stands in a sweep file".to_owned(),
            None => format!("there are: {}", others.into_iter().take(10).collect::<Vec<_>>().join(", ")),
        };
        Error::bad_input(format!("cannot read the sweep file {asked}: {error}")).hint(hint)
    })
}

/// The plan of a sweep file's text; `name` is what errors call the file.
pub fn load_plan(text: &str, name: &str) -> Result<Plan> {
    crate::plan::plan(&spec::parse(text, name)?)
}

pub fn run(cli: Cli) -> Result<ExitCode> {
    end_with_the_reader();
    let store = cli.store.clone().unwrap_or_else(typed::default_store);
    command(&cli.command, &store)
        .map_err(|error| Error { hint: error.hint.as_deref().map(|hint| typed::typed(hint, &store)), ..error })
}

fn command(command: &Command, store: &Path) -> Result<ExitCode> {
    match command {
        Command::Plan(args) => plan::run(args, store)?,
        Command::Run(args) => return run::run(args, store),
        Command::Resume(args) => return run::resume(args, store),
        Command::Status(args) => status::run(args, store)?,
        Command::Show(args) => show::run(args, store)?,
        Command::Rename(args) => rename::run(args, store)?,
        Command::Ingest(args) => ingest::run(args, store)?,
        Command::Import(args) => import::run(args, store)?,
        Command::Fit(command) => fit::run(command, store)?,
        Command::Next(args) => next::run(args, store)?,
        Command::Simulate(args) => simulate::run(args)?,
        Command::Plot(args) => plot::run(args, store)?,
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
