//! `crossover export`: all metrics of a sweep, for other programs.

use std::path::Path;

use super::given::Given;
use crate::error::{Error, Result};
use crate::out;
use crate::store::{Export, Format};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover export quickstart --format csv > quickstart.csv
  crossover export quickstart --format parquet > quickstart.parquet
  crossover export quickstart --format json | jq '.runs[0]'")]
pub struct Args {
    /// A sweep's name or file
    #[arg(value_name = "SWEEP")]
    sweep: String,
    /// Format of stdout
    #[arg(long, value_enum)]
    format: Format,
    /// Leave out seconds, examples per second and devices: then equal results are equal bytes
    #[arg(long)]
    no_times: bool,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let given = Given::new(&args.sweep, store)?;
    let (reader, sweep) = (given.reader(store)?, given.name);
    let asked = Export { format: args.format, times: !args.no_times };
    if asked.format == Format::Parquet && out::is_terminal() {
        return Err(Error::bad_input("Parquet is bytes that a terminal cannot show")
            .hint(format!("crossover export {} --format parquet > {sweep}.parquet", given.typed)));
    }
    out::stream(|out| reader.export(&sweep, asked, out))
}
