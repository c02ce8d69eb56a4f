//! A sweep that is named on the command line: a name means what the store has, a file means what it says.

use std::path::Path;

use super::{load_plan, read_sweep};
use crate::error::{Error, Result};
use crate::out;
use crate::plan::Plan;
use crate::shell::quoted;
use crate::store::{Reader, Sweep};

/// What was named, by the name that the store knows it by.
#[derive(Debug)]
pub struct Given {
    pub name: String,
    /// As it was typed, and can be typed again.
    pub typed: String,
    pub is_file: bool,
    /// Of a file whose text the store does not have.
    plan: Option<Plan>,
}

/// Whether it is the path of a sweep file; else it is the name of a sweep.
pub fn is_file(given: &str) -> bool {
    given.ends_with(".toml") || given.contains('/')
}

impl Given {
    /// Says on stderr how a file differs from what the store has under its name.
    ///
    /// # Errors
    /// There is no such store; a file that is no sweep, or of which the store has no run.
    pub fn new(given: &str, store: &Path) -> Result<Given> {
        let (typed, is_file) = (quoted(given), is_file(given));
        if !is_file {
            return Ok(Given { name: given.to_owned(), typed, is_file, plan: None });
        }
        let text = read_sweep(Path::new(given))?;
        let reader = Reader::open(store).map_err(|error| Error {
            hint: error.hint.as_deref().map(|hint| hint.replace("SWEEP.toml", &typed)),
            ..error
        })?;
        if let Some(sweep) = of_text(&reader, &text)? {
            if load_name(&text).is_some_and(|name| name != sweep.name) {
                out::say(format_args!("{given} is '{}' in {}", sweep.name, store.display()));
            }
            return Ok(Given { name: sweep.name, typed, is_file, plan: None });
        }
        let plan = load_plan(&text, given)?;
        say_difference(&reader, &plan, given, store)?;
        Ok(Given { name: plan.sweep.clone(), typed, is_file, plan: Some(plan) })
    }

    /// The store, with the runs of the file where it is one.
    pub fn reader(&self, store: &Path) -> Result<Reader> {
        let reader = Reader::open(store)?;
        if let Some(plan) = &self.plan {
            reader.read_as(plan)?;
        }
        Ok(reader)
    }

    /// Of a file whose text the store does not have.
    pub fn into_plan(self) -> Option<Plan> {
        self.plan
    }
}

/// The sweep that has just this text: that of its name first, then the one that was renamed or replaced last.
fn of_text(reader: &Reader, text: &str) -> Result<Option<Sweep>> {
    let mut sweeps: Vec<Sweep> = reader.sweeps()?.into_iter().filter(|sweep| sweep.source == text).collect();
    let name = load_name(text);
    let own = sweeps.iter().position(|sweep| Some(&sweep.name) == name.as_ref());
    Ok(match own {
        Some(own) => Some(sweeps.swap_remove(own)),
        None => sweeps.pop(),
    })
}

fn load_name(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    toml::from_str::<Named>(text).ok().map(|named| named.name)
}

fn say_difference(reader: &Reader, plan: &Plan, file: &str, store: &Path) -> Result<()> {
    let (name, store) = (&plan.sweep, store.display());
    let Some(difference) = reader.difference(plan)? else {
        let known = reader.standing(plan.runs.iter().map(|run| run.id.as_str()))?.len();
        if known == 0 {
            return Err(Error::bad_input(format!("no sweep '{name}' in {store}, and no run of {file}"))
                .hint(format!("'crossover run {}' trains them", quoted(file))));
        }
        let all = plan.runs.len();
        out::say(format_args!("no sweep '{name}' in {store}; other sweeps have {known} of the {all} runs of {file}"));
        return Ok(());
    };
    if !difference.is_none() {
        out::say(format_args!("{file} differs from '{name}' in {store}: {difference}; used here: the runs of {file}"));
    }
    Ok(())
}
