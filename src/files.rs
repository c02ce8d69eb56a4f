//! Files that are whole or not there: written beside, synced, renamed.

use std::io::Write;
use std::path::Path;

use crate::error::{Context, Error, Result};

/// Writes a file that a person named: where one is there it is theirs, and stays unless `replace` is set.
///
/// # Errors
/// There is a file; it cannot be written.
pub fn write_new(path: &Path, content: &[u8], replace: bool) -> Result<()> {
    refuse_to_replace(path, replace)?;
    write_atomically(path, content)
}

/// Before anything is computed for it.
///
/// # Errors
/// There is a file, and `replace` is not set.
pub fn refuse_to_replace(path: &Path, replace: bool) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) if !replace => Err(Error::bad_input(format!("{} is there already", path.display()))
            .hint("name another file, or replace it with --force")),
        _ => Ok(()),
    }
}

/// Replaces `path` by `content`; its folder is made. An interruption leaves the old file or the new one.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context(failed)?;
    file.write_all(content).context(failed)?;
    file.as_file().sync_all().context(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).context(failed)?;
    file.persist(path).map_err(|error| error.error).context(failed)?;
    Ok(())
}
