//! The look of every table on the terminal: no lines, two spaces between columns, numbers to the right.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// Columns that text is made for.
pub const WIDTH: usize = 100;

/// A paragraph of at most `WIDTH` columns, its later lines indented. Ends with a line break.
pub fn paragraph(text: &str, first: &str, later: &str) -> String {
    let options = textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(later).break_words(false);
    format!("{}\n", textwrap::fill(text, options))
}

/// A table of `header` and `rows`; the columns named in `left` are aligned to the left, the others to the right.
pub fn table(header: &[&str], left: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec()).add_rows(rows);
    for (column, name) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 2));
        if !left.contains(name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// In lines of at most `width` characters, where no word is longer.
pub fn folded(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
