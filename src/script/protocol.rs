//! What is said between crossover and a script, version 1: a JSON file for it to read, lines for it to write
//! (docs/protocol.md).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::run::{RunConfig, Settings};

pub const VERSION: u64 = 1;
/// The environment variable that names the file of what is asked.
pub const RUN: &str = "CROSSOVER_RUN";
/// And the one that asks for nothing but a hello, on stdout.
pub const DESCRIBE: &str = "CROSSOVER_DESCRIBE";
/// Characters of a metric's name, which is a column of exports.
const LONGEST_NAME: usize = 100;

/// What a script is asked to do: the content of the file that `CROSSOVER_RUN` names.
#[derive(Serialize)]
pub struct Asked<'a> {
    pub protocol: u64,
    pub id: &'a str,
    pub attempt: u32,
    /// Its own keys.
    pub config: &'a Settings,
    pub task: Map<String, Value>,
    pub examples: u64,
    pub steps: u64,
    pub seed: u64,
    pub train: Map<String, Value>,
    /// Steps after which our own models are evaluated.
    pub evaluations: Vec<u64>,
    /// Of the last checkpoint that it said; 0 where there is none.
    pub resume: u64,
    pub threads: usize,
    /// Seconds that it has to leave after SIGTERM.
    pub grace: f64,
    /// It starts here.
    pub folder: &'a Path,
    /// Where its lines go.
    pub events: &'a Path,
    /// Where data sets lie, a folder for each.
    pub data: &'a Path,
}

/// What the config of a run says of the task, `name` among its keys.
pub fn task(config: &RunConfig) -> Map<String, Value> {
    let keys = config.task.settings.iter().map(|(key, value)| (key.clone(), value.clone()));
    keys.chain([("name".to_owned(), config.task.name.clone().into())]).collect()
}

/// What a script says of itself. What it does not say is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u64,
    pub params: Option<u64>,
    /// Of one example.
    pub forward_flops: Option<u64>,
    /// Training examples that there are.
    pub examples: Option<u64>,
    /// How fast it trains here.
    pub examples_per_second: Option<f64>,
    /// Whether it goes on from its checkpoints.
    #[serde(default = "yes")]
    pub resumes: bool,
    /// The step that it goes on from.
    #[serde(default)]
    pub step: u64,
}

fn yes() -> bool {
    true
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Hello(Hello),
    /// A value that is not finite is NaN here.
    Metrics {
        step: u64,
        values: BTreeMap<String, f64>,
    },
    /// That it goes on, for who looks.
    Progress {
        step: u64,
        loss: Option<f64>,
    },
    /// That its checkpoint of this step is in place.
    Checkpoint {
        step: u64,
    },
    End(End),
}

#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub outcome: Ending,
    /// Of training, where it measured them.
    pub seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Ending {
    Done,
    Stopped,
    Failed {
        #[serde(default)]
        reason: String,
    },
}

/// As [`strict`] leaves it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(NotFinite),
}

#[derive(Deserialize)]
enum NotFinite {
    NaN,
}

impl From<Number> for f64 {
    fn from(number: Number) -> f64 {
        match number {
            Number::Finite(value) => value,
            Number::Other(NotFinite::NaN) => f64::NAN,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Raw {
    Hello(Hello),
    Metrics {
        step: u64,
        values: BTreeMap<String, Option<Number>>,
    },
    Progress {
        step: u64,
        loss: Option<Number>,
    },
    Checkpoint {
        step: u64,
    },
    End {
        #[serde(flatten)]
        outcome: Ending,
        seconds: Option<f64>,
    },
}

/// Reads a line; `steps` is the budget of the run.
///
/// # Errors
/// It breaks a rule of the protocol: which.
pub fn read(text: &str, steps: u64) -> Result<Line, String> {
    let raw: Raw = serde_json::from_str(&strict(text)).map_err(|error| error.to_string())?;
    let within = |step: u64| match step > steps {
        true => Err(format!("step {step} is beyond the {steps} of the run")),
        false => Ok(step),
    };
    Ok(match raw {
        Raw::Hello(hello) if hello.protocol != VERSION => {
            return Err(format!("it speaks protocol {}, and this is {VERSION}", hello.protocol));
        }
        Raw::Hello(hello) => {
            within(hello.step)?;
            Line::Hello(hello)
        }
        Raw::Metrics { step, values } => {
            if let Some(name) = values.keys().find(|name| !is_name(name)) {
                return Err(format!("{name:?} is no name of a metric: 1 to {LONGEST_NAME} printable characters"));
            }
            // `null` is what Python makes of None: not measured.
            let values = values.into_iter().filter_map(|(name, value)| Some((name, value?.into())));
            Line::Metrics { step: within(step)?, values: values.collect() }
        }
        Raw::Progress { step, loss } => Line::Progress { step: within(step)?, loss: loss.map(f64::from) },
        Raw::Checkpoint { step } => Line::Checkpoint { step: within(step)? },
        Raw::End { outcome, seconds } => Line::End(End { outcome, seconds }),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

/// The line as JSON: Python writes `NaN` and `Infinity`, which JSON has not, as if it had.
fn strict(text: &str) -> Cow<'_, str> {
    if !["NaN", "Infinity"].iter().any(|word| text.contains(word)) {
        return text.into();
    }
    let (mut written, mut in_text, mut escaped, mut rest) = (String::with_capacity(text.len()), false, false, text);
    while let Some(letter) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = word {
            written.push_str("\"NaN\"");
            rest = &rest[word.len()..];
            continue;
        }
        in_text ^= letter == '"' && !escaped;
        escaped = in_text && letter == '\\' && !escaped;
        written.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let read = |text: &str| read(text, 100).unwrap();
        let hello = Hello { protocol: 1, params: Some(7), resumes: true, ..Hello::default() };
        assert_eq!(read(r#"{"event":"hello","protocol":1,"params":7,"mine":[1]}"#), Line::Hello(hello));
        assert_eq!(read(r#"{"event":"checkpoint","step":100}"#), Line::Checkpoint { step: 100 });
        assert_eq!(read(r#"{"event":"progress","step":3}"#), Line::Progress { step: 3, loss: None });
        let end = |outcome| Line::End(End { outcome, seconds: None });
        assert_eq!(read(r#"{"event":"end","outcome":"done"}"#), end(Ending::Done));
        let failed = Ending::Failed { reason: "no room".into() };
        assert_eq!(read(r#"{"event":"end","outcome":"failed","reason":"no room"}"#), end(failed));
    }

    #[test]
    fn what_is_not_finite_is_read_as_such_in_every_spelling() {
        for written in ["NaN", "Infinity", "-Infinity"] {
            let line = format!(r#"{{"event":"metrics","step":1,"values":{{"val_loss":{written},"a \"NaN\" b":2}}}}"#);
            let Line::Metrics { values, .. } = read(&line, 1).unwrap() else { panic!("{line}") };
            assert!(values["val_loss"].is_nan() && values["a \"NaN\" b"] == 2.0, "{line}: {values:?}");
        }
    }

    #[test]
    fn null_is_not_measured() {
        let read = read(r#"{"event":"metrics","step":1,"values":{"val_loss":1,"test_loss":null}}"#, 1).unwrap();
        assert_eq!(read, Line::Metrics { step: 1, values: BTreeMap::from([("val_loss".into(), 1.0)]) });
    }

    #[test]
    fn what_breaks_a_rule_says_which() {
        let refused = |text: &str| read(text, 10).unwrap_err();
        assert_eq!(refused(r#"{"event":"metrics","step":11,"values":{}}"#), "step 11 is beyond the 10 of the run");
        assert!(refused(r#"{"event":"hello","protocol":1,"step":11}"#).contains("step 11 is beyond"));
        assert!(refused(r#"{"event":"hello","protocol":2}"#).contains("protocol 2, and this is 1"));
        assert!(refused(r#"{"event":"metrics","step":1,"values":{"":1}}"#).starts_with("\"\" is no name of a metric"));
        for bad in ["", "{", "loss 0.3", r#"{"event":"epoch"}"#, r#"{"event":"metrics","step":-1,"values":{}}"#, "\0\0"]
        {
            refused(bad);
        }
        assert!(refused(r#"{"event":"end"}"#).contains("outcome"));
    }
}
