//! How a person names a model on a command line: an arch, a published size, keys, and what it sees.

use std::ffi::OsString;

use clap::Args;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::{Io, resolve};
use crate::run::{Named, Settings};

#[derive(Args, Clone, Debug)]
pub struct ModelChoice {
    /// Architecture: see 'crossover model list'
    pub arch: String,

    /// Published model to start from, such as resnet-18 or b16
    #[arg(long, value_name = "NAME")]
    pub size: Option<String>,

    /// Keys of the architecture, such as width=64 depths=2,2,2,2
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,

    /// Image the model sees: channels x height x width
    #[arg(long, value_name = "CxHxW", default_value = "3x32x32")]
    pub input: String,

    /// Classes it tells apart
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub classes: u64,
}

impl ModelChoice {
    /// The arguments that say this again.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut words = vec![self.arch.clone()];
        words.extend(self.size.iter().flat_map(|size| ["--size".into(), size.clone()]));
        words.extend(self.set.iter().flat_map(|pair| ["--set".into(), pair.clone()]));
        words.extend(["--input".into(), self.input.clone(), "--classes".into(), self.classes.to_string()]);
        words.into_iter().map(OsString::from).collect()
    }

    pub fn model(&self) -> Result<Named> {
        resolve(&self.arch, self.size.as_deref(), &parse_settings(&self.set)?)
    }

    pub fn io(&self) -> Result<Io> {
        input(&self.input, self.classes)
    }
}

/// What `--input` and `--classes` say.
pub fn input(input: &str, classes: u64) -> Result<Io> {
    let refused =
        || Error::bad_input(format!("--input {input}: must be channels x height x width")).hint("--input 3x32x32");
    let sides: Vec<u64> =
        input.split('x').map(|side| side.trim().parse().map_err(|_| refused())).collect::<Result<_>>()?;
    match sides[..] {
        [channels, height, width] if sides.iter().all(|side| (1..=1 << 16).contains(side)) => {
            Ok(Io { channels, height, width, classes })
        }
        _ => Err(refused()),
    }
}

/// `key=value` pairs. Values are booleans, integers, floats, comma-separated lists of these, and else text.
pub fn parse_settings(pairs: &[String]) -> Result<Settings> {
    let mut settings = Settings::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty())
        else {
            return Err(Error::bad_input(format!("--set {pair}: must be KEY=VALUE")).hint("--set width=64"));
        };
        let value = match value.contains(',') {
            true => Value::Array(value.split(',').map(|part| scalar(part.trim())).collect()),
            false => scalar(value),
        };
        if settings.insert(key.to_string(), value).is_some() {
            return Err(Error::bad_input(format!("--set {key}: given twice")).hint("give each key once"));
        }
    }
    Ok(settings)
}

fn scalar(text: &str) -> Value {
    let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
    match (text, number) {
        ("true", _) => Value::Bool(true),
        ("false", _) => Value::Bool(false),
        // Not-a-number and infinities are no JSON numbers; they stay text and are refused by name.
        (_, Ok(number)) if !number.is_null() => number,
        _ => Value::String(text.to_string()),
    }
}
