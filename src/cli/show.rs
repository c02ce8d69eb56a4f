//! `crossover show`: one run, whole: its config, its attempts, its metrics.

use std::path::Path;

use serde::Serialize;

use super::print_json;
use super::table::table;
use crate::error::Result;
use crate::event::Outcome;
use crate::store::{Attempt, Measured, Reader, Run, State};
use crate::units::{duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover show 52bc05cd
  crossover show 52bc05cd1cc7c637 --json | jq .metrics.test_loss")]
pub struct Args {
    /// Run id, or as much of its beginning as is unique
    #[arg(value_name = "RUN")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    run: Run,
    sweeps: Vec<String>,
    history: Vec<Attempt>,
    metrics: Measured,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    let run = reader.run(&args.run)?;
    let id = run.id.clone();
    let report =
        Report { sweeps: reader.sweeps_of(&id)?, history: reader.attempts(&id)?, metrics: reader.measured(&id)?, run };
    if args.json {
        return print_json(&report);
    }
    print_config(&report);
    print_attempts(&report.history);
    print_metrics(&report.metrics);
    println!("folder  {}", reader.run_folder(&id).display());
    Ok(())
}

fn print_config(report: &Report) {
    let Report { run, sweeps, .. } = report;
    let state = match &run.state {
        State::Stopped { step } => format!("stopped at step {step}"),
        State::Diverged { step } => format!("diverged at step {step}"),
        State::Failed { reason } => format!("failed: {reason}"),
        state => state.word().replace('_', " "),
    };
    let train = serde_json::to_value(&run.config.train).unwrap_or_default();
    let train = train.as_object().into_iter().flatten();
    let settings = |name: &str, pairs: &mut dyn Iterator<Item = (&String, &serde_json::Value)>| {
        let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        format!("{name} {}", pairs.join(" "))
    };
    let lines = [
        ("run", run.id.clone()),
        ("state", state),
        ("sweeps", sweeps.join(", ")),
        ("model", settings(&run.config.model.name, &mut run.config.model.settings.iter())),
        ("task", settings(&run.config.task.name, &mut run.config.task.settings.iter())),
        ("train", settings("", &mut train.into_iter()).trim_start().to_owned()),
        ("data", format!("{} examples, {} steps, seed {}", run.config.examples, run.config.steps, run.config.seed)),
        (
            "cost",
            format!(
                "{} params, {} FLOPs per example forward, {} training FLOPs",
                si(run.costs.params as f64),
                si(run.costs.forward_flops as f64),
                si(run.train_flops)
            ),
        ),
    ];
    for (name, text) in lines {
        println!("{name:<7} {text}");
    }
}

fn print_attempts(attempts: &[Attempt]) {
    let rows = attempts.iter().map(|attempt| {
        let outcome = match &attempt.outcome {
            None => "no end was written".into(),
            Some(Outcome::Done) => "done".into(),
            Some(Outcome::Diverged { step }) => format!("diverged at step {step}"),
            Some(Outcome::Stopped { step }) => format!("stopped at step {step}"),
            Some(Outcome::Failed { reason }) => format!("failed: {reason}"),
        };
        vec![
            attempt.attempt.to_string(),
            attempt.from_step.map_or("-".into(), |step| step.to_string()),
            attempt.seconds.map_or("-".into(), duration),
            attempt.examples_per_second.map_or("-".into(), si),
            attempt.device.clone().unwrap_or("-".into()),
            attempt.host.clone().unwrap_or("-".into()),
            outcome,
        ]
    });
    let header = ["attempt", "from step", "time", "examples/s", "device", "host", "outcome"];
    println!("\n{}", table(&header, &["device", "host", "outcome"], rows));
}

/// A column for each metric, a row for each step that was evaluated.
fn print_metrics(metrics: &Measured) {
    let mut steps: Vec<u64> = metrics.values().flatten().map(|(step, _)| *step).collect();
    steps.sort_unstable();
    steps.dedup();
    let header: Vec<&str> = std::iter::once("step").chain(metrics.keys().map(String::as_str)).collect();
    let rows = steps.iter().map(|step| {
        let at = |values: &Vec<(u64, f64)>| values.iter().find(|(at, _)| at == step).map(|(_, value)| *value);
        let values = metrics.values().map(|values| at(values).map_or("-".into(), |value| format!("{value:.4}")));
        std::iter::once(step.to_string()).chain(values).collect()
    });
    println!("\n{}\n", table(&header, &[], rows));
}
