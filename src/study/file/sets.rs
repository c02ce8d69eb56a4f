//! Rows that nothing which was read tells apart: several evaluation sets of a run, or a setting that nobody named.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::filter::some_values;
use super::layout::Layout;
use super::names::{self, Direction};
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

/// Words of what is measured of a run, which differs between rows and is no setting.
const MEASURED: [&str; 22] = [
    "norm",
    "time",
    "sec",
    "secs",
    "second",
    "seconds",
    "hours",
    "elapsed",
    "duration",
    "memory",
    "mem",
    "throughput",
    "speed",
    "mfu",
    "util",
    "cpu",
    "energy",
    "power",
    "std",
    "stderr",
    "var",
    "variance",
];

/// The rows of one curve, scale, seed and step that are several, by their curve.
type Cells<'a> = HashMap<&'a str, Vec<Vec<usize>>>;

/// Refuses a file in which rows of one curve, scale, seed and step differ in a text, as in the set that was evaluated;
/// what they differ in is a note where it is a number.
///
/// # Errors
/// The text's column is named, with how to choose one of its values.
pub fn check(table: &Table, layout: &Layout, rows: &[Read]) -> Result<Option<String>> {
    if rows.len() > MOST_ROWS {
        return Ok(None);
    }
    let open =
        |column: &usize| !layout.uses(table, *column) && !IDLE.contains(&normal(&table.header[*column]).as_str());
    let open: Vec<usize> = (0..table.header.len()).filter(open).collect();
    let of_runs = cells(rows, |read| layout.run.map(|_| read.point.source.as_str()));
    let is_text =
        |column: &usize| of_runs.values().flatten().flatten().any(|row| !is_number(table.cell(*row, *column)));
    if let Some(column) = open.iter().find(|column| is_text(column) && is_design(table, **column, &of_runs)) {
        return Err(several(table, layout, *column, rows.len()));
    }
    // Each value of a setting was trained by a run of its own.
    let of_curves = cells(rows, |_| None);
    let is_setting = |column: &&usize| {
        let is_text = of_curves.values().flatten().flatten().any(|row| !is_number(table.cell(*row, **column)));
        !is_text && (is_design(table, **column, &of_curves) || is_search(table, **column, &of_curves))
    };
    let settings: Vec<usize> = open.iter().filter(is_setting).copied().collect();
    Ok((!settings.is_empty()).then(|| note(table, &settings, &of_curves)))
}

fn cells<'a>(rows: &'a [Read], run: impl Fn(&'a Read) -> Option<&'a str>) -> Cells<'a> {
    let mut cells: HashMap<_, Vec<usize>> = HashMap::new();
    for read in rows {
        let point = &read.point;
        let scales = [point.params, point.data, point.compute, point.seen, read.step].map(|x| x.map(f64::to_bits));
        cells.entry((point.curve.as_str(), run(read), scales, point.seed)).or_default().push(read.row);
    }
    let mut of_curve = Cells::new();
    for ((curve, ..), rows) in cells {
        if rows.len() > 1 {
            of_curve.entry(curve).or_default().push(rows);
        }
    }
    of_curve
}

/// What the rows differ in, and what to type then.
fn note(table: &Table, settings: &[usize], cells: &Cells) -> String {
    let names: Vec<&str> = settings.iter().map(|column| table.header[*column].as_str()).collect();
    let named = |column: &usize| format!("{} ({})", table.header[*column], some_values(table, *column));
    let differ = settings.iter().map(named).collect::<Vec<_>>().join(" and in ");
    let (first, names) = (names[0], names.join(","));
    // Of a log the best row is picked by chance.
    let next = match settings.iter().find(|column| counts(table, **column, cells)) {
        Some(column) => {
            format!("--column step={} takes the last of each run, if it counts steps", table.header[*column])
        }
        None => format!("--tuned {names} takes its best value"),
    };
    format!(
        "rows of one curve at one scale differ in {differ}: {next}, --by makes curves of it, --where '{first}=…' chooses one"
    )
}

/// Whether a column counts, row after row, as an epoch does: whole numbers that rise in each cell, four and more.
fn counts(table: &Table, column: usize, cells: &Cells) -> bool {
    let rises = |rows: &Vec<usize>| {
        let steps: Vec<Option<u64>> = rows.iter().map(|row| table.shown(*row, column).parse().ok()).collect();
        rows.len() > 3 && steps.iter().all(Option::is_some) && steps.windows(2).all(|pair| pair[0] < pair[1])
    };
    cells.values().flatten().all(rises)
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

/// Whether most cells of a curve hold the same values of a column, two or more: a design, and no accident.
fn is_design(table: &Table, column: usize, cells: &Cells) -> bool {
    let of_curve = |cells: &Vec<Vec<usize>>| {
        let mut sets: BTreeMap<BTreeSet<&[u8]>, usize> = BTreeMap::new();
        let mut values: BTreeSet<&[u8]> = BTreeSet::new();
        for rows in cells {
            let set: BTreeSet<&[u8]> = rows.iter().map(|row| table.cell(*row, column)).collect();
            values.extend(&set);
            *sets.entry(set).or_default() += 1;
        }
        let common = sets.iter().filter(|(set, _)| set.len() > 1).map(|(_, count)| *count).max().unwrap_or(0);
        values.len() <= MOST_VALUES && common >= 2 && 2 * common > cells.len()
    };
    cells.values().any(of_curve)
}

/// Whether a column holds a fraction that differs within most cells of a curve, as values drawn at random do, and that
/// is not measured.
fn is_search(table: &Table, column: usize, cells: &Cells) -> bool {
    let name = normal(&table.header[column]);
    let is_measured = names::direction(&name) != Direction::Unsaid
        || name.split('_').any(|word| MEASURED.contains(&word) || IDLE.contains(&word) || word == "loss");
    let differs = |rows: &&Vec<usize>| rows.iter().any(|row| table.cell(*row, column) != table.cell(rows[0], column));
    let is_fraction = |row: &usize| table.shown(*row, column).parse::<f64>().is_ok_and(|x| x.fract() != 0.0);
    let of_curve = |cells: &Vec<Vec<usize>>| {
        let differing = cells.iter().filter(differs).count();
        differing >= 2 && 2 * differing > cells.len() && cells.iter().flatten().any(is_fraction)
    };
    !is_measured && cells.values().any(of_curve)
}

fn is_number(cell: &[u8]) -> bool {
    cell.is_empty() || std::str::from_utf8(cell).is_ok_and(|cell| cell.parse::<f64>().is_ok())
}
