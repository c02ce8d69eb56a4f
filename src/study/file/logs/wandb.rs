//! W&B's run files (`offline-run-*/run-*.wandb`): a header, then records in LevelDB's log format with zlib's checksum,
//! each a protocol buffer (wandb/sdk/internal/datastore.py, wandb/proto/wandb_internal.proto).

use std::collections::BTreeMap;

use crc::{CRC_32_ISO_HDLC, Crc};
use prost::Message;
use serde_json::Value;

use super::{Damage, number};
use crate::study::file::table::Gathered;

const CHECK: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const IDENT: &[u8] = b":W&B";
/// Four letters, a number that tells the byte order, a version.
const HEADER: usize = 7;
const BLOCK: usize = 32_768;
/// Of a fragment: checksum, length, type.
const FRAGMENT: usize = 7;

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(message, optional, tag = "2")]
    history: Option<History>,
    #[prost(message, optional, tag = "3")]
    summary: Option<Update>,
    #[prost(message, optional, tag = "5")]
    config: Option<Update>,
    #[prost(message, optional, tag = "17")]
    run: Option<Run>,
    #[prost(message, optional, tag = "18")]
    exit: Option<Exit>,
}

#[derive(Clone, PartialEq, Message)]
struct History {
    #[prost(message, repeated, tag = "1")]
    item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    step: Option<Step>,
}

#[derive(Clone, PartialEq, Message)]
struct Step {
    #[prost(int64, tag = "1")]
    num: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Update {
    #[prost(message, repeated, tag = "1")]
    update: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, repeated, tag = "2")]
    nested_key: Vec<String>,
    #[prost(string, tag = "16")]
    value_json: String,
}

#[derive(Clone, PartialEq, Message)]
struct Run {
    #[prost(string, tag = "1")]
    run_id: String,
    #[prost(message, optional, tag = "4")]
    config: Option<Update>,
    #[prost(string, tag = "8")]
    display_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Exit {
    #[prost(int32, tag = "1")]
    exit_code: i32,
}

/// What one file says of its run.
#[derive(Default)]
struct Told {
    id: String,
    name: String,
    /// As W&B's exports call it; a file without an end is of a run that was killed or still runs.
    state: &'static str,
    config: BTreeMap<String, String>,
    summary: BTreeMap<String, String>,
    steps: BTreeMap<i64, BTreeMap<String, String>>,
}

/// Adds a row for each step, with the config in each; a run that logged nothing but a summary is one row.
pub(super) fn rows(bytes: &[u8], gathered: &mut Gathered) -> Result<(), Damage> {
    let mut told = Told { state: "running", ..Told::default() };
    let whole = each_record(bytes, |record| match Record::decode(record) {
        Ok(record) => {
            told.take(record);
            true
        }
        Err(_) => false,
    });
    told.add_to(gathered);
    whole
}

impl Told {
    fn take(&mut self, record: Record) {
        if let Some(run) = record.run {
            (self.id, self.name) = (run.run_id, run.display_name);
            collect(run.config.map(|config| config.update).unwrap_or_default(), &mut self.config);
        }
        collect(record.config.map(|config| config.update).unwrap_or_default(), &mut self.config);
        collect(record.summary.map(|summary| summary.update).unwrap_or_default(), &mut self.summary);
        if let Some(History { item, step }) = record.history {
            let mut values = BTreeMap::new();
            collect(item, &mut values);
            let own = values.get("_step").and_then(|step| step.parse().ok());
            if let Some(step) = step.map(|step| step.num).or(own) {
                self.steps.entry(step).or_default().append(&mut values);
            }
        }
        if let Some(Exit { exit_code }) = record.exit {
            self.state = if exit_code == 0 { "finished" } else { "failed" };
        }
    }

    fn add_to(self, gathered: &mut Gathered) {
        let Told { id, name, state, config, summary, steps } = self;
        let last = || (!summary.is_empty()).then_some((None, summary.clone()));
        let rows: Vec<(Option<i64>, BTreeMap<String, String>)> = match steps.is_empty() {
            true => last().into_iter().collect(),
            false => steps.into_iter().map(|(step, values)| (Some(step), values)).collect(),
        };
        for (step, values) in rows {
            gathered.row(0);
            gathered.cell("run".into(), &id);
            gathered.cell("Name".into(), &name);
            gathered.cell("State".into(), state);
            if let Some(step) = step {
                gathered.cell("step".into(), &step.to_string());
            }
            // What W&B itself keeps beside the user's values.
            let own = |key: &String| !key.starts_with('_');
            for (key, value) in config.iter().filter(|(key, _)| own(key) && !values.contains_key(*key)) {
                gathered.cell(key.clone(), value);
            }
            for (key, value) in values.iter().filter(|(key, _)| own(key)) {
                gathered.cell(key.clone(), value);
            }
        }
    }
}

/// Numbers, words and yes or no, by their names as W&B's exports write them: nested ones joined by dots.
fn collect(items: Vec<Item>, into: &mut BTreeMap<String, String>) {
    for Item { key, nested_key, value_json } in items {
        let name = if nested_key.is_empty() { key } else { nested_key.join(".") };
        if let Ok(value) = serde_json::from_str::<Value>(&value_json) {
            flatten(name, &value, into);
        } else if matches!(value_json.as_str(), "NaN" | "Infinity" | "-Infinity") {
            into.insert(name, value_json);
        }
    }
}

fn flatten(name: String, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(format!("{name}.{key}"), value, into));
        }
        Value::String(text) => drop(into.insert(name, text.clone())),
        Value::Number(_) | Value::Bool(_) => drop(into.insert(name, value.to_string())),
        Value::Array(_) | Value::Null => {}
    }
}

/// Gives every whole record, its fragments joined; a file that ends within one is of a run that was stopped: no damage.
fn each_record(bytes: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Damage> {
    const FULL: u8 = 1;
    const FIRST: u8 = 2;
    const MIDDLE: u8 = 3;
    const LAST: u8 = 4;
    if bytes.is_empty() {
        return Ok(());
    }
    if !bytes.starts_with(IDENT) || bytes.len() < HEADER {
        return Err(Damage { at: 0, what: "no header of W&B" });
    }
    let (mut at, mut joined) = (HEADER, Vec::new());
    loop {
        let left = BLOCK - at % BLOCK;
        if left < FRAGMENT {
            at += left;
        }
        let (Some(check), Some(length), Some(&kind)) =
            (number(bytes, at), number(bytes, at + 4), bytes.get(at + FRAGMENT - 1))
        else {
            return Ok(());
        };
        let from = at + FRAGMENT;
        let to = from + usize::from(u16::from_le_bytes(length));
        // The checksum is of the type and the data.
        let Some(checked) = bytes.get(from - 1..to) else { return Ok(()) };
        if CHECK.checksum(checked) != u32::from_le_bytes(check) {
            return Err(Damage { at, what: "a record with a wrong checksum" });
        }
        match kind {
            FULL | FIRST => joined = checked[1..].to_vec(),
            MIDDLE | LAST => joined.extend_from_slice(&checked[1..]),
            _ => return Err(Damage { at, what: "a record of an unknown type" }),
        }
        if matches!(kind, FULL | LAST) && !take(&joined) {
            return Err(Damage { at, what: "a damaged record" });
        }
        at = to;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn item(key: &str, value: &str) -> Item {
        Item { key: key.into(), nested_key: Vec::new(), value_json: value.into() }
    }

    /// The fragments of the records, as LevelDB's writer parts them.
    fn written(records: &[Record]) -> Vec<u8> {
        let mut bytes = [IDENT, &[0xe1, 0xbe, 0]].concat();
        for record in records {
            let data = record.encode_to_vec();
            let mut rest = data.as_slice();
            loop {
                let left = BLOCK - bytes.len() % BLOCK;
                if left < FRAGMENT {
                    bytes.resize(bytes.len() + left, 0);
                    continue;
                }
                let (part, after) = rest.split_at(rest.len().min(left - FRAGMENT));
                let kind = match (part.as_ptr() == data.as_ptr(), after.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let checked = [&[kind], part].concat();
                bytes.extend(CHECK.checksum(&checked).to_le_bytes());
                bytes.extend((part.len() as u16).to_le_bytes());
                bytes.extend(checked);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
        bytes
    }

    fn history(step: i64, loss: &str) -> Record {
        let item = vec![item("_step", &step.to_string()), item("val", &format!("{{\"loss\": {loss}}}"))];
        Record { history: Some(History { item, step: Some(Step { num: step }) }), ..Record::default() }
    }

    pub fn log() -> Vec<u8> {
        let config = Update {
            update: vec![item("model", r#"{"num_params": 1000000}"#), item("arch", r#""vit""#), item("_wandb", "{}")],
        };
        let run = Run { run_id: "a1".into(), config: Some(config), display_name: "vit-s".into() };
        let filler = Update { update: vec![item("note", &format!("\"{}\"", "x".repeat(70_000)))] };
        written(&[
            Record { run: Some(run), ..Record::default() },
            history(100, "2.5"),
            Record { config: Some(filler), ..Record::default() },
            history(300, "NaN"),
            history(1000, "1.5"),
            Record { exit: Some(Exit { exit_code: 0 }), ..Record::default() },
        ])
    }

    fn table(bytes: &[u8]) -> (crate::study::file::table::Table, Result<(), Damage>) {
        let mut gathered = Gathered::default();
        let whole = rows(bytes, &mut gathered);
        (gathered.table("t").unwrap_or_default(), whole)
    }

    #[test]
    fn steps_carry_the_config_and_records_go_over_blocks() {
        let bytes = log();
        assert!(bytes.len() > 2 * BLOCK);
        let (table, whole) = table(&bytes);
        assert_eq!((whole, table.rows()), (Ok(()), 3));
        let cell = |row, name: &str| table.shown(row, table.column(name).unwrap());
        let names = ["run", "Name", "State", "step", "arch", "model.num_params", "val.loss"];
        assert_eq!(names.map(|name| cell(2, name)), ["a1", "vit-s", "finished", "1000", "vit", "1000000", "1.5"]);
        assert!(table.column("_wandb").is_err(), "{:?}", table.header);
    }

    #[test]
    fn a_torn_end_gives_what_is_whole_and_a_flipped_bit_is_said() {
        let bytes = log();
        let (torn, whole) = table(&bytes[..bytes.len() - 20]);
        assert_eq!((torn.rows(), torn.shown(0, torn.column("State").unwrap()).as_str(), whole), (2, "running", Ok(())));
        let mut flipped = bytes.clone();
        flipped[60] ^= 4;
        assert!(table(&flipped).1.unwrap_err().what.contains("checksum"));
        assert_eq!(table(b"no log at all").1.unwrap_err().what, "no header of W&B");
    }
}
