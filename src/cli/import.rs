//! `crossover import`: a file or the logs of other programs become a study of the store.

use std::path::{Path, PathBuf};

use super::input::Reading;
use super::typed::typed;
use crate::error::Result;
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
    #[command(flatten)]
    reading: Reading,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let prepared = import::prepare(args.reading.asked(&args.path), args.name.as_deref())?;
    let name = &prepared.record.name;
    let new = Store::open(store)?.import(&prepared.record, &prepared.bytes, args.force)?;
    prepared.notes.iter().for_each(|note| eprintln!("{note}"));
    let curves = prepared.curves.join(", ");
    match new {
        true => println!("imported {} points of {curves} as '{name}'", prepared.points),
        false => println!("'{name}' is there already: {} points of {curves}", prepared.points),
    }
    println!("{}", typed(&format!("crossover fit {name}"), store));
    Ok(())
}
