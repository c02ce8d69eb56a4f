//! What clap has to say: help and version are data, a command line that it refuses is an error like any other.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{complain, print_json};
use crate::error::Error;
use crate::out;

/// Prints help or the version, or says what is wrong with the command line; the exit code.
pub fn answer(found: &clap::Error) -> ExitCode {
    let written = match found.use_stderr() {
        false => found
            .print()
            .map_err(|error| Error::failed(format!("cannot write to stdout: {error}")))
            .and_then(|()| out::text("")),
        true => {
            // A stderr that cannot be written has nobody to tell.
            let _ = found.print();
            if asks_for_json(std::env::args_os()) {
                let _ = print_json(&as_error(found).json());
            }
            return ExitCode::from(2);
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The words before `--` are all there is to go by where the command line was refused.
fn asks_for_json(words: impl Iterator<Item = OsString>) -> bool {
    words.take_while(|word| word != "--").any(|word| word == "--json")
}

/// Clap's paragraph in one line, and its tip.
fn as_error(found: &clap::Error) -> Error {
    let text = found.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let message = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    Error::bad_input(message).hint(tip.unwrap_or("'--help' behind the command lists what it takes"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn refused(words: &[&str]) -> Error {
        as_error(&Cli::command().try_get_matches_from(words).unwrap_err())
    }

    #[test]
    fn a_refused_command_line_is_an_error_with_a_hint() {
        let unknown = refused(&["crossover", "plan", "a.toml", "--jsn"]);
        assert_eq!(unknown.message, "unexpected argument '--jsn' found");
        assert_eq!(unknown.hint.as_deref(), Some("a similar argument exists: '--json'"));
        let missing = refused(&["crossover", "plan"]);
        assert_eq!(missing.message, "the following required arguments were not provided: <SWEEP.toml>");
        assert_eq!((missing.exit_code(), missing.hint.is_some()), (2, true));
    }

    #[test]
    fn json_is_asked_for_before_two_dashes() {
        let asks = |words: &[&str]| asks_for_json(words.iter().map(OsString::from));
        assert!(asks(&["fit", "--json"]) && !asks(&["fit", "--", "--json"]) && !asks(&["fit"]));
    }
}
