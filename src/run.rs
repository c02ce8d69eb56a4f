//! A run: one training job, fully resolved. Its id is the hash of its config, so the same run is never done twice.

mod id;
mod precision;
mod settings;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use id::{Shared, SharedParts};
pub use precision::Precision;
pub use settings::Settings;

/// An arch (`convnet`, `vit`, …) or a task (`fashion-mnist`, …) by name, with all its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
    pub settings: Settings,
}

impl Named {
    /// What a model is called that is a user's own program.
    pub const SCRIPT: &str = "script";

    pub fn is_script(&self) -> bool {
        self.name == Self::SCRIPT
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    pub model: Named,
    pub task: Named,
    /// Unique training examples, the first of the task's training order: subsets are nested.
    pub examples: u64,
    /// The budget, resolved.
    pub steps: u64,
    pub train: Recipe,
    /// Of initialisation and batch order. The task's split and its examples have a seed of their own.
    pub seed: u64,
}

impl RunConfig {
    /// Examples seen in training, repeats counted.
    pub fn seen(&self) -> u64 {
        self.steps.saturating_mul(self.train.batch)
    }

    /// Different examples seen in training: none comes twice before all came once.
    pub fn data(&self) -> u64 {
        self.examples.min(self.seen())
    }
}

/// How a run is trained. (Unknown fields cannot be denied beside a flattened one.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Examples per step.
    pub batch: u64,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay, multiplied by the learning rate as in torch.optim.AdamW.
    pub weight_decay: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Largest global norm of a gradient; infinity is written as none.
    pub clip: Option<f64>,
    /// Linear warmup, in steps.
    pub warmup: u64,
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Evaluations at log-spaced steps, the last one at the end: the only one that reads the test split.
    pub evals: u64,
    #[serde(default, skip_serializing_if = "Precision::is_usual")]
    pub precision: Precision,
}

/// Of a ViT baseline (Beyer 2022): what `[train]` says nothing of.
impl Default for Recipe {
    fn default() -> Self {
        Self {
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
            precision: Precision::Fp32,
        }
    }
}

impl Recipe {
    /// All keys with their values, also where a value is left out of what is kept.
    pub fn keys(&self) -> Map<String, Value> {
        let mut keys = match serde_json::to_value(self) {
            Ok(Value::Object(keys)) => keys,
            _ => Map::new(),
        };
        keys.insert("precision".into(), self.precision.word().into());
        keys
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case")]
pub enum Schedule {
    /// Half a cosine from the peak to zero; its horizon is the budget.
    Cosine,
    Constant,
    /// Warmup, stable, decay: the peak, then down to zero over the last `cooldown` of the budget, a share above 0.
    Wsd {
        cooldown: f64,
    },
}

impl Schedule {
    /// The first of `steps` updates, which would be the same in a longer run: budgets share them.
    pub fn trunk_steps(self, steps: u64) -> u64 {
        match self {
            Schedule::Cosine => 0,
            Schedule::Constant => steps,
            Schedule::Wsd { cooldown } => steps.saturating_sub(((cooldown * steps as f64).round() as u64).max(1)),
        }
    }
}

impl RunConfig {
    /// Steps after which the run is evaluated, ascending.
    pub fn evaluations(&self) -> Vec<u64> {
        evaluations(self.train.evals, self.steps)
    }

    /// Steps whose metrics a run has once it is done, ascending. A script measures when it likes, and at its end.
    pub fn measured_at(&self) -> Vec<u64> {
        if self.model.is_script() { vec![self.steps] } else { self.evaluations() }
    }

    /// See [`Schedule::trunk_steps`]. What a script does in a step is its own: it shares none.
    pub fn trunk_steps(&self) -> u64 {
        if self.model.is_script() { 0 } else { self.train.schedule.trunk_steps(self.steps) }
    }

    /// Equal for runs that can be rows of one pack if they are as long: all but learning rate, weight decay, examples,
    /// seed and steps is the same.
    pub fn shape_id(&self) -> String {
        let mut shape = self.clone();
        (shape.train.lr, shape.train.weight_decay, shape.examples, shape.seed, shape.steps) = (0.0, 0.0, 0, 0, 0);
        shape.id()
    }

    /// 16 hexadecimal digits of SHA-256 over the canonical JSON of the config.
    pub fn id(&self) -> String {
        Shared::new(&self.model, &self.task).id(self)
    }
}

/// `evals` of the steps, even on a logarithmic scale, the last one the end. Fewer where several fall on one step.
fn evaluations(evals: u64, steps: u64) -> Vec<u64> {
    let mut at: Vec<u64> =
        (1..evals).map(|i| (steps as f64).powf(i as f64 / evals as f64).round() as u64).chain([steps]).collect();
    at.dedup();
    at
}

/// A number without a fraction, also when written as 1e6.
pub fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|x| *x >= 0.0 && x.fract() == 0.0 && *x < 1e19).map(|x| x as u64))
}

/// What `read` makes of a value, where 1e3 is a whole number if one is wanted; else why it refuses the value as written.
pub fn read_with_wholes<T, E>(value: &Value, read: impl Fn(&Value) -> Result<T, E>) -> Result<T, E> {
    read(value).or_else(|error| wholes(value).and_then(|whole| read(&whole).ok()).ok_or(error))
}

/// Numbers without a fraction as whole ones, also within a list; none where nothing changes.
fn wholes(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) if number.is_f64() => whole(value).map(Value::from),
        Value::Array(values) if values.iter().any(|value| wholes(value).is_some()) => {
            Some(values.iter().map(|value| wholes(value).unwrap_or_else(|| value.clone())).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_log_spaced_and_end_at_the_end() {
        assert_eq!(evaluations(4, 10_000), [10, 100, 1000, 10_000]);
        assert_eq!(evaluations(1, 50), [50]);
        assert_eq!(evaluations(0, 50), [50]);
        assert_eq!(evaluations(100, 4), [1, 2, 3, 4]);
        assert_eq!(evaluations(5, 1), [1]);
    }
}
