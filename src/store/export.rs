//! Results as data for other programs. Only what a run measured and what it was: no times, no attempts, so the same
//! results are the same bytes, however often they were interrupted.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use super::choice::{Standing, standing};
use super::points::CHOSEN_BY;
use super::query::{Measured, Run, both_names};
use super::sizes::Shapes;
use super::{Reader, Sweep};
use crate::error::{Context, Error, Result};
use crate::model::{Costs, Io};
use crate::point::Axis;
use crate::run::{RunConfig, Settings};

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
    #[serde(flatten, serialize_with = "both_names")]
    curve: &'a str,
    cell: &'a str,
    state: &'a str,
    config: &'a RunConfig,
    io: Io,
    costs: Costs,
    train_flops: f64,
    /// The keys of the model in which the sizes of its curve differ.
    size: Settings,
    /// Absent while a run of its cell has not ended.
    chosen: Option<bool>,
    chosen_over: &'a [Axis],
    metrics: Measured,
}

/// Beside the metrics: what the runs of a sweep are among one another.
struct Among {
    shapes: Shapes,
    standing: BTreeMap<String, Standing>,
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

/// Behind the values: the curve under its own name, whether the run's tuned values were chosen in its cell, the axes
/// over which it stands for its curve; then the keys in which sizes differ.
const ADDED: [&str; 3] = ["curve", "chosen", "chosen_over"];

impl Reader {
    /// Writes all metrics of all runs of a sweep, in the plan's order.
    ///
    /// # Errors
    /// No such sweep; `out` cannot be written; a format that is not there yet.
    pub fn export(&self, sweep: &str, format: Format, out: &mut dyn Write) -> Result<()> {
        let sweep = self.sweep(sweep)?;
        let runs = self.runs(&sweep.name)?;
        let val_loss = self.final_values(&sweep.name, CHOSEN_BY)?;
        let among = Among { shapes: Shapes::of(&runs), standing: standing(&runs, &sweep.tuned, &val_loss) };
        match format {
            Format::Csv => self.export_csv(&sweep, &runs, &among, out),
            Format::Json => self.export_json(&sweep, &runs, &among, out),
            Format::Parquet => Err(Error::bad_input("parquet is not written yet; the formats are csv and json")
                .hint(format!("crossover export {} --format csv, which pandas and polars read", sweep.name))),
        }
    }

    fn export_json(&self, sweep: &Sweep, runs: &[Run], among: &Among, out: &mut dyn Write) -> Result<()> {
        let document = Document {
            sweep: &sweep.name,
            question: sweep.question.as_deref(),
            tuned: &sweep.tuned,
            runs: runs.iter().map(|run| Ok(entry(run, among, self.measured(&run.id)?))).collect::<Result<_>>()?,
        };
        serde_json::to_writer_pretty(&mut *out, &document).context(|| "cannot write the export")?;
        writeln!(out).context(|| "cannot write the export")
    }

    fn export_csv(&self, sweep: &Sweep, runs: &[Run], among: &Among, out: &mut dyn Write) -> Result<()> {
        let more: Vec<&String> = sweep.tuned.iter().filter(|key| !COLUMNS.contains(&key.as_str())).collect();
        let mut header: Vec<String> = COLUMNS.map(String::from).into();
        header.extend(more.iter().map(|key| field(key)));
        // Later columns come last, so that those of the first release stay where they are.
        let has = |key: &&str| !COLUMNS.contains(key) && !sweep.tuned.iter().any(|tuned| tuned == key);
        let sizes: Vec<&str> = among.shapes.keys().into_iter().filter(has).collect();
        let last: Vec<String> = ADDED.iter().chain(&sizes).map(|name| field(name)).collect();
        writeln!(out, "{},step,metric,value,{}", header.join(","), last.join(","))
            .context(|| "cannot write the export")?;
        for run in runs {
            let mut fields = fixed_fields(run);
            fields.extend(more.iter().map(|key| run.setting(key).map(|value| text(&value)).unwrap_or_default()));
            let (fixed, last) = (fields.join(","), added_fields(run, among, &sizes).join(","));
            let mut values: Vec<_> = self
                .measured(&run.id)?
                .into_iter()
                .flat_map(|(metric, values)| values.into_iter().map(move |(step, value)| (step, metric.clone(), value)))
                .collect();
            values.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            if values.is_empty() {
                writeln!(out, "{fixed},,,,{last}").context(|| "cannot write the export")?;
            }
            for (step, metric, value) in values {
                writeln!(out, "{fixed},{step},{},{},{last}", field(&metric), number(value))
                    .context(|| "cannot write the export")?;
            }
        }
        Ok(())
    }
}

fn entry<'a>(run: &'a Run, among: &'a Among, metrics: Measured) -> Entry<'a> {
    let standing = among.standing.get(&run.id);
    Entry {
        id: &run.id,
        curve: &run.curve,
        cell: &run.cell,
        state: run.state.word(),
        config: &run.config,
        io: run.io,
        costs: run.costs,
        train_flops: run.train_flops,
        size: among.shapes.size(&run.curve, &run.config.model),
        chosen: standing.map(|standing| standing.chosen),
        chosen_over: standing.map_or(&[], |standing| &standing.over),
        metrics,
    }
}

/// In the order of `COLUMNS`.
fn fixed_fields(run: &Run) -> Vec<String> {
    let config = &run.config;
    let setting = |key| run.setting(key).map(|value| text(&value)).unwrap_or_default();
    vec![
        run.id.clone(),
        field(&run.curve),
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

/// In the order of `ADDED`, and the keys in which sizes differ.
fn added_fields(run: &Run, among: &Among, sizes: &[&str]) -> Vec<String> {
    let standing = among.standing.get(&run.id);
    let over = standing.into_iter().flat_map(|standing| &standing.over).map(ToString::to_string);
    let mut fields = vec![
        field(&run.curve),
        standing.map_or(String::new(), |standing| standing.chosen.to_string()),
        over.collect::<Vec<_>>().join(" "),
    ];
    let value = |key: &&str| run.config.model.settings.get(*key).map(text).unwrap_or_default();
    fields.extend(sizes.iter().map(value));
    fields
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
