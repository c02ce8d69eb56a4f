//! JSON as people write rows: an object a line, an array of objects, or a list for each column. Objects within objects
//! become columns called `a.b`.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json_whole;
use super::table::{Gathered, Table};
use crate::error::{Error, Result};

/// # Errors
/// Text that is not JSON, or JSON that is not rows.
pub fn table(name: &str, bytes: &[u8]) -> Result<Table> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        Error::bad_input(format!("{name}:{line}: JSON has to be UTF-8 text, and this is not"))
    })?;
    match rows(text) {
        Ok(rows) => gathered(name, rows),
        Err(Wrong { line, why, hint }) => Err(Error::bad_input(format!("{name}:{line}: {why}")).hint(hint)),
    }
}

struct Wrong {
    line: u64,
    why: String,
    hint: &'static str,
}

impl Wrong {
    /// In JSON that begins on a line.
    fn json(line: u64, error: &serde_json::Error) -> Wrong {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        let why = format!("{what} (column {})", error.column());
        Wrong { line: line + (error.line() as u64).saturating_sub(1), why, hint: ROWS }
    }
}

type Rows = Vec<(u64, Map<String, Value>)>;

const ROWS: &str = "an object a line, as {\"params\": 1e6, \"loss\": 2.5}, or an array of such objects";

fn rows(text: &str) -> Result<Rows, Wrong> {
    if text.trim_start().starts_with('[') {
        return array(text);
    }
    let mut rows = Rows::new();
    let (mut at, mut counted, mut line) = (0, 0, 1);
    while let Some(from) = text[at..].find(|c: char| !c.is_whitespace()).map(|skipped| at + skipped) {
        line += count_lines(&text.as_bytes()[counted..from]);
        counted = from;
        let mut values = serde_json::Deserializer::from_str(&text[from..]).into_iter::<Value>();
        let value = match values.next() {
            Some(Ok(value)) => {
                at = from + values.byte_offset();
                value
            }
            // Python writes NaN and Infinity, which JSON does not have: once more, a line at a time.
            _ => {
                let end = text[from..].find('\n').map_or(text.len(), |length| from + length);
                at = end;
                tolerant(&text[from..end]).map_err(|error| Wrong::json(line, &error))?
            }
        };
        match value {
            Value::Object(object) => rows.push((line, object)),
            other => return Err(not_a_row(line, &other)),
        }
    }
    match rows.as_slice() {
        [(_, only)] => Ok(json_whole::rows(only).map_or(rows, |whole| (1..).zip(whole).collect())),
        _ => Ok(rows),
    }
}

fn array(text: &str) -> Result<Rows, Wrong> {
    let Ok(raw) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        let known = tolerant(text).map_err(|error| Wrong::json(1, &error))?;
        let Value::Array(values) = known else { return Err(not_a_row(1, &known)) };
        return (1..).zip(values).map(|(row, value)| object(row, value)).collect();
    };
    let (mut line, mut before) = (1, 0);
    let mut rows = Rows::new();
    for raw in raw {
        // The raw values are slices of the text.
        let at = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
        line += count_lines(&text.as_bytes()[before.min(at)..at]);
        before = at;
        let value = serde_json::from_str(raw.get()).map_err(|error| Wrong::json(line, &error))?;
        rows.push(object(line, value)?);
    }
    Ok(rows)
}

fn object(line: u64, value: Value) -> Result<(u64, Map<String, Value>), Wrong> {
    match value {
        Value::Object(object) => Ok((line, object)),
        other => Err(not_a_row(line, &other)),
    }
}

fn not_a_row(line: u64, value: &Value) -> Wrong {
    let shown: String = value.to_string().chars().take(40).collect();
    Wrong { line, why: format!("'{shown}' is no row: a row is a JSON object"), hint: ROWS }
}

/// With NaN, Infinity and -Infinity read as text, where they stand as values.
fn tolerant(text: &str) -> serde_json::Result<Value> {
    let mut quoted = String::with_capacity(text.len() + 64);
    let (mut within, mut rest) = (false, text);
    while let Some(letter) = rest.chars().next() {
        let bare = ["NaN", "-Infinity", "Infinity"].iter().find(|word| !within && rest.starts_with(**word));
        let taken = match (bare, letter) {
            (Some(word), _) => {
                quoted += &format!("\"{word}\"");
                word.len()
            }
            (None, '\\') if within => {
                let pair: String = rest.chars().take(2).collect();
                quoted += &pair;
                pair.len()
            }
            (None, letter) => {
                within ^= letter == '"';
                quoted.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    serde_json::from_str(&quoted)
}

fn gathered(name: &str, rows: Rows) -> Result<Table> {
    let mut gathered = Gathered::default();
    for (line, object) in rows {
        gathered.row(line);
        flatten("", object, &mut |column, cell| gathered.cell(column, &cell));
    }
    gathered.table(name).ok_or_else(|| Error::bad_input(format!("{name} has no rows")).hint(ROWS))
}

fn flatten(prefix: &str, object: Map<String, Value>, cell: &mut dyn FnMut(String, String)) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&name, inner, cell),
            Value::Null => cell(name, String::new()),
            Value::String(text) => cell(name, text),
            other => cell(name, other.to_string()),
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn line_at(bytes: &[u8], at: usize) -> u64 {
    1 + count_lines(&bytes[..at.min(bytes.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(u64, Vec<String>)> {
        let table = table("f", text.as_bytes()).unwrap();
        let row = |row: usize| (0..table.header.len()).map(|column| table.shown(row, column)).collect();
        let rows = (0..table.rows()).map(|at| (table.line(at), row(at)));
        [(0, table.header.clone())].into_iter().chain(rows).collect()
    }

    #[test]
    fn lines_arrays_and_columns_are_rows() {
        let strings = |line: u64, row: &[&str]| (line, row.iter().map(|cell| cell.to_string()).collect());
        let wanted = vec![strings(0, &["loss", "model.n"]), strings(1, &["1.5", "10"]), strings(3, &["NaN", ""])];
        let lines = "{\"loss\": 1.5, \"model\": {\"n\": 10}}\n\n{\"loss\": NaN}\n";
        assert_eq!(cells(lines), wanted);
        let array = "[{\"loss\": 1.5, \"model\": {\"n\": 10}},\n\n{\"loss\": \"NaN\"}]";
        assert_eq!(cells(array), wanted);
        for columns in
            ["{\"l\": [1, 2], \"n\": [3, null]}", "{\"l\": {\"0\": 1, \"1\": 2}, \"n\": {\"0\": 3, \"1\": null}}"]
        {
            assert_eq!(cells(columns)[1..], [strings(1, &["1", "3"]), strings(2, &["2", ""])]);
        }
    }

    #[test]
    fn a_word_within_quotes_is_left_and_a_whole_number_keeps_its_digits() {
        let text = "[{\"a\": \"say \\\"NaN\\\"\", \"n\": 12345678901234567, \"x\": -Infinity}]";
        assert_eq!(cells(text)[1].1, ["say \"NaN\"", "12345678901234567", "-Infinity"]);
    }

    #[test]
    fn what_is_no_row_is_refused_with_its_line() {
        let said = |text: &str| table("f", text.as_bytes()).unwrap_err().message;
        assert_eq!(said("{\"a\": 1}\n[2]\n"), "f:2: '[2]' is no row: a row is a JSON object");
        assert!(said("{\"a\": 1}\n{\"a\": }\n").starts_with("f:2: "));
        assert!(said("[1, 2]").starts_with("f:1: '1' is no row"));
        assert_eq!(said("[]"), "f has no rows");
    }
}
