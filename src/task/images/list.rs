//! Labels from a list: a CSV (or TSV) of file, label and, if there is one, split; or from the names of the files. Where the
//! training images stand in folders of their classes a list says the labels of the other splits, as ImageNet's do.

mod rows;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::folders::{extension, walk};
use super::listing::{Found, reason};
use crate::error::{Error, Result};
use crate::task::imported::audit::PARTS;
use crate::task::imported::picture;
use rows::Row;

/// The images that a list is of.
pub struct Images {
    /// Each with its part, where its folder says it.
    all: Vec<(PathBuf, Option<usize>)>,
    /// Places in `all` by name, from the folder on; none where a name is that of two.
    names: HashMap<String, Option<usize>>,
    root: PathBuf,
    /// In how many folders of splits they are.
    folders: usize,
}

impl Images {
    /// All below `root`, or those of folders of splits without folders of classes.
    pub fn of(root: &Path, flat: &[(usize, PathBuf)]) -> Result<Self> {
        let (mut all, mut names) = (Vec::new(), HashMap::new());
        let folders = match flat {
            [] => vec![(None, root.to_owned())],
            flat => flat.iter().map(|(part, folder)| (Some(*part), folder.clone())).collect(),
        };
        for (part, folder) in &folders {
            for path in walk(folder)? {
                let at = all.len();
                let within = |folder: &Path| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned());
                let mut both = vec![within(folder), within(root).filter(|_| part.is_some())];
                both.dedup();
                for name in both.into_iter().flatten() {
                    names.entry(name).and_modify(|place| *place = None).or_insert(Some(at));
                }
                all.push((path, *part));
            }
        }
        Ok(Self { all, names, root: root.to_owned(), folders: folders.len() })
    }

    /// The file of a name, which may lack its extension.
    fn place(&self, file: &str) -> Option<usize> {
        let below = Path::new(file).strip_prefix(&self.root).ok().and_then(Path::to_str);
        let file = below.unwrap_or(file).trim_start_matches("./");
        let with = |end: &str| {
            let upper = || self.names.get(&format!("{file}.{}", end.to_uppercase()));
            self.names.get(&format!("{file}.{end}")).or_else(upper)
        };
        *self.names.get(file).or_else(|| picture::READ.iter().find_map(|end| with(end)))?
    }
}

/// Images as the list has them; images that it does not name are ignored, and said to be. `classes` are those of the
/// training folders, none where the list is all that says classes.
pub fn read(images: Images, list: &Path, classes: &[String]) -> Result<Found> {
    let shown = list.display();
    let wrong = |line: u64, what: String| Error::bad_input(format!("{shown}, line {line}: {what}"));
    // In a folder of its class.
    let beside_them = |file: &str| !classes.is_empty() && images.root.join(file).is_file();
    let mut rows = rows::read(list, &|file| images.place(file).is_some() || beside_them(file))?;
    let mut found = Found::default();
    if rows.first().is_some_and(|row| row.file.is_none()) {
        in_order(&mut rows, &images, list)?;
    }
    found.notes.extend(named(&mut rows, list, classes)?);
    let mut rows_of: Vec<Option<Row>> = images.all.iter().map(|_| None).collect();
    let mut beside = 0u64;
    for row in rows {
        let file = row.file.as_deref().unwrap_or_default();
        let Some(index) = images.place(file) else {
            if beside_them(file) {
                beside += 1;
                continue;
            }
            // One more file that cannot be read, unless none can.
            let part = row.part.or(images.all.first().and_then(|(_, part)| *part)).unwrap_or(0);
            found.images.push((images.root.join(file), row.label, part));
            continue;
        };
        if let Some(before) = &rows_of[index] {
            let again = format!("{file} stands in line {} already", before.line);
            return Err(wrong(row.line, again).hint("one line for each file"));
        }
        rows_of[index] = Some(row);
    }
    if beside > 0 {
        found.notes.push(format!("{beside} files that {shown} names stand in a folder of their class, which counts"));
    }
    if let Some((path, ..)) = found.images.first().filter(|_| rows_of.iter().all(Option::is_none)) {
        return Err(Error::bad_input(format!(
            "{shown} names no file of {}: {} is not there",
            images.root.display(),
            path.display()
        ))
        .hint("files are named from the folder on, with or without their extension"));
    }
    for ((path, part), row) in images.all.into_iter().zip(rows_of) {
        match (row, reason(&path)) {
            (Some(row), _) => match (part, row.part) {
                (Some(folder), Some(said)) if folder != said => {
                    let stands = format!("{} is of {} here, and stands in", path.display(), PARTS[said]);
                    return Err(wrong(row.line, format!("{stands} the folder of {}", PARTS[folder])));
                }
                (folder, said) => found.images.push((path, row.label, folder.or(said).unwrap_or(0))),
            },
            (None, Some(_)) if path == *list => (),
            (None, Some(reason)) => found.ignore(path, reason),
            (None, None) => found.ignore(path, format!("not in {shown}")),
        }
    }
    Ok(found)
}

/// Labels alone are those of the images in the order of their names.
fn in_order(rows: &mut [Row], images: &Images, list: &Path) -> Result<()> {
    let names: Vec<String> = (images.all.iter().filter(|(path, _)| reason(path).is_none()))
        .filter_map(|(path, _)| Some(path.strip_prefix(&images.root).ok()?.to_str()?.to_owned()))
        .collect();
    if images.folders != 1 || names.len() != rows.len() {
        let (lines, count) = (rows.len(), names.len());
        return Err(Error::bad_input(format!(
            "{} has {lines} labels and names no file, and there are {count} images in {} folders",
            list.display(),
            images.folders
        ))
        .hint("a label a line goes by the order of the names in one folder; else a line is file, label"));
    }
    rows.iter_mut().zip(names).for_each(|(row, name)| row.file = Some(name));
    Ok(())
}

/// Numbers in place of the classes' names count them in the order of the names, from 0: so PyTorch's and Caffe's lists do.
fn named(rows: &mut [Row], list: &Path, classes: &[String]) -> Result<Option<String>> {
    let numbers: Option<Vec<usize>> = rows.iter().map(|row| row.label.parse().ok()).collect();
    let known = |row: &Row| classes.binary_search(&row.label).is_ok();
    let Some(numbers) = numbers.filter(|_| !classes.is_empty() && !rows.iter().any(known)) else { return Ok(None) };
    let (least, most) = (numbers.iter().min().copied().unwrap_or(0), numbers.iter().max().copied().unwrap_or(0));
    let (shown, count) = (list.display(), classes.len());
    if least != 0 || most >= count {
        return Err(Error::bad_input(format!(
            "{shown} has labels from {least} to {most}, and nothing says which of the {count} classes each is"
        ))
        .hint(
            "ILSVRC2012_validation_ground_truth.txt counts in the order of the devkit's meta.mat, which is not that of the              names: take Kaggle's LOC_val_solution.csv, or a list with the classes' names",
        ));
    }
    rows.iter_mut().zip(numbers).for_each(|(row, number)| row.label = classes[number].clone());
    Ok(Some(format!("labels of {shown} are numbers: 0 is {}, the first class by its name", classes[0])))
}

/// `cat` of `cat.0.jpg`, `american_bulldog` of `american_bulldog_12.jpg`: what stands before the number at the end.
pub fn label_in(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(&format!(".{}", &name[name.len() - extension(path).len()..])).unwrap_or(name);
    let label = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let label = if label.len() < stem.len() { label.trim_end_matches(['.', '_', '-', ' ', '(']) } else { "" };
    (!label.is_empty()).then(|| label.to_owned())
}
