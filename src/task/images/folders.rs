//! What is in a folder, as its file system says it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// Name and path of all that is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).context(failed)? {
        let entry = entry.context(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| Error::bad_input(format!("{}: {name:?} is not UTF-8", folder.display())))?;
        entries.push((name, entry.path()));
    }
    entries.sort();
    Ok(entries)
}

pub fn hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

/// Folders that are not hidden.
pub fn subfolders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(name, path)| !hidden(name) && path.is_dir()).collect())
}

/// Files of a folder itself, hidden ones among them.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().map(|(_, path)| path).filter(|path| !path.is_dir()).collect())
}

/// Whether a link leads to this folder or one above it.
fn is_above(path: &Path, folder: &Path) -> Result<bool> {
    let real = |path: &Path| fs::canonicalize(path).context(|| format!("cannot open {}", path.display()));
    Ok(path.is_symlink() && real(folder)?.starts_with(real(path)?))
}

/// All files below a folder, sorted; of hidden folders none.
pub fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for (name, path) in entries(&folder)? {
            match path.is_dir() {
                true if hidden(&name) => (),
                true if is_above(&path, &folder)? => {
                    let message = format!("{} is a link to a folder that it stands in", path.display());
                    return Err(Error::bad_input(message).hint("remove the link: its images would be read many times"));
                }
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The end of a name, in small letters; empty where it has none.
pub fn extension(path: &Path) -> String {
    path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).unwrap_or_default()
}

pub fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
