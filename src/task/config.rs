//! What a task is made of: a config that serde reads and checks, and the source of examples that it describes.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::Io;
use crate::run::{Settings, read_with_wholes};
use crate::task::Splits;
use crate::task::examples::Examples;
use crate::task::files::File;
use crate::task::holdout::Holdout;
use crate::task::imported::audit::Audit;
use crate::task::imported::picture;
use crate::task::imported::{self, Import};
use crate::task::transform::Transforms;

/// A resolved task: it knows its shapes without reading anything, and reads or makes its examples.
pub trait Source {
    /// Refuses values outside their rule.
    fn check(&self) -> Result<()>;
    fn io(&self) -> Io;
    fn splits(&self) -> Splits;
    fn classes(&self) -> Vec<String>;
    /// All three splits, before transforms. A procedural task makes `train` training examples; the first of them do
    /// not depend on how many are asked for.
    fn load(&self, data: &Path, train: u64) -> Result<Examples>;
    /// Nats below which no model of local, position-free features gets, where that is known in closed form.
    fn floor(&self) -> Option<f64> {
        None
    }
    /// Where a user's own files were when they were imported.
    fn origin(&self) -> Option<String> {
        None
    }
    /// What was found in a user's own files.
    fn audit(&self) -> Option<&Audit> {
        None
    }
}

/// Reads a task's settings: the source that they spell, and all settings with the defaults filled in.
type Parse = fn(&str, &Settings) -> Result<(Box<dyn Source>, Settings)>;

/// Keys with what they mean.
pub type Meanings = &'static [(&'static str, &'static str)];

/// A task by name: one line in the list of tasks.
pub struct Entry {
    pub name: &'static str,
    /// The key that can be given behind the name, as in `images:DIR`, and what its value is called.
    pub argument: Option<(&'static str, &'static str)>,
    /// Whether it reads a user's own files, so that nothing is known before they are named.
    pub own: bool,
    /// Whether its keys are whatever they are: only scripts know it.
    pub any_keys: bool,
    /// What it is, in a line.
    pub about: &'static str,
    /// Files that it reads; none for a procedural task.
    pub files: &'static [File],
    /// What is fetched in place of the files, where they are published in one archive (`.tar.gz`).
    pub archive: Option<File>,
    /// Where they can be had from, tried in this order; each is followed by the name of what is fetched.
    pub addresses: &'static [&'static str],
    /// What the keys mean; those of [`crate::task::imported`] and of the transforms aside.
    meanings: Meanings,
    /// And those of how pictures are decoded and fitted, where there are any.
    pictures: Meanings,
    parse: Parse,
    defaults: fn() -> Settings,
}

impl Entry {
    pub const fn procedural<T>(name: &'static str, about: &'static str, meanings: Meanings) -> Self
    where
        T: Source + Default + Serialize + DeserializeOwned + 'static,
    {
        let defaults = || to_settings(&T::default());
        Self::of(name, about, meanings, parse_source::<T>, defaults)
    }

    /// Without files.
    const fn of(
        name: &'static str,
        about: &'static str,
        meanings: Meanings,
        parse: Parse,
        defaults: fn() -> Settings,
    ) -> Self {
        Self {
            name,
            argument: None,
            own: false,
            any_keys: false,
            about,
            files: &[],
            archive: None,
            addresses: &[],
            meanings,
            pictures: &[],
            parse,
            defaults,
        }
    }

    /// A user's own files; `argument` is the key that can be given behind the name, and what its value is called.
    pub const fn imported<T: Import>(
        name: &'static str,
        argument: Option<(&'static str, &'static str)>,
        about: &'static str,
        meanings: Meanings,
    ) -> Self {
        let base = Self::of(name, about, meanings, imported::parse::<T>, imported::defaults::<T>);
        Self { argument, own: true, ..base }
    }

    /// It has the keys of [`picture::Look`] too.
    pub const fn of_pictures(self) -> Self {
        Self { pictures: &picture::KEYS, ..self }
    }

    /// Those that it is given.
    pub const fn of_any_keys(self) -> Self {
        Self { any_keys: true, ..self }
    }

    pub const fn from_files<T>(
        name: &'static str,
        about: &'static str,
        files: &'static [File],
        addresses: &'static [&'static str],
    ) -> Self
    where
        T: Source + Default + Serialize + DeserializeOwned + 'static,
    {
        Self { files, addresses, ..Self::procedural::<T>(name, about, &Holdout::KEYS) }
    }

    /// Files that are published in one archive; its SHA-256 is of the archive as it is, packed.
    pub const fn from_archive<T>(
        name: &'static str,
        about: &'static str,
        files: &'static [File],
        archive: File,
        addresses: &'static [&'static str],
    ) -> Self
    where
        T: Source + Default + Serialize + DeserializeOwned + 'static,
    {
        Self { archive: Some(archive), ..Self::from_files::<T>(name, about, files, addresses) }
    }

    pub fn parse(&self, given: &Settings) -> Result<(Box<dyn Source>, Settings)> {
        (self.parse)(self.name, given)
    }

    /// Those that have a default, and those that are in the settings only where they are given.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = (self.defaults)().keys().cloned().collect();
        keys.extend(self.own_meanings().map(|(key, _)| (*key).to_owned()));
        keys.sort();
        keys.dedup();
        keys
    }

    /// All keys with what they mean.
    pub fn meanings(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        self.own_meanings().chain(&Transforms::KEYS)
    }

    /// Without those of the transforms.
    fn own_meanings(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let shared = if self.own { imported::KEYS.as_slice() } else { &[] };
        self.meanings.iter().chain(self.pictures).chain(shared)
    }

    pub fn meaning(&self, key: &str) -> Option<&'static str> {
        self.meanings().find(|(name, _)| *name == key).map(|(_, meaning)| *meaning)
    }

    /// How it is named where its files have to be: `images:DIR`.
    pub fn usage(&self) -> String {
        self.argument.map_or(self.name.into(), |(_, value)| format!("{}:{value}", self.name))
    }
}

fn parse_source<T>(task: &str, given: &Settings) -> Result<(Box<dyn Source>, Settings)>
where
    T: Source + Default + Serialize + DeserializeOwned + 'static,
{
    let (config, settings) = parse::<T>(task, given)?;
    config.check().map_err(|error| error.context(format!("task '{task}'")))?;
    Ok((Box::new(config), settings))
}

/// `given` over the defaults of `T`, and the same as settings with every key. The message names the key at fault.
pub fn parse<T>(task: &str, given: &Settings) -> Result<(T, Settings)>
where
    T: Default + Serialize + DeserializeOwned,
{
    let mut settings = to_settings(&T::default());
    for (key, value) in given {
        let with = |value: &Value| {
            let mut tried = settings.clone();
            tried.insert(key.clone(), value.clone());
            from_settings::<T>(&tried).map(|_| tried)
        };
        settings = read_with_wholes(value, with)
            .map_err(|reason| Error::bad_input(format!("task '{task}': {key}: {reason}")))?;
    }
    let config = from_settings(&settings).map_err(|reason| Error::bad_input(format!("task '{task}': {reason}")))?;
    // Written again from what was read, so that 1 and 1.0 are the same setting.
    let settings = to_settings(&config);
    Ok((config, settings))
}

pub fn from_settings<T: DeserializeOwned>(settings: &Settings) -> std::result::Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::Value::Object(settings.clone().into_iter().collect()))
}

pub fn to_settings<T: Serialize>(config: &T) -> Settings {
    match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(keys)) => keys.into_iter().collect(),
        _ => Settings::new(),
    }
}
