//! `--where`: which rows are read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::number::{self, Unit};
use super::table::Table;
use crate::error::{Error, Result};

/// Rows whose cell in a column stands in a relation to a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Filter {
    column: String,
    relation: Relation,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Less,
    More,
    AtMost,
    AtLeast,
}

/// The longer signs first, so that `<=` is not `<`.
const RELATIONS: [(&str, Relation); 7] = [
    ("!=", Relation::Unequal),
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("=", Relation::Equal),
    ("<", Relation::Less),
    (">", Relation::More),
];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let signs = RELATIONS.iter().filter_map(|(sign, relation)| Some((text.find(sign)?, *sign, *relation)));
        let first = signs.min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
        match first {
            Some((at, sign, relation)) if !text[..at].trim().is_empty() => Ok(Filter {
                column: text[..at].trim().into(),
                relation,
                value: text[at + sign.len()..].trim().trim_matches('"').into(),
            }),
            _ => Err("write COLUMN=VALUE, or !=, <, <=, >, >= in its place".into()),
        }
    }
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> String {
        filter.to_string()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            RELATIONS.iter().rev().find(|(_, relation)| *relation == self.relation).map_or("=", |(sign, _)| sign);
        write!(f, "{}{sign}{}", self.column, self.value)
    }
}

impl Filter {
    pub fn column(&self) -> &str {
        &self.column
    }

    fn keeps(&self, cell: &str, value: Option<f64>) -> bool {
        let both = number(cell).zip(value);
        let same = both.map_or(cell == self.value, |(cell, value)| cell == value);
        match self.relation {
            Relation::Equal => same,
            Relation::Unequal => !same,
            Relation::Less => both.is_some_and(|(cell, value)| cell < value),
            Relation::More => both.is_some_and(|(cell, value)| cell > value),
            Relation::AtMost => both.is_some_and(|(cell, value)| cell <= value),
            Relation::AtLeast => both.is_some_and(|(cell, value)| cell >= value),
        }
    }
}

/// 70M is 7e7 here too, whatever it counts.
pub fn number(cell: &str) -> Option<f64> {
    if cell.is_empty() {
        return None;
    }
    let counts = [Unit::Params, Unit::Examples, Unit::Flops, Unit::Steps];
    counts.iter().find_map(|unit| number::count(cell, *unit, false).ok()).flatten()
}

/// The rows that pass every filter.
///
/// # Errors
/// No such column, an order is asked of a value that is no number, or no row passes.
pub fn apply(table: &mut Table, filters: &[Filter]) -> Result<()> {
    for filter in filters {
        let known = some_values(table, column(table, filter)?);
        keep(table, filter)?;
        if table.rows() == 0 {
            let column = &table.header[column(table, filter)?];
            return Err(Error::bad_input(format!("--where {filter}: no row of {} is left", table.name))
                .hint(format!("column {column} holds {known}")));
        }
    }
    Ok(())
}

/// The rows that pass one filter; there may be none.
///
/// # Errors
/// No such column, or an order is asked of a value that is no number.
pub fn keep(table: &mut Table, filter: &Filter) -> Result<()> {
    let (column, value) = (column(table, filter)?, number(&filter.value));
    if value.is_none() && !matches!(filter.relation, Relation::Equal | Relation::Unequal) {
        return Err(Error::bad_input(format!("--where {filter}: '{}' is no number", filter.value))
            .hint("texts are compared by = and !="));
    }
    let passes = |cell: &[u8]| std::str::from_utf8(cell).is_ok_and(|cell| filter.keeps(cell, value));
    table.retain(|table, row| passes(table.cell(row, column)));
    Ok(())
}

fn column(table: &Table, filter: &Filter) -> Result<usize> {
    table.column(&filter.column).map_err(|error| error.context(format!("--where {filter}")))
}

/// The first few different values of a column, as a person is told them.
pub fn some_values(table: &Table, column: usize) -> String {
    const NAMED: usize = 6;
    let mut found: Vec<String> = Vec::new();
    for row in 0..table.rows() {
        let cell = table.shown(row, column);
        if !found.contains(&cell) {
            found.push(cell);
        }
        if found.len() > NAMED {
            break;
        }
    }
    let more = if found.len() > NAMED { ", …" } else { "" };
    found.truncate(NAMED);
    found.iter_mut().filter(|cell| cell.is_empty()).for_each(|cell| *cell = "nothing".into());
    format!("{}{more}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::format;
    use super::*;

    fn left(filters: &[&str]) -> Result<Vec<u64>> {
        let text = "set,n,loss\nc4,70M,3\npile,70M,2\nc4,1.4B,2\n,2B,1\n";
        let mut table = format::table("f", &text.into())?;
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        apply(&mut table, &filters)?;
        Ok((0..table.rows()).map(|row| table.line(row)).collect())
    }

    #[test]
    fn relations_hold_over_texts_and_numbers() {
        assert_eq!(left(&["set=c4"]).unwrap(), [2, 4]);
        assert_eq!(left(&["set != c4"]).unwrap(), [3, 5]);
        assert_eq!(left(&["set="]).unwrap(), [5]);
        assert_eq!(left(&["n>70M"]).unwrap(), [4, 5]);
        assert_eq!(left(&["n<=1400000000", "set==c4"]).unwrap(), [2, 4]);
        assert_eq!(left(&["N=7e7", "loss<3"]).unwrap(), [3]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let error = left(&["set=c5"]).unwrap_err();
        assert_eq!(error.message, "--where set=c5: no row of f is left");
        assert_eq!(error.hint.as_deref(), Some("column set holds c4, pile, nothing"));
        assert!(left(&["sett=c4"]).unwrap_err().hint.unwrap().contains("did you mean set?"));
        assert!(left(&["n<many"]).unwrap_err().message.contains("'many' is no number"));
        assert!("=c4".parse::<Filter>().is_err() && "set".parse::<Filter>().is_err());
    }
}
