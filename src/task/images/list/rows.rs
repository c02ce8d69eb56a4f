//! A list as its rows: separated by tabs, semicolons, commas or spaces, with a head or without, of several columns or one.

use std::path::Path;

use crate::error::{Context, Error, Result};

/// What columns are called, in the order in which they are looked for.
const FILE: [&str; 12] = [
    "file",
    "filename",
    "file_name",
    "path",
    "filepath",
    "image",
    "image_path",
    "image_id",
    "imageid",
    "img",
    "id",
    "name",
];
const LABEL: [&str; 10] =
    ["label", "class", "category", "target", "class_name", "labels", "breed", "species", "y", PREDICTION];
const SPLIT: [&str; 5] = ["split", "set", "subset", "part", "partition"];

/// In Kaggle's LOC_val_solution.csv a class and its box, several times.
const PREDICTION: &str = "predictionstring";

pub struct Row {
    pub line: u64,
    /// None in a list of labels alone.
    pub file: Option<String>,
    pub label: String,
    /// 0 training, 1 validation, 2 test.
    pub part: Option<usize>,
}

struct Columns {
    file: Option<usize>,
    label: usize,
    split: Option<usize>,
    /// The first row is one of data.
    headless: bool,
    /// Of a label its first word counts.
    boxed: bool,
}

/// `is_file` says whether a name is that of an image.
pub fn read(list: &Path, is_file: &dyn Fn(&str) -> bool) -> Result<Vec<Row>> {
    let shown = list.display();
    let text = crate::files::read_text(list).context(|| format!("cannot read {shown}"))?;
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let by_space = head.split_once(' ').is_some_and(|(file, _)| is_file(file)).then_some(b' ');
    let found = [b'\t', b';', b','].into_iter().find(|&sign| head.contains(char::from(sign)));
    let delimiter = found.or(by_space).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let mut columns: Option<Columns> = None;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::bad_input(format!("cannot read {shown}: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: String| Error::bad_input(format!("{shown}, line {line}: {what}"));
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        if columns.is_none() {
            let found = Columns::of(&cells, is_file).map_err(wrong)?;
            let headless = found.headless;
            columns = Some(found);
            if !headless {
                continue;
            }
        }
        let Some(columns) = &columns else { continue };
        rows.push(columns.row(&cells, line).map_err(wrong)?);
    }
    Ok(rows)
}

/// 0 training, 1 validation, 2 test.
fn part(split: &str) -> Option<usize> {
    match split.to_lowercase().as_str() {
        "train" | "training" => Some(0),
        "val" | "valid" | "validation" | "dev" => Some(1),
        "test" | "testing" => Some(2),
        _ => None,
    }
}

impl Columns {
    fn of(cells: &[&str], is_file: impl Fn(&str) -> bool) -> Result<Self, String> {
        let lower: Vec<String> = cells.iter().map(|cell| cell.to_lowercase()).collect();
        let named = |names: &[&str]| names.iter().find_map(|name| lower.iter().position(|cell| cell == name));
        if let [only] = cells {
            if is_file(only) || named(&FILE).is_some() {
                return Err("it has files and no labels".into());
            }
            let headless = named(&LABEL).is_none();
            return Ok(Self { file: None, label: 0, split: None, headless, boxed: false });
        }
        if cells.len() >= 2 && is_file(cells[0]) {
            let split = (cells.len() > 2).then_some(2);
            return Ok(Self { file: Some(0), label: 1, split, headless: true, boxed: false });
        }
        let file = named(&FILE);
        // Of two columns the other one is the label, whatever it is called.
        let other = || file.filter(|_| cells.len() == 2).map(|file| 1 - file);
        match (file, named(&LABEL).or_else(other)) {
            (Some(file), Some(label)) => {
                let (split, boxed) = (named(&SPLIT), lower[label] == PREDICTION);
                Ok(Self { file: Some(file), label, split, headless: false, boxed })
            }
            _ => Err(format!(
                "its columns must be called file, label and, if there is one, split, and are {}; or the first names a file",
                cells.join(", ")
            )),
        }
    }

    fn row(&self, cells: &[&str], line: u64) -> Result<Row, String> {
        let cell = |at: usize| cells.get(at).copied().filter(|cell| !cell.is_empty());
        let file = self.file.map(|at| cell(at).map(String::from));
        let label = cell(self.label).and_then(|label| if self.boxed { label.split(' ').next() } else { Some(label) });
        let (Some(label), false) = (label, file == Some(None)) else {
            return Err("a file and a label are needed".into());
        };
        let split = self.split.map(|at| cell(at).unwrap_or_default());
        let part = split
            .map(|split| {
                let unknown = || format!("the split must be train, validation or test, and is '{split}'");
                part(split).ok_or_else(unknown)
            })
            .transpose()?;
        Ok(Row { line, file: file.flatten(), label: label.to_owned(), part })
    }
}
