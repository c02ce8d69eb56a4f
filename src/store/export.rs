//! Results as data for other programs. Only what a run measured and what it was: no times, no attempts, so the same
//! results are the same bytes, however often they were interrupted.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use super::query::{Measured, Run};
use super::{Reader, Sweep};
use crate::error::{Context, Error, Result};
use crate::model::{Costs, Io};
use crate::run::RunConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One row a value; one row without step, metric and value for a run that has none.
    Csv,
    /// One document: the sweep, its runs with configs and costs, and `[step, value]` pairs for each metric.
    Json,
    /// Not written yet.
    Parquet,
}

#[derive(Serialize)]
struct Document<'a> {
    sweep: &'a str,
    question: Option<&'a str>,
    tuned: &'a [String],
    runs: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    label: &'a str,
    cell: &'a str,
    state: &'a str,
    config: &'a RunConfig,
    io: Io,
    costs: Costs,
    train_flops: f64,
    metrics: Measured,
}

const COLUMNS: [&str; 17] = [
    "run",
    "label",
    "arch",
    "task",
    "params",
    "active_params",
    "forward_flops",
    "train_flops",
    "examples",
    "steps",
    "batch",
    "lr",
    "weight_decay",
    "schedule",
    "seed",
    "state",
    "cell",
];

impl Reader {
    /// Writes all metrics of all runs of a sweep, in the plan's order.
    ///
    /// # Errors
    /// No such sweep; `out` cannot be written; a format that is not there yet.
    pub fn export(&self, sweep: &str, format: Format, out: &mut dyn Write) -> Result<()> {
        let sweep = self.sweep(sweep)?;
        let runs = self.runs(&sweep.name)?;
        match format {
            Format::Csv => self.export_csv(&sweep, &runs, out),
            Format::Json => self.export_json(&sweep, &runs, out),
            Format::Parquet => Err(Error::bad_input("parquet is not written yet; the formats are csv and json")
                .hint(format!("crossover export {} --format csv, which pandas and polars read", sweep.name))),
        }
    }

    fn export_json(&self, sweep: &Sweep, runs: &[Run], out: &mut dyn Write) -> Result<()> {
        let document = Document {
            sweep: &sweep.name,
            question: sweep.question.as_deref(),
            tuned: &sweep.tuned,
            runs: runs.iter().map(|run| Ok(entry(run, self.measured(&run.id)?))).collect::<Result<_>>()?,
        };
        serde_json::to_writer_pretty(&mut *out, &document).context(|| "cannot write the export")?;
        writeln!(out).context(|| "cannot write the export")
    }

    fn export_csv(&self, sweep: &Sweep, runs: &[Run], out: &mut dyn Write) -> Result<()> {
        let more: Vec<&String> = sweep.tuned.iter().filter(|key| !COLUMNS.contains(&key.as_str())).collect();
        let mut header: Vec<String> = COLUMNS.map(String::from).into();
        header.extend(more.iter().map(|key| field(key)));
        writeln!(out, "{},step,metric,value", header.join(",")).context(|| "cannot write the export")?;
        for run in runs {
            let mut fields = fixed_fields(run);
            fields.extend(more.iter().map(|key| run.setting(key).map(|value| text(&value)).unwrap_or_default()));
            let fixed = fields.join(",");
            let mut values: Vec<_> = self
                .measured(&run.id)?
                .into_iter()
                .flat_map(|(metric, values)| values.into_iter().map(move |(step, value)| (step, metric.clone(), value)))
                .collect();
            values.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            if values.is_empty() {
                writeln!(out, "{fixed},,,").context(|| "cannot write the export")?;
            }
            for (step, metric, value) in values {
                writeln!(out, "{fixed},{step},{},{}", field(&metric), number(value))
                    .context(|| "cannot write the export")?;
            }
        }
        Ok(())
    }
}

fn entry(run: &Run, metrics: Measured) -> Entry<'_> {
    Entry {
        id: &run.id,
        label: &run.label,
        cell: &run.cell,
        state: run.state.word(),
        config: &run.config,
        io: run.io,
        costs: run.costs,
        train_flops: run.train_flops,
        metrics,
    }
}

/// In the order of `COLUMNS`.
fn fixed_fields(run: &Run) -> Vec<String> {
    let config = &run.config;
    let setting = |key| run.setting(key).map(|value| text(&value)).unwrap_or_default();
    vec![
        run.id.clone(),
        field(&run.label),
        field(&config.model.name),
        field(&config.task.name),
        run.costs.params.to_string(),
        run.costs.active_params.to_string(),
        run.costs.forward_flops.to_string(),
        number(run.train_flops),
        config.examples.to_string(),
        config.steps.to_string(),
        config.train.batch.to_string(),
        number(config.train.lr),
        number(config.train.weight_decay),
        setting("schedule"),
        config.seed.to_string(),
        run.state.word().to_string(),
        field(&run.cell),
    ]
}

/// The shortest digits that read back as the same number, as in JSON.
fn number(value: f64) -> String {
    Value::from(value).to_string()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => field(text),
        other => field(&other.to_string()),
    }
}

/// Quoted where RFC 4180 asks for it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}
