//! The only binary that loads libtorch: trains what `crossover run` hands to it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crossover_worker::error::{Context, Result};
use crossover_worker::model::forward::{self, ForwardArgs};
use crossover_worker::out;
use crossover_worker::train::{self, Libtorch, measure, process};
use crossover_worker::worker::{self, Shape, noop::Noop};

#[derive(Parser)]
#[command(name = "crossover-worker", version, about = "Trains for 'crossover'; not meant to be started by hand")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train the jobs that come on stdin.
    Serve {
        /// `cpu`, or `cuda:N`; of several GPUs the worker sees only its own.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Threads of one operation.
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Time training steps: a JSON list of shapes on stdin, seconds per step on stdout.
    Measure,
    Forward(ForwardArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::say(format_args!("error: {error}"));
            if let Some(hint) = &error.hint {
                out::say(format_args!("hint: {hint}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve { device, threads } => {
            if device.starts_with("cuda") {
                worker::cuda::load()?;
            }
            if let Some(behaviour) = std::env::var_os(Noop::VARIABLE) {
                return worker::serve(&mut Noop::parse(&behaviour.to_string_lossy())?);
            }
            process::prepare(threads);
            worker::serve(&mut Libtorch::new(train::parse_device(&device)?))
        }
        Command::Measure => {
            process::prepare(1);
            let shapes: Vec<Shape> = serde_json::from_reader(std::io::stdin()).context(|| "stdin: not shapes")?;
            let seconds = measure::on_cpu(&shapes)?;
            out::line(serde_json::to_string(&seconds).context(|| "cannot write seconds")?)
        }
        Command::Forward(args) => forward::run(&args),
    }
}
