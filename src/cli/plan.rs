//! `crossover plan`: what a sweep would train, what it costs, and what was dropped and why.

use std::collections::HashMap;

use serde::Serialize;

use crate::cli::table::{folded, table};
use crate::cli::{SweepFile, print_json};
use crate::error::Result;
use crate::estimate::{self, Estimate};
use crate::model;
use crate::plan::{Dropped, Plan};
use crate::units::{Flops, bytes, duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover plan sweeps/quickstart.toml
  crossover plan sweeps/quickstart.toml --all
  crossover plan sweeps/quickstart.toml --json | jq '.runs | length'")]
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
}

pub fn run(args: &Args) -> Result<()> {
    let plan = args.sweep.plan()?;
    let slots = match args.slots {
        Some(slots) => slots.get(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let seconds = if args.no_time { None } else { Some(estimate::seconds_per_run(&plan)?) };
    let estimate = seconds.as_ref().map(|seconds| estimate::estimate(&plan, seconds, slots));
    if args.json {
        return print_json(&Report {
            train_flops: plan.train_flops(),
            shared_flops: plan.shared_flops(),
            saved_flops: Flops(plan.train_flops().0 - plan.shared_flops().0),
            run_seconds: seconds.as_deref(),
            estimate,
            disk_bytes: estimate::disk_bytes(&plan, slots),
            plan: &plan,
        });
    }
    print_runs(&plan, seconds.as_deref(), args.all)?;
    print_dropped(&plan.dropped);
    println!(
        "\n{} runs, {} training FLOPs in all, {} of disk at most",
        plan.runs.len(),
        plan.train_flops(),
        bytes(estimate::disk_bytes(&plan, slots))
    );
    let (alone, shared) = (plan.train_flops().as_f64(), plan.shared_flops().as_f64());
    if shared < alone {
        println!("{} training FLOPs with shared trunks, {:.0}% of that", si(shared), 100.0 * shared / alone);
    }
    if let Some(estimate) = estimate {
        println!("about {} on {} slots of this machine", duration(estimate.seconds), estimate.slots);
    }
    Ok(())
}

/// One line per cell (or run): tuned values and seeds of a cell are counted, not listed.
fn print_runs(plan: &Plan, seconds: Option<&[f64]>, all: bool) -> Result<()> {
    let mut header = vec![if all { "run" } else { "runs" }, "model", "shape", "params", "FLOPs\n/example"];
    header.extend(["examples", "steps", "FLOPs\n/run"]);
    header.extend(if all { &["lr", "seed"][..] } else { &[] });
    let trunks = plan.runs.iter().any(|run| run.shared_steps > 0);
    header.extend(trunks.then_some("shared\nsteps"));
    header.extend(seconds.map(|_| "time\n/run"));
    let mut counts = HashMap::new();
    for run in &plan.runs {
        *counts.entry((&run.cell, run.config.steps)).or_insert(0usize) += 1;
    }
    let mut rows = Vec::new();
    for (index, run) in plan.runs.iter().enumerate() {
        let count = if all { Some(0) } else { counts.remove(&(&run.cell, run.config.steps)) };
        let Some(count) = count else { continue };
        let mut row = vec![
            if all { run.id.clone() } else { count.to_string() },
            run.label.clone(),
            folded(&model::shape_text(&run.config.model)?, SHAPE),
            si(run.costs.params as f64),
            si(run.costs.forward_flops as f64),
            run.config.data().to_string(),
            run.config.steps.to_string(),
            run.train_flops.to_string(),
        ];
        if all {
            row.extend([run.config.train.lr.to_string(), run.config.seed.to_string()]);
        }
        row.extend(trunks.then(|| run.shared_steps.to_string()));
        row.extend(seconds.map(|seconds| duration(seconds[index])));
        rows.push(row);
    }
    println!("{}", table(&header, &["run", "model", "shape"], rows));
    Ok(())
}

fn print_dropped(dropped: &[Dropped]) {
    if !dropped.is_empty() {
        println!("\ndropped:");
    }
    for Dropped { what, reason } in dropped {
        println!("  {what}: {reason}");
    }
}
