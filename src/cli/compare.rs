//! `crossover compare`: two sweeps or stores beside one another: which runs both have, and whether these agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::given::Given;
use super::print_json;
use super::table::{paragraph, table};
use crate::error::Result;
use crate::out;
use crate::store::{Reader, Run};
use crate::study::rows::shown;
use crate::units::brief;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover compare quickstart next
  crossover compare quickstart other/runs              the whole of another store
  crossover compare quickstart other/runs:quickstart   one sweep of it
  crossover compare quickstart other/runs --json | jq .differ

Runs are the same where their configs are: an id is the hash of a config.")]
pub struct Args {
    /// A sweep's name or file, the folder of a store, or FOLDER:SWEEP
    #[arg(value_name = "A")]
    a: String,
    /// What it is compared to
    #[arg(value_name = "B")]
    b: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Rows that the tables have at most; JSON has all.
const MOST: usize = 12;

/// One of the two.
struct Side {
    name: String,
    /// By id.
    runs: BTreeMap<String, Run>,
    reader: Reader,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    runs: usize,
    done: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    a: Named<'a>,
    b: Named<'a>,
    both: Vec<&'a str>,
    only_a: Vec<&'a str>,
    only_b: Vec<&'a str>,
    settings: Vec<Setting>,
    metrics: Vec<Metric>,
    differ: Vec<Difference>,
}

/// A key of the configs that has other values in one than in the other.
#[derive(Serialize)]
struct Setting {
    key: String,
    a: Vec<Value>,
    b: Vec<Value>,
}

/// One metric after the last step of the runs that are done in both.
#[derive(Serialize)]
struct Metric {
    metric: String,
    runs: usize,
    equal: usize,
    /// The largest difference, and the run that has it; none where all are equal.
    largest: Option<f64>,
    run: Option<String>,
}

/// A run of both with another state or another value.
#[derive(Serialize)]
struct Difference {
    run: String,
    curve: String,
    /// `state`, or a metric.
    what: String,
    a: Value,
    b: Value,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let (a, b) = (Side::of(&args.a, store)?, Side::of(&args.b, store)?);
    let differ = differences(&a, &b)?;
    let alone = |this: &'_ Side, other: &Side| -> BTreeSet<String> {
        this.runs.keys().filter(|id| !other.runs.contains_key(*id)).cloned().collect()
    };
    let (only_a, only_b) = (alone(&a, &b), alone(&b, &a));
    let report = Report {
        a: a.named(),
        b: b.named(),
        both: a.runs.keys().filter(|id| b.runs.contains_key(*id)).map(String::as_str).collect(),
        only_a: only_a.iter().map(String::as_str).collect(),
        only_b: only_b.iter().map(String::as_str).collect(),
        settings: settings(&a, &b),
        metrics: metrics(&a, &b, &differ)?,
        differ,
    };
    if args.json { print_json(&report) } else { out::text(text(&report)) }
}

impl Side {
    fn of(given: &str, store: &Path) -> Result<Side> {
        let (reader, sweeps) = match given.rsplit_once(':') {
            _ if Reader::exists(Path::new(given)) => {
                let reader = Reader::open(Path::new(given))?;
                let all = reader.sweeps()?.into_iter().map(|sweep| sweep.name).collect();
                (reader, all)
            }
            Some((folder, sweep)) if Reader::exists(Path::new(folder)) => {
                (Reader::open(Path::new(folder))?, vec![sweep.to_owned()])
            }
            _ => {
                let given = Given::new(given, store)?;
                (given.reader(store)?, vec![given.name])
            }
        };
        let mut runs = BTreeMap::new();
        for sweep in sweeps {
            runs.extend(reader.runs(&sweep)?.into_iter().map(|run| (run.id.clone(), run)));
        }
        Ok(Side { name: given.to_owned(), runs, reader })
    }

    fn named(&self) -> Named<'_> {
        let done = self.runs.values().filter(|run| run.state.word() == "done").count();
        Named { name: &self.name, runs: self.runs.len(), done }
    }
}

/// Pairs of one run in both.
fn pairs<'a>(a: &'a Side, b: &'a Side) -> impl Iterator<Item = (&'a Run, &'a Run)> {
    a.runs.iter().filter_map(|(id, run)| Some((run, b.runs.get(id)?)))
}

fn differences(a: &Side, b: &Side) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for (in_a, in_b) in pairs(a, b) {
        let mut differ = |what: &str, a: Value, b: Value| {
            found.push(Difference { run: in_a.id.clone(), curve: in_a.curve.clone(), what: what.to_owned(), a, b });
        };
        if in_a.state.word() != in_b.state.word() {
            differ("state", in_a.state.word().into(), in_b.state.word().into());
        }
        let others = b.reader.final_metrics(in_b)?;
        for (metric, value) in a.reader.final_metrics(in_a)? {
            match others.get(&metric) {
                Some(other) if *other != value => differ(&metric, value.into(), (*other).into()),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn metrics(a: &Side, b: &Side, differ: &[Difference]) -> Result<Vec<Metric>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (in_a, in_b) in pairs(a, b) {
        let others = b.reader.final_metrics(in_b)?;
        for metric in a.reader.final_metrics(in_a)?.into_keys().filter(|metric| others.contains_key(metric)) {
            *counts.entry(metric).or_default() += 1;
        }
    }
    let of = |(metric, runs): (String, usize)| {
        let size = |one: &&Difference| (one.a.as_f64().unwrap_or(0.0) - one.b.as_f64().unwrap_or(0.0)).abs();
        let own: Vec<&Difference> = differ.iter().filter(|one| one.what == metric).collect();
        let largest = own.iter().max_by(|a, b| size(a).total_cmp(&size(b)));
        let (run, largest) = (largest.map(|one| one.run.clone()), largest.map(size));
        Metric { equal: runs - own.len(), metric, runs, largest, run }
    };
    Ok(counts.into_iter().map(of).collect())
}

/// Keys whose values are not the same in both; numbers in order.
fn settings(a: &Side, b: &Side) -> Vec<Setting> {
    let (mut of_a, of_b) = (values(a), values(b));
    for key in of_b.keys() {
        of_a.entry(key.clone()).or_default();
    }
    let sorted = |values: &BTreeMap<String, Value>| {
        let mut values: Vec<Value> = values.values().cloned().collect();
        values.sort_by(|a, b| a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)));
        values
    };
    let none = BTreeMap::new();
    let differs = |(key, in_a): (String, BTreeMap<String, Value>)| {
        let in_b = of_b.get(&key).unwrap_or(&none);
        (!in_a.keys().eq(in_b.keys())).then(|| Setting { a: sorted(&in_a), b: sorted(in_b), key })
    };
    of_a.into_iter().filter_map(differs).collect()
}

/// The values that each key takes, by their text.
fn values(side: &Side) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut values: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    let mut add = |key: String, value: Value| drop(values.entry(key).or_default().insert(value.to_string(), value));
    for run in side.runs.values() {
        let config = &run.config;
        add("examples".into(), config.examples.into());
        add("steps".into(), config.steps.into());
        add("seed".into(), config.seed.into());
        add("arch".into(), config.model.name.clone().into());
        add("task".into(), config.task.name.clone().into());
        config.train.keys().into_iter().for_each(|(key, value)| add(key, value));
        for (name, settings) in
            [(&config.model.name, &config.model.settings), (&config.task.name, &config.task.settings)]
        {
            settings.iter().for_each(|(key, value)| add(format!("{name}.{key}"), value.clone()));
        }
    }
    values
}

fn text(report: &Report) -> String {
    let Report { a, b, both, only_a, only_b, settings, metrics, differ } = report;
    let side = |letter: &str, side: &Named| {
        paragraph(&format!("{letter}: {}, {} runs, {} done", side.name, side.runs, side.done), "", "   ")
    };
    let mut text = side("a", a) + &side("b", b);
    let counts = format!("{} runs in both, {} in a alone, {} in b alone", both.len(), only_a.len(), only_b.len());
    text += &paragraph(&counts, "", "  ");
    if !settings.is_empty() {
        let listed = |values: &[Value]| match values {
            [] => "-".to_owned(),
            values if values.len() > MOST => format!("{} values", values.len()),
            values => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        };
        let rows = settings.iter().map(|one| vec![one.key.clone(), listed(&one.a), listed(&one.b)]);
        text +=
            &format!("\n{}\n", table(&["other values of", "in a", "in b"], &["other values of", "in a", "in b"], rows));
    }
    if !metrics.is_empty() {
        let rows = metrics.iter().map(|one| {
            let largest = one.largest.map_or("-".into(), brief);
            let run = one.run.clone().unwrap_or("-".into());
            vec![one.metric.clone(), one.runs.to_string(), one.equal.to_string(), largest, run]
        });
        let header = ["metric", "in both", "equal", "largest difference", "run"];
        text += &format!("\n{}\n", table(&header, &["metric", "run"], rows));
    }
    if !differ.is_empty() {
        let value = |value: &Value| value.as_f64().map_or_else(|| shown(value), brief);
        let rows = differ
            .iter()
            .take(MOST)
            .map(|one| vec![one.run.clone(), one.curve.clone(), one.what.clone(), value(&one.a), value(&one.b)]);
        text += &format!(
            "\n{}\n",
            table(&["run", "curve", "what differs", "a", "b"], &["run", "curve", "what differs"], rows)
        );
        if differ.len() > MOST {
            text += &format!("and {} more, which --json lists\n", differ.len() - MOST);
        }
    }
    text
}
