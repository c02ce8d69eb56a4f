//! Panels of W&B: one column for each run, its smallest and largest value beside it. They become a row for each run and
//! step, as everybody else writes them.

use std::collections::HashMap;

use super::layout::Layout;
use super::number::Unit;
use super::table::{Panel, Table};
use crate::error::{Error, Result};
use crate::fit::Scale;
use crate::point::Axis;

/// One of a panel's columns: `RUN - METRIC`.
struct Drawn<'a> {
    column: usize,
    run: &'a str,
    metric: &'a str,
}

/// The table with a row for each run and step, where it is a panel; any other table as it is.
pub fn melted(table: Table) -> Table {
    let place: HashMap<&str, usize> = table.header.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let ends = |name: &str| [format!("{name}__MIN"), format!("{name}__MAX")];
    let is_drawn = |name: &str| ends(name).iter().all(|end| place.contains_key(end.as_str()));
    let is_end = |name: &str| name.ends_with("__MIN") || name.ends_with("__MAX");
    let drawn: Vec<Drawn> = (table.header.iter().enumerate().filter(|(_, name)| is_drawn(name)))
        .map(|(column, name)| {
            let (run, metric) = name.rsplit_once(" - ").unwrap_or((name, "value"));
            Drawn { column, run: run.trim(), metric: metric.trim() }
        })
        .collect();
    let Some(x) = table.header.iter().position(|name| !is_drawn(name) && !is_end(name) && !name.is_empty()) else {
        return table;
    };
    if drawn.is_empty() {
        return table;
    }
    let mut metrics: Vec<&str> = Vec::new();
    // Runs of one name are told apart by the column that they come in.
    let mut runs: Vec<(&str, usize)> = Vec::new();
    let mut of_run: HashMap<(&str, usize), Vec<&Drawn>> = HashMap::new();
    let mut copies: HashMap<(&str, &str), usize> = HashMap::new();
    for one in &drawn {
        if !metrics.contains(&one.metric) {
            metrics.push(one.metric);
        }
        let copy = copies.entry((one.run, one.metric)).or_default();
        *copy += 1;
        let run = (one.run, *copy);
        let columns = of_run.entry(run).or_insert_with(|| {
            runs.push(run);
            Vec::new()
        });
        columns.push(one);
    }
    let named = [&[table.header[x].as_str(), "arch", "run"][..], &metrics].concat();
    let mut melted = Table::new(&table.name, named.into_iter().map(str::to_owned).collect());
    melted.decimal_commas = table.decimal_commas;
    for run in &runs {
        let name = if run.1 == 1 { run.0.to_owned() } else { format!("{} #{}", run.0, run.1) };
        for row in 0..table.rows() {
            let cell = |metric: &&str| {
                let of_metric = of_run[run].iter().find(|one| one.metric == *metric);
                of_metric.map_or(&b""[..], |one| table.cell(row, one.column))
            };
            let cells: Vec<&[u8]> = metrics.iter().map(cell).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                let first = [table.cell(row, x), run.0.as_bytes(), name.as_bytes()];
                melted.push(table.line(row), first.into_iter().chain(cells));
            }
        }
    }
    melted.panel = Some(Panel { x: table.header[x].clone(), runs: runs.len() });
    if melted.rows() == 0 { table } else { melted }
}

/// What is said of a panel that is drawn over its steps.
///
/// # Errors
/// Another scale is asked for than the one that a panel has.
pub fn note(table: &Table, layout: &Layout, over: Scale) -> Result<Option<String>> {
    let steps = layout.data.as_ref().is_some_and(|data| data.of == Unit::Steps);
    let Some(Panel { x, runs }) = table.panel.as_ref().filter(|_| steps) else { return Ok(None) };
    match over {
        Scale::Curve(Axis::Data) => Ok(Some(format!(
            "a panel of {runs} runs: {x} is the scale, each run is a curve, and nothing says how many examples a step has"
        ))),
        _ => Err(Error::bad_input(format!("{} is a panel, and knows no scale but {x}", table.name))
            .hint("--x data draws it over that; a table of runs (W&B: Export runs to CSV) has params and compute")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::format;

    #[test]
    fn a_column_a_run_becomes_a_row_a_run_and_step() {
        let text = "\"Step\",\"a - loss\",\"a - loss__MIN\",\"a - loss__MAX\",\"b - loss\",\"b - loss__MIN\",\"b - loss__MAX\"\n\
                    1,3,3,3,4,4,4\n2,2,2,2,,,\n";
        let table = format::table("f", &text.into()).unwrap();
        assert_eq!(table.header, ["Step", "arch", "run", "loss"]);
        let row = |row: usize| (0..4).map(|column| table.shown(row, column)).collect::<Vec<_>>().join(" ");
        assert_eq!((0..table.rows()).map(row).collect::<Vec<_>>(), ["1 a a 3", "2 a a 2", "1 b b 4"]);
        assert_eq!((table.line(1), table.panel.as_ref().map(|panel| panel.runs)), (3, Some(2)));
        let plain = format::table("f", &"Step,loss,loss__MIN\n1,2,3\n".into()).unwrap();
        assert!(plain.panel.is_none());
    }
}
