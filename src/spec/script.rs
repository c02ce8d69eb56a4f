//! A `[[model]]` with a `command`: a user's own program. Every key that is not one of ours is the program's.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;

use super::document::{Checked, Complaint, Entry, Table};
use super::{ModelEntry, Sizes, recipe, sizes};
use crate::run::{Named, whole};
use crate::script::ladder::Scale;
use crate::script::{Declared, TAKEN};

/// What of a `[[model]]` is a script.
#[derive(Clone, Debug)]
pub struct ScriptEntry {
    pub declared: Declared,
    /// Whether it says what it is when it is asked.
    pub describes: bool,
    /// Which key a ladder varies.
    pub scale: Option<Scale>,
    pub places: Places,
}

/// Where in the sweep's file it says what is tried later.
#[derive(Clone, Debug)]
pub struct Places {
    pub command: Range<usize>,
    /// Of `files`, else of the command that names them.
    pub files: Range<usize>,
    /// Of the sizes, else of the command that has one.
    pub sizes: Range<usize>,
}

/// Where a ladder begins that is told no better.
const FROM: u64 = 64;
const MOST_GPUS: u64 = 1024;
/// What runs and recipes have, by which their values are found.
const RUNS: [&str; 4] = ["examples", "steps", "seed", "task"];

pub(super) fn resolve(raw: &Spanned<Table>, command: &Entry) -> Checked<ModelEntry> {
    let table = raw.get_ref();
    if let Some(arch) = table.get("arch") {
        return Err(Complaint::at(arch.key_span, "the model has an `arch` and a `command`")
            .hint("remove one: an arch is ours, a command starts a program of yours"));
    }
    let Some(name) = table.get("name") else {
        return Err(Complaint::at(command.key_span.clone(), "a model with a `command` needs a `name`: its curve's")
            .hint("add for example `name = \"my net\"`"));
    };
    let declared = Declared { command: words(command)?, files: files(table)?, gpus: gpus(table)? };
    let describes = match table.get("describe") {
        None => true,
        Some(entry) => entry.value.as_bool().ok_or_else(|| wrong(&entry, "true or false"))?,
    };
    let mut keys = crate::run::Settings::new();
    let mut lists = Vec::new();
    for entry in table.entries().filter(|entry| !TAKEN.contains(&entry.key.as_str())) {
        if recipe::KEYS.contains(&entry.key.as_str()) || RUNS.contains(&entry.key.as_str()) {
            return Err(Complaint::at(entry.key_span, format!("`{}` is not a key of a model", entry.key))
                .hint("[train], [axes] and [budget] say it, and the script reads it under `train` and beside it"));
        }
        if entry.key == "size" {
            return Err(Complaint::at(entry.key_span, "`size` names a published model, and a script has none")
                .hint("call the script's own key otherwise"));
        }
        if !entry.is_finite {
            return Err(Complaint::at(entry.span, format!("`{}` has a number that is not finite", entry.key))
                .hint("JSON, in which a script reads its keys, has none: leave it out, or write a text"));
        }
        if entry.value.is_array() {
            let values = entry.list_of("values", |value| Some(value.clone()))?;
            lists.push((entry.key, values));
        } else {
            keys.insert(entry.key, entry.value);
        }
    }
    let targets = sizes::targets(table)?;
    let place = |keys: &[&str]| keys.iter().find_map(|key| table.get(key)).unwrap_or(command.clone()).span;
    let places = Places { command: place(&[]), files: place(&["files"]), sizes: place(&["params", "forward_flops"]) };
    let scale = scale(table, targets.is_some(), &mut keys, &lists)?;
    let sizes = match targets {
        Some((_, _)) if !describes => {
            let at = table.get("describe").map_or(raw.span(), |entry| entry.span);
            return Err(Complaint::at(at, "a script that is not asked what it is has no ladder")
                .hint("remove `describe = false`, or give its sizes by its own keys"));
        }
        Some((_, _)) if !lists.is_empty() => {
            let at = table.get(&lists[0].0).map_or(raw.span(), |entry| entry.key_span);
            return Err(Complaint::at(at, format!("`{}` is a list, and a ladder gives the sizes", lists[0].0))
                .hint("keep one of them, or write a [[model]] for each value"));
        }
        Some((targets, tolerance)) => Sizes::Ladder { targets, tolerance },
        None if lists.is_empty() => Sizes::Explicit,
        None => Sizes::Grid(lists),
    };
    Ok(ModelEntry {
        label: name.name()?.to_owned(),
        arch: Named::SCRIPT.into(),
        settings: keys,
        sizes,
        script: Some(ScriptEntry { declared, describes, scale, places }),
    })
}

fn wrong(entry: &Entry, wanted: &str) -> Complaint {
    Complaint::at(entry.span.clone(), format!("`{}` is {wanted}, not {}", entry.key, entry.value))
}

fn words(command: &Entry) -> Checked<Vec<String>> {
    let example = "for example `command = [\"python\", \"train.py\"]`: no shell splits it";
    let values = command.value.as_array().filter(|values| !values.is_empty());
    let Some(values) = values else { return Err(wrong(command, "a list of words").hint(example)) };
    let mut words = Vec::new();
    for value in values {
        let word = value.as_str().filter(|word| !word.contains('\0') && (!word.is_empty() || !words.is_empty()));
        words.push(word.ok_or_else(|| wrong(command, "a list of words, the program first").hint(example))?.to_owned());
    }
    Ok(words)
}

fn files(table: &Table) -> Checked<Option<Vec<String>>> {
    let Some(entry) = table.get("files") else { return Ok(None) };
    let values = match &entry.value {
        Value::Array(values) => values.as_slice(),
        single => std::slice::from_ref(single),
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let patterns: Option<Vec<String>> = values.iter().map(text).collect();
    let wanted =
        || wrong(&entry, "a list of files or patterns").hint("for example `files = [\"train.py\", \"src/**/*.py\"]`");
    patterns.map(Some).ok_or_else(wanted)
}

fn gpus(table: &Table) -> Checked<u64> {
    let Some(entry) = table.get("gpus") else { return Ok(1) };
    let count = whole(&entry.value).filter(|count| (1..=MOST_GPUS).contains(count));
    count.ok_or_else(|| wrong(&entry, "how many GPUs one run takes, from 1"))
}

/// `scale = "width"`, or `scale = { key = "width", unit = 8 }`; a value that the key has is where the search begins.
fn scale(
    table: &Table,
    is_ladder: bool,
    keys: &mut crate::run::Settings,
    lists: &[(String, Vec<Value>)],
) -> Checked<Option<Scale>> {
    let example = "for example `scale = \"width\"`, or `scale = { key = \"width\", unit = 8 }` for multiples of 8";
    let Some(entry) = table.get("scale") else {
        return match table.get("params").or(table.get("forward_flops")) {
            Some(target) if is_ladder => {
                Err(Complaint::at(target.key_span, "a ladder of a script needs `scale`: the key that makes it larger")
                    .hint(example))
            }
            _ => Ok(None),
        };
    };
    if !is_ladder {
        return Err(Complaint::at(
            entry.key_span,
            "`scale` is of a ladder, and the model has neither params nor forward_flops",
        )
        .hint("add for example `params = [1e5, 1e6]`, or remove it"));
    }
    let (key, unit) = match &entry.value {
        Value::String(key) => (key.as_str(), Some(1)),
        Value::Object(given) if given.keys().all(|key| ["key", "unit"].contains(&key.as_str())) => {
            let unit =
                given.get("unit").map_or(Some(1), |unit| whole(unit).filter(|unit| (1..=1 << 20).contains(unit)));
            (given.get("key").and_then(Value::as_str).unwrap_or_default(), unit)
        }
        _ => ("", None),
    };
    let Some(unit) = unit.filter(|_| !key.is_empty()) else {
        return Err(wrong(&entry, "a key of the script, or a table of `key` and `unit`").hint(example));
    };
    if TAKEN.contains(&key) || lists.iter().any(|(other, _)| other == key) {
        return Err(Complaint::at(entry.span, format!("`{key}` is not a key that a ladder can vary")).hint(example));
    }
    let from = match keys.remove(key) {
        None => FROM,
        Some(value) => whole(&value).filter(|from| *from > 0).ok_or_else(|| {
            let at = table.get(key).map_or(entry.span.clone(), |entry| entry.span);
            Complaint::at(at, format!("`{key}` is a whole number from 1, where the ladder begins, not {value}"))
        })?,
    };
    Ok(Some(Scale { key: key.to_owned(), unit, from }))
}
