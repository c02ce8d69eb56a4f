//! Parquet, as pandas and polars write it.

use std::panic::catch_unwind;

use ::bytes::Bytes;
use ::parquet::errors::Result as ParquetResult;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row};

use super::table::{Gathered, Table};
use crate::error::{Error, Result};

/// # Errors
/// The file is damaged, or packed in a way that is not read here.
pub fn table(name: &str, bytes: Bytes) -> Result<Table> {
    let refuse = |why: String| {
        Error::bad_input(format!("{name} is a Parquet file that cannot be read: {why}"))
            .hint("the codecs read here are none, snappy, gzip and zstd; or write it as CSV")
    };
    // The decoder trusts counts that a damaged file gets wrong, and has been seen to panic on them.
    let gathered = match catch_unwind(|| gathered(bytes)) {
        Ok(gathered) => gathered.map_err(|error| refuse(error.to_string()))?,
        Err(_) => return Err(refuse("it is damaged".into())),
    };
    gathered.table(name).ok_or_else(|| Error::bad_input(format!("{name} has no rows")))
}

/// Row after row, of one row group at a time: each names all its columns, so that together they are many times the file.
fn gathered(bytes: Bytes) -> ParquetResult<Gathered> {
    let (file, mut gathered) = (SerializedFileReader::new(bytes)?, Gathered::default());
    for (row, cells) in (1..).zip(file.get_row_iter(None)?) {
        gathered.row(row);
        flatten("", &cells?, &mut |column, cell| gathered.cell(column, &cell));
    }
    Ok(gathered)
}

fn flatten(prefix: &str, row: &Row, cell: &mut dyn FnMut(String, String)) {
    for (name, field) in row.get_column_iter() {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match field {
            Field::Group(inner) => flatten(&name, inner, cell),
            // Of a structure without a value nothing is known but its name.
            Field::Null => cell(name, String::new()),
            Field::Str(text) => cell(name, text.clone()),
            Field::Bytes(bytes) => cell(name, String::from_utf8_lossy(bytes.data()).into_owned()),
            // As many digits as tell it from its neighbours.
            Field::Float(number) => cell(name, number.to_string()),
            Field::Double(number) => cell(name, number.to_string()),
            other => cell(name, other.to_string()),
        }
    }
}
