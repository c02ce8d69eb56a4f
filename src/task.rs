//! Tasks: where examples come from and how they are split. One task is one file below, with its config, its source and
//! its tests, and one line in [`ENTRIES`]. Examples are plain arrays here; tensors are made of them in `task/data.rs`,
//! which only the worker links.

pub mod archive;
pub mod arrays;
pub mod change;
pub mod cifar;
pub mod config;
#[cfg(torch)]
pub mod data;
pub mod examples;
pub mod fashion_mnist;
pub mod fetch;
pub mod files;
pub mod holdout;
pub mod idx;
pub mod idx_files;
pub mod images;
pub mod imported;
#[cfg(test)]
mod linear;
pub mod mnist;
pub mod mnist1d;
pub mod npz;
pub mod order;
pub mod own;
pub mod packed;
pub mod parquet;
pub mod parts;
pub mod present;
pub mod relations;
pub mod rhm;
pub mod transform;
pub mod webdataset;

use std::path::Path;

use crate::error::{Error, Result, nearest};
use crate::model::Io;
use crate::run::{Named, Settings};
use config::Entry;
use examples::Examples;
use imported::audit::Audit;
use transform::{Augment, Transforms};

/// Sizes of the three splits; they never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Splits {
    /// Training examples there are; none where the task is procedural and has as many as one asks for.
    pub train: Option<u64>,
    pub validation: u64,
    pub test: u64,
}

/// Every task, in the order of the documentation.
const ENTRIES: &[&Entry] = &[
    &fashion_mnist::ENTRY,
    &mnist::ENTRY,
    &cifar::CIFAR10,
    &cifar::CIFAR100,
    &mnist1d::ENTRY,
    &rhm::ENTRY,
    &relations::ENTRY,
    &images::ENTRY,
    &npz::ENTRY,
    &parquet::ENTRY,
    &webdataset::ENTRY,
    &idx_files::ENTRY,
    &own::ENTRY,
];

/// Names of all tasks.
pub fn names() -> Vec<&'static str> {
    ENTRIES.iter().map(|entry| entry.name).collect()
}

/// What is known of a task by its name alone: what it is, and the files it reads.
pub fn entry(name: &str) -> Result<&'static Entry> {
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    ENTRIES.iter().copied().find(|entry| entry.name == name).ok_or_else(|| {
        let error = Error::bad_input(format!("there is no task '{name}'"));
        match nearest(name, names()) {
            Some(near) => error.hint(format!("did you mean '{near}'? 'crossover task list' shows all")),
            None => error.hint("'crossover task list' shows all tasks"),
        }
    })
}

/// The task's config, all defaults filled in. Refuses unknown names, keys and values, with hints.
pub fn resolve(name: &str, given: &Settings) -> Result<Named> {
    let entry = entry(name)?;
    let mut argument = None;
    if let Some((name, text)) = name.split_once(':') {
        let takes_none = || Error::bad_input(format!("task '{name}' takes nothing behind its name, and got ':{text}'"));
        argument = Some((entry.argument.ok_or_else(takes_none)?.0, text));
    }
    if entry.any_keys {
        return Ok(Named { name: entry.name.into(), settings: given.clone() });
    }
    let (of_transforms, mut of_source) = split_keys(given);
    of_source.extend(argument.map(|(key, text)| (key.into(), text.into())));
    let name = entry.name;
    let mut keys = Transforms::keys();
    keys.extend(entry.keys());
    if let Some(unknown) = of_source.keys().find(|key| !keys.contains(key)) {
        let error = Error::bad_input(format!("task '{name}' has no key '{unknown}'"));
        return Err(match nearest(unknown, keys.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(format!("its keys are {}", keys.join(", "))),
        });
    }
    let (_, mut settings) = entry.parse(&of_source)?;
    let (_, of_transforms) = Transforms::parse(name, &of_transforms)?;
    settings.extend(of_transforms);
    Ok(Named { name: name.into(), settings })
}

pub fn io(task: &Named) -> Result<Io> {
    let (source, transforms) = parts(task)?;
    Ok(transforms.io(source.io()))
}

pub fn splits(task: &Named) -> Result<Splits> {
    Ok(parts(task)?.0.splits())
}

/// Names of the classes, in the order of the labels.
pub fn classes(task: &Named) -> Result<Vec<String>> {
    Ok(parts(task)?.0.classes())
}

/// Nats below which no model of local, position-free features gets, where that is known in closed form.
pub fn floor(task: &Named) -> Result<Option<f64>> {
    let (source, transforms) = parts(task)?;
    Ok(source.floor().filter(|_| transforms.leave_neighbours()))
}

/// Where a user's own files were when they were imported.
pub fn origin(task: &Named) -> Result<Option<String>> {
    Ok(parts(task)?.0.origin())
}

/// What was found in a user's own files when they were imported.
pub fn audit(task: &Named) -> Result<Option<Audit>> {
    Ok(parts(task)?.0.audit().cloned())
}

/// The three splits as plain arrays, transforms applied; `train` examples of the training order at least, if there are
/// as many. `data` is the folder that holds a folder of files for each task ([`files::data_dir`]).
pub fn examples(task: &Named, train: u64, data: &Path) -> Result<Examples> {
    let (source, transforms) = parts(task)?;
    let examples = source.load(data, train).map_err(|error| error.context(format!("task '{}'", task.name)))?;
    transforms.apply(source.io(), examples)
}

/// What every training image goes through each time it is seen.
pub fn augment(task: &Named) -> Result<Augment> {
    Ok(parts(task)?.1.augment)
}

fn parts(task: &Named) -> Result<(Box<dyn config::Source>, Transforms)> {
    let entry = entry(&task.name)?;
    if entry.any_keys {
        return Ok((entry.parse(&Settings::new())?.0, Transforms::default()));
    }
    let (of_transforms, of_source) = split_keys(&task.settings);
    let (source, _) = entry.parse(&of_source)?;
    Ok((source, Transforms::parse(&task.name, &of_transforms)?.0))
}

fn split_keys(settings: &Settings) -> (Settings, Settings) {
    let keys = Transforms::keys();
    settings.clone().into_iter().partition(|(key, _)| keys.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    fn procedural_or_published() -> impl Iterator<Item = &'static str> {
        ENTRIES.iter().filter(|entry| !entry.own && !entry.any_keys).map(|entry| entry.name)
    }

    #[test]
    fn every_key_has_a_meaning_and_every_meaning_a_key() {
        for entry in ENTRIES.iter().filter(|entry| !entry.any_keys) {
            let keys = [entry.keys(), Transforms::keys()].concat();
            assert!(keys.iter().all(|key| entry.meaning(key).is_some()), "{} {keys:?}", entry.name);
            assert!(entry.meanings().all(|(key, _)| keys.iter().any(|k| k == key)), "{}", entry.name);
        }
    }

    #[test]
    fn a_floor_of_local_features_holds_where_neighbours_stay_neighbours() {
        let floor = |text: &str| floor(&resolve("relations", &settings(text)).unwrap()).unwrap();
        assert!(floor(r#"{"relational": 1.0, "label_noise": 0.1, "augment": "shift-flip"}"#).is_some());
        assert_eq!(floor(r#"{"relational": 1.0, "shuffle": true}"#), None);
        assert_eq!(floor(r#"{"relational": 1.0, "resolution": 8}"#), None);
    }

    #[test]
    fn whole_numbers_may_be_written_as_1e3_and_symbols_are_bytes() {
        assert_eq!(resolve("mnist1d", &settings(r#"{"validation": 1e3}"#)).unwrap().settings["validation"], 1000);
        let error = resolve("rhm", &settings(r#"{"classes": 257, "v": 64}"#)).unwrap_err();
        assert_eq!(error.message, "task 'rhm': v and classes must be at most 256, and one is 257");
    }

    #[test]
    fn resolving_fills_in_defaults_and_is_stable() {
        for name in procedural_or_published() {
            let once = resolve(name, &Settings::new()).unwrap();
            assert!(once.settings.contains_key("shuffle"), "{name}");
            assert_eq!(once, resolve(name, &once.settings).unwrap());
            let io = io(&once).unwrap();
            assert_eq!(classes(&once).unwrap().len() as u64, io.classes);
        }
    }

    #[test]
    fn refusals_name_the_thing_and_the_nearest() {
        let refused = |name: &str, text: &str| {
            let error = resolve(name, &settings(text)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            format!("{}; {}", error.message, error.hint.unwrap_or_default())
        };
        assert_eq!(
            refused("fashion-mist", "{}"),
            "there is no task 'fashion-mist'; did you mean 'fashion-mnist'? 'crossover task list' shows all"
        );
        assert_eq!(
            refused("mnist1d", r#"{"shufle": true}"#),
            "task 'mnist1d' has no key 'shufle'; did you mean 'shuffle'?"
        );
        assert!(refused("mnist1d", r#"{"shuffle": 3}"#).starts_with("task 'mnist1d': shuffle: invalid type"));
        assert!(refused("fashion-mnist", r#"{"validation": 60000}"#).contains("59999"));
    }
}
