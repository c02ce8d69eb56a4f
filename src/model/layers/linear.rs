//! The linear layer and the two-layer MLP of transformer blocks.

use tch::Tensor;

use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::Pass;

pub struct Linear {
    weight: Slot,
    bias: Option<Slot>,
}

impl Linear {
    /// With a bias. `weight` is `[outputs, inputs]`, as in torch.
    pub fn new(b: &mut Builder, name: &str, inputs: i64, outputs: i64, weight: Init, bias: Init) -> Self {
        let weight = b.decayed(format!("{name}.weight"), &[outputs, inputs], weight);
        let bias = Some(b.undecayed(format!("{name}.bias"), &[outputs], bias));
        Self { weight, bias }
    }

    /// timm's transformer initialisation: normal of 0.02 (cut at +-2, which never happens), bias zero.
    pub fn normal(b: &mut Builder, name: &str, inputs: i64, outputs: i64) -> Self {
        Self::new(b, name, inputs, outputs, Init::Normal { std: 0.02 }, Init::Constant(0.0))
    }

    /// flax's and haiku's initialisation.
    pub fn lecun(b: &mut Builder, name: &str, inputs: i64, outputs: i64) -> Self {
        Self::new(b, name, inputs, outputs, Init::lecun(inputs), Init::Constant(0.0))
    }

    /// timm's initialisation of the MLPs of Mixer.
    pub fn xavier(b: &mut Builder, name: &str, inputs: i64, outputs: i64) -> Self {
        Self::new(b, name, inputs, outputs, Init::xavier(inputs, outputs), Init::Normal { std: 1e-6 })
    }

    /// Without a bias.
    pub fn unbiased(b: &mut Builder, name: &str, inputs: i64, outputs: i64, weight: Init) -> Self {
        Self { weight: b.decayed(format!("{name}.weight"), &[outputs, inputs], weight), bias: None }
    }

    /// torch.nn.Linear's own initialisation.
    pub fn torch_default(b: &mut Builder, name: &str, inputs: i64, outputs: i64) -> Self {
        let init = Init::torch_default(inputs);
        Self::new(b, name, inputs, outputs, init, init)
    }

    /// `[R, …, inputs]` to `[R, …, outputs]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        linear(pass, x, &pass.rows_of(self.weight), self.bias.map(|bias| pass.rows_of(bias)).as_ref())
    }
}

/// `x [R, …, inputs]` times `weight [R, outputs, inputs]` plus `bias [R, outputs]`.
fn linear(pass: &Pass, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    if pass.rows == 1 {
        return x.linear(&weight.squeeze_dim(0), bias.map(|bias| bias.squeeze_dim(0)).as_ref());
    }
    let mut shape = x.size();
    let inputs = shape.pop().unwrap_or(1);
    shape.push(weight.size()[1]);
    let x = x.reshape([pass.rows, -1, inputs]); // [R, N, inputs]
    let weight = weight.transpose(1, 2); // [R, inputs, outputs]
    match bias {
        Some(bias) => bias.unsqueeze(1).baddbmm(&x, &weight, 1, 1), // [R, N, outputs]
        None => x.bmm(&weight),
    }
    .view(shape.as_slice())
}

/// A constructor of linear layers: (builder, name, inputs, outputs).
pub type MakeLinear = fn(&mut Builder, &str, i64, i64) -> Linear;

/// fc1, GELU (exact: faster on CPU than its tanh form), fc2.
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    pub fn new(b: &mut Builder, name: &str, width: i64, hidden: i64) -> Self {
        Self::of(Linear::normal, b, name, width, hidden)
    }

    /// Of linear layers that start in another way.
    pub fn of(linear: MakeLinear, b: &mut Builder, name: &str, width: i64, hidden: i64) -> Self {
        let fc1 = linear(b, &format!("{name}.fc1"), width, hidden);
        Self { fc1, fc2: linear(b, &format!("{name}.fc2"), hidden, width) }
    }

    /// `[R, …, D]` to `[R, …, D]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        self.fc2.forward(pass, &self.hidden(pass, x))
    }

    /// The same times `scale [R, D]`. It is the weights that are multiplied: gradients go through far fewer numbers so.
    pub fn scaled(&self, pass: &Pass, x: &Tensor, scale: &Tensor) -> Tensor {
        let weight = pass.rows_of(self.fc2.weight) * scale.unsqueeze(2);
        let bias = self.fc2.bias.map(|bias| pass.rows_of(bias) * scale);
        linear(pass, &self.hidden(pass, x), &weight, bias.as_ref())
    }

    fn hidden(&self, pass: &Pass, x: &Tensor) -> Tensor {
        self.fc1.forward(pass, x).gelu("none")
    }
}
