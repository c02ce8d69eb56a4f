//! `crossover ingest`: brings the database up to what the event logs say.

use std::path::Path;

use serde::Serialize;

use super::print_json;
use crate::error::Result;
use crate::out;
use crate::store::{Ingested, Reader, Skipped, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover ingest              take in what is new in the logs
  crossover ingest --rebuild    make the database again from the run folders alone")]
pub struct Args {
    /// Make the database again from the run folders alone
    #[arg(long)]
    rebuild: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    /// With --rebuild: what the folders hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    sweeps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<usize>,
    lines: u64,
    values: u64,
    skipped: &'a [Skipped],
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let (found, ingested) = if args.rebuild {
        let (_, rebuilt) = Store::rebuild(store)?;
        let (sweeps, runs) = (rebuilt.sweeps, rebuilt.runs);
        out::say(format_args!("{sweeps} sweeps and {runs} runs found in {}", store.display()));
        (Some((sweeps, runs)), rebuilt.ingested)
    } else {
        // A store that is not there is not made to find nothing in it.
        if !Reader::exists(store) {
            Reader::open(store)?;
        }
        (None, Store::open(store)?.ingest()?)
    };
    say(&ingested);
    if !args.json {
        return Ok(());
    }
    let Ingested { lines, rows, skipped } = &ingested;
    let (sweeps, runs) = found.unzip();
    print_json(&Report { sweeps, runs, lines: *lines, values: *rows, skipped })
}

/// What was taken in, and every line that could not be read.
pub fn say(ingested: &Ingested) {
    out::say(format_args!("{} lines, {} values", ingested.lines, ingested.rows));
    for skipped in &ingested.skipped {
        out::say(format_args!("{}:{}: skipped: {}", skipped.file.display(), skipped.line, skipped.reason));
    }
}
