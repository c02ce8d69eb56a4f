//! Whether the files of a task are there, before runs depend on them.

use super::{entry, files};
use crate::error::{Error, Result};
use crate::units::bytes;

/// # Errors
/// Files are missing: says how to get them.
pub fn check(task: &str) -> Result<()> {
    let (entry, data) = (entry(task)?, files::data_dir()?);
    let missing = files::missing(&data, entry.name, entry.files);
    if missing.is_empty() {
        return Ok(());
    }
    let size = match &entry.archive {
        Some(archive) => archive.bytes,
        None => entry.files.iter().map(|file| file.bytes).sum(),
    };
    let folder = data.join(entry.name);
    let message = format!(
        "{} of the {} files of '{}' are not in {}: {}",
        missing.len(),
        entry.files.len(),
        entry.name,
        folder.display(),
        missing.join(", ")
    );
    Err(Error::failed(message).hint(format!("'crossover task fetch {}' gets them ({})", entry.name, bytes(size))))
}

/// The same, and that they are what was published.
pub fn check_content(task: &str) -> Result<()> {
    check(task)?;
    let (entry, data) = (entry(task)?, files::data_dir()?);
    entry.files.iter().try_for_each(|file| files::read(&data, entry.name, file).map(drop))
}
