//! `crossover import`: a file or the logs of other programs become a study of the store.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::input::Reading;
use super::print_json;
use super::typed::typed;
use crate::error::Result;
use crate::out;
use crate::store::Store;
use crate::study::import;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover import runs.csv --by arch
  crossover import wandb/ --name theirs --column examples=tokens
  crossover import evals.parquet --name evals --metric accuracy --rising --where 'task=mmlu'
  crossover fit quickstart theirs --x data       theirs beside ours")]
pub struct Args {
    /// What to import: a file that 'fit --file' reads, or a folder of TensorBoard's or W&B's logs
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Name of the study [default: the file's, without its endings]
    #[arg(long)]
    name: Option<String>,
    /// Replace an import of this name
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    /// False where the same was there already.
    new: bool,
    points: usize,
    curves: &'a [String],
    notes: &'a [String],
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let prepared = import::prepare(args.reading.asked(&args.path), args.name.as_deref())?;
    let name = &prepared.record.name;
    let new = Store::open(store)?.import(&prepared.record, &prepared.bytes, args.force)?;
    prepared.notes.iter().for_each(out::say);
    if args.json {
        let import::Prepared { points, curves, notes, .. } = &prepared;
        return print_json(&Report { name, new, points: *points, curves, notes });
    }
    let curves = prepared.curves.join(", ");
    match new {
        true => out::line(format_args!("imported {} points of {curves} as '{name}'", prepared.points))?,
        false => out::line(format_args!("'{name}' is there already: {} points of {curves}", prepared.points))?,
    }
    out::line(typed(&format!("crossover fit {name}"), store))
}
