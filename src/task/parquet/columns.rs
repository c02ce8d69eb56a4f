//! Columns of a row group, value by value; nothing but a few pages of it is in memory.

use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArrayType, DataType};
use ::parquet::file::reader::RowGroupReader;

use super::damaged;
use super::schema::{Column, Schema};
use crate::error::{Error, Result};
use crate::task::packed::Label;

/// Rows read at once: each may be a large image.
const ROWS: usize = 16;

/// Calls `each` with the bytes of every row.
pub fn bytes(
    group: &dyn RowGroupReader,
    column: Column,
    each: &mut dyn FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let ColumnReader::ByteArrayColumnReader(reader) = group.get_column_reader(column.index).map_err(damaged)? else {
        return Err(Error::bad_input("its images are no bytes"));
    };
    rows::<ByteArrayType>(reader, column, &mut |value| each(value.map(|value| value.data())))
}

/// The labels of all rows.
pub fn labels(group: &dyn RowGroupReader, schema: &Schema) -> Result<Vec<Option<Label>>> {
    let mut labels = Vec::new();
    let column = schema.label;
    match group.get_column_reader(column.index).map_err(damaged)? {
        ColumnReader::Int64ColumnReader(reader) => rows(reader, column, &mut |value| {
            labels.push(value.map(|&value| Label::Number(value)));
            Ok(())
        })?,
        ColumnReader::Int32ColumnReader(reader) => rows(reader, column, &mut |value| {
            labels.push(value.map(|&value| Label::Number(value.into())));
            Ok(())
        })?,
        ColumnReader::ByteArrayColumnReader(reader) => rows(reader, column, &mut |value| {
            let text = value.map(|value| std::str::from_utf8(value.data()).map(|text| Label::Name(text.to_owned())));
            let text = text.transpose().map_err(|_| Error::bad_input("its labels are bytes that are no text"))?;
            labels.push(text);
            Ok(())
        })?,
        _ => return Err(Error::bad_input("its labels are neither whole numbers nor texts")),
    }
    Ok(labels)
}

/// Calls `each` with the value of every row; none where it is null.
fn rows<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: Column,
    each: &mut dyn FnMut(Option<&T::T>) -> Result<()>,
) -> Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    loop {
        values.clear();
        levels.clear();
        let (read, ..) = reader.read_records(ROWS, Some(&mut levels), None, &mut values).map_err(damaged)?;
        if read == 0 {
            return Ok(());
        }
        let mut values = values.iter();
        for row in 0..read {
            let is_null = column.defined > 0 && levels.get(row).is_none_or(|level| *level < column.defined);
            let value = if is_null { None } else { values.next() };
            if !is_null && value.is_none() {
                return Err(Error::bad_input("it is damaged: a column has fewer values than rows"));
            }
            each(value)?;
        }
    }
}
