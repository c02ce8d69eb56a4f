//! The command line: one module per command, thin over the library.

mod answer;
mod audits;
pub mod cancel;
pub mod compare;
pub mod export;
pub mod fit;
mod fixed;
mod given;
pub mod import;
pub mod ingest;
pub mod init;
mod input;
pub mod list;
pub mod model;
pub mod next;
pub mod pilot;
pub mod plan;
pub mod plot;
mod points;
mod predict;
mod profiles;
pub mod prune;
pub mod rename;
pub mod retry;
pub mod run;
pub mod script;
mod sections;
mod sheet;
pub mod show;
pub mod simulate;
mod slurm;
pub mod status;
mod table;
pub mod task;
mod tuned;
mod typed;
mod usage;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;

use crate::error::{Context, Error, Kind, Result, nearest};
use crate::files;
use crate::out;
use crate::plan::Plan;
use crate::progress::Waiting;
use crate::script::describe::Here;
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

Exit codes: 0 done, 1 the work failed, 2 the input was bad, 130 interrupted (Ctrl-C).
Every command that prints data takes --json, which says what went wrong too: docs/json.md."
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
    /// Write a commented sweep file for a task
    Init(init::Args),
    /// Show what a sweep would train: runs, params, FLOPs, time, disk
    Plan(plan::Args),
    /// Train what is not trained yet; the same command again goes on where it stopped
    Run(run::Args),
    /// Go on with unfinished sweeps
    Resume(run::ResumeArgs),
    /// Show how far sweeps are, what failed and why
    Status(status::Args),
    /// Stop what is being trained in the store, so that it can be resumed
    Cancel(cancel::Args),
    /// Let failed, diverged or named runs begin anew
    Retry(retry::Args),
    /// Remove checkpoints of ended runs, folders that no sweep names, or whole sweeps
    Prune(prune::Args),
    /// List runs with their state, filtered and in order
    List(list::Args),
    /// Show one run: config, attempts, metrics
    Show(show::Args),
    /// Give a sweep of the store another name
    Rename(rename::Args),
    /// Say what two sweeps or stores have in common, and where their results differ
    Compare(compare::Args),
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
    /// Write all metrics of a sweep as CSV, JSON or Parquet
    Export(export::Args),
    /// List tasks, show one, fetch its files
    Task(task::Args),
    /// Architectures: what there is, what a config costs, a forward pass
    Model(model::Args),
    /// A model of your own: a script to start from, and whether one keeps to the protocol
    Script(script::Args),
    /// Do jobs of a batch in an allocation of Slurm; started by the script of 'run --executor slurm'
    #[command(hide = true)]
    Pilot(pilot::Args),
    /// Print the completion script of a shell
    ///
    /// For bash: crossover completions bash > ~/.local/share/bash-completion/completions/crossover
    Completions { shell: clap_complete::Shell },
    /// Write the man pages into a folder
    ///
    /// crossover man ~/.local/share/man/man1, then man crossover-fit
    Man { folder: PathBuf },
}

impl Command {
    /// What is told after a while to who waits; the others tell more themselves, or hand over to the worker.
    fn waits_for(&self) -> Option<&'static str> {
        match self {
            Command::Plan(_) => Some("plan"),
            Command::Init(_) => Some("init"),
            Command::List(_) => Some("list"),
            Command::Show(_) => Some("show"),
            Command::Compare(_) => Some("compare"),
            Command::Ingest(_) => Some("ingest"),
            Command::Import(_) => Some("import"),
            Command::Fit(_) => Some("fit"),
            Command::Next(_) => Some("next"),
            Command::Plot(_) => Some("plot"),
            Command::Export(_) => Some("export"),
            Command::Cancel(_) => Some("cancel"),
            Command::Retry(_) => Some("retry"),
            Command::Task(_) => Some("task"),
            Command::Run(_)
            | Command::Rename(_)
            | Command::Prune(_)
            | Command::Resume(_)
            | Command::Status(_)
            | Command::Simulate(_)
            | Command::Model(_)
            | Command::Script(_)
            | Command::Pilot(_)
            | Command::Completions { .. }
            | Command::Man { .. } => None,
        }
    }
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
        crate::plan::plan(&spec::parse_within(&text, &name, most)?, &Here::default())
    }
}

/// The text of a sweep file.
fn read_sweep(path: &Path) -> Result<String> {
    files::read_text(path).map_err(|error| {
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
    crate::plan::plan(&spec::parse(text, name)?, &Here::default())
}

/// Reads the command line, does the command and says what went wrong: in JSON on stdout too, where JSON was asked for.
pub fn main() -> ExitCode {
    end_with_the_reader();
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::answer(&error),
    };
    let done = Cli::from_arg_matches(&matches).map_err(|error| Error::bad_input(error.to_string())).and_then(run);
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            if asks_for_json(&matches) {
                // What cannot be written has been said on stderr already.
                let _ = print_json(&error.json());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether the command, or the one below it, was given `--json`.
fn asks_for_json(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<bool>("json").ok().flatten().copied().unwrap_or(false);
    here || matches.subcommand().is_some_and(|(_, below)| asks_for_json(below))
}

fn run(cli: Cli) -> Result<ExitCode> {
    let store = cli.store.clone().unwrap_or_else(typed::default_store);
    if let Command::Pilot(args) = &cli.command {
        return pilot::run(args);
    }
    command(&cli.command, &store)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Error { hint: error.hint.as_deref().map(|hint| typed::typed(hint, &store)), ..error })
}

fn command(command: &Command, store: &Path) -> Result<()> {
    let _waiting = command.waits_for().map(Waiting::new);
    match command {
        Command::Init(args) => init::run(args),
        Command::Plan(args) => plan::run(args, store),
        Command::Run(args) => run::run(args, store),
        Command::Resume(args) => run::resume(args, store),
        Command::Status(args) => status::run(args, store),
        Command::Cancel(args) => cancel::run(args, store),
        Command::Retry(args) => retry::run(args, store),
        Command::Prune(args) => prune::run(args, store),
        Command::List(args) => list::run(args, store),
        Command::Show(args) => show::run(args, store),
        Command::Compare(args) => compare::run(args, store),
        Command::Rename(args) => rename::run(args, store),
        Command::Ingest(args) => ingest::run(args, store),
        Command::Import(args) => import::run(args, store),
        Command::Fit(command) => fit::run(command, store),
        Command::Next(args) => next::run(args, store),
        Command::Simulate(args) => simulate::run(args),
        Command::Plot(args) => plot::run(args, store),
        Command::Export(args) => export::run(args, store),
        Command::Task(args) => task::run(args),
        Command::Model(args) => model::run(args, store),
        Command::Script(args) => script::run(args),
        Command::Pilot(args) => pilot::run(args).map(|_| ()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "crossover", &mut script);
            out::text(String::from_utf8_lossy(&script))
        }
        Command::Man { folder } => {
            let failed = || format!("cannot write man pages into {}", folder.display());
            std::fs::create_dir_all(folder).context(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).context(failed)
        }
    }
}

/// A reader of stdout that has seen enough (`head`, `less`) ends the program in silence, as it ends other tools; the
/// executor, which has workers to talk to, turns that off.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// `error: …` and `hint: …` on stderr, coloured on a terminal unless NO_COLOR is set.
fn complain(error: &Error) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = |colour_of: AnsiColor| if colour { colour_of.on_default().bold() } else { Style::new() };
    let (red, green) = (style(AnsiColor::Red), style(AnsiColor::Green));
    match error.kind {
        Kind::Interrupted => out::say(&error.message),
        Kind::Failed | Kind::BadInput => out::say(format_args!("{red}error:{red:#} {}", error.message)),
    }
    if let Some(hint) = &error.hint {
        out::say(format_args!("{green}hint:{green:#} {hint}"));
    }
}

/// Data for programs, on stdout.
pub fn print_json(data: &impl Serialize) -> Result<()> {
    out::stream(|out| {
        serde_json::to_writer_pretty(&mut *out, data).context(|| "cannot write JSON")?;
        writeln!(out).context(|| "cannot write JSON")
    })
}
