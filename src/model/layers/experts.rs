//! Experts: MLPs of one shape side by side, each with tokens of its own, as products batched over rows and experts.

use tch::Tensor;

use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::Pass;

/// In shape comments: E experts, N tokens of each, F hidden width. fc1, GELU, fc2, as in the MLP they stand for.
pub struct Experts {
    fc1: Bank,
    fc2: Bank,
}

impl Experts {
    pub fn new(b: &mut Builder, name: &str, experts: i64, width: i64, hidden: i64) -> Self {
        Self {
            fc1: Bank::new(b, &format!("{name}.fc1"), experts, width, hidden),
            fc2: Bank::new(b, &format!("{name}.fc2"), experts, hidden, width),
        }
    }

    /// `[R*E, N, D]` to `[R*E, N, D]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        self.fc2.forward(pass, &self.fc1.forward(pass, x).gelu("none"))
    }
}

/// A linear layer for each expert.
struct Bank {
    /// `[E, outputs, inputs]`.
    weight: Slot,
    /// `[E, outputs]`.
    bias: Slot,
}

impl Bank {
    fn new(b: &mut Builder, name: &str, experts: i64, inputs: i64, outputs: i64) -> Self {
        let weight = b.decayed(format!("{name}.weight"), &[experts, outputs, inputs], Init::Normal { std: 0.02 });
        let bias = b.undecayed(format!("{name}.bias"), &[experts, outputs], Init::Constant(0.0));
        Self { weight, bias }
    }

    fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        let weight = pass.folded(self.weight).transpose(1, 2); // [R*E, inputs, outputs]
        pass.folded(self.bias).unsqueeze(1).baddbmm(x, &weight, 1, 1) // [R*E, N, outputs]
    }
}
