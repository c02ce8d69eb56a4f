//! The only binary that loads libtorch (D2): trains what `crossover run` hands to it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crossover::error::Result;
use crossover::worker::{self, noop::Noop};

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
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = &error.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve { device } => {
            if device.starts_with("cuda") {
                worker::cuda::load()?;
            }
            if let Some(behaviour) = std::env::var_os(Noop::VARIABLE) {
                return worker::serve(&mut Noop::parse(&behaviour.to_string_lossy())?);
            }
            Err(crossover::error::Error::failed(format!("no trainer yet; libtorch: {}", tch::Cuda::is_available())))
        }
    }
}
