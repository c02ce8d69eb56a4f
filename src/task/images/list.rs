//! Labels from a list: a CSV (or TSV) of file, label and, if there is one, split; or from the names of the files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::folders::{extension, walk};
use super::listing::{Found, reason};
use crate::error::{Context, Error, Result};
use crate::task::imported::picture;

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
const LABEL: [&str; 9] = ["label", "class", "category", "target", "class_name", "labels", "breed", "species", "y"];
const SPLIT: [&str; 5] = ["split", "set", "subset", "part", "partition"];

struct Columns {
    file: usize,
    label: usize,
    split: Option<usize>,
    /// The first row is one of data.
    headless: bool,
}

/// Images of `folder` as the list has them; images that it does not name are ignored, and said to be.
pub fn read(folder: &Path, list: &Path) -> Result<Found> {
    let shown = list.display();
    let text = crate::files::read_text(list).context(|| format!("cannot read {shown}"))?;
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let delimiter = [b'\t', b';', b','].into_iter().find(|&sign| head.contains(char::from(sign))).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let images: Vec<PathBuf> = walk(folder)?;
    let all: HashMap<String, usize> = images
        .iter()
        .enumerate()
        .filter_map(|(index, path)| Some((path.strip_prefix(folder).ok()?.to_str()?.to_owned(), index)))
        .collect();
    let mut columns: Option<Columns> = None;
    let mut missing = Vec::new();
    let mut named: Vec<Option<(u64, String, usize)>> = vec![None; images.len()];
    for record in reader.records() {
        let record = record.map_err(|error| Error::bad_input(format!("cannot read {shown}: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: String| Error::bad_input(format!("{shown}, line {line}: {what}"));
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        if columns.is_none() {
            let found = Columns::of(&cells, |file| place(&all, file).is_some()).map_err(wrong)?;
            let headless = found.headless;
            columns = Some(found);
            if !headless {
                continue;
            }
        }
        let Some(columns) = &columns else { continue };
        let cell = |at: usize| cells.get(at).copied().filter(|cell| !cell.is_empty());
        let (Some(file), Some(label)) = (cell(columns.file), cell(columns.label)) else {
            return Err(wrong("a file and a label are needed".into()));
        };
        let part = match columns.split.map(|at| cell(at).unwrap_or_default()) {
            None => 0,
            Some(split) => part(split)
                .ok_or_else(|| wrong(format!("the split must be train, validation or test, and is '{split}'")))?,
        };
        let Some(index) = place(&all, file) else {
            // One more file that cannot be read, unless none can.
            missing.push((folder.join(file), label.to_owned(), part));
            continue;
        };
        if let Some((before, ..)) = &named[index] {
            return Err(wrong(format!("{file} stands in line {before} already")).hint("one line for each file"));
        }
        named[index] = Some((line, label.to_owned(), part));
    }
    if let Some((path, ..)) = missing.first().filter(|_| named.iter().all(Option::is_none)) {
        return Err(Error::bad_input(format!(
            "{shown} names no file of {}: {} is not there",
            folder.display(),
            path.display()
        ))
        .hint("files are named from the folder on, with or without their extension"));
    }
    let mut found = Found::default();
    found.images = missing;
    for (path, named) in images.into_iter().zip(named) {
        match (named, reason(&path)) {
            (Some((_, label, part)), _) => found.images.push((path, label, part)),
            (None, Some(_)) if path == *list => (),
            (None, Some(reason)) => found.ignore(path, reason),
            (None, None) => found.ignore(path, format!("not in {shown}")),
        }
    }
    Ok(found)
}

/// The file of a name, which may lack its extension.
fn place(all: &HashMap<String, usize>, file: &str) -> Option<usize> {
    let file = file.trim_start_matches("./");
    let with =
        |end: &str| all.get(&format!("{file}.{end}")).or_else(|| all.get(&format!("{file}.{}", end.to_uppercase())));
    all.get(file).or_else(|| picture::READ.iter().find_map(|end| with(end))).copied()
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
        let split = (cells.len() > 2).then_some(2);
        if cells.len() >= 2 && is_file(cells[0]) {
            return Ok(Self { file: 0, label: 1, split, headless: true });
        }
        let lower: Vec<String> = cells.iter().map(|cell| cell.to_lowercase()).collect();
        let named = |names: &[&str]| names.iter().find_map(|name| lower.iter().position(|cell| cell == name));
        let file = named(&FILE);
        // Of two columns the other one is the label, whatever it is called.
        let other = || file.filter(|_| cells.len() == 2).map(|file| 1 - file);
        match (file, named(&LABEL).or_else(other)) {
            (Some(file), Some(label)) => Ok(Self { file, label, split: named(&SPLIT), headless: false }),
            _ => Err(format!(
                "its columns must be called file, label and, if there is one, split, and are {}; or the first names a file",
                cells.join(", ")
            )),
        }
    }
}

/// `cat` of `cat.0.jpg`, `american_bulldog` of `american_bulldog_12.jpg`: what stands before the number at the end.
pub fn label_in(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(&format!(".{}", &name[name.len() - extension(path).len()..])).unwrap_or(name);
    let label = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let label = if label.len() < stem.len() { label.trim_end_matches(['.', '_', '-', ' ', '(']) } else { "" };
    (!label.is_empty()).then(|| label.to_owned())
}
