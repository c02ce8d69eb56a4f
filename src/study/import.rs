//! Files of other programs as studies of the store: the bytes are kept as they came, with how they are read, so that
//! what is analysed is read anew each time and its source stays known.

use super::file::{self, Asked, Found, Opened};
use super::{Study, in_order};
use crate::error::{Context, Error, Result};
use crate::fit::{Method, Scale};
use crate::here::now;
use crate::point::Axis;
use crate::store::{ImportRecord, Reader, Sizes};

/// An import that has been read once, and can be kept.
#[derive(Debug)]
pub struct Prepared {
    pub record: ImportRecord,
    /// What is kept: the file as it is, or the table that logs make.
    pub bytes: bytes::Bytes,
    pub points: usize,
    pub curves: Vec<String>,
    pub notes: Vec<String>,
}

/// Reads a file, or a folder of logs, as it is asked for; the name is the file's unless given.
///
/// # Errors
/// Whatever [`file::found`] refuses: what cannot be read is not kept.
pub fn prepare(asked: Asked, name: Option<&str>) -> Result<Prepared> {
    let opened = file::open(&asked.path)?;
    let found = over_any_scale(&opened, &asked)?;
    let stem = opened.table.stem();
    let record = ImportRecord {
        name: name.map_or_else(|| allowed(&stem), str::to_owned),
        created: now(),
        source: opened.table.name.clone(),
        sha256: opened.sha256,
        file: "data".into(),
        asked: serde_json::to_value(&asked).context(|| "cannot write how the file is read")?,
    };
    let curves = in_order(found.points.iter().map(|point| point.curve.as_str()));
    let notes = opened.notes.into_iter().chain(found.notes).collect();
    Ok(Prepared { record, bytes: opened.bytes, points: found.points.len(), curves, notes })
}

/// Over the first scale that the rows have: an import is there for all of them.
fn over_any_scale(opened: &Opened, asked: &Asked) -> Result<Found> {
    let over = |axis: Axis| -> Result<(bool, Found)> {
        let found = file::found(&opened.table, &opened.sha256, asked, Scale::Curve(axis))?;
        Ok((found.points.iter().any(|point| point.x(axis).is_some()), found))
    };
    let first = over(Axis::Data)?;
    for tried in [Ok(first), over(Axis::Params), over(Axis::Compute)] {
        if let Ok((true, found)) = tried {
            return Ok(found);
        }
    }
    Err(Error::bad_input(format!("{} has no row with a scale", opened.table.name))
        .hint("name a column of one: --column examples=COLUMN"))
}

/// Letters that a name may have; others become hyphens.
fn allowed(stem: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    stem.chars().map(letter).collect::<String>().trim_start_matches(['.', '-']).to_owned()
}

impl Study {
    /// The points of an import over a scale, if the store has one of that name; `metric` is read in place of its own.
    ///
    /// # Errors
    /// See [`Study::of_file`]; the record or the file cannot be read.
    pub fn of_import(
        reader: &Reader,
        name: &str,
        metric: Option<&str>,
        method: Method,
        axis: Axis,
        sizes: Option<Sizes>,
    ) -> Result<Option<Study>> {
        let Some((record, path)) = reader.import(name)? else { return Ok(None) };
        let damaged = || format!("the import '{name}' says in a way that is not known here how it is read");
        let mut asked: Asked = serde_json::from_value(record.asked).context(damaged)?;
        asked.path = path;
        asked.metric = metric.map(str::to_owned).or(asked.metric);
        let Opened { mut table, .. } = file::open(&asked.path)?;
        table.name = record.source;
        Study::of_table(table, record.sha256, asked, method, axis, sizes).map(Some)
    }
}
