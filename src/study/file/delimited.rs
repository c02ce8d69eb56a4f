//! CSV and its kin: fields parted by commas, semicolons or tabs.

use std::borrow::Cow;

use ::csv::{ByteRecord, Error as CsvError, ErrorKind, ReaderBuilder};

use super::table::Table;
use crate::error::{Error, Result};

/// # Errors
/// Nothing in the file, or rows of unequal length.
pub fn table(name: &str, text: &[u8]) -> Result<Table> {
    let text = &*with_line_feeds(text);
    let Preamble { lines: before, bytes, delimiter: said } = preamble(text);
    let text = &text[bytes..];
    let delimiter = said.unwrap_or_else(|| delimiter(text));
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(text);
    let bad = |error: CsvError| bad_csv(name, &error, before);
    let header: Vec<String> = reader.byte_headers().map_err(bad)?.iter().map(title).collect();
    if header.iter().all(String::is_empty) {
        return Err(Error::bad_input(format!("{name} is empty"))
            .hint("the first line names the columns, for example: arch,params,examples,flops,loss,seed"));
    }
    if let [only] = header.as_slice()
        && let Some(parted) = other_delimiter(only)
    {
        return Err(Error::bad_input(format!("{name}: its columns are parted by {parted}")).hint(
            "commas, semicolons and tabs part columns here: pandas.read_csv(FILE, sep=…).to_csv('NEW.csv', index=False)",
        ));
    }
    let mut table = Table::new(name, header);
    table.decimal_commas = delimiter != b',';
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(bad)? {
        table.push(before + line_of(text, &row), row.iter());
    }
    Ok(table)
}

/// What stands before the header: remarks, and Excel's `sep=;`.
struct Preamble {
    lines: u64,
    bytes: usize,
    delimiter: Option<u8>,
}

fn preamble(text: &[u8]) -> Preamble {
    let mut found = Preamble { lines: 0, bytes: 0, delimiter: None };
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let plain = line.trim_ascii();
        match plain {
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] if found.lines == 0 => {
                found.delimiter = Some(*delimiter);
            }
            // numpy.savetxt writes the header itself so.
            [b'#', header @ ..] if lines.peek().is_some_and(|next| is_header(header, next)) => {
                found.bytes += line.iter().take_while(|byte| matches!(byte, b'#' | b' ')).count();
                break;
            }
            [b'#', ..] => {}
            _ => break,
        }
        found.lines += 1;
        found.bytes += line.len();
    }
    found
}

/// Whether a remark names the columns of the row below it.
fn is_header(remark: &[u8], row: &[u8]) -> bool {
    let by = delimiter(row);
    let cells = |line: &[u8]| line.split(|byte| *byte == by).map(title).collect::<Vec<_>>();
    let (names, cells) = (cells(remark), cells(row));
    let numbers = |cells: &[String]| cells.iter().any(|cell| cell.parse::<f64>().is_ok());
    names.len() > 1 && names.len() == cells.len() && numbers(&cells) && !numbers(&names) && !row.starts_with(b"#")
}

/// What parts the words of a header that is one column here.
fn other_delimiter(header: &str) -> Option<&'static str> {
    match () {
        _ if header.contains('|') => Some("'|'"),
        _ if header.split_whitespace().count() > 2 => Some("spaces"),
        _ => None,
    }
}

/// Lines that end with a carriage return alone, as old spreadsheets write them, end with a line feed.
fn with_line_feeds(text: &[u8]) -> Cow<'_, [u8]> {
    let is_alone = |at: usize| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n');
    if !(0..text.len()).any(is_alone) {
        return text.into();
    }
    (0..text.len()).map(|at| if is_alone(at) { b'\n' } else { text[at] }).collect()
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

fn bad_csv(name: &str, error: &CsvError, before: u64) -> Error {
    if let ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } = error.kind() {
        return Error::bad_input(format!(
            "{name}:{}: the row has {len} fields and the header {expected_len}",
            before + pos.line()
        ))
        .hint("a field that contains the delimiter needs double quotes");
    }
    Error::bad_input(format!("{name}: {error}"))
}
