//! Which folder and which index were opened: a path can come to mean another, or nothing, while a sweep is trained.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Reader, schema};
use crate::error::{Error, Result};

/// Device and inode of the folder, and of the database in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    folder: (u64, u64),
    index: (u64, u64),
}

impl Identity {
    pub(super) fn of(dir: &Path) -> io::Result<Identity> {
        let id = |found: Metadata| (found.dev(), found.ino());
        Ok(Identity { folder: id(dir.metadata()?), index: id(schema::file(dir).metadata()?) })
    }
}

impl Reader {
    /// Asked whenever results are taken in: nothing is trained into a store that is not there.
    ///
    /// # Errors
    /// The folder was moved, removed or unmounted since it was opened, or its index was; says what to do.
    pub fn still_there(&self) -> Result<()> {
        let (dir, again) = (self.dir.display(), "then the same command goes on where it stopped");
        let gone = |what: String| {
            Error::failed(what).hint(format!("bring it back, or name where it is now with --store DIR; {again}"))
        };
        match Identity::of(&self.dir) {
            Ok(now) if Some(now) == self.identity => Ok(()),
            Ok(now) if Some(now.folder) == self.identity.map(|then| then.folder) => {
                let what = format!("{} in {dir} was replaced while it was in use", schema::FILE);
                Err(Error::failed(what).hint(format!("'crossover ingest --rebuild' makes it anew; {again}")))
            }
            Ok(_) => Err(gone(format!("{dir} is another folder than the store that was opened: was that one moved?"))),
            Err(_) if self.dir.is_dir() => {
                let what = format!("{} was removed from {dir} while it was in use", schema::FILE);
                Err(Error::failed(what).hint(format!("'crossover ingest --rebuild' makes it anew; {again}")))
            }
            Err(error) => Err(gone(format!("the store {dir} is gone: it was moved, removed or unmounted ({error})"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::EventLog;
    use crate::store::{Store, sample};

    #[test]
    fn a_store_that_moves_is_noticed_and_its_old_place_stays_empty() {
        let parent = tempfile::tempdir().unwrap();
        let (dir, other) = (parent.path().join("runs"), parent.path().join("moved"));
        let mut store = Store::open(&dir).unwrap();
        let plan = sample::plan(&["vit"], &[100], &[1e-3], &[0]);
        store.register(&plan).unwrap();
        store.reader().still_there().unwrap();
        std::fs::rename(&dir, &other).unwrap();
        let gone = store.reader().still_there().unwrap_err();
        assert!(gone.message.contains("is gone") && gone.hint.unwrap().contains("--store DIR"), "{}", gone.message);
        let folder = store.reader().run_folder(&plan.runs[0].id);
        let log = EventLog::open(&folder).unwrap_err();
        assert!(log.hint.is_some_and(|hint| hint.contains("moved")), "{}", log.message);
        assert!(store.register(&plan).is_err() && !dir.exists(), "nothing makes it again");
        std::fs::create_dir(&dir).unwrap();
        assert!(store.reader().still_there().is_err(), "an empty folder in its place");
        std::fs::remove_dir(&dir).unwrap();
        std::fs::rename(&other, &dir).unwrap();
        store.reader().still_there().unwrap();
        std::fs::remove_file(dir.join("crossover.db")).unwrap();
        assert!(store.reader().still_there().unwrap_err().message.contains("was removed"));
    }
}
