//! `crossover ingest`: brings the database up to what the event logs say.

use std::path::Path;

use crate::error::Result;
use crate::store::{Ingested, Reader, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover ingest              take in what is new in the logs
  crossover ingest --rebuild    make the database again from the run folders alone")]
pub struct Args {
    /// Make the database again from the run folders alone
    #[arg(long)]
    rebuild: bool,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let ingested = if args.rebuild {
        let (_, rebuilt) = Store::rebuild(store)?;
        eprintln!("{} sweeps and {} runs found in {}", rebuilt.sweeps, rebuilt.runs, store.display());
        rebuilt.ingested
    } else {
        // A store that is not there is not made to find nothing in it.
        if !Reader::exists(store) {
            Reader::open(store)?;
        }
        Store::open(store)?.ingest()?
    };
    say(&ingested);
    Ok(())
}

/// What was taken in, and every line that could not be read.
pub fn say(ingested: &Ingested) {
    eprintln!("{} lines, {} values", ingested.lines, ingested.rows);
    for skipped in &ingested.skipped {
        eprintln!("{}:{}: skipped: {}", skipped.file.display(), skipped.line, skipped.reason);
    }
}
