//! Norms over the replica axis.

use tch::Tensor;

use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::{Pass, exact};

/// Over the last dimension, epsilon 1e-6 as in timm's transformers.
pub struct LayerNorm {
    weight: Slot,
    bias: Slot,
    width: i64,
}

impl LayerNorm {
    pub fn new(b: &mut Builder, name: &str, width: i64) -> Self {
        Self {
            weight: b.undecayed(format!("{name}.weight"), &[width], Init::Constant(1.0)),
            bias: b.undecayed(format!("{name}.bias"), &[width], Init::Constant(0.0)),
            width,
        }
    }

    /// `[R, …, D]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        const EPSILON: f64 = 1e-6;
        if pass.rows == 1 {
            let (weight, bias) = (pass.folded(self.weight), pass.folded(self.bias));
            return x.layer_norm([self.width], Some(&weight), Some(&bias), EPSILON, true);
        }
        let mut shape = vec![1; x.dim()];
        shape[0] = pass.rows;
        shape[x.dim() - 1] = self.width;
        let weight = pass.rows_of(self.weight).view(shape.as_slice()); // [R, 1…, D]
        let bias = pass.rows_of(self.bias).view(shape.as_slice());
        let normal = x.layer_norm([self.width], None::<&Tensor>, None::<&Tensor>, EPSILON, true);
        bias.addcmul(&normal, &weight)
    }
}

/// Scale and shift, nothing measured: what stands for a norm in ResMLP (Touvron et al. 2021, equation 1).
pub struct Affine {
    alpha: Slot,
    beta: Slot,
}

impl Affine {
    pub fn new(b: &mut Builder, name: &str, width: i64) -> Self {
        let alpha = b.undecayed(format!("{name}.alpha"), &[1, 1, width], Init::Constant(1.0));
        Self { alpha, beta: b.undecayed(format!("{name}.beta"), &[1, 1, width], Init::Constant(0.0)) }
    }

    /// `[R, B, T, D]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        pass.rows_of(self.beta).addcmul(&pass.rows_of(self.alpha), x) // parameters [R, 1, 1, D]
    }
}

/// Over batch and positions, per row and channel; momentum 0.1, epsilon 1e-5 as in torch.
pub struct BatchNorm {
    weight: Slot,
    bias: Slot,
    mean: Slot,
    variance: Slot,
}

impl BatchNorm {
    pub fn new(b: &mut Builder, name: &str, width: i64) -> Self {
        Self {
            weight: b.undecayed(format!("{name}.weight"), &[width], Init::Constant(1.0)),
            bias: b.undecayed(format!("{name}.bias"), &[width], Init::Constant(0.0)),
            mean: b.statistic(format!("{name}.running_mean"), &[width], Init::Constant(0.0)),
            variance: b.statistic(format!("{name}.running_var"), &[width], Init::Constant(1.0)),
        }
    }

    /// `[B, R*C, H, W]`. In training it uses the batch's statistics and updates the pass's copy of the running ones.
    /// Statistics are float32 whatever `x` is, and weights and they are of one type.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        let float = |slot| exact(&pass.folded(slot));
        let (weight, bias) = (float(self.weight), float(self.bias));
        let (mean, variance) = (pass.statistic(self.mean), pass.statistic(self.variance));
        x.batch_norm(Some(&weight), Some(&bias), Some(&mean), Some(&variance), pass.train(), 0.1, 1e-5, true)
    }
}
