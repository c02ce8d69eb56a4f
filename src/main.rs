//! The program: reads the command line, does the command, says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use crossover::cli::Cli;

fn main() -> ExitCode {
    match crossover::cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            crossover::cli::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
