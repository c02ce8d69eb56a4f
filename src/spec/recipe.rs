//! The `[train]` table: every key's rule in one place, for a fixed value, a value of an axis and a tuned value alike.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::run::{Precision, Recipe, Schedule, whole};
use crate::spec::document::{Checked, Complaint, Entry};

pub const KEYS: [&str; 13] = [
    "batch",
    "lr",
    "weight_decay",
    "beta1",
    "beta2",
    "epsilon",
    "clip",
    "warmup",
    "warmup_steps",
    "schedule",
    "cooldown",
    "evals",
    "precision",
];

/// Of `wsd`, whose runs share a trunk only if their warmup does not depend on the budget.
const WSD_WARMUP: u64 = 100;

/// A recipe whose warmup may still be a share of the budget.
#[derive(Clone, Debug)]
pub struct RecipeDraft {
    /// Its warmup, and a cooldown in its schedule, are placeholders.
    recipe: Recipe,
    /// Share of the budget, 0 to 1.
    warmup: f64,
    /// In place of the share.
    warmup_steps: Option<u64>,
    /// Share of the budget, above 0.
    cooldown: f64,
}

impl Default for RecipeDraft {
    fn default() -> Self {
        Self { recipe: Recipe::default(), warmup: 0.1, warmup_steps: None, cooldown: 0.2 }
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
            "warmup" => {
                let rule = "a share of the budget, from 0 to 1 (`warmup_steps` counts steps)";
                self.warmup = number(rule, &|x| (0.0..=1.0).contains(&x))?;
            }
            "warmup_steps" if whole(value) == Some(0) => self.warmup_steps = Some(0),
            "warmup_steps" => self.warmup_steps = Some(count("a whole number of steps from 0")?),
            "cooldown" => {
                let rule = "a share of the budget, above 0 and at most 1";
                self.cooldown = number(rule, &|x| x > 0.0 && x <= 1.0)?;
            }
            "schedule" => {
                recipe.schedule = match value.as_str() {
                    Some("cosine") => Schedule::Cosine,
                    Some("constant") => Schedule::Constant,
                    Some("wsd") => Schedule::Wsd { cooldown: self.cooldown },
                    _ => {
                        let rule = "\"cosine\", \"constant\" or \"wsd\" (warmup, stable, decay)";
                        return Err(Error::bad_input(format!("`schedule` is {rule}, not {value}")));
                    }
                }
            }
            "precision" => {
                let named = Precision::ALL.into_iter().find(|precision| *value == precision.word());
                let rule = "\"fp32\", \"tf32\" (GPUs only) or \"bf16\"";
                recipe.precision =
                    named.ok_or_else(|| Error::bad_input(format!("`precision` is {rule}, not {value}")))?;
            }
            _ => return Err(Error::bad_input(format!("[train] has no key `{key}`"))),
        }
        Ok(())
    }

    /// The recipe of a run of `steps` steps. Refuses a warmup that takes all of them or is longer than
    /// the trunk.
    pub fn resolve(&self, steps: u64) -> Result<Recipe> {
        let share = (self.warmup * steps as f64).round() as u64;
        let (schedule, default) = match self.recipe.schedule {
            Schedule::Wsd { .. } => (Schedule::Wsd { cooldown: self.cooldown }, WSD_WARMUP),
            other => (other, share),
        };
        let warmup = self.warmup_steps.unwrap_or(default);
        let trunk = schedule.trunk_steps(steps);
        if matches!(schedule, Schedule::Wsd { .. }) && warmup > trunk {
            let message =
                format!("its warmup takes {warmup} steps (`warmup_steps`), and its cooldown begins at {trunk}");
            return Err(Error::bad_input(message));
        }
        if self.warmup_steps.is_some_and(|warmup| warmup >= steps) {
            let message = format!("its warmup takes {warmup} steps (`warmup_steps`), and the run has {steps}");
            return Err(Error::bad_input(message));
        }
        Ok(Recipe { warmup, schedule, ..self.recipe.clone() })
    }
}

/// Keys that a sweep gives, in any of its tables, and that contradict one another or say nothing.
pub fn check_together(given: &dyn Fn(&str) -> Option<Entry>) -> Checked<()> {
    let schedules = given("schedule").map(|entry| entry.value);
    let wsd =
        schedules.is_some_and(|value| value == "wsd" || value.as_array().is_some_and(|a| a.contains(&"wsd".into())));
    let complain = |entry: Entry, message: &str| Err(Complaint::at(entry.key_span, message));
    match (given("warmup"), given("warmup_steps"), given("cooldown")) {
        (Some(warmup), Some(_), _) => complain(warmup, "the warmup is given by `warmup` and by `warmup_steps`")
            .map_err(|complaint| complaint.hint("remove one of the two")),
        (Some(warmup), ..) if wsd => {
            complain(warmup, "with \"wsd\" the warmup is no share of the budget: budgets share it").map_err(
                |complaint| complaint.hint(format!("give it in steps, for example `warmup_steps = {WSD_WARMUP}`")),
            )
        }
        (.., Some(cooldown)) if !wsd => {
            complain(cooldown, "`cooldown` is of `schedule = \"wsd\"`, which the sweep does not have")
                .map_err(|complaint| complaint.hint("remove it, or add the schedule"))
        }
        _ => Ok(()),
    }
}
