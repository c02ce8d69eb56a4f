//! Which file is an image of which class, in which part, by names alone; and what is none, and why.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::folders::{extension, files, hidden, name, walk};
use super::{ImageFolder, NAMES, layout, list};
use crate::error::{Context, Error, Result};
use crate::task::imported::MOST_CLASSES;
use crate::task::imported::audit::{Audit, Folder, Ignored, PARTS};
use crate::task::imported::picture;

pub struct Listed {
    pub path: PathBuf,
    pub class: u16,
    /// 0 training, 1 validation, 2 test.
    pub part: usize,
}

#[derive(Default)]
pub struct Listing {
    pub classes: Vec<String>,
    /// By part, class and path.
    pub images: Vec<Listed>,
    pub audit: Audit,
}

/// Files by where they were found, before classes have numbers.
#[derive(Default)]
pub struct Found {
    /// Path, class, part.
    pub images: Vec<(PathBuf, String, usize)>,
    /// Path, and why it is not read.
    ignored: Vec<(PathBuf, String)>,
    pub notes: Vec<String>,
}

impl Listing {
    pub fn of(given: &ImageFolder) -> Result<Self> {
        let root = given.folder();
        // Of a folder the part, where the list does not say one for each image.
        let some =
            |parts: Vec<(usize, PathBuf)>| parts.into_iter().map(|(part, folder)| (Some(part), folder)).collect();
        let (parts, mut found): (Vec<_>, _) = match given.labels.as_deref() {
            Some(file) if file != NAMES => match layout::with_a_list(given)? {
                Some(parts) => {
                    let found = Found::beside_a_list(root, &parts, Path::new(file))?;
                    (some(parts), found)
                }
                None => {
                    (vec![(None, root.to_owned())], list::read(list::Images::of(root, &[])?, Path::new(file), &[])?)
                }
            },
            _ => {
                let parts = layout::parts(given)?;
                let mut found = Found::default();
                for (part, folder) in &parts {
                    found.part(folder, *part, given.labels.is_some())?;
                }
                (some(parts), found)
            }
        };
        if let [(Some(_), folder)] = parts.as_slice()
            && folder != root
        {
            found.notes.push(format!("of {} only {} is read, as 'train' says", root.display(), name(folder)));
        }
        let skipped = found.skip(root, given.skip.as_deref())?;
        let classes = classes(&found, root)?;
        let mut images = Vec::with_capacity(found.images.len());
        let mut audit = found.audit(&parts, &skipped);
        audit.notes = found.notes;
        for (path, class, part) in found.images {
            let Ok(class) = classes.binary_search(&class) else {
                return Err(Error::bad_input(format!(
                    "{} is of class {class}, which train does not have",
                    path.display()
                ))
                .hint(format!("its classes are {}", few(&classes))));
            };
            images.push(Listed { path, class: class as u16, part });
        }
        images.sort_by(|a, b| (a.part, a.class, &a.path).cmp(&(b.part, b.class, &b.path)));
        Ok(Self { classes, images, audit })
    }
}

/// Of the training part, in the order of their names.
fn classes(found: &Found, root: &Path) -> Result<Vec<String>> {
    let names: HashSet<&String> = found.images.iter().filter(|image| image.2 == 0).map(|image| &image.1).collect();
    let mut classes: Vec<String> = names.into_iter().cloned().collect();
    classes.sort();
    if !(2..=MOST_CLASSES).contains(&classes.len()) {
        let (count, root) = (classes.len(), root.display());
        return Err(Error::bad_input(format!("{root} has {count} classes with images, and needs 2 to {MOST_CLASSES}")));
    }
    Ok(classes)
}

pub fn few(names: &[String]) -> String {
    match names.len() {
        0..=20 => names.join(", "),
        count => format!("{}, … ({count})", names[..10].join(", ")),
    }
}

impl Found {
    /// Parts with folders of classes, and others whose labels a list says.
    fn beside_a_list(root: &Path, parts: &[(usize, PathBuf)], file: &Path) -> Result<Self> {
        let (flat, sorted): (Vec<_>, Vec<_>) = parts.iter().cloned().partition(|(_, folder)| layout::is_flat(folder));
        let mut found = Self::default();
        sorted.iter().try_for_each(|(part, folder)| found.part(folder, *part, false))?;
        let classes = if found.images.is_empty() { Vec::new() } else { classes(&found, root)? };
        let listed = list::read(list::Images::of(root, &flat)?, file, &classes)?;
        found.images.extend(listed.images);
        found.ignored.extend(listed.ignored);
        found.notes.extend(listed.notes);
        for (part, folder) in flat.iter().filter(|(part, _)| !found.images.iter().any(|(.., of)| of == part)) {
            let (shown, part) = (folder.display(), PARTS[*part]);
            found
                .notes
                .push(format!("{} names no image of {shown}: {part} images are held out instead", file.display()));
        }
        Ok(found)
    }

    /// The classes of a part: its folders, or what the names of its files begin with.
    fn part(&mut self, folder: &Path, part: usize, by_name: bool) -> Result<()> {
        if by_name {
            for path in walk(folder)? {
                match (reason(&path), list::label_in(&path)) {
                    (Some(reason), _) => self.ignored.push((path, reason)),
                    (None, Some(class)) => self.images.push((path, class, part)),
                    (None, None) => self.ignored.push((path, "no label before a number in its name".into())),
                }
            }
            return Ok(());
        }
        for path in files(folder)? {
            let why = reason(&path).unwrap_or_else(|| "an image beside the classes' folders".into());
            self.ignored.push((path, why));
        }
        let classes = layout::classes(folder, part)?;
        for (class, path) in classes {
            let before = self.images.len();
            for path in walk(&path)? {
                match reason(&path) {
                    None => self.images.push((path, class.clone(), part)),
                    Some(reason) => self.ignored.push((path, reason)),
                }
            }
            if part == 0 && self.images.len() == before {
                return Err(Error::bad_input(format!("{} has no image", path.display())).hint(format!(
                    "remove the folder, or put the images of its class there: files that end in {}",
                    picture::READ.map(|end| format!(".{end}")).join(", ")
                )));
            }
        }
        Ok(())
    }

    pub fn ignore(&mut self, path: PathBuf, reason: String) {
        self.ignored.push((path, reason));
    }

    /// Leaves out what a list names; gives what it left out.
    fn skip(&mut self, root: &Path, list: Option<&str>) -> Result<Vec<PathBuf>> {
        let Some(list) = list else { return Ok(Vec::new()) };
        let text = crate::files::read_text(Path::new(list)).context(|| format!("cannot read {list}"))?;
        let lines = text.lines().map(|line| line.split('\t').next().unwrap_or_default().trim_end());
        let named: HashSet<PathBuf> =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| root.join(line)).collect();
        let (skipped, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.images).into_iter().partition(|(path, ..)| named.contains(path));
        self.images = kept;
        let unknown = named.len() - skipped.len();
        if skipped.is_empty() && unknown > 0 {
            let first = named.iter().min().map(|path| path.display().to_string()).unwrap_or_default();
            return Err(Error::bad_input(format!("skip = \"{list}\" names no image of {}: {first}", root.display()))
                .hint("a path a line, from the folder on or absolute"));
        }
        if unknown > 0 {
            self.notes.push(format!("{unknown} files that {list} names are not there"));
        }
        Ok(skipped.into_iter().map(|(path, ..)| path).collect())
    }

    fn audit(&self, parts: &[(Option<usize>, PathBuf)], skipped: &[PathBuf]) -> Audit {
        let below = |folder: &Path, path: &Path| path.starts_with(folder);
        let is_of = |part: Option<usize>, of: usize| part.is_none_or(|part| part == of);
        let folder = |(part, folder): &(Option<usize>, PathBuf)| Folder {
            path: folder.display().to_string(),
            part: part.map_or("the list says", |part| PARTS[part]).into(),
            read: self.images.iter().filter(|(path, _, of)| is_of(*part, *of) && below(folder, path)).count() as u64,
            ignored: self.ignored.iter().filter(|(path, _)| below(folder, path)).count() as u64,
            skipped: skipped.iter().filter(|path| below(folder, path)).count() as u64,
            ..Folder::default()
        };
        let mut kinds: BTreeMap<(String, &str), (u64, &Path)> = BTreeMap::new();
        for (path, reason) in &self.ignored {
            let kind = match extension(path) {
                _ if hidden(name(path)) => "hidden files".into(),
                end if end.is_empty() => "files without an extension".into(),
                end => format!(".{end}"),
            };
            kinds.entry((kind, reason)).or_insert((0, path)).0 += 1;
        }
        let ignored = kinds.into_iter().map(|((kind, reason), (count, example))| Ignored {
            kind,
            count,
            reason: reason.into(),
            example: example.display().to_string(),
        });
        Audit { folders: parts.iter().map(folder).collect(), ignored: ignored.collect(), ..Audit::default() }
    }
}

/// Why a file is not read, by its name.
pub fn reason(path: &Path) -> Option<String> {
    if hidden(name(path)) { Some("hidden".into()) } else { picture::reason(&extension(path)) }
}
