//! Files of other programs that the store keeps as studies of their own: the bytes as they came, and how to read them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{self, Checked, Damaged, check_name, entries, read_each};
use super::{Reader, Store};
use crate::error::{Context, Error, Result};
use crate::files::{self, make_folder, write_atomically};

const FOLDER: &str = "imports";
const RECORD: &str = "import.json";

/// `imports/<name>/import.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportRecord {
    pub name: String,
    /// Seconds since the Unix epoch.
    pub created: f64,
    /// Where it came from, as it was named then.
    pub source: String,
    /// Of the bytes that came from there.
    pub sha256: String,
    /// The file beside the record that holds them.
    pub file: String,
    /// How it is read: the store keeps it and does not know what it means.
    pub asked: serde_json::Value,
}

impl ImportRecord {
    /// Whether it is of the same bytes, read in the same way.
    fn is_as(&self, other: &ImportRecord) -> bool {
        (&self.source, &self.sha256, &self.file, &self.asked)
            == (&other.source, &other.sha256, &other.file, &other.asked)
    }
}

impl Checked for ImportRecord {
    fn damage(&self, name: &str) -> Option<String> {
        (self.name != name).then(|| format!("it is of an import '{}'", self.name))
    }
}

impl Store {
    /// Keeps the bytes under the record's name; false where they are there already, read in the same way.
    ///
    /// # Errors
    /// A sweep has this name, or another import has and `replace` is not set; the name cannot be a file's; the store
    /// cannot be written.
    pub fn import(&mut self, record: &ImportRecord, bytes: &[u8], replace: bool) -> Result<bool> {
        check_name(&record.name)?;
        if self.reader.sweeps()?.iter().any(|sweep| sweep.name == record.name) {
            return Err(Error::bad_input(format!("'{}' is a sweep of this store", record.name))
                .hint("give the import another name: --name NAME"));
        }
        let known = self.reader.import(&record.name)?;
        if let Some((known, _)) = &known {
            if known.is_as(record) {
                return Ok(false);
            }
            if !replace {
                return Err(Error::bad_input(format!(
                    "'{}' is there already, imported from {}, and is another file or read in another way",
                    record.name, known.source
                ))
                .hint("give this one another name (--name NAME), or replace that one (--force)"));
            }
        }
        self.keep(record, bytes)?;
        if let Some((_, old)) = known.filter(|(known, _)| known.file != record.file) {
            std::fs::remove_file(&old).context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(true)
    }

    /// # Errors
    /// There is no import `old`; `new` is taken, or no name of a file; the store cannot be written.
    pub fn rename_import(&mut self, old: &str, new: &str) -> Result<()> {
        check_name(new)?;
        let (record, file) =
            self.reader.import(old)?.ok_or_else(|| Error::bad_input(format!("no import '{old}' in this store")))?;
        self.reader.refuse_taken(new)?;
        let bytes = files::read(&file).context(|| format!("cannot read {}", file.display()))?;
        // The new one first: at no moment is there none.
        self.keep(&ImportRecord { name: new.to_owned(), ..record }, &bytes)?;
        remove(&import_folder(&self.reader.dir, old))
    }

    fn keep(&self, record: &ImportRecord, bytes: &[u8]) -> Result<()> {
        let folder = import_folder(&self.reader.dir, &record.name);
        let made = make_folder(&self.reader.dir.join(FOLDER)).and_then(|()| make_folder(&folder));
        made.context(|| format!("cannot make {}", folder.display()))?;
        // The record is last: what it names is there.
        write_atomically(&folder.join(&record.file), bytes)?;
        record::write(&folder.join(RECORD), record, true)
    }
}

fn import_folder(dir: &Path, name: &str) -> PathBuf {
    dir.join(FOLDER).join(name)
}

/// The record first: what is left after a kill is no import any more.
pub(super) fn remove(folder: &Path) -> Result<()> {
    files::unless_absent(std::fs::remove_file(folder.join(RECORD)))
        .and_then(|()| files::unless_absent(std::fs::remove_dir_all(folder)))
        .context(|| format!("cannot remove {}", folder.display()))
}

/// Folders that an import or its removal left when it was killed.
pub(super) fn unfinished(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = folders(dir)?;
    folders.retain(|folder| folder.is_dir() && folder.join(RECORD).symlink_metadata().is_err());
    Ok(folders)
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join(FOLDER);
    if folder.exists() { entries(&folder) } else { Ok(Vec::new()) }
}

impl Reader {
    /// All imports, by name.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn imports(&self) -> Result<Vec<ImportRecord>> {
        let (found, mut damaged) = read_all(&self.dir)?;
        match damaged.pop() {
            Some(Damaged { file, reason }) => Err(Error::failed(format!("cannot read {}: {reason}", file.display()))
                .hint("import the file again, with --force")),
            None => Ok(found),
        }
    }

    /// The import of this name, and where its file is.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn import(&self, name: &str) -> Result<Option<(ImportRecord, PathBuf)>> {
        let found = self.imports()?.into_iter().find(|record| record.name == name);
        Ok(found.map(|record| {
            let path = import_folder(&self.dir, &record.name).join(&record.file);
            (record, path)
        }))
    }
}

/// The records of all imports, and those that cannot be used.
pub(super) fn read_all(dir: &Path) -> Result<(Vec<ImportRecord>, Vec<Damaged>)> {
    let mut folders = folders(dir)?;
    folders.retain(|folder| folder.join(RECORD).symlink_metadata().is_ok());
    Ok(read_each(folders.into_iter().map(|folder| (folder.join(RECORD), folder)).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::sample;

    fn record(name: &str, sha256: &str) -> ImportRecord {
        ImportRecord {
            name: name.into(),
            created: 1.0,
            source: "runs.csv".into(),
            sha256: sha256.into(),
            file: "runs.csv".into(),
            asked: json!({"by": ["arch"]}),
        }
    }

    #[test]
    fn an_import_is_kept_and_only_replaced_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert!(store.import(&record("theirs", "1"), b"a", false).unwrap());
        assert!(!store.import(&record("theirs", "1"), b"a", false).unwrap(), "it is there");
        let refused = store.import(&record("theirs", "2"), b"b", false).unwrap_err();
        assert!(refused.hint.as_deref().is_some_and(|hint| hint.contains("--force")), "{refused}");
        assert!(store.import(&record("theirs", "2"), b"b", true).unwrap());
        let (found, path) = store.reader().import("theirs").unwrap().unwrap();
        assert_eq!((found.sha256.as_str(), std::fs::read(path).unwrap()), ("2", b"b".to_vec()));
        assert!(store.reader().import("ours").unwrap().is_none());
        drop(store);
        let (store, _) = Store::rebuild(dir.path(), false).unwrap();
        assert_eq!(store.reader().imports().unwrap().len(), 1, "a rebuild leaves imports alone");
    }

    #[test]
    fn an_import_is_renamed_and_what_a_kill_left_can_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = sample::plan(&["convnet"], &[100], &[1e-3], &[0]);
        store.register(&plan).unwrap();
        store.import(&record("theirs", "1"), b"a", false).unwrap();
        store.import(&record("other", "2"), b"b", false).unwrap();
        for taken in [plan.sweep.as_str(), "other", "../up"] {
            assert!(store.rename_import("theirs", taken).is_err(), "{taken}");
        }
        assert!(store.rename_import("ours", "x").unwrap_err().message.contains("no import 'ours'"));
        store.rename_import("theirs", "paper").unwrap();
        let (found, path) = store.reader().import("paper").unwrap().unwrap();
        assert_eq!((found, std::fs::read(path).unwrap()), (record("paper", "1"), b"a".to_vec()));
        assert!(store.reader().import("theirs").unwrap().is_none() && !dir.path().join("imports/theirs").exists());
        // Killed between the file and the record.
        std::fs::remove_file(dir.path().join("imports/paper").join(RECORD)).unwrap();
        let waste = store.reader().waste().unwrap();
        assert_eq!((waste.len(), waste[0].name.as_str()), (1, "paper"));
        store.prune(&waste).unwrap();
        assert!(!dir.path().join("imports/paper").exists());
        assert_eq!(store.reader().imports().unwrap().len(), 1);
    }

    #[test]
    fn names_are_those_of_no_sweep_and_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = sample::plan(&["convnet"], &[100], &[1e-3], &[0]);
        store.register(&plan).unwrap();
        assert!(store.import(&record(&plan.sweep, "1"), b"a", false).is_err());
        assert!(store.import(&record("../up", "1"), b"a", false).is_err());
        store.import(&record("other", "1"), b"a", false).unwrap();
        let sweep = crate::plan::Plan { sweep: "other".into(), ..plan };
        assert!(store.register(&sweep).unwrap_err().message.contains("import"), "a sweep hides no import");
    }
}
