//! The program: reads the command line, does the command, says what went wrong.

use std::process::ExitCode;

fn main() -> ExitCode {
    crossover::cli::main()
}
