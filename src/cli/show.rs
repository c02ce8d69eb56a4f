//! `crossover show`: one run, whole: its config, its attempts, its metrics.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ingest::told_without_log;
use super::print_json;
use super::table::table;
use crate::error::Result;
use crate::event::Outcome;
use crate::out;
use crate::store::{Attempt, BadLines, Measured, Place, Reader, Run, State};
use crate::units::{duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover show 52bc05cd
  crossover show 52bc05cd1cc7c637 --json | jq .metrics.test_loss
  crossover show 52bc05cd --log          why its attempts failed, and its worker's last words")]
pub struct Args {
    /// Run id, or as much of its beginning as is unique
    #[arg(value_name = "RUN")]
    run: String,
    /// Show what its failed attempts left: reasons, and the log that was kept of its worker, or all that its script printed
    #[arg(long)]
    log: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// With the curve and the cell that it has in the first of its sweeps.
    #[serde(flatten)]
    run: Run,
    sweeps: Vec<String>,
    places: Vec<Place>,
    history: Vec<Attempt>,
    metrics: Measured,
    #[serde(flatten)]
    bad_lines: BadLines,
    /// It has ended, and its log is gone.
    without_log: bool,
}

/// With --log.
#[derive(Serialize)]
struct Log {
    id: String,
    /// Attempts that failed or said no end.
    failures: Vec<Attempt>,
    /// What was kept of the worker's log, and where it is.
    log: Option<String>,
    file: PathBuf,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    let mut run = reader.run(&args.run)?;
    if args.log {
        return log(&reader, run, args.json);
    }
    let (id, places) = (run.id.clone(), reader.places_of(&run.id)?);
    if let Some(first) = places.first() {
        (run.curve, run.cell) = (first.curve.clone(), first.cell.clone());
    }
    let (sweeps, history, metrics) = (reader.sweeps_of(&id)?, reader.attempts(&id)?, reader.measured(&id)?);
    let bad_lines = reader.bad_lines(&id)?;
    let ended = run.state.is_final().then_some(id.as_str());
    let without_log = reader.without_log_among(ended);
    let report = Report { run, sweeps, places, history, metrics, bad_lines, without_log: !without_log.is_empty() };
    if args.json {
        return print_json(&report);
    }
    print_config(&report)?;
    print_attempts(&report.history)?;
    print_metrics(&report.metrics)?;
    if let Some(told) = bad_lines.told() {
        out::line(told)?;
    }
    told_without_log(&without_log).map_or(Ok(()), out::line)?;
    out::line(format_args!("folder  {}", reader.run_folder(&id).display()))
}

fn log(reader: &Reader, run: Run, json: bool) -> Result<()> {
    let failed = |attempt: &Attempt| matches!(attempt.outcome, None | Some(Outcome::Failed { .. }));
    let failures: Vec<Attempt> = reader.attempts(&run.id)?.into_iter().filter(failed).collect();
    let (log, file) = reader.worker_log(&run.id)?;
    let log = Log { id: run.id, failures, log, file };
    if json {
        return print_json(&log);
    }
    for Attempt { attempt, device, host, outcome, .. } in &log.failures {
        let known = |text: &Option<String>| text.clone().unwrap_or("-".into());
        let why = match outcome {
            Some(Outcome::Failed { reason }) => format!("failed: {reason}"),
            _ => "wrote no end: it is under way, or was killed".into(),
        };
        out::line(format_args!("attempt {attempt} on {} of {}: {why}", known(device), known(host)))?;
    }
    match &log.log {
        Some(text) => out::line(format_args!("\n{}\n{}", log.file.display(), text.trim_end())),
        None => out::line(format_args!("run {}: no log of a worker was kept", log.id)),
    }
}

fn print_config(report: &Report) -> Result<()> {
    let Report { run, sweeps, .. } = report;
    let state = match &run.state {
        State::Stopped { step } => format!("stopped at step {step}"),
        State::Diverged { step } => format!("diverged at step {step}"),
        State::Failed { reason } => format!("failed: {reason}"),
        state => state.word().replace('_', " "),
    };
    let train = run.config.train.keys();
    let settings = |name: &str, pairs: &mut dyn Iterator<Item = (&String, &serde_json::Value)>| {
        let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        format!("{name} {}", pairs.join(" "))
    };
    let lines = [
        ("run", run.id.clone()),
        ("state", state),
        ("sweeps", sweeps.join(", ")),
        ("curve", run.curve.clone()),
        ("cell", run.cell.clone()),
        ("model", settings(&run.config.model.name, &mut run.config.model.settings.iter())),
        ("task", settings(&run.config.task.name, &mut run.config.task.settings.iter())),
        ("train", settings("", &mut train.iter()).trim_start().to_owned()),
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
    lines.iter().try_for_each(|(name, text)| out::line(format_args!("{name:<7} {text}")))
}

fn print_attempts(attempts: &[Attempt]) -> Result<()> {
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
    out::line(format_args!("\n{}", table(&header, &["device", "host", "outcome"], rows)))
}

/// A column for each metric, a row for each step that was evaluated.
fn print_metrics(metrics: &Measured) -> Result<()> {
    let mut steps: Vec<u64> = metrics.values().flatten().map(|(step, _)| *step).collect();
    steps.sort_unstable();
    steps.dedup();
    let header: Vec<&str> = std::iter::once("step").chain(metrics.keys().map(String::as_str)).collect();
    let rows = steps.iter().map(|step| {
        let at = |values: &Vec<(u64, f64)>| values.iter().find(|(at, _)| at == step).map(|(_, value)| *value);
        let values = metrics.values().map(|values| at(values).map_or("-".into(), |value| format!("{value:.4}")));
        std::iter::once(step.to_string()).chain(values).collect()
    });
    out::line(format_args!("\n{}\n", table(&header, &[], rows)))
}
