//! The configs of a model entry, by their costs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Dropped, TaskAt, json};
use crate::error::Result;
use crate::model::{self, Costs, Io, Target};
use crate::run::{Named, Settings};
use crate::script::describe::Scripts;
use crate::spec::document::Checked;
use crate::spec::{ModelEntry, Sizes};
use crate::units::si;

pub(super) struct Sized {
    pub(super) model: Named,
    /// Its keys as JSON: a part of many cells' ids.
    pub(super) keys: String,
    pub(super) shape: Settings,
    pub(super) costs: Costs,
    /// What a script says of itself beside its costs: the examples that it has, and its speed.
    pub(super) examples: Option<u64>,
    pub(super) examples_per_second: Option<f64>,
}

/// The configs of one `[[model]]` entry, and the sizes that do not exist with the reason.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sized: Vec<Sized>,
    pub(super) missing: Vec<Dropped>,
}

/// What was found for each entry and input, and the keys of the task where those are what it depends on.
#[derive(Default)]
pub(super) struct Models(HashMap<(usize, Io, String), Found>);

impl Models {
    pub(super) fn of(
        &mut self,
        place: usize,
        entry: &ModelEntry,
        task: &TaskAt,
        scripts: &dyn Scripts,
    ) -> Checked<&Found> {
        let keys = entry.script.as_ref().map_or(String::new(), |_| task.keys.clone());
        Ok(match self.0.entry((place, task.io, keys)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(match &entry.script {
                Some(script) => super::scripts::sizes(entry, script, &task.named, scripts)?,
                None => sizes(entry, task.io),
            }),
        })
    }
}

fn sizes(entry: &ModelEntry, io: Io) -> Found {
    let found: Vec<(String, Result<Named>)> = match &entry.sizes {
        Sizes::Explicit | Sizes::Grid(_) => vec![(String::new(), model::resolve(&entry.arch, None, &entry.settings))],
        Sizes::Named(names) => {
            names.iter().map(|size| (size.clone(), model::resolve(&entry.arch, Some(size), &entry.settings))).collect()
        }
        Sizes::Ladder { targets, tolerance } => targets
            .iter()
            .map(|&target| (aim(target), model::scale_to(&entry.arch, &entry.settings, target, *tolerance, io)))
            .collect(),
    };
    let sized = |model: Named| {
        let (costs, shape) = (model::costs(&model, io)?, model::shape(&model)?);
        Ok(Sized { costs, shape, keys: json(&model.settings), model, examples: None, examples_per_second: None })
    };
    let mut all = Found::default();
    found.into_iter().for_each(|(what, model)| all.take(what, model.and_then(sized)));
    all
}

pub(super) fn aim(target: Target) -> String {
    format!("at {} {}", si(target.value()), target.unit())
}

impl Found {
    pub(super) fn take(&mut self, what: String, found: Result<Sized>) {
        match found {
            Ok(new) if self.sized.iter().any(|old| old.model == new.model) => {
                let reason = "the nearest usual shape is the same as for another size".into();
                self.missing.push(Dropped { what, reason });
            }
            Ok(new) => self.sized.push(new),
            Err(error) => {
                let reason = error.hint.iter().fold(error.message, |message, hint| format!("{message}; {hint}"));
                self.missing.push(Dropped { what, reason });
            }
        }
    }
}
