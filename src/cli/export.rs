//! `crossover export`: all metrics of a sweep, for other programs. Equal results give equal bytes.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::given::Given;
use crate::error::{Context, Result};
use crate::store::Format;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover export quickstart --format csv > quickstart.csv
  crossover export quickstart --format json | jq '.runs[0]'")]
pub struct Args {
    /// A sweep's name or file
    #[arg(value_name = "SWEEP")]
    sweep: String,
    /// Format of stdout
    #[arg(long, value_enum)]
    format: Format,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let given = Given::new(&args.sweep, store)?;
    given.reader(store)?.export(&given.name, args.format, &mut out)?;
    out.flush().context(|| "cannot write to stdout")
}
