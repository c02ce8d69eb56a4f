//! Ids: the hash of what is hashed of a config. Runs of a sweep share a model and a task, which are most of it: their part is
//! hashed once.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Named, Recipe, RunConfig};

/// Part of the hash: raised when training changes so that old results would no longer be reproduced.
const FORMAT: u32 = 1;

/// Keys of tasks on a user's own files that came after runs had been made without them. `content`, which is in the id, stands
/// for what they say.
const STOOD_FOR: [(&str, &[&str]); 1] =
    [("images", &["background", "duplicates", "fit", "interpolation", "labels", "max_pixels", "skip", "train"])];

/// What all configs of a model and a task have in common, hashed.
#[derive(Clone)]
pub struct Shared(Sha256);

/// The rest of a config, in the order of its fields: the seed last.
#[derive(Serialize)]
struct Own<'a> {
    examples: u64,
    steps: u64,
    train: &'a Recipe,
    seed: u64,
}

impl Shared {
    pub fn new(model: &Named, task: &Named) -> Shared {
        let (model, task) = (text(model), text(&hashed(task)));
        Shared(Sha256::new().chain_update(format!("{FORMAT}\n{{\"model\":{model},\"task\":{task},")))
    }

    /// 16 hexadecimal digits of SHA-256 over the canonical JSON of a config of this model and task.
    pub fn id(&self, config: &RunConfig) -> String {
        self.with_steps(config, config.steps)
    }

    pub fn with_steps(&self, config: &RunConfig, steps: u64) -> String {
        self.with_any_seed(config, steps).id(config.seed)
    }

    /// Of configs that differ in their seed alone.
    pub fn with_any_seed(&self, RunConfig { examples, train, .. }: &RunConfig, steps: u64) -> AnySeed {
        let own = text(&Own { examples: *examples, steps, train, seed: 0 });
        // Without the brace that opens it, which the shared part has, and without the seed, which is last.
        AnySeed(self.0.clone().chain_update(&own[1..own.len() - "0}".len()]))
    }
}

/// All of a config but its seed, hashed.
pub struct AnySeed(Sha256);

impl AnySeed {
    pub fn id(&self, seed: u64) -> String {
        hex(&self.0.clone().chain_update(format!("{seed}}}")).finalize())
    }
}

/// The shared part of each of many configs.
#[derive(Default)]
pub struct SharedParts<'a>(HashMap<(&'a str, usize, &'a str, usize), Shared>);

impl<'a> SharedParts<'a> {
    pub fn of(&mut self, RunConfig { model, task, .. }: &'a RunConfig) -> &Shared {
        let key = (model.name.as_str(), model.settings.address(), task.name.as_str(), task.settings.address());
        self.0.entry(key).or_insert_with(|| Shared::new(model, task))
    }
}

/// The task as it is hashed.
fn hashed(task: &Named) -> Named {
    let mut task = task.clone();
    let stood_for = STOOD_FOR.iter().find(|(name, _)| *name == task.name).map_or(&[][..], |(_, keys)| keys);
    // Runs of before held out what they held out whatever its class.
    let before = |key: &str, value: &Value| key == "stratified" && *value != Value::Bool(true);
    task.settings.retain(|key, value| !stood_for.contains(&key.as_str()) && !before(key, value));
    task
}

fn text(of: &impl Serialize) -> String {
    serde_json::to_string(of).expect("a config has string keys and finite numbers only")
}

fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
    digest.iter().take(8).flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Precision, Schedule, Settings};

    /// One hash over the whole config is what ids were first made by.
    #[test]
    fn an_id_is_the_hash_of_the_whole_config() {
        let named = |name: &str, settings: Settings| Named { name: name.into(), settings };
        let train = Recipe {
            batch: 64,
            lr: 1e-3,
            weight_decay: 0.05,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            clip: None,
            warmup: 7,
            schedule: Schedule::Wsd { cooldown: 0.2 },
            evals: 5,
            precision: Precision::Fp32,
        };
        let settings = Settings::from([("width".into(), 8.into()), ("note".into(), "a \"b\"".into())]);
        let task = named("mnist1d", Settings::from([("seed".into(), 3.into())]));
        let config = RunConfig { model: named("vit", settings), task, examples: 100, steps: 20, train, seed: 4 };
        let whole = |config: &RunConfig| hex(&Sha256::digest(format!("1\n{}", text(config))));
        assert_eq!(config.id(), whole(&config));
        let trunk = RunConfig { steps: 0, ..config.clone() };
        assert_eq!(SharedParts::default().of(&config).with_steps(&config, 0), whole(&trunk));
        // There was no precision to choose.
        assert!(!text(&config.train).contains("precision"));
        let mut coarse = config.clone();
        coarse.train.precision = Precision::Bf16;
        assert_ne!(coarse.id(), config.id());
        assert_ne!(coarse.shape_id(), config.shape_id(), "they are no rows of one pack");
        let mut other = config.clone();
        other.task.settings.insert("stratified".into(), false.into());
        assert_eq!(other.id(), config.id(), "as before there was such a key");
        other.task.settings.insert("stratified".into(), true.into());
        assert_ne!(other.id(), config.id());
    }
}
