//! `crossover plan`: what a sweep would train, what it costs, and what was dropped and why.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;

use crate::cli::table::{folded, table};
use crate::cli::{SweepFile, audits, print_json};
use crate::error::{Error, Result};
use crate::estimate::{self, Estimate};
use crate::model;
use crate::out;
use crate::plan::{Dropped, Plan, Planned};
use crate::store::{Difference, Reader, State};
use crate::task::imported::audit::Audit;
use crate::task::present;
use crate::units::{Flops, bytes, duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover plan sweeps/quickstart.toml
  crossover plan sweeps/quickstart.toml --all
  crossover plan sweeps/quickstart.toml --json | jq '.runs | length'

What the store has done already is counted, and what is left costs is said beside what all of it costs.")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepFile,
    /// List every run, not one line per model, data size and budget
    #[arg(long)]
    all: bool,
    /// Do not estimate the time (the first estimate times a few training steps on this machine)
    #[arg(long)]
    no_time: bool,
    /// Workers side by side that the time is estimated for [default: one per core]
    #[arg(long, value_name = "N")]
    slots: Option<std::num::NonZero<usize>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Columns for what a size is: the table stays as wide as a terminal.
const SHAPE: usize = 24;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Of all runs, each trained alone.
    train_flops: Flops,
    /// What it costs when runs of one trunk train it once, and the difference.
    shared_flops: Flops,
    saved_flops: Flops,
    /// Seconds of each run on one slot; none with --no-time.
    run_seconds: Option<&'a [f64]>,
    estimate: Option<Estimate>,
    disk_bytes: u64,
    /// Runs that are done or diverged in the store.
    ended: usize,
    left: &'a Left,
    /// To the sweep of this name in the store, where there is one and it has other runs.
    difference: Option<&'a Difference>,
    /// Tasks whose files have to be fetched before the sweep can be run.
    missing_files: Vec<&'a str>,
    /// What was found in a user's own files, by the set's content.
    audits: &'a BTreeMap<String, Audit>,
}

/// What is not done yet.
#[derive(Serialize)]
struct Left {
    runs: usize,
    /// What runs share, and steps that were done before an interruption, counted once.
    train_flops: Flops,
    /// None with --no-time.
    estimate: Option<Estimate>,
    disk_bytes: u64,
}

/// What the store says of the plan.
#[derive(Default)]
struct Known {
    standing: HashMap<String, (State, u32)>,
    difference: Option<Difference>,
}

impl Known {
    fn of(plan: &Plan, store: &Path) -> Result<Known> {
        if !Reader::exists(store) {
            return Ok(Known::default());
        }
        let reader = Reader::open(store)?;
        Ok(Known {
            standing: reader.standing(plan.runs.iter().map(|run| run.id.as_str()))?,
            difference: reader.difference(plan)?.filter(|difference| !difference.is_none()),
        })
    }

    fn has_ended(&self, run: &Planned) -> bool {
        self.standing.get(&run.id).is_some_and(|(state, _)| state.is_final())
    }

    fn step(&self, run: &Planned) -> Option<u64> {
        (!self.has_ended(run)).then(|| self.standing.get(&run.id).map_or(0, |(state, _)| state.step()))
    }
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let plan = args.sweep.plan()?;
    let known = Known::of(&plan, store)?;
    let slots = match args.slots {
        Some(slots) => slots.get(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let seconds = if args.no_time { None } else { Some(estimate::seconds_per_run(&plan, &plan.runs)?) };
    let estimate = seconds.as_ref().map(|seconds| estimate::estimate(&plan, seconds, slots));
    let rest = match known.standing.is_empty() {
        true => Cow::Borrowed(&plan),
        false => Cow::Owned(plan.left(|run| known.step(run))),
    };
    let left_seconds = if args.no_time { None } else { Some(estimate::seconds_per_run(&plan, &rest.runs)?) };
    let left = Left::of(&rest, left_seconds.as_deref(), slots);
    let missing: Vec<(&str, Error)> =
        tasks(&rest).filter_map(|task| Some((task, present::check(task).err()?))).collect();
    let (audits, found) = audits::of(&plan)?;
    if args.json {
        return print_json(&Report {
            audits: &audits,
            train_flops: plan.train_flops(),
            shared_flops: plan.shared_flops(),
            saved_flops: Flops(plan.train_flops().0 - plan.shared_flops().0),
            run_seconds: seconds.as_deref(),
            estimate,
            disk_bytes: estimate::disk_bytes(&plan, slots),
            ended: plan.runs.len() - left.runs,
            left: &left,
            difference: known.difference.as_ref(),
            missing_files: missing.iter().map(|(task, _)| *task).collect(),
            plan: &plan,
        });
    }
    print_runs(&plan, &known, seconds.as_deref(), args.all)?;
    print_dropped(&plan.dropped)?;
    for (at, (what, text)) in found.iter().enumerate() {
        let heading = if at == 0 { "\ndata:\n" } else { "" };
        out::line(format_args!("{heading}  {what:<10} {text}"))?;
    }
    out::line(format_args!(
        "\n{} runs, {} training FLOPs in all, {} of disk at most",
        plan.runs.len(),
        plan.train_flops(),
        bytes(estimate::disk_bytes(&plan, slots))
    ))?;
    let (alone, shared) = (plan.train_flops().as_f64(), plan.shared_flops().as_f64());
    if shared < alone {
        let share = 100.0 * shared / alone;
        out::line(format_args!("{} training FLOPs with shared trunks, {share:.0}% of that", si(shared)))?;
    }
    if let Some(Estimate { seconds, slots, .. }) = estimate.filter(|estimate| estimate.seconds > 0.0) {
        out::line(format_args!("about {} on {slots} slots of this machine", duration(seconds)))?;
    }
    print_unknown(&plan, args.no_time)?;
    print_left(&plan, &left, store)?;
    say_obstacles(&plan, &known, &missing, store);
    Ok(())
}

fn tasks(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.runs.iter().map(|run| run.config.task.name.as_str()).collect::<BTreeSet<_>>().into_iter()
}

impl Left {
    fn of(rest: &Plan, seconds: Option<&[f64]>, slots: usize) -> Left {
        Left {
            runs: rest.runs.len(),
            train_flops: rest.shared_flops(),
            estimate: seconds.map(|seconds| estimate::estimate(rest, seconds, slots)),
            disk_bytes: estimate::disk_bytes(rest, slots),
        }
    }
}

/// Nothing where nothing is done.
fn print_left(plan: &Plan, left: &Left, store: &Path) -> Result<()> {
    let ended = plan.runs.len() - left.runs;
    let store = store.display();
    match (ended, left) {
        (0, left) if left.train_flops >= plan.shared_flops() => Ok(()),
        (_, Left { runs: 0, .. }) => out::line(format_args!("all of them have ended in {store}")),
        (_, Left { train_flops, estimate, disk_bytes, .. }) => {
            let time = estimate.map_or(String::new(), |estimate| format!(", about {}", duration(estimate.seconds)));
            out::line(format_args!(
                "{ended} of {} have ended in {store}; the rest: {train_flops} training FLOPs, {} of disk{time}",
                plan.runs.len(),
                bytes(*disk_bytes)
            ))
        }
    }
}

/// What 'run' would refuse.
fn say_obstacles(plan: &Plan, known: &Known, missing: &[(&str, Error)], store: &Path) {
    for (_, error) in missing {
        out::say(format_args!("{}; {}", error.message, error.hint.as_deref().unwrap_or_default()));
    }
    let Some(difference) = &known.difference else { return };
    let asks = if difference.loses() { "; 'run' asks for --replace, which keeps both" } else { "" };
    out::say(format_args!("'{}' in {} has other runs: {difference}{asks}", plan.sweep, store.display()));
}

/// One line per cell (or run): tuned values and seeds of a cell are counted, not listed.
fn print_runs(plan: &Plan, known: &Known, seconds: Option<&[f64]>, all: bool) -> Result<()> {
    let some_ended = plan.runs.iter().any(|run| known.has_ended(run));
    let mut header = vec![if all { "run" } else { "runs" }];
    header.extend(some_ended.then_some("ended"));
    header.extend(["model", "shape", "params", "FLOPs\n/example"]);
    header.extend(["examples", "steps", "FLOPs\n/run"]);
    header.extend(if all { &["lr", "seed"][..] } else { &[] });
    let trunks = plan.runs.iter().any(|run| run.shared_steps > 0);
    header.extend(trunks.then_some("shared\nsteps"));
    header.extend(seconds.map(|_| "time\n/run"));
    let mut counts = HashMap::new();
    for run in &plan.runs {
        let count = counts.entry((&run.cell, run.config.steps)).or_insert((0usize, 0usize));
        *count = (count.0 + 1, count.1 + usize::from(known.has_ended(run)));
    }
    let mut rows = Vec::new();
    for (index, run) in plan.runs.iter().enumerate() {
        let own = (1, usize::from(known.has_ended(run)));
        let count = if all { Some(own) } else { counts.remove(&(&run.cell, run.config.steps)) };
        let Some((count, ended)) = count else { continue };
        let mut row = vec![if all { run.id.clone() } else { count.to_string() }];
        row.extend(some_ended.then(|| ended.to_string()));
        row.extend([
            run.label.clone(),
            folded(&shape_text(run)?, SHAPE),
            said(run.costs.params, si(run.costs.params as f64)),
            said(run.costs.forward_flops, si(run.costs.forward_flops as f64)),
            run.config.data().to_string(),
            run.config.steps.to_string(),
            said(run.costs.forward_flops, run.train_flops.to_string()),
        ]);
        if all {
            row.extend([run.config.train.lr.to_string(), run.config.seed.to_string()]);
        }
        row.extend(trunks.then(|| run.shared_steps.to_string()));
        row.extend(seconds.map(|seconds| match seconds[index].is_finite() {
            true => duration(seconds[index]),
            false => UNKNOWN.into(),
        }));
        rows.push(row);
    }
    out::line(table(&header, &["run", "model", "shape"], rows))
}

/// What cannot be said of the scripts that do not say it.
fn print_unknown(plan: &Plan, no_time: bool) -> Result<()> {
    let without = |says: fn(&Planned) -> bool| -> BTreeSet<&str> {
        let scripts = plan.runs.iter().filter(|run| run.config.model.is_script());
        scripts.filter(|run| !says(run)).map(|run| run.label.as_str()).collect()
    };
    let mut unknown = vec![
        ("params", "its place among sizes", without(|run| run.costs.params > 0)),
        ("forward_flops", "its place along compute", without(|run| run.costs.forward_flops > 0)),
    ];
    if !no_time {
        unknown.push(("examples_per_second", "its time", without(|run| run.examples_per_second.is_some())));
    }
    for (key, what, labels) in unknown.into_iter().filter(|(_, _, labels)| !labels.is_empty()) {
        let labels: Vec<&str> = labels.into_iter().collect();
        out::line(format_args!("{}: {what} is not known, since its hello has no `{key}`", labels.join(", ")))?;
    }
    Ok(())
}

/// What a script does not say of itself.
const UNKNOWN: &str = "?";

fn said(count: u64, text: String) -> String {
    if count == 0 { UNKNOWN.into() } else { text }
}

fn shape_text(run: &Planned) -> Result<String> {
    match run.config.model.is_script() {
        true => Ok(model::config::shape_text(&run.shape.keys().map(String::as_str).collect::<Vec<_>>(), &run.shape)),
        false => model::shape_text(&run.config.model),
    }
}

fn print_dropped(dropped: &[Dropped]) -> Result<()> {
    if !dropped.is_empty() {
        out::line("\ndropped:")?;
    }
    dropped.iter().try_for_each(|Dropped { what, reason }| out::line(format_args!("  {what}: {reason}")))
}
