//! Which format bytes are in, by what they hold and not by the file's ending.

use ::bytes::Bytes;

use super::table::Table;
use super::{delimited, json_rows, panel, parquet_rows};
use crate::error::{Error, Result};

/// The table in unpacked bytes, by what they hold and not by the file's ending: Parquet, JSON, or delimited text.
///
/// # Errors
/// The bytes are none of these, or break the format's rules (with the line).
pub fn table(name: &str, bytes: &Bytes) -> Result<Table> {
    let mut table = if bytes.starts_with(b"PAR1") {
        parquet_rows::table(name, bytes.clone())?
    } else if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::bad_input(format!("{name} is UTF-16 text; text here is UTF-8"))
            .hint("save it as UTF-8, or: iconv -f UTF-16 -t UTF-8 FILE > NEW.csv"));
    } else {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes[..]);
        let begins = text.iter().find(|byte| !byte.is_ascii_whitespace());
        match begins {
            Some(b'{' | b'[') => json_rows::table(name, text)?,
            _ if text.iter().take(4096).any(|byte| *byte == 0) => {
                return Err(Error::bad_input(format!("{name} is not text, nor Parquet, gzip or zstd")).hint(
                    "write it as CSV, as JSON lines or as Parquet: DataFrame.to_csv, to_json(lines=True, \
                           orient='records'), to_parquet",
                ));
            }
            _ => delimited::table(name, text)?,
        }
    };
    if table.rows() == 0 {
        return Err(Error::bad_input(format!("{name} has a header and no rows")));
    }
    table.number_rows_of_one_line();
    Ok(panel::melted(table))
}
