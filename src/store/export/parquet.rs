//! The table as a Parquet file, which pandas, polars and DuckDB read with the types of its columns.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{Type, TypePtr};

use super::table::{Cell, Column, Kind, Table};
use crate::error::{Context, Result};

/// Rows of a group: readers take up one at a time. Few in tests, so that a file has several.
const GROUP: usize = if cfg!(test) { 2 } else { 100_000 };

/// Writes group by group: all rows together may be larger than the memory.
///
/// # Errors
/// Those of `rows`; `out` cannot be written.
pub fn write(table: &Table, rows: impl Iterator<Item = Result<Vec<Vec<Cell>>>>, out: &mut dyn Write) -> Result<()> {
    let failed = || "cannot write the export";
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())).build();
    let schema = schema(table.columns()).context(failed)?;
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).context(failed)?;
    let mut group: Vec<Vec<Cell>> = Vec::new();
    for rows in rows {
        group.extend(rows?);
        if group.len() >= GROUP {
            write_group(&mut file, table.columns(), &group).context(failed)?;
            group.clear();
            file.flush().context(failed)?;
            out.write_all(file.inner()).context(failed)?;
            file.inner_mut().clear();
        }
    }
    if !group.is_empty() {
        write_group(&mut file, table.columns(), &group).context(failed)?;
    }
    out.write_all(&file.into_inner().context(failed)?).context(failed)
}

fn schema(columns: &[Column]) -> ParquetResult<TypePtr> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Whole => (Physical::INT64, None),
            Kind::Number => (Physical::DOUBLE, None),
            Kind::Truth => (Physical::BOOLEAN, None),
        };
        let builder = Type::primitive_type_builder(&column.name, physical);
        builder.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<ParquetResult<Vec<_>>>()?;
    Type::group_type_builder("values").with_fields(fields).build().map(Arc::new)
}

fn write_group(file: &mut SerializedFileWriter<Vec<u8>>, columns: &[Column], rows: &[Vec<Cell>]) -> ParquetResult<()> {
    let mut group = file.next_row_group()?;
    for (place, column) in columns.iter().enumerate() {
        let missing = || ParquetError::General(format!("no column {}", column.name));
        let mut writer = group.next_column()?.ok_or_else(missing)?;
        let cells = rows.iter().map(|row| &row[place]);
        match column.kind {
            Kind::Text => write_column::<ByteArrayType>(&mut writer, cells, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            })?,
            Kind::Whole => write_column::<Int64Type>(&mut writer, cells, |cell| match cell {
                Cell::Whole(value) => i64::try_from(*value).ok(),
                _ => None,
            })?,
            Kind::Number => write_column::<DoubleType>(&mut writer, cells, |cell| match cell {
                Cell::Number(value) => Some(*value),
                _ => None,
            })?,
            Kind::Truth => write_column::<BoolType>(&mut writer, cells, |cell| match cell {
                Cell::Truth(value) => Some(*value),
                _ => None,
            })?,
        }
        writer.close()?;
    }
    group.close().map(drop)
}

/// The values that are there, and for each row whether its is.
fn write_column<'a, T: DataType>(
    writer: &mut SerializedColumnWriter,
    cells: impl Iterator<Item = &'a Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> ParquetResult<()> {
    let values: Vec<Option<T::T>> = cells.map(value).collect();
    let is_there: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    writer.typed::<T>().write_batch(&values, Some(&is_there), None).map(drop)
}
