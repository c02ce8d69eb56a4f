//! Other names for sweeps: given by a person, or because another sweep takes the name.

use super::record::SweepRecord;
use super::{Reader, Store, backend, schema};
use crate::error::{Context, Error, Result};

/// Behind the name of a sweep that was replaced, followed by a number. No file can have such a name.
pub(super) const REPLACED: char = '@';

/// Whether a sweep of this name was replaced by another.
pub fn is_replaced(name: &str) -> bool {
    name.contains(REPLACED)
}

impl Store {
    /// # Errors
    /// There is no sweep `old`; `new` is taken; the store cannot be written.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        let key = self.reader.sweep_key(old)?;
        self.reader.refuse_taken(new)?;
        let dir = self.reader.dir.clone();
        // The new record first: at no moment is the sweep without one.
        SweepRecord { name: new.to_owned(), ..self.reader.record(old)? }.write(&dir)?;
        let explain = |error| schema::explain(&dir, error);
        let transaction = self.transaction()?;
        transaction.execute("UPDATE sweeps SET name = ?, written = NULL WHERE key = ?", (new, key)).map_err(explain)?;
        transaction.commit().map_err(explain)?;
        backend::rename(&dir, old, new)?;
        let path = SweepRecord::file(&dir, old);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the sweep under [`Reader::aside`], so that another can have its name.
    ///
    /// # Errors
    /// As of [`Store::rename`].
    pub fn put_aside(&mut self, name: &str) -> Result<String> {
        let aside = self.reader.aside(name)?;
        self.rename(name, &aside)?;
        Ok(aside)
    }
}

impl Reader {
    /// # Errors
    /// A sweep or an import has this name.
    pub(super) fn refuse_taken(&self, name: &str) -> Result<()> {
        let is_import = self.import(name)?.is_some();
        if is_import || self.find_sweep(name)?.is_some() {
            let what = if is_import { "an import" } else { "a sweep" };
            return Err(Error::bad_input(format!("'{name}' is {what} of this store already"))
                .hint("'crossover status' lists the names that are taken"));
        }
        Ok(())
    }

    /// The name that a sweep would have once it is replaced: the first is NAME@1.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn aside(&self, name: &str) -> Result<String> {
        let number = |sweep: &super::Sweep| {
            let (of, number) = sweep.name.rsplit_once(REPLACED)?;
            (of == name).then(|| number.parse::<u64>().ok())?
        };
        let last = self.sweeps()?.iter().filter_map(number).max().unwrap_or(0);
        Ok(format!("{name}{REPLACED}{}", last.saturating_add(1)))
    }

    pub(super) fn record(&self, name: &str) -> Result<SweepRecord> {
        let super::Sweep { name, question, tuned, source, created, .. } = self.sweep(name)?;
        let runs = self.runs(&name)?.into_iter();
        let runs = runs.map(|run| super::Member { id: run.id, label: run.curve, cell: run.cell }).collect();
        Ok(SweepRecord { name, question, tuned, source, created, runs, check: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    fn names(reader: &Reader) -> Vec<String> {
        reader.sweeps().unwrap().into_iter().map(|sweep| sweep.name).collect()
    }

    #[test]
    fn a_sweep_keeps_its_runs_under_another_name_also_when_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = sample::plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
        store.register(&plan).unwrap();
        let before = store.reader().runs("small").unwrap();
        store.rename("small", "wide").unwrap();
        assert_eq!((names(store.reader()), store.reader().runs("wide").unwrap()), (vec!["wide".into()], before));
        assert!(store.rename("small", "other").unwrap_err().message.contains("no sweep 'small'"));
        store.register(&plan).unwrap();
        assert!(store.rename("small", "wide").unwrap_err().message.contains("'wide' is a sweep"));
        drop(store);
        let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
        assert_eq!((names(store.reader()), rebuilt.damaged.len()), (vec!["small".into(), "wide".into()], 0));
    }

    #[test]
    fn what_is_replaced_has_the_next_number() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = sample::plan(&["convnet"], &[100], &[1e-3], &[0]);
        for number in 1..=2 {
            store.register(&plan).unwrap();
            assert_eq!(store.put_aside("small").unwrap(), format!("small@{number}"));
        }
        store.register(&plan).unwrap();
        assert_eq!(names(store.reader()), ["small", "small@1", "small@2"]);
        assert!(is_replaced("small@1") && !is_replaced("small"));
        drop(store);
        let (store, _) = Store::rebuild(dir.path(), false).unwrap();
        assert_eq!(names(store.reader()), ["small", "small@1", "small@2"]);
    }
}
