//! Points from any file: bytes become a table of named text cells, a layout says which column means what, and the rows
//! that are points become points. Every complaint has its line and column.

pub mod asked;
mod bytes;
mod checkpoints;
mod delimited;
mod derived;
mod direction;
pub mod filter;
pub mod format;
mod json_rows;
mod json_whole;
pub mod layout;
mod left_out;
mod logs;
mod names;
mod number;
mod panel;
mod parquet_rows;
mod points;
mod sets;
pub mod table;
mod tuned;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

pub use self::asked::{Asked, Ceiling, Checkpoints, FLOPS_PER};
pub use self::filter::Filter;
use self::layout::Layout;
pub use self::table::Table;
use crate::error::{Error, Result};
use crate::fit::{FileOrigin, Scale};
use crate::point::Point;
use crate::task::files::hex_sha256;

/// What a file was read as.
#[derive(Clone, Debug)]
pub struct Found {
    pub points: Vec<Point>,
    pub origin: FileOrigin,
    /// What a person should know of how they were read, one line for each subject.
    pub notes: Vec<String>,
}

/// A file as it was read, before anything is asked of it.
#[derive(Debug)]
pub struct Opened {
    pub table: Table,
    /// Of the file, or of the table that logs make.
    pub sha256: String,
    /// Unpacked: what makes the same table again.
    pub bytes: ::bytes::Bytes,
    pub notes: Vec<String>,
}

/// The table in a file, or in the logs of a folder.
///
/// # Errors
/// The file cannot be read or unpacked, or is no table.
pub fn open(path: &Path) -> Result<Opened> {
    if logs::is_logs(path) {
        let logs::Logs { table, notes } = logs::read(path)?;
        let bytes = table.csv()?;
        return Ok(Opened { sha256: hex_sha256(&bytes), table, bytes: bytes.into(), notes });
    }
    let bytes::Bytes { name, bytes, sha256 } = bytes::read(path)?;
    Ok(Opened { table: format::table(&name, &bytes)?, sha256, bytes, notes: Vec::new() })
}

/// The points of a file over a scale.
///
/// # Errors
/// See [`open`] and [`found`].
pub fn read(asked: &Asked, over: Scale) -> Result<Found> {
    let Opened { table, sha256, .. } = open(&asked.path)?;
    found(&table, &sha256, asked, over)
}

/// The points in a table over a scale. They carry `FILE:LINE` as source, or `FILE run NAME` where a column names runs,
/// so that the checkpoints of one run stay together.
///
/// # Errors
/// A column that is missing or named twice, a cell that is not what its column means (with line and column), a metric
/// that rises, several evaluation sets. Numbers that no law can use (zero, NaN) are not errors here: the fit drops those
/// points and says why. An empty cell is a value that was not measured.
pub fn found(table: &Table, sha256: &str, asked: &Asked, over: Scale) -> Result<Found> {
    let of_file = table.rows();
    let mut table = Cow::Borrowed(table);
    if !asked.filters.is_empty() {
        filter::apply(table.to_mut(), &asked.filters)?;
    }
    let layout = Layout::find(&table, asked)?;
    let mut notes = Vec::new();
    notes.extend(layout.told(&table));
    notes.extend(panel::note(&table, &layout, over)?);
    let mut left_out = left_out::unfinished(&mut table, &layout, asked, &mut notes);
    left_out.extend(left_out::unnamed(&mut table, &layout, &mut notes));
    let mut rows = points::points(&table, &layout)?;
    let formulas = derived::scales(&mut rows, &table, &layout, asked, over, &mut notes)?;
    let steps = checkpoints::Steps::of(&table, &layout, over);
    notes.extend(alone(&table, &layout, &rows));
    let differing = sets::check(&table, &layout, &rows)?;
    notes.extend(checkpoints::choose(&mut rows, over, asked.checkpoints, layout.run.is_some(), steps)?);
    let fitted = direction::settle(&mut rows, &table.header[layout.value], asked.rising)?;
    let (at_edge, chosen) = tuned::choose(&mut rows, &table, &layout);
    notes.extend(chosen);
    notes.extend(differing);
    let percent = rows.iter().any(|read| read.percent);
    let origin = FileOrigin {
        path: table.name.clone(),
        sha256: sha256.into(),
        rows: of_file,
        metric: table.header[layout.value].clone(),
        fitted,
        percent,
        columns: layout.columns(&table),
        formulas,
        filters: asked.filters.iter().map(ToString::to_string).collect(),
        read_as: notes.clone(),
        left_out,
        at_edge,
    };
    Ok(Found { points: rows.into_iter().map(|read| read.point).collect(), origin, notes })
}

/// Whether a sweep's metric may be fitted as it is.
///
/// # Errors
/// It rises with scale by its name.
pub fn falls(metric: &str) -> Result<()> {
    match names::direction(metric) {
        names::Direction::Rising => {
            Err(Error::bad_input(format!("{metric} rises with scale: the laws are of losses, which fall"))
                .hint("a sweep's runs log test_error and val_error, which are 1 - accuracy: --metric test_error"))
        }
        names::Direction::Falling | names::Direction::Unsaid => Ok(()),
    }
}

/// A column whose every value is another one names runs, and no curves.
fn alone(table: &Table, layout: &Layout, rows: &[points::Read]) -> Option<String> {
    let [column] = layout.curve[..] else { return None };
    let curves: HashSet<&str> = rows.iter().map(|read| read.point.curve.as_str()).collect();
    (rows.len() > 3 && curves.len() == rows.len()).then(|| {
        let column = &table.header[column];
        format!("each row is a curve of its own by column {column}: --by names them by a column that rows share")
    })
}
