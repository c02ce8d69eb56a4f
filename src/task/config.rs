//! What a task is made of: a config that serde reads and checks, and the source of examples that it describes.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::model::Io;
use crate::run::Settings;
use crate::task::Splits;
use crate::task::examples::Examples;
use crate::task::files::File;

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
}

/// Reads a task's settings: the source that they spell, and all settings with the defaults filled in.
type Parse = fn(&str, &Settings) -> Result<(Box<dyn Source>, Settings)>;

/// A task by name: one line in the list of tasks.
pub struct Entry {
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Files that it reads; none for a procedural task.
    pub files: &'static [File],
    /// What is fetched in place of the files, where they are published in one archive (`.tar.gz`).
    pub archive: Option<File>,
    /// Where they can be had from, tried in this order; each is followed by the name of what is fetched.
    pub addresses: &'static [&'static str],
    parse: Parse,
    defaults: fn() -> Settings,
}

impl Entry {
    pub const fn procedural<T>(name: &'static str, about: &'static str) -> Self
    where
        T: Source + Default + Serialize + DeserializeOwned + 'static,
    {
        Self::from_files::<T>(name, about, &[], &[])
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
        let defaults = || to_settings(&T::default());
        Self { name, about, files, archive: None, addresses, parse: parse_source::<T>, defaults }
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

    pub fn keys(&self) -> Vec<String> {
        (self.defaults)().into_keys().collect()
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
        let mut tried = settings.clone();
        tried.insert(key.clone(), value.clone());
        from_settings::<T>(&tried).map_err(|reason| Error::bad_input(format!("task '{task}': {key}: {reason}")))?;
        settings = tried;
    }
    let config = from_settings(&settings).map_err(|reason| Error::bad_input(format!("task '{task}': {reason}")))?;
    // Written again from what was read, so that 1 and 1.0 are the same setting.
    let settings = to_settings(&config);
    Ok((config, settings))
}

fn from_settings<T: DeserializeOwned>(settings: &Settings) -> std::result::Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::Value::Object(settings.clone().into_iter().collect()))
}

pub fn to_settings<T: Serialize>(config: &T) -> Settings {
    match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(keys)) => keys.into_iter().collect(),
        _ => Settings::new(),
    }
}
