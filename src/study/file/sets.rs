//! Rows that nothing which was read tells apart: several evaluation sets of a run, or a setting that nobody named.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::filter::some_values;
use super::layout::Layout;
use super::points::Read;
use super::table::{Table, normal};
use crate::error::{Error, Result};

/// Rows beyond which nothing is looked for: a file of so many is a log.
const MOST_ROWS: usize = 200_000;

/// Different values of a column beyond which it tells rows apart one by one, as a name does.
const MOST_VALUES: usize = 60;

/// Columns that differ between equal runs and say nothing of them.
const IDLE: [&str; 14] = [
    "created",
    "runtime",
    "time",
    "timestamp",
    "host",
    "hostname",
    "user",
    "name",
    "id",
    "notes",
    "tags",
    "gpu",
    "date",
    "relative_time",
];

/// Refuses a file in which rows of one curve, scale, seed and step differ in a text, as in the set that was evaluated;
/// what they differ in is a note where it is a number.
///
/// # Errors
/// The text's column is named, with how to choose one of its values.
pub fn check(table: &Table, layout: &Layout, rows: &[Read]) -> Result<Option<String>> {
    if rows.len() > MOST_ROWS {
        return Ok(None);
    }
    let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
    for read in rows {
        let point = &read.point;
        let run = layout.run.map(|_| point.source.as_str());
        let scales = [point.params, point.data, point.compute, point.seen, read.step].map(|x| x.map(f64::to_bits));
        groups.entry((point.curve.as_str(), run, scales, point.seed)).or_default().push(read.row);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().filter(|rows| rows.len() > 1).collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let open =
        |column: &usize| !layout.uses(table, *column) && !IDLE.contains(&normal(&table.header[*column]).as_str());
    let mut numbers = Vec::new();
    for column in (0..table.header.len()).filter(open) {
        if !tells_apart(table, column, &groups) {
            continue;
        }
        if groups[0].iter().any(|row| !is_number(table.cell(*row, column))) {
            return Err(several(table, layout, column, rows.len()));
        }
        numbers.push(column);
    }
    Ok(numbers.first().map(|column| {
        let (name, values) = (&table.header[*column], some_values(table, *column));
        format!(
            "rows of one curve at one scale differ in {name} ({values}): --tuned {name} takes its best value, --by \
             makes curves of it, --where '{name}=…' chooses one"
        )
    }))
}

fn several(table: &Table, layout: &Layout, column: usize, rows: usize) -> Error {
    let (name, values) = (&table.header[column], some_values(table, column));
    let first = values.split(", ").next().unwrap_or_default();
    let by: Vec<&str> = layout.curve.iter().map(|column| table.header[*column].as_str()).collect();
    let by = [by, vec![name.as_str()]].concat().join(",");
    let of = if layout.run.is_some() { "a run at one scale" } else { "one curve at one scale" };
    Error::bad_input(format!("{}: several of its {rows} rows are of {of} and differ in {name} ({values})", table.name))
        .hint(format!("choose one: --where '{name}={first}'; or a curve for each: --by {by}"))
}

/// Whether most groups hold the same values of a column, two or more: a design, and no accident.
fn tells_apart(table: &Table, column: usize, groups: &[Vec<usize>]) -> bool {
    let mut sets: BTreeMap<BTreeSet<&[u8]>, usize> = BTreeMap::new();
    let mut values: BTreeSet<&[u8]> = BTreeSet::new();
    for group in groups {
        let set: BTreeSet<&[u8]> = group.iter().map(|row| table.cell(*row, column)).collect();
        values.extend(&set);
        if values.len() > MOST_VALUES {
            return false;
        }
        *sets.entry(set).or_default() += 1;
    }
    let common = sets.iter().filter(|(set, _)| set.len() > 1).map(|(_, count)| *count).max().unwrap_or(0);
    common >= 2 && 2 * common > groups.len()
}

fn is_number(cell: &[u8]) -> bool {
    cell.is_empty() || std::str::from_utf8(cell).is_ok_and(|cell| cell.parse::<f64>().is_ok())
}
