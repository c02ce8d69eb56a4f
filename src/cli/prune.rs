//! `crossover prune`: removes what a store can do without, once a person has agreed.

use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use serde::Serialize;

use super::print_json;
use super::table::table;
use crate::error::{Context, Error, Result};
use crate::executor::slurm::{self, Finished};
use crate::out;
use crate::store::{Prunable, Reader, Store, Waste, sums};
use crate::units::bytes;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover prune --dry-run              what could go, and how much room it takes
  crossover prune --only checkpoints     checkpoints of runs that have ended
  crossover prune --sweep quickstart@1   a sweep that was replaced, and its runs that no other sweep names
  crossover prune --sweep theirs         what 'crossover import' kept under this name

It lists what it would remove and asks; --yes does not ask. Results of runs that a sweep names stay.")]
pub struct Args {
    /// Only these [default: all of them]
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Waste>,
    /// A whole sweep instead, by name, with its runs that no other sweep names, or an import; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "only")]
    sweep: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print what would be removed, and remove nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Paths that are shown; JSON has them all.
const SHOWN: usize = 10;

#[derive(Serialize)]
struct Report<'a> {
    items: &'a [Prunable],
    bytes: u64,
    /// Whether they are gone.
    removed: bool,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    if args.dry_run {
        let waste = waste(args, &reader, &slurm::finished(store))?;
        return if args.json { print_json(&report(&waste, false)) } else { out::text(text(&waste)) };
    }
    drop(reader);
    // Nobody trains meanwhile.
    slurm::refuse_while_open(store)?;
    let batches = slurm::finished(store);
    let mut store = Store::open(store)?;
    // What their pilots have done is in the index before they go.
    store.ingest_runs(batches.iter().flat_map(|batch| &batch.runs).map(String::as_str))?;
    let waste = waste(args, store.reader(), &batches)?;
    if !args.json {
        out::text(text(&waste))?;
    }
    let removed = !waste.is_empty() && agreed(args, &waste).map_err(|error| error.with(&report(&waste, false)))?;
    if removed {
        store.prune(&waste)?;
    }
    if args.json {
        return print_json(&report(&waste, removed));
    }
    match (waste.is_empty(), removed) {
        (true, _) => Ok(()),
        (false, true) => out::line(format_args!("removed: {}", bytes(report(&waste, true).bytes))),
        (false, false) => out::line("nothing was removed"),
    }
}

fn waste(args: &Args, reader: &Reader, batches: &[Finished]) -> Result<Vec<Prunable>> {
    if args.sweep.is_empty() {
        let mut waste = reader.waste()?;
        for Finished { id, folder, .. } in batches {
            waste.push(Prunable::of(Waste::Batches, id, folder.clone())?);
        }
        waste.retain(|one| args.only.is_empty() || args.only.contains(&one.what));
        return Ok(waste);
    }
    let mut waste = Vec::new();
    for name in &args.sweep {
        waste.extend(reader.whole_sweep(name)?);
    }
    Ok(waste)
}

fn report(items: &[Prunable], removed: bool) -> Report<'_> {
    Report { items, bytes: items.iter().map(|one| one.bytes).sum(), removed }
}

fn text(waste: &[Prunable]) -> String {
    if waste.is_empty() {
        return "there is nothing to remove\n".into();
    }
    let row = |(what, count, size): (Waste, usize, u64)| vec![called(what).to_owned(), count.to_string(), bytes(size)];
    let mut text = table(&["what", "count", "size"], &["what"], sums(waste).into_iter().map(row)) + "\n";
    for Prunable { path, bytes: size, .. } in waste.iter().take(SHOWN) {
        text += &format!("  {} ({})\n", path.display(), bytes(*size));
    }
    match waste.len().saturating_sub(SHOWN) {
        0 => text,
        more => text + &format!("  and {more} more; --json lists them\n"),
    }
}

fn called(what: Waste) -> &'static str {
    match what {
        Waste::Checkpoints => "checkpoints of runs that have ended",
        Waste::Kept => "what was put aside by 'crossover retry'",
        Waste::Folders => "folders of runs that no other sweep names",
        Waste::Databases => "databases that a rebuild kept",
        Waste::Batches => "batches of Slurm that are over",
        Waste::Sweep => "sweeps",
        Waste::Import => "imports",
    }
}

/// # Errors
/// There is nobody to ask.
fn agreed(args: &Args, waste: &[Prunable]) -> Result<bool> {
    if args.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::bad_input(format!(
            "{} files and folders would be removed, and nobody can be asked",
            waste.len()
        ))
        .hint("--yes removes them without asking, --dry-run only lists them"));
    }
    out::say("Remove them? [y/N]");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context(|| "cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
