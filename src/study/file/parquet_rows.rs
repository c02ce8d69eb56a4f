//! Parquet, as pandas and polars write it.

use ::parquet::errors::Result as ParquetResult;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row};

use super::table::{Gathered, Table};
use crate::error::{Error, Result};

/// # Errors
/// The file is damaged, or packed in a way that is not read here.
pub fn table(name: &str, bytes: &[u8]) -> Result<Table> {
    let refuse = |why: String| {
        Error::bad_input(format!("{name} is a Parquet file that cannot be read: {why}"))
            .hint("the codecs read here are none, snappy, gzip and zstd; or write it as CSV")
    };
    // The decoder trusts counts that a damaged file gets wrong, and has been seen to panic on them.
    let read = std::panic::catch_unwind(|| rows(bytes));
    let rows = match read {
        Ok(rows) => rows.map_err(|error| refuse(error.to_string()))?,
        Err(_) => return Err(refuse("it is damaged".into())),
    };
    let mut gathered = Gathered::default();
    for (row, cells) in (1..).zip(&rows) {
        gathered.row(row);
        flatten("", cells, &mut |column, cell| gathered.cell(column, &cell));
    }
    gathered.table(name).ok_or_else(|| Error::bad_input(format!("{name} has no rows")))
}

fn rows(bytes: &[u8]) -> ParquetResult<Vec<Row>> {
    let reader = SerializedFileReader::new(::bytes::Bytes::copy_from_slice(bytes))?;
    reader.get_row_iter(None)?.collect()
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
