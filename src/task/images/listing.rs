//! What is in a folder, by names alone: which file is an image of which class, in which part.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::task::imported::MOST_CLASSES;

const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

pub struct Listed {
    pub path: PathBuf,
    pub class: u16,
    /// 0 training, 1 validation, 2 test.
    pub part: usize,
}

/// What is in a folder, by names alone.
#[derive(Default)]
pub struct Listing {
    pub classes: Vec<String>,
    /// By part, class and path.
    pub images: Vec<Listed>,
    /// Files within the classes that are no images by their names.
    pub others: Vec<PathBuf>,
}

impl Listing {
    pub fn of(root: &Path) -> Result<Self> {
        let folders = subfolders(root)?;
        let mut parts: [Vec<&str>; 3] = Default::default();
        for (folder, _) in &folders {
            match folder.to_lowercase().as_str() {
                "train" | "training" => parts[0].push(folder),
                "val" | "valid" | "validation" => parts[1].push(folder),
                "test" | "testing" => parts[2].push(folder),
                _ => (),
            }
        }
        let mut listing = Self::default();
        if parts[0].is_empty() {
            listing.add(root, 0)?;
            return Ok(listing);
        }
        if parts.iter().any(|part| part.len() > 1) || parts.iter().flatten().count() < folders.len() {
            let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::bad_input(format!(
                "{} has a folder train, so beside it only val and test are read, and it has {}",
                root.display(),
                names.join(", ")
            ))
            .hint("move the others away; or, if train is a class, call that class something else"));
        }
        for (part, folders) in parts.iter().enumerate() {
            folders.iter().try_for_each(|folder| listing.add(&root.join(folder), part))?;
        }
        Ok(listing)
    }

    /// The classes of one part; the training part comes first and says which there are.
    fn add(&mut self, folder: &Path, part: usize) -> Result<()> {
        let classes = subfolders(folder)?;
        if part == 0 {
            if !(2..=MOST_CLASSES).contains(&classes.len()) {
                let (count, folder) = (classes.len(), folder.display());
                return Err(Error::bad_input(format!(
                    "{folder} has {count} folders, and needs one for each of 2 to {MOST_CLASSES} classes"
                )));
            }
            self.classes = classes.iter().map(|(name, _)| name.clone()).collect();
        }
        for (name, path) in classes {
            let Ok(class) = self.classes.binary_search(&name) else {
                return Err(Error::bad_input(format!("{} is a class that train does not have", path.display()))
                    .hint(format!("its classes are {}", self.classes.join(", "))));
            };
            let before = self.images.len();
            let mut found = Vec::new();
            walk(&path, &mut found)?;
            found.sort();
            for path in found {
                let extension = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
                match extension.is_some_and(|end| EXTENSIONS.contains(&end.as_str())) {
                    true => self.images.push(Listed { path, class: class as u16, part }),
                    false => self.others.push(path),
                }
            }
            if part == 0 && self.images.len() == before {
                return Err(Error::bad_input(format!("{} has no .jpg, .jpeg or .png file", path.display()))
                    .hint("remove the folder, or put the images of its class there"));
            }
        }
        Ok(())
    }
}

/// Entries that are not hidden: name and path, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).context(failed)? {
        let entry = entry.context(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| Error::bad_input(format!("{}: {name:?} is not UTF-8", folder.display())))?;
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn subfolders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// Whether a link leads to this folder or one above it.
fn is_above(path: &Path, folder: &Path) -> Result<bool> {
    let real = |path: &Path| fs::canonicalize(path).context(|| format!("cannot open {}", path.display()));
    Ok(path.is_symlink() && real(folder)?.starts_with(real(path)?))
}

/// All files below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for (_, path) in entries(folder)? {
        match path.is_dir() {
            true if is_above(&path, folder)? => {
                let message = format!("{} is a link to a folder that it stands in", path.display());
                return Err(Error::bad_input(message).hint("remove the link: its images would be read many times"));
            }
            true => walk(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
