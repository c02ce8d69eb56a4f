//! The `[train]` table: every key's rule in one place, for a fixed value, a value of an axis and a tuned value alike.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::run::{Recipe, Schedule};
use crate::spec::document::whole;

pub const KEYS: [&str; 10] =
    ["batch", "lr", "weight_decay", "beta1", "beta2", "epsilon", "clip", "warmup", "schedule", "evals"];

/// A recipe whose warmup is still a share of the budget. The defaults are those of a ViT baseline (Beyer 2022).
#[derive(Clone, Debug)]
pub struct RecipeDraft {
    recipe: Recipe,
    /// Share of the budget, 0 to 1.
    warmup: f64,
}

impl Default for RecipeDraft {
    fn default() -> Self {
        let recipe = Recipe {
            batch: 64,
            lr: 1e-3,
            weight_decay: 0.05,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            clip: Some(1.0),
            warmup: 0,
            schedule: Schedule::Cosine,
            evals: 5,
        };
        Self { recipe, warmup: 0.1 }
    }
}

impl RecipeDraft {
    pub fn batch(&self) -> u64 {
        self.recipe.batch
    }

    /// Sets one key, or refuses the value with the key's rule.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        let number = |rule: &str, holds: &dyn Fn(f64) -> bool| {
            let number = value.as_f64().filter(|x| x.is_finite() && holds(*x));
            number.ok_or_else(|| Error::bad_input(format!("`{key}` is {rule}, not {value}")))
        };
        let count = |rule: &str| {
            let count = whole(value).filter(|n| (1..=1 << 24).contains(n));
            count.ok_or_else(|| Error::bad_input(format!("`{key}` is {rule}, not {value}")))
        };
        let recipe = &mut self.recipe;
        match key {
            "batch" => recipe.batch = count("a whole number of examples from 1")?,
            "evals" => recipe.evals = count("a whole number of evaluations from 1")?,
            "lr" => recipe.lr = number("a positive number", &|x| x > 0.0)?,
            "weight_decay" => recipe.weight_decay = number("a number from 0", &|x| x >= 0.0)?,
            "beta1" => recipe.beta1 = number("from 0 to below 1", &|x| (0.0..1.0).contains(&x))?,
            "beta2" => recipe.beta2 = number("from 0 to below 1", &|x| (0.0..1.0).contains(&x))?,
            "epsilon" => recipe.epsilon = number("a positive number", &|x| x > 0.0)?,
            "clip" if value == "none" => recipe.clip = None,
            "clip" => recipe.clip = Some(number("a positive gradient norm or \"none\"", &|x| x > 0.0)?),
            "warmup" => self.warmup = number("a share of the budget, from 0 to 1", &|x| (0.0..=1.0).contains(&x))?,
            "schedule" => {
                recipe.schedule = serde_json::from_value(value.clone())
                    .map_err(|_| Error::bad_input(format!("`schedule` is \"cosine\" or \"constant\", not {value}")))?;
            }
            _ => return Err(Error::bad_input(format!("[train] has no key `{key}`"))),
        }
        Ok(())
    }

    /// The recipe of a run of `steps` steps.
    pub fn resolve(&self, steps: u64) -> Recipe {
        Recipe { warmup: (self.warmup * steps as f64).round() as u64, ..self.recipe.clone() }
    }
}
