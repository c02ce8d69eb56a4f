//! Images that stand within larger files, as in Parquet and tar: their bytes stay there until they are decoded, so that
//! memory holds a few numbers for each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::arrays::number_classes;
use super::imported::audit::Audit;
use super::imported::picture::{self, Look};
use super::imported::{About, Opened};
use super::parts;
use crate::error::{Context, Error, Result};

/// A larger image file is none.
const LARGEST: u64 = 1 << 28;
/// Folders within folders that are looked into.
const DEEPEST: usize = 8;

/// The files that a path names.
#[derive(Debug, PartialEq)]
pub struct Listed {
    path: String,
    /// Each with its split.
    pub files: Vec<(PathBuf, usize)>,
    /// How many were left out since their names say no split.
    left_out: usize,
}

impl Listed {
    pub fn of(path: &str, ends: &[&str]) -> Result<Self> {
        let (files, left_out) = files(Path::new(path), ends)?;
        Ok(Self { path: path.to_owned(), files, left_out })
    }

    pub fn paths(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|(path, _)| path).collect()
    }

    /// `4 shards of DIR, without 2 that name no split`.
    pub fn said(&self, what: &str) -> String {
        let without = match self.left_out {
            0 => String::new(),
            left_out => format!(", without {left_out} that name no split"),
        };
        format!("{} {what} of {}{without}", self.files.len(), self.path)
    }
}

/// The path itself, all below a folder, or those of a pattern such as `train-{000..012}.tar`; and how many were left out.
fn files(path: &Path, ends: &[&str]) -> Result<(Vec<(PathBuf, usize)>, usize)> {
    let mut found = Vec::new();
    match path.is_dir() {
        true => walk(path, ends, 0, &mut found)?,
        false => found = expand(path)?,
    }
    found.sort();
    if found.is_empty() {
        let ends = ends.join(" or ");
        return Err(Error::bad_input(format!("{} has no file that ends in {ends}", path.display())));
    }
    let within = |file: &Path| file.strip_prefix(path).ok().filter(|rest| *rest != Path::new("")).map(parts::of);
    let parts: Vec<Option<usize>> =
        found.iter().map(|file| within(file).unwrap_or_else(|| parts::of(Path::new(file.file_name()?)))).collect();
    // One split of any name, or none, is what there is to train on.
    if parts.iter().all(|part| *part == parts[0]) {
        return Ok((found.into_iter().map(|file| (file, 0)).collect(), 0));
    }
    if !parts.contains(&Some(0)) {
        return Err(Error::bad_input(format!(
            "{} has files of splits, and none is of train by its name",
            path.display()
        ))
        .hint(
            "name them train-….ENDING, validation-….ENDING, test-….ENDING, or put them into folders of these names",
        ));
    }
    let left_out = parts.iter().filter(|part| part.is_none()).count();
    Ok((found.into_iter().zip(parts).filter_map(|(file, part)| Some((file, part?))).collect(), left_out))
}

fn walk(folder: &Path, ends: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(folder).context(failed)? {
        let path = entry.context(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        match path.is_dir() {
            _ if name.starts_with('.') => (),
            true if depth < DEEPEST => walk(&path, ends, depth + 1, found)?,
            true => return Err(Error::bad_input(format!("{}: folders are nested too deep", path.display()))),
            false if ends.iter().any(|end| name.ends_with(end)) => found.push(path),
            false => (),
        }
    }
    Ok(())
}

/// `a-{00..11}.tar` is twelve files; what has no braces is itself.
fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.to_string_lossy();
    let range = name.split_once('{').and_then(|(before, rest)| {
        let (range, after) = rest.split_once('}')?;
        let (from, to) = range.split_once("..")?;
        Some((before.to_owned(), from.to_owned(), to.to_owned(), after.to_owned()))
    });
    let Some((before, from, to, after)) = range else { return Ok(vec![path.into()]) };
    let (first, last) = (from.parse::<u32>(), to.parse::<u32>());
    let (Ok(first), Ok(last)) = (first, last) else {
        return Err(Error::bad_input(format!("{name}: {{{from}..{to}}} must be two numbers, as in {{000..012}}")));
    };
    if first > last || last - first > 1_000_000 {
        return Err(Error::bad_input(format!("{name}: {{{from}..{to}}} must be numbers that rise")));
    }
    let width = if from.starts_with('0') { from.len() } else { 1 };
    let paths: Vec<PathBuf> = (first..=last).map(|n| format!("{before}{n:0width$}{after}").into()).collect();
    match paths.iter().find(|path| !path.is_file()) {
        None => Ok(paths),
        Some(missing) => Err(Error::bad_input(format!("{name}: {} is not there", missing.display()))),
    }
}

/// A file without a name in `folder`, gone when it is closed.
pub fn scratch(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    tempfile::tempfile_in(folder).context(|| format!("cannot write into {}", folder.display()))
}

/// A label as it is written.
pub enum Label {
    Number(i64),
    Name(String),
}

/// Images that were found.
#[derive(Default)]
pub struct Samples {
    files: Vec<(String, File)>,
    /// By part, then in the order of the files.
    parts: [Vec<Sample>; 3],
    /// Labels that are names, numbered as they came.
    names: BTreeMap<String, i64>,
    numbers: bool,
}

struct Sample {
    file: u32,
    bytes: u32,
    start: u64,
    label: i64,
}

impl Samples {
    /// A file whose images follow.
    pub fn file(&mut self, name: String, file: File) {
        self.files.push((name, file));
    }

    /// An image of the last file.
    pub fn add(&mut self, part: usize, start: u64, bytes: u64, label: Label) -> Result<()> {
        if bytes > LARGEST {
            return Err(Error::bad_input(format!("it has an image of {bytes} bytes, and {LARGEST} are the most")));
        }
        let label = match label {
            Label::Number(number) => {
                self.numbers = true;
                number
            }
            Label::Name(name) => {
                let next = self.names.len() as i64;
                *self.names.entry(name).or_insert(next)
            }
        };
        if self.numbers && !self.names.is_empty() {
            return Err(Error::bad_input("some of its labels are numbers and others are names"));
        }
        let file = self.files.len().saturating_sub(1) as u32;
        self.parts[part].push(Sample { file, bytes: bytes as u32, start, label });
        Ok(())
    }

    /// The set; `classes` are the names of labels that are numbers, where the files have them.
    pub fn open(
        self,
        look: Look,
        from: String,
        classes: Option<Vec<String>>,
        first_label: Option<i64>,
    ) -> Result<Opened> {
        let parts = [0, 1, 2].map(|part| self.parts[part].len() as u64);
        let samples: Vec<Sample> = self.parts.into_iter().flatten().collect();
        let labels: Vec<i64> = samples.iter().map(|sample| sample.label).collect();
        let (labels, classes) = match classes {
            // In the order of the names, whatever came first.
            _ if !self.names.is_empty() => {
                let mut place = vec![0; self.names.len()];
                self.names.values().enumerate().for_each(|(sorted, &came)| place[came as usize] = sorted as i64);
                let labels: Vec<i64> = labels.iter().map(|&came| place[came as usize]).collect();
                (number_classes(&labels, Some(0))?.0, self.names.into_keys().collect())
            }
            Some(names) => {
                let (labels, found) = number_classes(&labels, Some(0))?;
                if found.len() > names.len() {
                    let (label, names) = (found.len() - 1, names.len());
                    return Err(Error::bad_input(format!("there is a label {label}, and {names} names of classes")));
                }
                (labels, names)
            }
            None => number_classes(&labels, first_label)?,
        };
        if parts[0] == 0 || classes.len() < 2 {
            return Err(Error::bad_input(format!(
                "there are {} training images in {} classes: nothing to learn",
                parts[0],
                classes.len()
            )));
        }
        let files = self.files;
        Ok(Opened {
            what: format!("{} images of {from}", labels.len()),
            about: About { channels: look.channels, height: look.size, width: look.size, classes, parts },
            labels,
            files: Vec::new(),
            look: String::new(),
            audit: Audit::default(),
            read: Box::new(move |index, pixels| {
                let Sample { file, bytes, start, .. } = samples[index];
                let (name, file) = &files[file as usize];
                let what = || format!("image at byte {start} of {name}");
                let mut encoded = vec![0; bytes as usize];
                file.read_exact_at(&mut encoded, start).context(what)?;
                picture::read(&encoded, &look, pixels).map_err(|error| error.context(what()))
            }),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;
    use crate::task::examples::{Images, Split};

    /// An image of one shade.
    pub fn png(shade: u8) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        RgbImage::from_pixel(3, 5, Rgb([shade; 3])).write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    /// The shade of each image of `size` values, its label being its lowest bit.
    pub fn shades(split: &Split, size: usize) -> Vec<u8> {
        let Images::U8(pixels) = &split.images else { panic!("images are bytes") };
        let images = pixels.chunks(size).zip(&split.labels);
        images
            .map(|(image, &label)| {
                assert_eq!((image, label), (vec![image[0]; size].as_slice(), i64::from(image[0] % 2)));
                image[0]
            })
            .collect()
    }

    #[test]
    fn files_are_found_with_their_splits() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "").unwrap();
        };
        let found = |path: &str| {
            let (files, left_out) = files(&root.join(path), &[".tar"]).map_err(|error| error.message)?;
            let names =
                files.iter().map(|(file, part)| (file.strip_prefix(root).unwrap().display().to_string(), *part));
            Ok::<_, String>((names.collect::<Vec<_>>(), left_out))
        };
        assert!(found("").unwrap_err().ends_with("has no file that ends in .tar"));
        for n in 8..=11 {
            write(&format!("x/{n:03}.tar"));
        }
        assert_eq!(found("x/{008..010}.tar").unwrap().0.len(), 3);
        assert_eq!(
            found("x/{8..9}.tar").unwrap_err().split(": ").last(),
            Some(&*format!("{} is not there", root.join("x/8.tar").display()))
        );
        assert!(found("x/{a..b}.tar").unwrap_err().contains("must be two numbers"));
        assert!(found("x/{9..8}.tar").unwrap_err().contains("must be numbers that rise"));
        write("x/test.tar");
        assert!(found("x").unwrap_err().contains("none is of train by its name"));
        write("x/sub/train-0.tar");
        write("x/.hidden/train-0.tar");
        let (files, left_out) = found("x").unwrap();
        assert_eq!((files, left_out), (vec![("x/sub/train-0.tar".into(), 0), ("x/test.tar".into(), 2)], 4));
        assert_eq!(found("x/test.tar").unwrap(), (vec![("x/test.tar".into(), 0)], 0));
        let path = root.join("x").display().to_string();
        let listed = Listed::of(&path, &[".tar"]).unwrap();
        assert_eq!(listed.said("shards"), format!("2 shards of {path}, without 4 that name no split"));
    }
}
