//! Which backend trained a sweep last, in that backend's own words: who resumes the sweep goes there again. It lies beside
//! the sweep's record and is no part of it, since it says nothing of what was measured.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Reader, Store, record};
use crate::error::{Context, Error, Result};
use crate::files;

impl Store {
    /// # Errors
    /// It cannot be written.
    pub fn remember_backend(&self, sweep: &str, backend: &impl Serialize) -> Result<()> {
        record::write(&file(&self.reader.dir, sweep), backend, false)
    }
}

impl Reader {
    /// None where nobody has said it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn backend<T: DeserializeOwned>(&self, sweep: &str) -> Result<Option<T>> {
        let path = file(&self.dir, sweep);
        let failed = || format!("cannot read where '{sweep}' was trained last, {}", path.display());
        match files::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            found => {
                let read = || serde_json::from_slice(&found.context(failed)?).context(failed);
                read().map(Some).map_err(|error: Error| {
                    error.hint("remove it, and say with --executor local or slurm where the sweep is resumed")
                })
            }
        }
    }
}

fn file(dir: &Path, sweep: &str) -> PathBuf {
    dir.join("sweeps").join(format!("{sweep}.backend"))
}

/// For a sweep that has another name now.
pub(super) fn rename(dir: &Path, old: &str, new: &str) -> Result<()> {
    let path = file(dir, old);
    let moved = files::unless_absent(std::fs::rename(&path, file(dir, new)));
    moved.context(|| format!("cannot rename {}", path.display()))
}

pub(super) fn forget(dir: &Path, sweep: &str) -> Result<()> {
    let path = file(dir, sweep);
    files::unless_absent(std::fs::remove_file(&path)).context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Waste, sample};

    #[test]
    fn where_a_sweep_was_trained_goes_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.register(&sample::plan(&["convnet"], &[100], &[1e-3], &[0])).unwrap();
        let last = |store: &Store, sweep: &str| store.reader().backend::<String>(sweep);
        assert_eq!(last(&store, "small").unwrap(), None);
        store.remember_backend("small", &"there").unwrap();
        store.rename("small", "wide").unwrap();
        assert_eq!((last(&store, "small").unwrap(), last(&store, "wide").unwrap()), (None, Some("there".into())));
        std::fs::write(file(dir.path(), "wide"), "{").unwrap();
        assert!(last(&store, "wide").unwrap_err().hint.unwrap().contains("--executor"));
        let waste = store.reader().whole_sweep("wide").unwrap();
        assert!(waste.iter().any(|one| one.what == Waste::Sweep));
        store.prune(&waste).unwrap();
        assert_eq!(last(&store, "wide").unwrap(), None);
    }
}
