//! Rows that are left out before anything is read of them.

use std::borrow::Cow;

use super::asked::Asked;
use super::layout::{self, Layout};
use super::table::Table;
use crate::fit::Dropped;

/// Rows that a note names one by one.
const NAMED: usize = 4;

/// Leaves the runs that have ended well, where a column has the states of W&B and no filter names it.
pub fn unfinished(table: &mut Cow<Table>, layout: &Layout, asked: &Asked, notes: &mut Vec<String>) -> Vec<Dropped> {
    let Some(column) = layout.state else { return Vec::new() };
    let has_ended = |table: &Table, row: usize| layout::ended(&table.shown(row, column)) == Some(true);
    let all: &Table = table;
    if asked.filters.iter().any(|filter| all.column(filter.column()).is_ok_and(|named| named == column)) {
        return Vec::new();
    }
    let name = all.column("name").ok();
    let left_out = |row: usize| {
        let named = name.map_or(String::new(), |name| format!(" ({})", all.shown(row, name)));
        Dropped {
            point: format!("{}:{}{named}", all.name, all.line(row)),
            reason: format!("the run is {}", all.shown(row, column)),
        }
    };
    let left_out: Vec<Dropped> = (0..all.rows()).filter(|row| !has_ended(all, *row)).map(left_out).collect();
    // A file of none but unfinished runs is what there is.
    if left_out.is_empty() || left_out.len() == all.rows() {
        return Vec::new();
    }
    notes.push(format!(
        "left out: {} of {} rows are of runs that have not finished ({}); --where '{}!=' reads all",
        left_out.len(),
        all.rows(),
        first_of(&left_out, |left| format!("{}: {}", left.point, left.reason)),
        all.header[column],
    ));
    table.to_mut().retain(has_ended);
    left_out
}

/// Leaves the rows that say which curve they are of: an empty cell was not measured.
pub fn unnamed(table: &mut Cow<Table>, layout: &Layout, notes: &mut Vec<String>) -> Vec<Dropped> {
    let is_named = |table: &Table, row: usize| {
        layout.curve.is_empty() || layout.curve.iter().any(|column| !table.cell(row, *column).is_empty())
    };
    let all: &Table = table;
    let columns: Vec<&str> = layout.curve.iter().map(|column| all.header[*column].as_str()).collect();
    let columns = columns.join(" and ");
    let left_out = |row: usize| Dropped {
        point: format!("{}:{}", all.name, all.line(row)),
        reason: format!("{columns} is empty: nothing says which curve it is of"),
    };
    let left_out: Vec<Dropped> = (0..all.rows()).filter(|row| !is_named(all, *row)).map(left_out).collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "left out: {} of {} rows have no name of a curve in column {columns} ({})",
            left_out.len(),
            all.rows(),
            first_of(&left_out, |left| left.point.clone()),
        ));
        table.to_mut().retain(is_named);
    }
    left_out
}

fn first_of(left_out: &[Dropped], shown: impl Fn(&Dropped) -> String) -> String {
    let first: Vec<String> = left_out.iter().take(NAMED).map(shown).collect();
    first.join(", ") + if left_out.len() > NAMED { ", …" } else { "" }
}
