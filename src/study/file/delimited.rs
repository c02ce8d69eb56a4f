//! CSV and its kin: fields parted by commas, semicolons or tabs.

use ::csv::{ByteRecord, Error as CsvError, ErrorKind, ReaderBuilder};

use super::table::Table;
use crate::error::{Error, Result};

/// # Errors
/// Nothing in the file, or rows of unequal length.
pub fn table(name: &str, text: &[u8]) -> Result<Table> {
    let delimiter = delimiter(text);
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(text);
    let bad = |error: CsvError| bad_csv(name, &error);
    let header: Vec<String> = reader.byte_headers().map_err(bad)?.iter().map(title).collect();
    if header.iter().all(String::is_empty) {
        return Err(Error::bad_input(format!("{name} is empty"))
            .hint("the first line names the columns, for example: arch,params,examples,flops,loss,seed"));
    }
    let mut table = Table::new(name, header);
    table.decimal_commas = delimiter != b',';
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(bad)? {
        table.push(line_of(text, &row), row.iter());
    }
    Ok(table)
}

fn title(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

/// The line that a row starts on. The reader's own position is before the line breaks that it has yet to skip.
fn line_of(bytes: &[u8], row: &ByteRecord) -> u64 {
    let Some(position) = row.position() else { return 0 };
    let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    position.line() + breaks as u64
}

/// Comma, semicolon or tab: whichever the first line holds most of.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |candidate: u8| first.iter().filter(|byte| **byte == candidate).count();
    // Of equals the last wins: the comma.
    b";\t,".iter().copied().max_by_key(|candidate| count(*candidate)).unwrap_or(b',')
}

fn bad_csv(name: &str, error: &CsvError) -> Error {
    if let ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } = error.kind() {
        return Error::bad_input(format!(
            "{name}:{}: the row has {len} fields and the header {expected_len}",
            pos.line()
        ))
        .hint("a field that contains the delimiter needs double quotes");
    }
    Error::bad_input(format!("{name}: {error}"))
}
