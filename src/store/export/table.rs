//! All values of a sweep as one table: a row a value, with what its run was. CSV and Parquet are two ways to write it.

use serde_json::Value;

use super::Among;
use crate::store::Sweep;
use crate::store::query::{Measured, Run};

pub struct Column {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Whole,
    Number,
    Truth,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    None,
    Text(String),
    Whole(u64),
    Number(f64),
    Truth(bool),
}

/// What each run was; of the first release, so that they stay where they are.
const FIRST: [(&str, Kind); 17] = [
    ("run", Kind::Text),
    ("label", Kind::Text),
    ("arch", Kind::Text),
    ("task", Kind::Text),
    ("params", Kind::Whole),
    ("active_params", Kind::Whole),
    ("forward_flops", Kind::Whole),
    ("train_flops", Kind::Number),
    ("examples", Kind::Whole),
    ("steps", Kind::Whole),
    ("batch", Kind::Whole),
    ("lr", Kind::Number),
    ("weight_decay", Kind::Number),
    ("schedule", Kind::Text),
    ("seed", Kind::Whole),
    ("state", Kind::Text),
    ("cell", Kind::Text),
];

const MEASURED: [(&str, Kind); 3] = [("step", Kind::Whole), ("metric", Kind::Text), ("value", Kind::Number)];

/// Behind the values: the curve under its own name, whether the run's tuned values were chosen in its cell, the axes
/// over which it stands for its curve; then the keys in which sizes differ.
const ADDED: [(&str, Kind); 3] = [("curve", Kind::Text), ("chosen", Kind::Truth), ("chosen_over", Kind::Text)];

const TIMES: [(&str, Kind); 3] =
    [("seconds", Kind::Number), ("examples_per_second", Kind::Number), ("device", Kind::Text)];

pub struct Table<'a> {
    among: &'a Among,
    columns: Vec<Column>,
    /// Tuned keys that have no column among the first, and keys in which sizes differ, each with how it is written.
    tuned: Vec<(String, Kind)>,
    sizes: Vec<(String, Kind)>,
}

impl<'a> Table<'a> {
    pub fn of(sweep: &Sweep, runs: &[Run], among: &'a Among) -> Self {
        let is_first = |key: &str| FIRST.iter().any(|(name, _)| *name == key);
        let tuned = sweep.tuned.iter().filter(|key| !is_first(key));
        let tuned: Vec<_> =
            tuned.map(|key| (key.clone(), kind(runs.iter().filter_map(|run| run.setting(key))))).collect();
        let sizes =
            among.shapes.keys().into_iter().filter(|key| !is_first(key) && !sweep.tuned.iter().any(|own| own == key));
        let size = |run: &Run, key: &str| run.config.model.settings.get(key).cloned();
        let sizes = sizes.map(|key| (key.to_owned(), kind(runs.iter().filter_map(|run| size(run, key)))));
        let sizes: Vec<_> = sizes.collect();
        let fixed = |columns: &[(&str, Kind)]| -> Vec<(String, Kind)> {
            columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
        };
        let times = if among.times.is_some() { fixed(&TIMES) } else { Vec::new() };
        let all = [fixed(&FIRST), tuned.clone(), fixed(&MEASURED), fixed(&ADDED), sizes.clone(), times].concat();
        let columns = all.into_iter().map(|(name, kind)| Column { name, kind }).collect();
        Self { among, columns, tuned, sizes }
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// In order of steps; one without step, metric and value for a run that has none.
    pub fn rows(&self, run: &Run, measured: Measured) -> impl Iterator<Item = Vec<Cell>> {
        let mut before = first(run);
        before.extend(self.tuned.iter().map(|(key, kind)| Cell::of(run.setting(key), *kind)));
        let after = self.after(run);
        let metrics: Vec<String> = measured.keys().cloned().collect();
        let values = measured.into_values().enumerate();
        let mut values: Vec<(u64, usize, f64)> =
            values.flat_map(|(metric, values)| values.into_iter().map(move |(step, x)| (step, metric, x))).collect();
        values.sort_by_key(|(step, metric, _)| (*step, *metric));
        let none = values.is_empty().then_some([Cell::None, Cell::None, Cell::None]);
        let cells = move |(step, metric, value): (u64, usize, f64)| {
            [Cell::Whole(step), Cell::Text(metrics[metric].clone()), Cell::Number(value)]
        };
        let measured = values.into_iter().map(cells).chain(none);
        measured.map(move |measured| [before.as_slice(), &measured, &after].concat())
    }

    fn after(&self, run: &Run) -> Vec<Cell> {
        let standing = self.among.standing.get(&run.id);
        let over: Vec<String> = standing.iter().flat_map(|standing| &standing.over).map(ToString::to_string).collect();
        let mut cells = vec![
            Cell::Text(run.curve.clone()),
            standing.map_or(Cell::None, |standing| Cell::Truth(standing.chosen)),
            Cell::Text(over.join(" ")),
        ];
        let settings = &run.config.model.settings;
        cells.extend(self.sizes.iter().map(|(key, kind)| Cell::of(settings.get(key).cloned(), *kind)));
        if let Some(times) = &self.among.times {
            cells.extend(times.get(&run.id).map_or([Cell::None, Cell::None, Cell::None], |timed| {
                let timing = &timed.timing;
                let device = Cell::Text(timed.device.clone());
                [Cell::Number(timing.seconds), Cell::Number(timing.examples_per_second), device]
            }));
        }
        cells
    }
}

/// In the order of `FIRST`.
fn first(run: &Run) -> Vec<Cell> {
    let (config, costs) = (&run.config, &run.costs);
    vec![
        Cell::Text(run.id.clone()),
        Cell::Text(run.curve.clone()),
        Cell::Text(config.model.name.clone()),
        Cell::Text(config.task.name.clone()),
        Cell::Whole(costs.params),
        Cell::Whole(costs.active_params),
        Cell::Whole(costs.forward_flops),
        Cell::Number(run.train_flops),
        Cell::Whole(config.examples),
        Cell::Whole(config.steps),
        Cell::Whole(config.train.batch),
        Cell::Number(config.train.lr),
        Cell::Number(config.train.weight_decay),
        Cell::of(run.setting("schedule"), Kind::Text),
        Cell::Whole(config.seed),
        Cell::Text(run.state.word().to_owned()),
        Cell::Text(run.cell.clone()),
    ]
}

/// The narrowest kind that holds all values.
fn kind(values: impl Iterator<Item = Value>) -> Kind {
    let kind = |value: &Value| match value {
        Value::Bool(_) => Some(Kind::Truth),
        Value::Number(number) if number.is_u64() => Some(Kind::Whole),
        Value::Number(_) => Some(Kind::Number),
        Value::Null => None,
        Value::String(_) | Value::Array(_) | Value::Object(_) => Some(Kind::Text),
    };
    let both = |a: Kind, b: Kind| match (a, b) {
        (a, b) if a == b => a,
        (Kind::Whole, Kind::Number) | (Kind::Number, Kind::Whole) => Kind::Number,
        _ => Kind::Text,
    };
    values.filter_map(|value| kind(&value)).reduce(both).unwrap_or(Kind::Text)
}

impl Cell {
    fn of(value: Option<Value>, kind: Kind) -> Cell {
        match (value, kind) {
            (None | Some(Value::Null), _) => Cell::None,
            (Some(Value::Bool(value)), Kind::Truth) => Cell::Truth(value),
            (Some(Value::Number(value)), Kind::Whole) => value.as_u64().map_or(Cell::None, Cell::Whole),
            (Some(Value::Number(value)), Kind::Number) => value.as_f64().map_or(Cell::None, Cell::Number),
            (Some(Value::String(text)), _) => Cell::Text(text),
            (Some(other), _) => Cell::Text(other.to_string()),
        }
    }

    /// As CSV has it.
    pub fn text(&self) -> String {
        match self {
            Cell::None => String::new(),
            Cell::Text(text) => field(text),
            Cell::Whole(value) => value.to_string(),
            // The shortest digits that read back as the same number, as in JSON.
            Cell::Number(value) => Value::from(*value).to_string(),
            Cell::Truth(value) => value.to_string(),
        }
    }
}

/// Quoted where RFC 4180 asks for it.
pub fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
