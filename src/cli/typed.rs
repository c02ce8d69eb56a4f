//! What a person can type next, so that it works as it stands: with the store that was named, quoted for a shell.

use std::path::{Path, PathBuf};

use crate::shell::quoted;

/// Names the store where `--store` does not.
const VARIABLE: &str = "CROSSOVER_STORE";

/// The store where nothing names one.
pub const DEFAULT: &str = "runs";

/// Commands that `--store` means something to.
const OF_STORE: [&str; 17] = [
    "plan", "run", "resume", "status", "show", "list", "ingest", "import", "fit", "next", "plot", "export", "rename",
    "compare", "cancel", "retry", "prune",
];

/// `$CROSSOVER_STORE`, else `runs`.
pub fn default_store() -> PathBuf {
    std::env::var_os(VARIABLE).filter(|store| !store.is_empty()).unwrap_or_else(|| DEFAULT.into()).into()
}

/// The text, each of its commands with the store where they need it.
pub fn typed(text: &str, store: &Path) -> String {
    if store == default_store() {
        return text.to_owned();
    }
    with_store(text, &quoted(&store.display().to_string()))
}

fn with_store(text: &str, store: &str) -> String {
    const PROGRAM: &str = "crossover ";
    let mut parts = text.split(PROGRAM);
    let mut typed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        typed += PROGRAM;
        let end = part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len());
        let (command, rest) = part.split_at(end);
        typed += command;
        if OF_STORE.contains(&command) && !rest.starts_with('-') {
            typed += &format!(" --store {store}");
        }
        typed += rest;
    }
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_use_a_store_name_it() {
        let with = |text: &str| with_store(text, "'my runs'");
        assert_eq!(
            with("'crossover status x' says why; crossover run: the same"),
            "'crossover status --store 'my runs' x' says why; crossover run --store 'my runs': the same"
        );
        for unchanged in ["crossover task fetch mnist", "another crossover writes to it", "crossover run-time", ""] {
            assert_eq!(with(unchanged), unchanged);
        }
    }
}
