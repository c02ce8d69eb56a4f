//! `crossover retry`: runs that have ended are to do again, from their beginning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::given::Given;
use super::print_json;
use super::typed::typed;
use crate::error::{Error, Result};
use crate::executor::slurm;
use crate::out;
use crate::store::{Reader, State, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover retry quickstart --failed    the failed runs of a sweep
  crossover retry --diverged             every diverged run of the store
  crossover retry 52bc05cd 77c0f1aa      these runs, also where they are done

'crossover run' tries failed runs again by itself, from their checkpoints; this makes runs begin anew. What a run left is
kept within its folder (kept-1, kept-2, …) until 'crossover prune'; its checkpoints are removed.")]
pub struct Args {
    /// With --failed or --diverged sweeps, by name or file [default: all of the store]; else runs, by id or as much of
    /// its beginning as is unique
    #[arg(value_name = "SWEEP|RUN")]
    what: Vec<String>,
    /// Runs whose last attempt failed
    #[arg(long)]
    failed: bool,
    /// Runs whose loss was not finite
    #[arg(long)]
    diverged: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A run that is to do again.
#[derive(Serialize)]
struct Retried {
    run: String,
    was: &'static str,
    /// Where what it left is.
    kept: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    runs: Vec<Retried>,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    // A store that is not there is not made.
    Reader::open(store)?;
    let mut writer = Store::open(store)?;
    writer.ingest()?;
    let runs = if args.failed || args.diverged { ended(args, store)? } else { named(&args.what, writer.reader())? };
    slurm::refuse_taken(store, runs.iter().map(|(run, _)| run.as_str()))?;
    let mut report = Report { runs: Vec::new() };
    for (run, was) in runs {
        let kept = writer.again(&run).map_err(|error| error.with(&report))?;
        report.runs.push(Retried { run, was, kept });
    }
    if args.json {
        return print_json(&report);
    }
    for Retried { run, was, kept } in &report.runs {
        let was = was.replace('_', " ");
        let kept = kept.as_ref().map_or(String::new(), |kept| format!("; what it left is in {}", kept.display()));
        out::line(format_args!("run {run} was {was}, and is to do{kept}"))?;
    }
    match report.runs.len() {
        0 => out::line("there is no such run"),
        1 => out::line(typed("1 run is to do; 'crossover resume' trains it", store)),
        count => out::line(typed(&format!("{count} runs are to do; 'crossover resume' trains them"), store)),
    }
}

/// Runs by id.
fn named(ids: &[String], reader: &Reader) -> Result<BTreeSet<(String, &'static str)>> {
    if ids.is_empty() {
        return Err(Error::bad_input("which runs are to be done again is not said")
            .hint("crossover retry --failed, --diverged, or the ids that 'crossover list' shows"));
    }
    let run = |id: &String| {
        let found = reader.run(id).map_err(|error| match reader.find_sweep(id) {
            Ok(Some(_)) => Error::bad_input(format!("'{id}' is a sweep, and it is not said which of its runs"))
                .hint(format!("'crossover retry {id} --failed', or --diverged, or ids of runs")),
            _ => error,
        })?;
        Ok((found.id, found.state.word()))
    };
    ids.iter().map(run).collect()
}

/// Runs by how they ended, of these sweeps or of all.
fn ended(args: &Args, store: &Path) -> Result<BTreeSet<(String, &'static str)>> {
    let mut found = BTreeSet::new();
    let mut gather = |reader: &Reader, sweep: &str| -> Result<()> {
        let wanted = |state: &State| match state {
            State::Failed { .. } => args.failed,
            State::Diverged { .. } => args.diverged,
            _ => false,
        };
        let runs = reader.runs(sweep)?.into_iter().filter(|run| wanted(&run.state));
        found.extend(runs.map(|run| (run.id, run.state.word())));
        Ok(())
    };
    if args.what.is_empty() {
        let reader = Reader::open(store)?;
        reader.sweeps()?.iter().try_for_each(|sweep| gather(&reader, &sweep.name))?;
    }
    for given in &args.what {
        let given = Given::new(given, store)?;
        gather(&given.reader(store)?, &given.name)?;
    }
    Ok(found)
}
