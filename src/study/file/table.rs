//! A file as a table of named text cells, each row with the line that it starts on. Every format becomes this first.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use crate::error::{Context, Error, Result, nearest};

/// Cells are bytes: whether they have to be text or a number is for who asks for one.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub name: String,
    pub header: Vec<String>,
    cells: Vec<u8>,
    /// Where each cell ends, row after row.
    ends: Vec<usize>,
    lines: Vec<u64>,
    /// Whether a comma in a cell may stand for a decimal point: the cells are parted by something else.
    pub decimal_commas: bool,
    /// Absent for other tables.
    pub panel: Option<Panel>,
}

/// What a panel of W&B was drawn over: a column for each run, which became rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// The column that the panel is drawn over: Step, unless another was chosen.
    pub x: String,
    pub runs: usize,
}

impl Table {
    pub fn new(name: &str, header: Vec<String>) -> Table {
        let plain = |name: String| name.replace(char::is_control, " ");
        Table { name: name.into(), header: header.into_iter().map(plain).collect(), ..Table::default() }
    }

    /// A row is known by its line, so rows that share lines, as those of JSON on one line, get their numbers instead.
    pub fn number_rows_of_one_line(&mut self) {
        if self.lines.windows(2).any(|pair| pair[0] == pair[1]) {
            self.lines = (1..=self.lines.len() as u64).collect();
        }
    }

    /// Cells beyond the header are cut off, missing ones are empty.
    pub fn push<'a>(&mut self, line: u64, cells: impl Iterator<Item = &'a [u8]>) {
        self.lines.push(line);
        let mut count = 0;
        for cell in cells.take(self.header.len()) {
            self.cells.extend_from_slice(cell);
            self.ends.push(self.cells.len());
            count += 1;
        }
        self.ends.resize(self.ends.len() + self.header.len() - count, self.cells.len());
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    pub fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    /// Without white space at its ends.
    pub fn cell(&self, row: usize, column: usize) -> &[u8] {
        let at = row * self.header.len() + column;
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        self.cells[from..self.ends[at]].trim_ascii()
    }

    /// The cell as a name: what would move a terminal's cursor or colour it is escaped.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self, row: usize, column: usize) -> Result<Cow<'_, str>> {
        let text = std::str::from_utf8(self.cell(row, column));
        text.map(escaped).map_err(|_| self.refuse(row, column, "not UTF-8 text"))
    }

    /// The cell as it can be shown.
    pub fn shown(&self, row: usize, column: usize) -> String {
        escaped(&String::from_utf8_lossy(self.cell(row, column))).into_owned()
    }

    /// What is wrong with a cell, with its line and column.
    pub fn refuse(&self, row: usize, column: usize, rule: &str) -> Error {
        let (name, line, shown) = (&self.name, self.line(row), self.shown(row, column));
        let header = &self.header[column];
        Error::bad_input(format!("{name}:{line}: column {} ({header}) holds '{shown}', {rule}", column + 1))
    }

    /// Keeps the rows that pass.
    pub fn retain(&mut self, keep: impl Fn(&Table, usize) -> bool) {
        let kept: Vec<usize> = (0..self.rows()).filter(|row| keep(self, *row)).collect();
        if kept.len() == self.rows() {
            return;
        }
        let mut left = Table { cells: Vec::new(), ends: Vec::new(), lines: Vec::new(), ..self.clone() };
        for row in kept {
            left.push(self.line(row), (0..self.header.len()).map(|column| self.cell(row, column)));
        }
        *self = left;
    }

    /// As CSV: what makes the same table again.
    ///
    /// # Errors
    /// None that a table in memory can have.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let failed = || format!("cannot write {} as CSV", self.name);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.header).context(failed)?;
        for row in 0..self.rows() {
            writer.write_record((0..self.header.len()).map(|column| self.cell(row, column))).context(failed)?;
        }
        writer.into_inner().map_err(|error| error.into_error()).context(failed)
    }

    /// The column of this name, whatever its case and its signs between words.
    ///
    /// # Errors
    /// There is none, or there are two.
    pub fn column(&self, name: &str) -> Result<usize> {
        let exact: Vec<usize> = (0..self.header.len()).filter(|column| self.header[*column] == name).collect();
        if let [exact] = exact[..] {
            return Ok(exact);
        }
        let wanted = normal(name);
        let mut alike = (0..self.header.len()).filter(|column| normal(&self.header[*column]) == wanted);
        match (alike.next(), alike.next()) {
            (Some(column), None) => Ok(column),
            (Some(column), Some(_)) => Err(self.two_of(&self.header[column])),
            (None, _) => {
                let error = Error::bad_input(format!(
                    "{} has no column {name}; its columns are {}",
                    self.name,
                    self.header.join(", ")
                ));
                Err(match nearest(name, self.header.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean {near}?")),
                    None => error,
                })
            }
        }
    }

    pub fn two_of(&self, column: &str) -> Error {
        Error::bad_input(format!("{} has two columns called {column}", self.name))
            .hint("rename one of them, or delete it")
    }

    /// The name without its folder and its endings: `runs` of `a/runs.csv.gz`.
    pub fn stem(&self) -> String {
        const ENDINGS: [&str; 10] =
            [".gz", ".zst", ".zstd", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet"];
        let file = Path::new(&self.name).file_name().map_or(self.name.clone(), |name| name.to_string_lossy().into());
        let mut stem = file.as_str();
        while let Some(shorter) = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)) {
            stem = shorter;
        }
        let plain = Path::new(stem).file_stem().filter(|_| stem == file);
        plain.map_or_else(|| stem.to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// Rows that name their cells themselves, on their way to a table: its header is every name in the order of its first.
#[derive(Default)]
pub struct Gathered {
    header: Vec<String>,
    place: HashMap<String, usize>,
    /// Of each row, its line and where its cells end.
    rows: Vec<(u64, usize)>,
    /// The column of each cell and where its text ends.
    cells: Vec<(usize, usize)>,
    text: Vec<u8>,
}

impl Gathered {
    pub fn row(&mut self, line: u64) {
        self.rows.push((line, self.cells.len()));
    }

    /// A cell of the last row.
    pub fn cell(&mut self, column: String, cell: &str) {
        let at = *self.place.entry(column).or_insert_with_key(|column| {
            self.header.push(column.clone());
            self.header.len() - 1
        });
        self.text.extend_from_slice(cell.as_bytes());
        self.cells.push((at, self.text.len()));
        if let Some((_, end)) = self.rows.last_mut() {
            *end = self.cells.len();
        }
    }

    /// Nothing where no row has a cell.
    pub fn table(self, name: &str) -> Option<Table> {
        if self.header.is_empty() {
            return None;
        }
        let mut table = Table::new(name, self.header);
        let (mut from, mut cell) = (0, 0);
        for (line, end) in self.rows {
            let mut row = vec![&b""[..]; table.header.len()];
            for (column, to) in &self.cells[cell..end] {
                row[*column] = &self.text[from..*to];
                from = *to;
            }
            cell = end;
            table.push(line, row.into_iter());
        }
        Some(table)
    }
}

/// With `\u{1b}` in place of ESC, and other characters that are no letters likewise.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

/// A name in small letters, its words parted by one underscore: `val/Loss` and `val loss` are `val_loss`.
pub fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_alphanumeric() {
            normal.extend(letter.to_lowercase());
        } else if !normal.ends_with('_') && !normal.is_empty() {
            normal.push('_');
        }
    }
    normal.truncate(normal.trim_end_matches('_').len());
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_lines_and_short_ones_are_filled_up() {
        let mut table = Table::new("a/runs.csv.gz", vec!["x".into(), "Val/Loss".into()]);
        table.push(2, [&b" 1 "[..], b"2"].into_iter());
        table.push(4, [&b"3"[..]].into_iter());
        table.push(5, [&b"5"[..], b"6", b"7"].into_iter());
        assert_eq!((table.cell(0, 0), table.cell(1, 1), table.cell(2, 1)), (&b"1"[..], &b""[..], &b"6"[..]));
        table.retain(|table, row| table.cell(row, 0) != b"3");
        assert_eq!((table.rows(), table.line(1), table.cell(1, 0)), (2, 5, &b"5"[..]));
        assert_eq!((table.column("val_loss").unwrap(), table.stem().as_str()), (1, "runs"));
        assert_eq!(table.column("val_los").unwrap_err().hint.as_deref(), Some("did you mean Val/Loss?"));
        assert_eq!(Table::new("v1.2.dat", Vec::new()).stem(), "v1.2");
        let mut names = Table::new("f", vec!["val\u{1b}\nloss".into()]);
        names.push(2, [&b"\x1b[31mvit"[..]].into_iter());
        assert_eq!((names.column("val_loss").unwrap(), &*names.text(0, 0).unwrap()), (0, "\\u{1b}[31mvit"));
        assert_eq!(normal("  model.Num-params (M) "), "model_num_params_m");
    }
}
