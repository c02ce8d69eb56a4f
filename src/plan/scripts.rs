//! The sizes of a script: every combination of its keys' values, or those that a ladder finds by asking the script.

use std::ops::Range;

use serde_json::Value;

use super::json;
use super::sizes::{Found, Sized, aim};
use crate::error::{Error, Kind, Result};
use crate::model::{Costs, Target};
use crate::run::{Named, Settings};
use crate::script::describe::Scripts;
use crate::script::ladder::{self, Scale};
use crate::script::protocol::Hello;
use crate::script::{Declared, Script};
use crate::spec::document::{Checked, Complaint};
use crate::spec::{ModelEntry, ScriptEntry, Sizes};

/// # Errors
/// Its files cannot be read; it does not say what it is, whatever its size.
pub(super) fn sizes(entry: &ModelEntry, of: &ScriptEntry, task: &Named, scripts: &dyn Scripts) -> Checked<Found> {
    let at = |place: &Range<usize>, error: Error| Complaint::from_trial(place.clone(), error.context(&entry.label));
    let asked = Asking {
        declared: &of.declared,
        hash: scripts.hash(&of.declared).map_err(|error| at(&of.places.files, error))?,
        describes: of.describes,
        task,
        scripts,
    };
    let mut found = Found::default();
    let mut failure = None;
    match (&entry.sizes, &of.scale) {
        (Sizes::Ladder { targets, tolerance }, Some(scale)) => {
            for target in targets {
                let size = asked.ladder(&entry.settings, scale, *target, *tolerance);
                note(&mut failure, &size);
                found.take(aim(*target), size);
            }
        }
        (Sizes::Grid(lists), _) => {
            for chosen in combinations(lists) {
                let what: Vec<String> = chosen.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let mut keys = entry.settings.clone();
                keys.extend(chosen.iter().cloned());
                let size = asked.size(keys, chosen.into_iter().collect());
                note(&mut failure, &size);
                found.take(what.join(" "), size);
            }
        }
        _ => {
            let size = asked.size(entry.settings.clone(), entry.settings.clone());
            note(&mut failure, &size);
            found.take(String::new(), size);
        }
    }
    // What no size of it can do is wrong with the script, and not with a size.
    match (found.sized.is_empty(), failure) {
        // What it does when it is started is its command's.
        (true, Some(failure)) if failure.kind == Kind::Failed => Err(at(&of.places.command, failure)),
        (true, Some(failure)) => Err(at(&of.places.sizes, failure)),
        _ => Ok(found),
    }
}

fn note(failure: &mut Option<Error>, size: &Result<Sized>) {
    if let (None, Err(Error { kind, message, hint, .. })) = (&failure, size) {
        *failure = Some(Error { kind: *kind, message: message.clone(), hint: hint.clone(), known: None });
    }
}

/// Every combination of the lists' values.
fn combinations(lists: &[(String, Vec<Value>)]) -> Vec<Vec<(String, Value)>> {
    lists.iter().fold(vec![Vec::new()], |shorter, (key, values)| {
        let longer = |chosen: &Vec<(String, Value)>| {
            let with = |value: &Value| [chosen.as_slice(), &[(key.clone(), value.clone())]].concat();
            values.iter().map(with).collect::<Vec<_>>()
        };
        shorter.iter().flat_map(longer).collect()
    })
}

fn costs(hello: &Hello) -> Costs {
    let params = hello.params.unwrap_or(0);
    Costs { params, active_params: params, forward_flops: hello.forward_flops.unwrap_or(0) }
}

struct Asking<'a> {
    declared: &'a Declared,
    hash: String,
    describes: bool,
    task: &'a Named,
    scripts: &'a dyn Scripts,
}

impl Asking<'_> {
    fn script(&self, keys: Settings) -> Script {
        Script { declared: self.declared.clone(), hash: self.hash.clone(), keys }
    }

    fn hello(&self, script: &Script) -> Result<Hello> {
        if self.describes { self.scripts.hello(script, self.task) } else { Ok(Hello::default()) }
    }

    /// `shape`: the keys that say how large it is.
    fn size(&self, keys: Settings, shape: Settings) -> Result<Sized> {
        let script = self.script(keys);
        let hello = self.hello(&script)?;
        let model = script.named();
        let Hello { examples, .. } = hello;
        let examples_per_second = hello.examples_per_second.filter(|speed| *speed > 0.0);
        Ok(Sized { costs: costs(&hello), shape, keys: json(&model.settings), model, examples, examples_per_second })
    }

    fn ladder(&self, held: &Settings, scale: &Scale, target: Target, tolerance: f64) -> Result<Sized> {
        let with = |value: u64| {
            let mut keys = held.clone();
            keys.insert(scale.key.clone(), value.into());
            keys
        };
        let value = ladder::nearest(scale, target, tolerance, &mut |value| {
            let told = |error: Error| error.context(format!("at {} = {value}", scale.key));
            let cost = target.of(costs(&self.hello(&self.script(with(value))).map_err(told)?));
            let missing = || Error::bad_input(format!("its hello has no {}, by which the ladder goes", target.unit()));
            if cost > 0.0 { Ok(cost) } else { Err(missing()) }
        })?;
        self.size(with(value), Settings::from([(scale.key.clone(), value.into())]))
    }
}
