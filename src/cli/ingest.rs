//! `crossover ingest`: brings the database up to what the event logs say.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::print_json;
use crate::error::{Error, Result};
use crate::executor::slurm;
use crate::out;
use crate::store::{Damaged, Ingested, Reader, Rebuilt, Skipped, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover ingest              take in what is new in the logs
  crossover ingest --rebuild    make the database again from the run folders

--rebuild builds the new database beside the old one and checks it before it takes its place. The old one is kept beside
it where it holds more, and where it cannot be read.")]
pub struct Args {
    /// Make the database again from the run folders
    #[arg(long)]
    rebuild: bool,
    /// With --rebuild: keep no old database, also where the new one holds less
    #[arg(long, requires = "rebuild")]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    rebuilt: Option<FromFolders<'a>>,
    lines: u64,
    values: u64,
    repeated: u64,
    skipped: &'a [Skipped],
    /// Runs that have ended; after --rebuild there are none, since what they did is not known then.
    without_log: &'a [String],
}

/// With --rebuild: what the folders hold, and what became of the old database.
#[derive(Serialize)]
struct FromFolders<'a> {
    sweeps: usize,
    runs: usize,
    damaged: &'a [Damaged],
    mended: &'a [PathBuf],
    kept: Option<&'a Path>,
    less: Option<&'a str>,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    if args.rebuild {
        return rebuild(args, store);
    }
    // A store that is not there is not made to find nothing in it.
    if !Reader::exists(store) {
        Reader::open(store)?;
    }
    let mut writer = Store::open(store)?;
    let ingested = writer.ingest()?;
    say(&ingested);
    let without_log = writer.reader().ended_without_log()?;
    told_without_log(&without_log).iter().for_each(out::say);
    let report = report(&ingested, &without_log, None);
    drop(writer);
    slurm::look_after(store, &|_| true, &mut |line| out::say(line))?;
    if args.json { print_json(&report) } else { Ok(()) }
}

/// What is told of ended runs whose logs are gone.
pub fn told_without_log(runs: &[String]) -> Option<String> {
    let first = runs.first()?;
    let others = if runs.len() > 1 { format!(" and {} more", runs.len() - 1) } else { String::new() };
    Some(format!(
        "the logs of {first}{others} were deleted, and the database alone has what they said: bring them back, or \
         'crossover retry RUN' trains a run again"
    ))
}

fn report<'a>(ingested: &'a Ingested, without_log: &'a [String], rebuilt: Option<FromFolders<'a>>) -> Report<'a> {
    let Ingested { lines, rows, repeated, skipped } = ingested;
    Report { rebuilt, lines: *lines, values: *rows, repeated: *repeated, skipped, without_log }
}

fn rebuild(args: &Args, store: &Path) -> Result<()> {
    let (_, rebuilt) = Store::rebuild(store, args.force)?;
    let Rebuilt { sweeps, runs, ingested, damaged, mended, kept, less } = &rebuilt;
    out::say(format_args!("{sweeps} sweeps and {runs} runs found in {}", store.display()));
    say(ingested);
    for file in mended {
        out::say(format_args!("{}: written again from what the database knew", file.display()));
    }
    for damaged in damaged {
        out::say(format_args!("damaged: {damaged}"));
    }
    if let Some(kept) = kept {
        let why = if less.is_some() { "holds more" } else { "cannot be read" };
        out::say(format_args!("the old database {why}: it is kept as {}", kept.display()));
    }
    let (kept, less) = (kept.as_deref(), less.as_deref());
    let known = report(ingested, &[], Some(FromFolders { sweeps: *sweeps, runs: *runs, damaged, mended, kept, less }));
    match failure(&rebuilt) {
        Some(error) => Err(error.with(&known)),
        None if args.json => print_json(&known),
        None => Ok(()),
    }
}

/// What a person has to look at.
fn failure(rebuilt: &Rebuilt) -> Option<Error> {
    if let Some(less) = &rebuilt.less {
        return Some(Error::failed(format!("the folders hold less than the old database did: {less}")).hint(
            "were folders or lines of logs lost? bring them back and type the same again; 'crossover run SWEEP.toml' \
             trains anew what is missing; --force keeps no old database",
        ));
    }
    let files = rebuilt.damaged.len();
    (files > 0).then(|| {
        Error::failed(format!("{files} records are damaged, and what they said is not known"))
            .hint("'crossover run SWEEP.toml' writes those of its runs again; imports are imported again with --force")
    })
}

/// What was taken in, and every line that could not be read.
pub fn say(ingested: &Ingested) {
    let Ingested { lines, rows, repeated, skipped } = ingested;
    let again = if *repeated > 0 { format!(", {repeated} lines say what was said before") } else { String::new() };
    out::say(format_args!("{lines} lines, {rows} values{again}"));
    for skipped in skipped {
        out::say(format_args!("{}:{}: skipped: {}", skipped.file.display(), skipped.line, skipped.reason));
    }
}
