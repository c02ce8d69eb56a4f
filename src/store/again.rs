//! Runs that are to be done again: because a person says so, or because their folder was deleted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rusqlite::Transaction;

use super::{Reader, State, Store, schema};
use crate::error::{Context, Error, Result};
use crate::event::EventLog;
use crate::files;
use crate::worker::checkpoint;

/// What a run left is kept in a folder of this name and a number, within its own.
const KEPT: &str = "kept-";

impl Store {
    /// Makes the run to do: what it left is put aside, so that it is trained from its beginning. The folder that holds
    /// it now; none where it had left nothing.
    ///
    /// # Errors
    /// The run is still being trained; its folder cannot be written.
    pub fn again(&mut self, id: &str) -> Result<Option<PathBuf>> {
        let folder = self.reader.run_folder(id);
        if EventLog::is_open(&folder) {
            return Err(Error::failed(format!("run {id} is being trained by a worker that was left behind"))
                .hint("wait until it has ended, within a minute, and type the same again"));
        }
        // The index last: a kill before that leaves the run as it was known, and the same again goes on.
        let kept = put_aside(&folder).context(|| format!("cannot put aside what is in {}", folder.display()))?;
        self.forget([id])?;
        Ok(kept)
    }

    /// What is known of these runs but their configs leaves the index, and they are to do.
    pub(super) fn forget<'i>(&mut self, ids: impl IntoIterator<Item = &'i str>) -> Result<()> {
        let dir = self.reader.dir.clone();
        let transaction = self.transaction()?;
        let forgotten = ids.into_iter().try_for_each(|id| forget(&transaction, id));
        forgotten.and_then(|()| transaction.commit()).map_err(|error| schema::explain(&dir, error))
    }
}

impl Reader {
    /// Those that were taken up, and whose folder is not there any more; or whose log is not, where the run has not ended.
    ///
    /// # Errors
    /// The store's folder cannot be read.
    pub(super) fn without_log(&self, standing: &HashMap<String, (State, u32)>) -> Result<Vec<String>> {
        let folders = self.folders()?;
        let is_gone = |(id, (state, _)): &(&String, &(State, u32))| {
            *state != State::ToDo && (!folders.contains(OsStr::new(id)) || (!state.is_final() && !self.has_log(id)))
        };
        let mut lost: Vec<String> = standing.iter().filter(is_gone).map(|(id, _)| id.clone()).collect();
        lost.sort_unstable();
        Ok(lost)
    }

    /// Runs that have ended and whose log is gone: what it said is in the index alone.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn ended_without_log(&self) -> Result<Vec<String>> {
        let ended = "SELECT id FROM runs WHERE state IN ('done', 'diverged') ORDER BY id";
        let ended: Vec<String> = self.rows(ended, [], |row| row.get(0))?;
        Ok(self.without_log_among(ended.iter().map(String::as_str)))
    }

    /// Those of these runs, all of which have ended, whose log is gone: a look at the folder of each.
    pub fn without_log_among<'a>(&self, ended: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut ended: Vec<&str> = ended.into_iter().collect();
        ended.retain(|id| !self.has_log(id));
        ended.into_iter().map(str::to_owned).collect()
    }

    fn has_log(&self, id: &str) -> bool {
        self.run_folder(id).join(EventLog::FILE).try_exists().unwrap_or(true)
    }
}

fn forget(index: &Transaction, id: &str) -> rusqlite::Result<()> {
    for table in ["attempts", "metrics", "logs"] {
        let delete = format!("DELETE FROM {table} WHERE run = (SELECT key FROM runs WHERE id = ?)");
        index.prepare_cached(&delete)?.execute([id])?;
    }
    index
        .prepare_cached("UPDATE runs SET state = 'to_do', step = NULL, reason = NULL WHERE id = ?")?
        .execute([id])
        .map(|_| ())
}

/// Moves all but the record into a new folder; checkpoints are removed, since nothing goes on from them.
fn put_aside(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut left: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?,
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    left.retain(|path| !name(path).starts_with("run.json") && !is_kept(path));
    left.sort_by_key(|path| name(path) != EventLog::FILE);
    if left.is_empty() {
        return Ok(None);
    }
    let kept = (1u32..).map(|number| folder.join(format!("{KEPT}{number}"))).find(|kept| !kept.exists());
    let kept = kept.unwrap_or_else(|| folder.join(KEPT));
    files::make_folder(&kept)?;
    for path in left {
        match checkpoint::is_one(&path) {
            true => checkpoint::remove_one(&path)?,
            false => std::fs::rename(&path, kept.join(name(&path)))?,
        }
    }
    std::fs::File::open(folder)?.sync_all()?;
    Ok(Some(kept))
}

/// What was put aside when a run was to be done again.
pub(super) fn is_kept(path: &Path) -> bool {
    path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(KEPT))
}
