//! The one error a person sees: what was wrong, under which rule, with which value, and what to type next.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes: 1 the work failed, 2 the input was bad, 130 a signal asked to stop, as shells say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Failed,
    BadInput,
    Interrupted,
}

/// Printed as `error: MESSAGE` and, on a line of its own, `hint: HINT`. No full stop at the end of either.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub hint: Option<String>,
    /// What is known in spite of it: fields beside `error` in JSON.
    pub known: Option<Box<Map<String, Value>>>,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, known: None }
    }

    /// The work failed (exit code 1): a disk, a process, a network, a fit that does not exist.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The input was bad (exit code 2): a flag, a file's content, a value outside its rule.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Kind::BadInput, message)
    }

    /// A signal asked to stop (exit code 130).
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done in front of what went wrong: `WHAT: MESSAGE`.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The fields of `known` stand beside `error` in JSON.
    pub fn with(mut self, known: &impl Serialize) -> Self {
        if let Ok(Value::Object(fields)) = serde_json::to_value(known) {
            self.known.get_or_insert_default().extend(fields);
        }
        self
    }

    /// As data: what is known, and `error` with message, hint and exit code.
    pub fn json(&self) -> Value {
        let mut fields = self.known.as_deref().cloned().unwrap_or_default();
        let Self { message, hint, .. } = self;
        let error = serde_json::json!({"message": message, "hint": hint, "exit_code": self.exit_code()});
        fields.insert("error".into(), error);
        Value::Object(fields)
    }

    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::BadInput => 2,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// `result.context(|| format!("cannot read {path}"))` for errors of other crates.
pub trait Context<T> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error::failed(format!("{}: {error}", what())))
    }
}

/// The candidate nearest to `given`, for "did you mean" hints; none when nothing is near.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(given, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
