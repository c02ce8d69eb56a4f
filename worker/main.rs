//! The only binary that loads libtorch: trains what `crossover run` hands to it.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use crossover_worker::error::{Context, Result};
use crossover_worker::model::forward::{self, ForwardArgs};
use crossover_worker::out;
use crossover_worker::train::{self, Libtorch, measure, process, steps};
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
        #[command(flatten)]
        on: On,
    },
    /// Time training steps: a JSON list of shapes on stdin, seconds per step on stdout.
    Measure,
    /// Training steps on drawn images: a question in JSON a line of stdin, losses, logits and times on stdout.
    Steps {
        #[command(flatten)]
        on: On,
    },
    Forward(ForwardArgs),
}

#[derive(Args)]
struct On {
    /// `cpu`, or `cuda:N`; of several GPUs the worker sees only its own.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of one operation.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl On {
    /// The CUDA half of libtorch is loaded before its first call.
    fn load(&self) -> Result<()> {
        if self.device.starts_with("cuda") { worker::cuda::load() } else { Ok(()) }
    }
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
        Command::Serve { on } => {
            if let Some(behaviour) = std::env::var_os(Noop::VARIABLE) {
                return worker::serve(&mut Noop::parse(&behaviour.to_string_lossy())?);
            }
            on.load()?;
            process::prepare(on.threads);
            worker::serve(&mut Libtorch::new(train::parse_device(&on.device)?))
        }
        Command::Steps { on } => {
            on.load()?;
            process::prepare(on.threads);
            steps::serve(train::parse_device(&on.device)?)
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
