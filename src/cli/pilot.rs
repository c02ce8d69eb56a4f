//! `crossover pilot`: what a batch script starts; not meant to be typed.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::executor::slurm;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of a batch, in a store
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// That the script is of
    #[arg(long, value_name = "N")]
    submission: u32,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    slurm::pilot::run(&args.folder, args.submission).map(ExitCode::from)
}
