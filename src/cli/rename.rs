//! `crossover rename`: another name for a sweep or an import of the store.

use std::path::Path;

use super::print_json;
use crate::error::{Error, Result};
use crate::out;
use crate::spec;
use crate::store::{Reader, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover rename quickstart quickstart-old    so that another sweep can have the name
  crossover rename quickstart@1 quickstart-old  a sweep that 'crossover run --replace' put aside
  crossover rename wandb_runs theirs            what 'crossover import' keeps

Runs and results stay as they are. A file whose text the store knows is found under the new name too.")]
pub struct Args {
    /// Its name now, as 'crossover status' lists it
    #[arg(value_name = "OLD")]
    old: String,
    /// Its name from here on
    #[arg(value_name = "NEW")]
    new: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let Args { old, new, json } = args;
    if !spec::is_name(new) {
        return Err(Error::bad_input(format!(
            "'{new}' is no name for a sweep or an import: it names files and is typed"
        ))
        .hint("use letters, digits, - and _, for example quickstart-old"));
    }
    let reader = Reader::open(store)?;
    let is_import = reader.import(old)?.is_some();
    if !is_import {
        reader.sweep(old)?;
    }
    drop(reader);
    let mut store = Store::open(store)?;
    if is_import { store.rename_import(old, new) } else { store.rename(old, new) }?;
    if *json {
        return print_json(&serde_json::json!({"old": old, "new": new}));
    }
    out::line(format_args!("'{old}' is '{new}' now"))
}
