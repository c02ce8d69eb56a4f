//! The command line: one module per command, thin over the library.

pub mod fit;
pub mod model;
pub mod plan;
pub mod plot;
mod table;
pub mod task;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::plan::Plan;
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

pub fn run(cli: Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Plan(args) => plan::run(args)?,
        Command::Task(args) => task::run(args)?,
        Command::Model(args) => model::run(args)?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "crossover", &mut io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
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
