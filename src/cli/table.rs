//! The look of every table on the terminal: no lines, two spaces between columns, numbers to the right. Where the columns
//! do not fit, text breaks between words, and where that is not enough a row becomes a paragraph. What is piped has whole
//! lines, so that `grep` finds a sentence and `awk` a row.

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use crate::progress;

/// Columns beyond which nobody reads a line.
const MOST: usize = 100;
const BETWEEN: usize = 2;

/// Columns that text is made for.
pub fn width() -> usize {
    room().map_or(usize::MAX, |room| room.min(MOST))
}

/// Columns that there are: those of the terminal, or as many as one wants.
fn room() -> Option<usize> {
    if cfg!(test) { Some(MOST) } else { progress::stdout_columns().map(|columns| columns.max(20)) }
}

/// A paragraph, its later lines indented. Ends with a line break.
pub fn paragraph(text: &str, first: &str, later: &str) -> String {
    format!("{}\n", filled(text, first, later, width()))
}

fn filled(text: &str, first: &str, later: &str, width: usize) -> String {
    textwrap::fill(text, Options::new(width).initial_indent(first).subsequent_indent(later).break_words(false))
}

/// A table of `header` and `rows`; the columns named in `left` are aligned to the left, the others to the right.
pub fn table(header: &[&str], left: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    within(header, left, rows.into_iter().collect(), room().unwrap_or(usize::MAX))
}

/// Columns that a table takes where nothing of it breaks.
pub fn natural_width(header: &[&str], rows: &[Vec<String>]) -> usize {
    sum(&natural(header, rows))
}

fn within(header: &[&str], left: &[&str], rows: Vec<Vec<String>>, room: usize) -> String {
    let mut widths = natural(header, &rows);
    if sum(&widths) <= room {
        return drawn(header, left, rows);
    }
    let least: Vec<usize> =
        header.iter().enumerate().map(|(i, name)| least(name, left.contains(name), i, &rows)).collect();
    if sum(&least) > room {
        return records(header, left, &rows, room);
    }
    while sum(&widths) > room {
        // The widest of those that can give way does.
        let Some((at, _)) =
            (widths.iter().enumerate()).filter(|(i, width)| **width > least[*i]).max_by_key(|(_, width)| **width)
        else {
            break;
        };
        widths[at] -= 1;
    }
    let fit = |(name, width): (&&str, &usize)| broken(name, *width);
    let names: Vec<String> = header.iter().zip(&widths).map(fit).collect();
    let left: Vec<&str> =
        names.iter().zip(header).filter(|(_, own)| left.contains(own)).map(|(name, _)| name.as_str()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fit = |row: &Vec<String>| row.iter().zip(&widths).map(|(cell, width)| broken(cell, *width)).collect();
    drawn(&names, &left, rows.iter().map(fit).collect())
}

fn drawn(header: &[&str], left: &[&str], rows: Vec<Vec<String>>) -> String {
    let widths = natural(header, &rows);
    let mut text = String::new();
    let names = header.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(names).chain(rows) {
        let mut lines: Vec<_> = row.iter().map(|cell| cell.split('\n')).collect();
        for _ in 0..row.iter().map(|cell| cell.split('\n').count()).max().unwrap_or(1) {
            let start = text.len();
            for ((lines, width), name) in lines.iter_mut().zip(&widths).zip(header) {
                let cell = lines.next().unwrap_or_default();
                let space = width - display_width(cell);
                let before = if left.contains(name) { 0 } else { space };
                text.extend(std::iter::repeat_n(' ', before));
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', space - before + BETWEEN));
            }
            text.truncate(start + text[start..].trim_end().len());
            text.push('\n');
        }
    }
    text.pop();
    text
}

/// Each row as a paragraph: what it is of, then its values by name.
fn records(header: &[&str], left: &[&str], rows: &[Vec<String>], room: usize) -> String {
    // A name stays on the line of its value.
    let together = |text: String| text.replace(' ', "\u{a0}");
    let value = |(name, cell): (&&str, &String)| match (name.is_empty(), cell.replace('\n', " ")) {
        (_, cell) if cell.is_empty() => None,
        (true, cell) => Some(cell),
        (false, cell) if left.contains(name) => Some(format!("{} {cell}", together(name.replace('\n', " ")))),
        (false, cell) => Some(together(format!("{} {cell}", name.replace('\n', " ")))),
    };
    let record = |row: &Vec<String>| {
        let named = usize::from(header.first().is_some_and(|first| left.contains(first)));
        let values: Vec<String> = header.iter().zip(row).skip(named).filter_map(value).collect();
        let values = filled(&values.join(", "), "  ", "  ", room);
        match row.first().filter(|first| named > 0 && !first.is_empty()) {
            Some(first) => format!("{}\n{values}", filled(&first.replace('\n', " "), "", "  ", room)),
            None => values,
        }
    };
    rows.iter().map(record).collect::<Vec<_>>().join("\n").replace('\u{a0}', " ")
}

fn natural(header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |text: &str| text.split('\n').map(display_width).max().unwrap_or(0);
    let cells = |i: usize| rows.iter().filter_map(move |row| row.get(i)).map(|cell| widest(cell)).max().unwrap_or(0);
    header.iter().enumerate().map(|(i, name)| cells(i).max(widest(name))).collect()
}

fn sum(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + BETWEEN * widths.len().saturating_sub(1)
}

/// How narrow a column gets: names and text break between words, numbers do not.
fn least(name: &str, is_left: bool, column: usize, rows: &[Vec<String>]) -> usize {
    let word = |text: &str| text.split([' ', '\n']).map(display_width).max().unwrap_or(0);
    let line = |text: &str| text.split('\n').map(display_width).max().unwrap_or(0);
    let cells = rows.iter().filter_map(|row| row.get(column));
    cells.map(|cell| if is_left { word(cell) } else { line(cell) }).max().unwrap_or(0).max(word(name))
}

fn broken(cell: &str, width: usize) -> String {
    let options = Options::new(width).break_words(false).word_splitter(WordSplitter::NoHyphenation);
    cell.split('\n').map(|line| textwrap::fill(line, &options)).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(room: usize) -> String {
        let cells = |row: [&str; 4]| row.map(str::to_owned).to_vec();
        let rows = vec![
            cells(["convnet", "1.20M", "1 h 50 min", "the convolutional network of the first sweep"]),
            cells(["vit", "900k", "3 min 05 s", "attention-only"]),
        ];
        within(&["curve", "params", "time left", "what it is"], &["curve", "what it is"], rows, room)
    }

    #[test]
    fn tables_break_between_words() {
        let wide = shown(100);
        assert_eq!(wide.lines().count(), 3, "{wide}");
        for room in 36..74 {
            let table = shown(room);
            assert!(table.lines().all(|line| display_width(line) <= room), "{room}\n{table}");
            for word in ["convolutional", "attention-only", "1 h 50 min", "3 min 05 s", "convnet"] {
                assert!(table.contains(word), "{room}: no {word} in\n{table}");
            }
        }
    }

    #[test]
    fn where_numbers_do_not_fit_a_row_is_a_paragraph() {
        assert_eq!(
            shown(30),
            "convnet\n  params 1.20M,\n  time left 1 h 50 min,\n  what it is the convolutional\n  network of the first sweep\n\
             vit\n  params 900k,\n  time left 3 min 05 s,\n  what it is attention-only"
        );
    }
}
