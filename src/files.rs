//! Files that are whole or not there: written beside, synced, renamed.

use std::io::Write;
use std::path::Path;

use crate::error::{Context, Result};

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
