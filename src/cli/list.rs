//! `crossover list`: the runs of the store as a table, with a filter and an order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::given::Given;
use super::print_json;
use super::table::table;
use crate::error::{Error, Result};
use crate::out;
use crate::store::{Reader, Run, Timing};
use crate::study::file::Table;
use crate::study::file::filter::{self, Filter};
use crate::study::rows::shown;
use crate::units::{brief, duration, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover list
  crossover list quickstart --where state=failed
  crossover list quickstart --where curve=vit --where 'examples>=4000' --sort test_loss
  crossover list --json | jq -r '.runs[] | select(.state == \"diverged\") | .id'

Columns are those of 'crossover export', the keys of model, task and [train], and each metric after the last step.")]
pub struct Args {
    /// Sweeps, by name or file [default: all of the store]
    #[arg(value_name = "SWEEP")]
    sweeps: Vec<String>,
    /// Only runs whose column is this, as in --where state=failed or 'params>=1e5' (also !=, <, <=, >); repeatable
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    filter: Vec<Filter>,
    /// Smallest values of a column first; runs without one come last
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Largest values first
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A run as a member of a sweep.
#[derive(Serialize)]
struct Listed {
    sweep: String,
    #[serde(flatten)]
    run: Run,
    seconds: Option<f64>,
    examples_per_second: Option<f64>,
    device: Option<String>,
    /// After the last step.
    metrics: BTreeMap<String, f64>,
    #[serde(skip)]
    tuned: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    runs: Vec<&'a Listed>,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let listed = listed(args, store)?;
    let mut all = as_table(&listed, store);
    for filter in &args.filter {
        filter::keep(&mut all, filter).map_err(hinted)?;
    }
    let mut left: Vec<usize> = (0..all.rows()).collect();
    if let Some(column) = &args.sort {
        let column = all.column(column).map_err(|error| hinted(error.context(format!("--sort {column}"))))?;
        left.sort_by(|a, b| in_order(&all.shown(*a, column), &all.shown(*b, column), args.reverse));
    }
    // A row's line is its place in the list.
    let runs: Vec<&Listed> = left.iter().map(|row| &listed[all.line(*row) as usize]).collect();
    if args.json {
        return print_json(&Report { runs });
    }
    out::line(text(&runs, &asked_for(args, &all)))?;
    out::line(format_args!("{} of {} runs", runs.len(), listed.len()))
}

fn hinted(error: Error) -> Error {
    match error.hint.is_some() {
        true => error,
        false => error.hint("'crossover list --json' shows what is known of each run"),
    }
}

fn listed(args: &Args, store: &Path) -> Result<Vec<Listed>> {
    let sweeps: Vec<(String, Reader)> = match args.sweeps.as_slice() {
        [] => {
            let names = Reader::open(store)?.sweeps()?.into_iter().map(|sweep| sweep.name);
            names.map(|name| Ok((name, Reader::open(store)?))).collect::<Result<_>>()?
        }
        given => {
            let of = |given: &String| {
                Given::new(given, store).and_then(|given| Ok((given.name.clone(), given.reader(store)?)))
            };
            given.iter().map(of).collect::<Result<_>>()?
        }
    };
    let mut listed = Vec::new();
    for (name, reader) in sweeps {
        let tuned = reader.sweep(&name)?.tuned;
        for run in reader.runs(&name)? {
            let timing = Timing::of(&run, &reader.attempts(&run.id)?);
            listed.push(Listed {
                sweep: name.clone(),
                seconds: timing.as_ref().map(|timing| timing.seconds),
                examples_per_second: timing.as_ref().map(|timing| timing.examples_per_second),
                device: timing.map(|timing| timing.devices.join(" ")),
                metrics: reader.final_metrics(&run)?,
                tuned: tuned.clone(),
                run,
            });
        }
    }
    Ok(listed)
}

/// Every column that a filter or an order can name.
fn as_table(listed: &[Listed], store: &Path) -> Table {
    let rows: Vec<Vec<(String, String)>> = listed.iter().map(Listed::cells).collect();
    let mut header: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for (name, _) in rows.iter().flatten() {
        if known.insert(name.as_str()) {
            header.push(name.clone());
        }
    }
    // Without runs there are columns all the same.
    if header.is_empty() {
        header = ["run", "sweep", "curve", "state"].map(str::to_owned).to_vec();
    }
    let mut table = Table::new(&format!("the list of runs in {}", store.display()), header.clone());
    for (line, row) in (0..).zip(&rows) {
        let of: BTreeMap<&str, &str> = row.iter().rev().map(|(name, cell)| (name.as_str(), cell.as_str())).collect();
        table.push(line, header.iter().map(|name| of.get(name.as_str()).copied().unwrap_or_default().as_bytes()));
    }
    table
}

impl Listed {
    /// Each column with its value; of two of one name the first counts.
    fn cells(&self) -> Vec<(String, String)> {
        let (run, config) = (&self.run, &self.run.config);
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let fixed = [
            ("run", run.id.clone()),
            ("sweep", self.sweep.clone()),
            ("curve", run.curve.clone()),
            ("state", run.state.word().into()),
            ("arch", config.model.name.clone()),
            ("task", config.task.name.clone()),
            ("params", run.costs.params.to_string()),
            ("active_params", run.costs.active_params.to_string()),
            ("forward_flops", run.costs.forward_flops.to_string()),
            ("train_flops", run.train_flops.to_string()),
            ("examples", config.examples.to_string()),
            ("steps", config.steps.to_string()),
            ("seed", config.seed.to_string()),
            ("cell", run.cell.clone()),
            ("attempts", run.attempts.to_string()),
            ("seconds", number(self.seconds)),
            ("examples_per_second", number(self.examples_per_second)),
            ("device", self.device.clone().unwrap_or_default()),
        ];
        let mut cells: Vec<(String, String)> = fixed.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect();
        let recipe = config.train.keys().into_iter();
        let settings = config.model.settings.iter().chain(&config.task.settings);
        let settings = recipe.chain(settings.map(|(key, value)| (key.clone(), value.clone())));
        cells.extend(settings.map(|(key, value)| (key, plain(&value))));
        cells.extend(self.metrics.iter().map(|(metric, value)| (metric.clone(), value.to_string())));
        cells
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Numbers by their size, before texts; what is missing comes last, whichever way.
fn in_order(a: &str, b: &str, reverse: bool) -> Ordering {
    let way = |order: Ordering| if reverse { order.reverse() } else { order };
    match (a.is_empty(), b.is_empty()) {
        (false, false) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => way(a.total_cmp(&b)),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => way(a.cmp(b)),
        },
        (a_missing, b_missing) => a_missing.cmp(&b_missing),
    }
}

/// Columns that are filtered or ordered by, as they are called.
fn asked_for(args: &Args, all: &Table) -> Vec<String> {
    let named = args.filter.iter().map(Filter::column).chain(args.sort.as_deref());
    named.filter_map(|name| all.column(name).ok()).map(|column| all.header[column].clone()).collect()
}

/// What tells runs apart and how they stand, and what was asked for.
fn text(runs: &[&Listed], asked_for: &[String]) -> String {
    const METRIC: &str = "test_loss";
    let sweeps: BTreeSet<&str> = runs.iter().map(|listed| listed.sweep.as_str()).collect();
    let mut header = vec!["run"];
    header.extend((sweeps.len() > 1).then_some("sweep"));
    header.extend(["curve", "params", "examples", "steps"]);
    let mut tuned: Vec<&str> = Vec::new();
    for key in runs.iter().flat_map(|listed| &listed.tuned) {
        if !header.contains(&key.as_str()) && !tuned.contains(&key.as_str()) {
            tuned.push(key);
        }
    }
    header.extend(tuned);
    header.extend(["seed", "state", "time", METRIC]);
    for name in asked_for {
        if !header.contains(&name.as_str()) && name != "seconds" {
            header.push(name);
        }
    }
    let digits = digits(runs);
    let row = |listed: &&Listed| {
        let cells: BTreeMap<String, String> = listed.cells().into_iter().rev().collect();
        let cell = |name: &&str| match *name {
            "run" => listed.run.id.chars().take(digits).collect(),
            "params" => si(listed.run.costs.params as f64),
            "time" => listed.seconds.map_or("-".into(), duration),
            name if listed.metrics.contains_key(name) => brief(listed.metrics[name]),
            name if listed.tuned.iter().any(|key| key == name) => {
                listed.run.setting(name).map_or("-".into(), |value| shown(&value))
            }
            "state" => listed.run.state.word().replace('_', " "),
            name => cells.get(name).filter(|cell| !cell.is_empty()).cloned().unwrap_or("-".into()),
        };
        header.iter().map(cell).collect()
    };
    table(&header, &["run", "sweep", "curve", "state", "device", "cell"], runs.iter().map(row))
}

/// As many of an id as tell the runs apart, and as other commands take.
fn digits(runs: &[&Listed]) -> usize {
    const LEAST: usize = 8;
    let ids: BTreeSet<&str> = runs.iter().map(|listed| listed.run.id.as_str()).collect();
    let same = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    // Of names in order, those that are alike stand beside one another.
    ids.iter().zip(ids.iter().skip(1)).map(|(a, b)| same(a, b) + 1).max().unwrap_or(0).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_of_size_and_what_is_missing_comes_last() {
        let sorted = |reverse: bool| {
            let mut cells = vec!["10", "", "9", "vit", "1e-3", "convnet"];
            cells.sort_by(|a, b| in_order(a, b, reverse));
            cells
        };
        assert_eq!(sorted(false), ["1e-3", "9", "10", "convnet", "vit", ""]);
        assert_eq!(sorted(true), ["10", "9", "1e-3", "vit", "convnet", ""]);
    }
}
