//! Budgets in any unit, resolved once: the training loop knows only steps.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::units::Flops;

/// Share of a budget of FLOPs that whole steps may leave over; twice it is what isoFLOP fits take for one budget.
pub const LEFT_OVER: f64 = 0.05;

/// How long to train, in the unit that the sweep names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Passes over the run's own training examples.
    Epochs(f64),
    Steps(f64),
    /// Examples seen, repeated ones counted each time.
    Examples(f64),
    /// Training FLOPs, three times forward.
    Flops(f64),
}

impl Budget {
    pub const UNITS: [&'static str; 4] = ["epochs", "steps", "examples", "flops"];

    /// The budget of `amount` in `unit`, one of [`Self::UNITS`].
    pub fn new(unit: &str, amount: f64) -> Result<Self> {
        if !(amount.is_finite() && amount > 0.0) {
            return Err(Error::bad_input(format!("a budget of {amount} {unit} trains nothing; it has to be positive")));
        }
        match unit {
            "epochs" => Ok(Budget::Epochs(amount)),
            "steps" if amount.fract() == 0.0 => Ok(Budget::Steps(amount)),
            "steps" => Err(Error::bad_input(format!("`steps` counts whole steps, not {amount}"))),
            "examples" => Ok(Budget::Examples(amount)),
            "flops" => Ok(Budget::Flops(amount)),
            _ => Err(Error::bad_input(format!("a budget has no unit `{unit}`"))
                .hint(format!("units: {}", Self::UNITS.join(", ")))),
        }
    }

    /// One of [`Self::UNITS`].
    pub fn unit(self) -> &'static str {
        match self {
            Budget::Epochs(_) => "epochs",
            Budget::Steps(_) => "steps",
            Budget::Examples(_) => "examples",
            Budget::Flops(_) => "flops",
        }
    }

    pub fn amount(self) -> f64 {
        match self {
            Budget::Epochs(amount) | Budget::Steps(amount) | Budget::Examples(amount) | Budget::Flops(amount) => amount,
        }
    }

    /// Optimizer steps: epochs and examples are rounded up so that what was asked for is seen, FLOPs down so that the
    /// budget is kept. Refuses a budget that buys no step, and FLOPs of which whole steps leave more than a few percent:
    /// runs of one isoFLOP line would not have cost the same.
    pub fn steps(self, examples: u64, batch: u64, forward_flops: u64) -> Result<u64> {
        let batch_size = batch as f64;
        let step_flops = (Flops(forward_flops.into()) * 3 * batch).as_f64();
        let steps = match self {
            Budget::Epochs(epochs) => (epochs * examples as f64 / batch_size).ceil(),
            Budget::Steps(steps) => steps,
            Budget::Examples(seen) => (seen / batch_size).ceil(),
            Budget::Flops(flops) => (flops / step_flops).floor(),
        };
        if steps < 1.0 {
            return Err(Error::bad_input(format!("{self} buys no step: one step is {step_flops:.3e} FLOPs")));
        }
        if let Budget::Flops(flops) = self
            && steps * step_flops < (1.0 - LEFT_OVER) * flops
        {
            let left = 100.0 * (1.0 - steps * step_flops / flops);
            let message = format!("{self} leave {left:.0}% over after {steps} whole steps of {step_flops:.3e} FLOPs");
            return Err(Error::bad_input(message));
        }
        if steps > 1e12 {
            return Err(Error::bad_input(format!("{self} is {steps:.1e} steps; at most 1e12 can be run")));
        }
        Ok(steps as u64)
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (amount, unit) = match self {
            Budget::Epochs(amount) => (amount, "epochs"),
            Budget::Steps(amount) => (amount, "steps"),
            Budget::Examples(amount) => (amount, "examples"),
            Budget::Flops(amount) => (amount, "FLOPs"),
        };
        write!(f, "{} {unit}", crate::units::si(*amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_resolves_to_steps() {
        let steps = |unit, amount| Budget::new(unit, amount).unwrap().steps(1000, 64, 1_000_000).unwrap();
        assert_eq!(steps("epochs", 2.0), 32); // 2000 / 64 = 31.25
        assert_eq!(steps("steps", 7.0), 7);
        assert_eq!(steps("examples", 641.0), 11);
        assert_eq!(steps("flops", 1e9), 5); // one step is 1.92e8
    }

    #[test]
    fn budgets_that_train_nothing_are_refused() {
        for (unit, amount) in [("epochs", 0.0), ("steps", -1.0), ("steps", 1.5), ("examples", f64::NAN), ("hours", 1.0)]
        {
            assert!(Budget::new(unit, amount).is_err(), "{unit} {amount}");
        }
        assert!(Budget::Flops(1e6).steps(1000, 64, 1_000_000).is_err());
        // 3.7 steps: 19% of the budget would not be used. 20 steps or more always fit.
        let error = Budget::Flops(7.1e8).steps(1000, 64, 1_000_000).unwrap_err();
        assert!(error.message.contains("19% over after 3 whole steps"), "{}", error.message);
        assert!((20..60).all(|steps| Budget::Flops(1.92e8 * (steps as f64 + 0.99)).steps(1000, 64, 1_000_000).is_ok()));
        assert!(Budget::Epochs(1e30).steps(1000, 64, 1).is_err());
    }
}
