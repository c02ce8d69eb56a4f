//! `crossover script`: a script to start from, whether one keeps to the protocol, and what starts them.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use super::print_json;
use super::table::table;
use super::task::parse_settings;
use crate::error::{Error, Result};
use crate::out;
use crate::script::check::{Trial, Verdict, check};
use crate::script::{Declared, EXAMPLE, Script, process};
use crate::task;
use crate::worker;
use crate::worker::script::{GRACE, Scripts};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a complete PyTorch script that keeps to the protocol, to start from
    #[command(after_help = "Example:
  crossover script new > train.py

docs/protocol.md says what a script reads and writes, and has a sweep that trains one beside our own models.")]
    New,
    /// Run a script briefly, stop it, kill it, go on with it, compare, and name each rule that it breaks
    #[command(after_help = "Examples:
  crossover script check train.py
  crossover script check train.py --set width=16 --task fashion-mnist --examples 500
  crossover script check --json -- torchrun --nproc-per-node=2 train.py")]
    Check(Check),
    /// Start scripts for the jobs that come on stdin
    #[command(hide = true)]
    Serve {
        #[arg(long, default_value = "cpu")]
        device: String,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// End what a script has started once whoever started the script is gone
    #[command(hide = true)]
    Guard,
}

#[derive(clap::Args)]
struct Check {
    /// As in a sweep's `command`; a Python file alone is run by python3
    #[arg(value_name = "COMMAND", required = true)]
    command: Vec<String>,
    /// A key of the script, as in its [[model]] table; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Task that it is given, as 'crossover task list' has it
    #[arg(long, default_value = "own")]
    task: String,
    /// Training examples
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    examples: u64,
    /// Steps of a run: enough to be met in the middle
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(4..))]
    steps: u64,
    /// Examples of a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Seconds that it has to leave after SIGTERM [default: as a sweep gives it]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    grace: Option<Duration>,
    /// Seconds beyond which a run of it is killed
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    within: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("'{text}' is no number of seconds above 0"))
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'a [String],
    rules: &'a [Verdict],
}

pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::New => out::text(EXAMPLE),
        Command::Check(args) => tried(args),
        Command::Serve { device, threads } => {
            outlive_a_closed_pipe();
            worker::serve(&mut Scripts::new(device, *threads))
        }
        Command::Guard => process::guard(),
    }
}

/// An orchestrator that is gone ends a worker in its own time, with a checkpoint, and not by the next word to it.
fn outlive_a_closed_pipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}

fn tried(args: &Check) -> Result<()> {
    let command = match args.command.as_slice() {
        [script] if script.ends_with(".py") => vec!["python3".to_owned(), script.clone()],
        words => words.to_vec(),
    };
    if let Some(file) = args.command.iter().find(|word| word.ends_with(".py") && !Path::new(word).is_file()) {
        return Err(Error::bad_input(format!("there is no file {file}"))
            .hint("'crossover script new > train.py' writes a script to start from"));
    }
    let declared = Declared { command, files: Some(Vec::new()), gpus: 1 };
    let trial = Trial {
        script: Script { declared, hash: String::new(), keys: parse_settings(&args.set)? },
        task: task::resolve(&args.task, &Default::default())?,
        examples: args.examples,
        steps: args.steps,
        batch: args.batch,
        grace: args.grace.unwrap_or(GRACE),
        within: args.within,
    };
    let verdicts = check(&trial)?;
    let report = Report { command: &trial.script.declared.command, rules: &verdicts };
    let broken = verdicts.iter().filter(|verdict| verdict.kept == Some(false)).count();
    if !args.json {
        let rows = verdicts.iter().map(|Verdict { rule, kept, found }| {
            let kept = kept.map_or("-", |kept| if kept { "kept" } else { "BROKEN" });
            vec![kept.into(), (*rule).into(), found.lines().next().unwrap_or_default().into()]
        });
        out::line(table(&["", "rule", "found"], &["", "rule", "found"], rows))?;
    }
    if broken > 0 {
        let typed = trial.script.declared.typed();
        let rules = if broken == 1 { "1 rule".into() } else { format!("{broken} rules") };
        for Verdict { rule, found, .. } in verdicts.iter().filter(|verdict| verdict.kept == Some(false) && !args.json) {
            if found.contains('\n') {
                out::say(format_args!("{rule}: {found}"));
            }
        }
        let error = Error::failed(format!("{typed} breaks {rules} of the protocol"));
        return Err(error
            .hint("docs/protocol.md has them, and 'crossover script new' a script that keeps them")
            .with(&report));
    }
    if args.json { print_json(&report) } else { Ok(()) }
}
