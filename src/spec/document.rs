//! A sweep file as read: tables whose keys and values know where they stand, so that every complaint can point there.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::ops::Range;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::error::{Error, Kind, nearest};

/// Bytes of a line beyond which it is not shown.
const LONGEST_LINE: usize = 400;

/// One complaint and the bytes it is about.
#[derive(Debug)]
pub struct Complaint {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
    pub kind: Kind,
}

pub type Checked<T> = std::result::Result<T, Complaint>;

impl Complaint {
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None, kind: Kind::BadInput }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `key` is none of `known`: names the nearest, or lists them all.
    pub fn unknown(span: Range<usize>, what: &str, key: &str, known: &[&str]) -> Self {
        let hint = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        Self::at(span, format!("{what} has no key `{key}`")).hint(hint)
    }

    /// Whatever it was, what stands there has to be written otherwise.
    pub fn from_error(span: Range<usize>, error: Error) -> Self {
        Self { hint: error.hint, ..Self::at(span, error.message) }
    }

    /// What stands there was tried: it may also be the work that failed.
    pub fn from_trial(span: Range<usize>, error: Error) -> Self {
        Self { kind: error.kind, ..Self::from_error(span, error) }
    }

    /// The complaint as a person reads it: file, line and column, the line itself, and the hint.
    pub fn render(self, file: &str, text: &str) -> Error {
        let place = place(self.span, file, text);
        let error = Error::bad_input(format!("{}{place}", self.message));
        Error { kind: self.kind, hint: self.hint, ..error }
    }
}

/// Where some bytes of a file are, to be written behind what is wrong with them.
fn place(span: Range<usize>, file: &str, text: &str) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let short = || {
        let (row, column) = (before.matches('\n').count() + 1, before[line..].chars().count() + 1);
        format!(" [{file}:{row}:{column}]")
    };
    if text[line..].lines().next().is_some_and(|line| line.len() > LONGEST_LINE) {
        return short();
    }
    // Without the message: a terminal cuts lines where it ends, and no path in two for 100 columns.
    let label = LabeledSpan::underline(span.start..span.end.max(span.start + 1).min(text.len()));
    let report = Report::new(MietteDiagnostic::new("-").with_label(label));
    let report = report.with_source_code(NamedSource::new(file, text.to_owned()));
    let mut rendered = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    match handler.render_report(&mut rendered, report.as_ref()) {
        Ok(()) => rendered.trim_end().trim_start_matches(|c| c != '\n').to_owned(),
        Err(_) => short(),
    }
}

/// A table with positions; keys keep the order of their names.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Table(BTreeMap<Key, Spanned<toml::Value>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
struct Key(Spanned<String>);

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.0.get_ref()
    }
}

/// One key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub span: Range<usize>,
    pub value: Value,
    /// Whether every number of it is one that JSON has.
    pub is_finite: bool,
}

impl Table {
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.0.iter().map(Entry::new)
    }

    pub fn get(&self, key: &str) -> Option<Entry> {
        self.0.get_key_value(key).map(Entry::new)
    }
}

impl Entry {
    fn new((key, value): (&Key, &Spanned<toml::Value>)) -> Entry {
        let (key_span, span) = (key.0.span(), value.span());
        let (value, is_finite) = (json(value.get_ref()), is_finite(value.get_ref()));
        Entry { key: key.0.get_ref().clone(), key_span, span, value, is_finite }
    }

    fn wants(&self, wanted: &str) -> Complaint {
        Complaint::at(self.span.clone(), format!("`{}` is {wanted}, not {}", self.key, kind(&self.value)))
    }

    pub fn text(&self) -> Checked<&str> {
        self.value.as_str().ok_or_else(|| self.wants("a text in quotes"))
    }

    /// A curve's.
    pub fn name(&self) -> Checked<&str> {
        match self.text()? {
            "" => Err(Complaint::at(self.span.clone(), "a curve without a name cannot be told from others")
                .hint("for example `name = \"my net\"`")),
            text => Ok(text),
        }
    }

    /// A single value is a list of one. An empty list is refused: an axis without values has no runs.
    pub fn list(&self) -> Checked<Vec<&Value>> {
        match &self.value {
            Value::Array(values) if values.is_empty() => {
                Err(Complaint::at(self.span.clone(), format!("`{}` is empty, so the sweep has no runs", self.key))
                    .hint("give at least one value, or remove the key"))
            }
            Value::Array(values) => Ok(values.iter().collect()),
            single => Ok(vec![single]),
        }
    }

    /// A list whose values `read` understands, none of them twice. `wanted` says what they are.
    pub fn list_of<T: Debug>(&self, wanted: &str, read: impl Fn(&Value) -> Option<T>) -> Checked<Vec<T>> {
        let mut values = Vec::new();
        // Numbers that are equal are written equally; a list may have thousands.
        let mut seen = HashSet::new();
        for value in self.list()? {
            let parsed = read(value).ok_or_else(|| {
                Complaint::at(self.span.clone(), format!("`{}` takes {wanted}, not {value}", self.key))
            })?;
            if !seen.insert(format!("{parsed:?}")) {
                return Err(Complaint::at(self.span.clone(), format!("`{}` has {value} twice", self.key))
                    .hint("remove one of the two"));
            }
            values.push(parsed);
        }
        Ok(values)
    }
}

/// Where an error of a table belongs: the key that its message names (quoted, or as `key = value`), else `otherwise`.
pub fn blame(table: &Table, error: Error, otherwise: Range<usize>) -> Complaint {
    let named = |entry: &Entry| {
        let key = &entry.key;
        [format!("'{key}'"), format!("`{key}`"), format!(" {key} = ")].iter().any(|name| error.message.contains(name))
    };
    let span = table.entries().find(named).map_or(otherwise, |entry| entry.key_span.start..entry.span.end);
    Complaint::from_error(span, error)
}

/// As JSON, which configs are made of. Dates become text.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        // Not finite has no JSON; text is refused wherever a number is wanted, and shows what was written.
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(*number).map_or_else(|| Value::from(number.to_string()), Value::Number)
        }
        toml::Value::Boolean(truth) => Value::from(*truth),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

fn is_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => number.is_finite(),
        toml::Value::Array(values) => values.iter().all(is_finite),
        toml::Value::Table(table) => table.values().all(is_finite),
        _ => true,
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}
