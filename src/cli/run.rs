//! `crossover run` and `crossover resume`: do what is not done yet.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::{SweepFile, load_plan, print_json, sweep_name};
use crate::error::{Error, Result};
use crate::executor::display::Display;
use crate::executor::{self, Decision, Options, Tally};
use crate::plan::Plan;
use crate::store::{Reader, Store};
use crate::units::si;

/// As a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover run sweeps/quickstart.toml
  crossover run sweeps/quickstart.toml --dry-run
  crossover run sweeps/quickstart.toml --devices cuda:0,cuda:1 --pack 16

Ctrl-C once writes checkpoints and stops, twice kills. The same command goes on where it stopped.")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepFile,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover resume               every sweep of the store that is not finished
  crossover resume quickstart")]
pub struct ResumeArgs {
    /// A sweep's name or file [default: every unfinished sweep of the store]
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
struct How {
    #[command(flatten)]
    options: Options,
    /// Who runs the workers
    #[arg(long, value_enum, default_value_t = Executor::Local)]
    executor: Executor,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: with --dry-run the decision, else how it went
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Executor {
    /// This machine
    Local,
    /// A cluster
    Slurm,
}

#[derive(Serialize)]
struct Report<'a> {
    sweep: &'a str,
    runs: usize,
    #[serde(flatten)]
    tally: Tally,
}

pub fn run(args: &Args, store: &Path) -> Result<ExitCode> {
    let plan = args.sweep.plan()?;
    for dropped in &plan.dropped {
        eprintln!("dropped: {}: {}", dropped.what, dropped.reason);
    }
    execute(&[plan], &args.how, store)
}

pub fn resume(args: &ResumeArgs, store: &Path) -> Result<ExitCode> {
    let reader = Reader::open(store)?;
    let sweeps = match &args.sweep {
        Some(sweep) => vec![reader.sweep(&sweep_name(sweep)?)?],
        None => reader.sweeps()?.into_iter().filter(|sweep| sweep.ended < sweep.runs).collect(),
    };
    if sweeps.is_empty() {
        eprintln!("every sweep in {} is finished", store.display());
    }
    let plan = |sweep: &crate::store::Sweep| load_plan(&sweep.source, &format!("{} (as stored)", sweep.name));
    execute(&sweeps.iter().map(plan).collect::<Result<Vec<_>>>()?, &args.how, store)
}

/// Sweep after sweep, until one is interrupted.
fn execute(plans: &[Plan], how: &How, store: &Path) -> Result<ExitCode> {
    if how.executor == Executor::Slurm {
        return Err(Error::bad_input("--executor slurm is not there yet; this version trains on one machine")
            .hint("leave it out, inside an allocation too: 'srun crossover run SWEEP.toml'"));
    }
    if how.dry_run {
        return dry_run(plans, how, store);
    }
    if plans.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut store = Store::open(store)?;
    let mut failure = None;
    for plan in plans {
        let mut display = Display::default();
        let tally = executor::run(&mut store, plan, &how.options, &mut display);
        display.finish();
        let tally = tally?;
        if how.json {
            print_json(&Report { sweep: &plan.sweep, runs: plan.runs.len(), tally })?;
        }
        if tally.interrupted {
            eprintln!("interrupted; 'crossover resume {}' goes on from here", plan.sweep);
            return Ok(ExitCode::from(INTERRUPTED));
        }
        failure = failure.or(tally.into_result(&plan.sweep).err());
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn dry_run(plans: &[Plan], how: &How, store: &Path) -> Result<ExitCode> {
    let reader = if Reader::exists(store) { Some(Reader::open(store)?) } else { None };
    for plan in plans {
        let decision = executor::decide(plan, reader.as_ref(), &how.options)?;
        if how.json {
            print_json(&decision)?;
        } else {
            print_decision(&decision);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_decision(decision: &Decision) {
    let Decision { sweep, runs, ended, slots, jobs, notes, .. } = decision;
    notes.iter().for_each(|note| eprintln!("{note}"));
    println!("{sweep}: {runs} runs, {ended} ended, {} to do in {} jobs", runs - ended, jobs.len());
    for (number, slot) in slots.iter().enumerate() {
        let cores = match slot.cores.as_slice() {
            [] => String::new(),
            cores => format!(" on cores {}", cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
        };
        println!("slot {number}: {}, {} threads{cores}", slot.device, slot.threads);
    }
    for (number, job) in jobs.iter().enumerate() {
        println!("job {number}: {} training FLOPs", si(job.train_flops()));
        for run in &job.runs {
            let config = &run.config;
            let branch = match run.shared_steps {
                0 => String::new(),
                steps => format!(", branches off after {steps}"),
            };
            println!(
                "  {} {}, {} examples, {} steps{branch}, lr {}, seed {}, attempt {}",
                run.id, run.label, config.examples, config.steps, config.train.lr, config.seed, run.attempt
            );
        }
    }
}
