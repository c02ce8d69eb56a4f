//! `crossover status`: how far sweeps are, what failed and why, how long it will take.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::given::Given;
use super::print_json;
use super::table::table;
use super::typed::{DEFAULT, typed};
use crate::error::Result;
use crate::out;
use crate::store::{Reader, Summary, is_replaced};
use crate::units::{duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover status
  crossover status quickstart --watch
  crossover status quickstart --json | jq '.[0].counts'")]
pub struct Args {
    /// A sweep's name or file [default: all sweeps of the store]
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    /// Show it again every second (every ten when stdout is not a terminal) until nothing is left to do
    #[arg(long)]
    watch: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "watch")]
    json: bool,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let given = args.sweep.as_deref().map(|sweep| Given::new(sweep, store)).transpose()?;
    loop {
        let summaries = summaries(given.as_ref(), store)?;
        if args.json {
            return print_json(&summaries);
        }
        let text = shown(&summaries, store) + &imports(args, store)?;
        let clear = if args.watch && out::is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        out::text(format_args!("{clear}{text}"))?;
        // What was replaced waits until it is named.
        let awaited = summaries.iter().filter(|one| given.is_some() || !is_replaced(&one.sweep));
        let left = awaited.map(|one| one.counts.running + one.counts.interrupted + one.counts.to_do).sum::<usize>() > 0;
        if !args.watch || !left {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(if out::is_terminal() { 1 } else { 10 }));
    }
}

/// The store that nothing names has no sweeps where it does not exist; one that was named has to be there, as a sweep has.
fn summaries(given: Option<&Given>, store: &Path) -> Result<Vec<Summary>> {
    if let Some(given) = given {
        return Ok(vec![given.reader(store)?.summary(&given.name)?]);
    }
    if !Reader::exists(store) && store == Path::new(DEFAULT) {
        return Ok(Vec::new());
    }
    let reader = Reader::open(store)?;
    reader.sweep_names()?.iter().map(|sweep| reader.summary(sweep)).collect()
}

/// What other programs measured; nothing where one sweep is asked for.
fn imports(args: &Args, store: &Path) -> Result<String> {
    if args.sweep.is_some() || !Reader::exists(store) {
        return Ok(String::new());
    }
    let imports = Reader::open(store)?.imports()?;
    Ok(imports.iter().map(|import| format!("imported: {} from {}\n", import.name, import.source)).collect())
}

fn shown(summaries: &[Summary], store: &Path) -> String {
    if summaries.is_empty() {
        let none = format!("no sweeps in {} yet; 'crossover run SWEEP.toml' starts one\n", store.display());
        return typed(&none, store);
    }
    let header =
        ["sweep", "runs", "done", "running", "interrupted", "to do", "diverged", "failed", "FLOP/s", "time left"];
    let rows = summaries.iter().map(|one| {
        let counts = one.counts;
        let states =
            [one.runs, counts.done, counts.running, counts.interrupted, counts.to_do, counts.diverged, counts.failed];
        let mut row = vec![one.sweep.clone()];
        row.extend(states.map(|count| count.to_string()));
        row.push(one.flops_per_second.map_or("-".into(), si));
        row.push(one.seconds_left.map_or("-".into(), duration));
        row
    });
    let mut text = table(&header, &["sweep"], rows) + "\n";
    for one in summaries {
        for failure in &one.failures {
            let attempts = if failure.attempts == 1 { "attempt" } else { "attempts" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{}: run {} ({}) after {} {attempts}: {}",
                one.sweep, failure.run, failure.curve, failure.attempts, failure.reason
            );
        }
        if let Some(told) = one.bad_lines.told() {
            let _ = writeln!(text, "{}: {told}", one.sweep);
        }
        if one.deleted > 0 {
            let _ =
                writeln!(text, "{}: the folders of {} runs were deleted: they are to do again", one.sweep, one.deleted);
        }
    }
    text
}
