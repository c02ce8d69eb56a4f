//! `crossover status`: how far sweeps are, what failed and why, how long it will take.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::given::Given;
use super::ingest::told_without_log;
use super::table::table;
use super::typed::{DEFAULT, typed};
use super::{print_json, slurm as told};
use crate::error::Result;
use crate::executor::slurm::{self, View};
use crate::out;
use crate::store::{Reader, Summary, is_replaced};
use crate::units::{duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover status
  crossover status quickstart --watch
  crossover status quickstart --json | jq '.[0].counts'

Where pilots of Slurm train it takes in what they have done, and submits again what was lost.")]
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
        let views = slurm::look_after(store, &|_| true, &mut |line| out::say(line))?;
        let summaries = summaries(given.as_ref(), store, &views)?;
        if args.json {
            return print_json(&summaries);
        }
        let mut text = shown(&summaries, store) + &imports(args, store)?;
        text += &told::nodes(&slurm::failed_nodes(store), store);
        let clear = if args.watch && out::is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        out::text(format_args!("{clear}{text}"))?;
        // What was replaced waits until it is named.
        let awaited = summaries.iter().map(|one| &one.summary);
        let awaited = awaited.filter(|one| given.is_some() || !is_replaced(&one.sweep));
        let left = awaited.map(|one| one.counts.running + one.counts.interrupted + one.counts.to_do).sum::<usize>() > 0;
        if !args.watch || !left {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(if out::is_terminal() { 1 } else { 10 }));
    }
}

/// A sweep, and the batches of pilots that train it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slurm: Vec<View>,
    /// Runs that have ended and whose log is gone, of a sweep that was named: it takes a look at each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_log: Vec<String>,
}

/// Runs of a sweep beyond which `ingest` alone looks for the log of each.
const LOOKED_AT: usize = 2000;

/// The store that nothing names has no sweeps where it does not exist; one that was named has to be there, as a sweep has.
fn summaries(given: Option<&Given>, store: &Path, views: &[View]) -> Result<Vec<Shown>> {
    let held = |run: &str| views.iter().any(|view| view.held.contains(run));
    let shown = |reader: &Reader, sweep: &str| {
        let summary = reader.summary_with(sweep, &held)?;
        let is_of = |view: &&View| summary.members.iter().any(|member| view.left.contains(&member.run));
        let slurm = views.iter().filter(is_of).cloned().collect();
        let ended = summary.members.iter().filter(|member| ["done", "diverged"].contains(&member.state));
        let without_log = match given.is_some() && summary.runs <= LOOKED_AT {
            true => reader.without_log_among(ended.map(|member| member.run.as_str())),
            false => Vec::new(),
        };
        Ok(Shown { summary, slurm, without_log })
    };
    if let Some(given) = given {
        return Ok(vec![shown(&given.reader(store)?, &given.name)?]);
    }
    if !Reader::exists(store) && store == Path::new(DEFAULT) {
        return Ok(Vec::new());
    }
    let reader = Reader::open(store)?;
    reader.sweep_names()?.iter().map(|sweep| shown(&reader, sweep)).collect()
}

/// What other programs measured; nothing where one sweep is asked for.
fn imports(args: &Args, store: &Path) -> Result<String> {
    if args.sweep.is_some() || !Reader::exists(store) {
        return Ok(String::new());
    }
    let imports = Reader::open(store)?.imports()?;
    Ok(imports.iter().map(|import| format!("imported: {} from {}\n", import.name, import.source)).collect())
}

fn shown(summaries: &[Shown], store: &Path) -> String {
    if summaries.is_empty() {
        let none = format!("no sweeps in {} yet; 'crossover run SWEEP.toml' starts one\n", store.display());
        return typed(&none, store);
    }
    let header =
        ["sweep", "runs", "done", "running", "interrupted", "to do", "diverged", "failed", "FLOP/s", "time left"];
    let rows = summaries.iter().map(|Shown { summary: one, .. }| {
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
    for Shown { summary: one, slurm, without_log } in summaries {
        text += &told::told(&one.sweep, slurm);
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
        if let Some(told) = told_without_log(without_log) {
            let _ = writeln!(text, "{}: {told}", one.sweep);
        }
        if one.deleted > 0 {
            let _ =
                writeln!(text, "{}: the folders of {} runs were deleted: they are to do again", one.sweep, one.deleted);
        }
    }
    text
}
