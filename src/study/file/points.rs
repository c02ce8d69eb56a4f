//! The rows of a table as points, each with what decides whether it stays one.

use rayon::prelude::*;

use super::layout::{Count, Layout};
use super::number::{self, NoNumber};
use super::table::Table;
use crate::error::{Error, Result};
use crate::point::Point;

/// Rows that one thread reads at a time.
const CHUNK: usize = 4096;

/// A row of a table, read.
#[derive(Clone, Debug)]
pub struct Read {
    pub point: Point,
    /// Of the table.
    pub row: usize,
    pub step: Option<f64>,
    /// Whether the metric's cell holds anything: an empty one was not measured, a NaN was.
    pub measured: bool,
    /// Whether the metric is written in percent.
    pub percent: bool,
    /// What tuned values are chosen by.
    pub chosen_by: f64,
}

/// Every row, in the order of the table.
///
/// # Errors
/// The first cell that is not what its column means, with its line and column.
pub fn points(table: &Table, layout: &Layout) -> Result<Vec<Read>> {
    let starts: Vec<usize> = (0..table.rows()).step_by(CHUNK).collect();
    let read = |start: &usize| -> Result<Vec<Read>> {
        (*start..table.rows().min(start + CHUNK)).map(|row| one(table, layout, row)).collect()
    };
    let chunks: Vec<Result<Vec<Read>>> = starts.par_iter().map(read).collect();
    let mut points = Vec::with_capacity(table.rows());
    for chunk in chunks {
        points.extend(chunk?);
    }
    Ok(points)
}

fn one(table: &Table, layout: &Layout, row: usize) -> Result<Read> {
    let counted = |count: &Option<Count>| count.as_ref().map_or(Ok(None), |count| counted(table, row, count));
    let refuse = |column: usize, why: NoNumber| refuse(table, row, column, why);
    let value = |column: usize| match std::str::from_utf8(table.cell(row, column)) {
        Ok(cell) => number::value(cell, table.decimal_commas).map_err(|why| refuse(column, why)),
        Err(_) => Err(table.refuse(row, column, "not a number")),
    };
    let measured = value(layout.value)?;
    let chosen_by = match layout.chosen_by == layout.value {
        true => measured,
        false => value(layout.chosen_by)?,
    };
    let epochs = layout.epochs.map_or(Ok(None), value)?.map(|(epochs, _)| epochs);
    let (data, seen) = (counted(&layout.data)?, counted(&layout.seen)?);
    let name = &table.name;
    let run = layout.run.map(|column| table.text(row, column)).transpose()?.filter(|run| !run.is_empty());
    Ok(Read {
        point: Point {
            curve: curve(table, layout, row)?,
            params: counted(&layout.params)?,
            data,
            seen: seen.or_else(|| Some(data? * epochs?)),
            compute: counted(&layout.compute)?,
            seconds: None,
            value: measured.map_or(f64::NAN, |(value, _)| value),
            seed: seed(table, layout, row)?,
            source: run.map_or_else(|| format!("{name}:{}", table.line(row)), |run| format!("{name} run {run}")),
            made: None,
        },
        row,
        step: counted(&layout.step)?.or(epochs),
        measured: measured.is_some(),
        percent: measured.is_some_and(|(_, percent)| percent),
        chosen_by: chosen_by.map_or(f64::NAN, |(value, _)| value),
    })
}

fn counted(table: &Table, row: usize, count: &Count) -> Result<Option<f64>> {
    let Ok(cell) = std::str::from_utf8(table.cell(row, count.column)) else {
        return Err(table.refuse(row, count.column, "not a number"));
    };
    let number = number::count(cell, count.of, table.decimal_commas);
    let number = number.map_err(|why| refuse(table, row, count.column, why))?;
    if count.times == 1.0 {
        return Ok(number);
    }
    // 70M in a column of millions, or 70000000: one of the two has not meant it.
    match number {
        Some(number) if number.abs() >= 1e6 || cell.ends_with(|last: char| last.is_alphabetic()) => {
            let header = &table.header[count.column];
            Err(table.refuse(row, count.column, "a unit beside the one in the column's name").hint(format!(
                "write the number alone, or rename the column: '{header}' is read as times {:e}",
                count.times
            )))
        }
        number => Ok(number.map(|number| number * count.times)),
    }
}

fn refuse(table: &Table, row: usize, column: usize, why: NoNumber) -> Error {
    let error = table.refuse(row, column, &why.rule);
    match why.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The values of the columns that name the curves; of several, a number comes with its column.
fn curve(table: &Table, layout: &Layout, row: usize) -> Result<String> {
    match layout.curve.as_slice() {
        [] => Ok(layout.only_curve.clone()),
        [one] => Ok(table.text(row, *one)?.into_owned()),
        several => {
            let mut name = String::new();
            for column in several {
                let cell = table.text(row, *column)?;
                let space = if name.is_empty() { "" } else { " " };
                let header = &table.header[*column];
                name += &match cell.parse::<f64>().is_ok() || matches!(&*cell, "" | "true" | "false" | "True" | "False")
                {
                    true => format!("{space}{header}={cell}"),
                    false => format!("{space}{cell}"),
                };
            }
            Ok(name)
        }
    }
}

fn seed(table: &Table, layout: &Layout, row: usize) -> Result<Option<i64>> {
    let Some(column) = layout.seed else { return Ok(None) };
    match std::str::from_utf8(table.cell(row, column)) {
        Ok(cell) if number::is_missing(cell) => Ok(None),
        Ok(cell) => whole(cell).map(Some).ok_or_else(|| table.refuse(row, column, "not a whole number")),
        Err(_) => Err(table.refuse(row, column, "not a whole number")),
    }
}

/// Also as pandas writes whole numbers of a column with gaps: 7.0.
fn whole(digits: &str) -> Option<i64> {
    let float = || digits.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() < 2f64.powi(53));
    digits.parse().ok().or_else(|| float().map(|x| x as i64))
}
