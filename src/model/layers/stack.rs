//! Patches through a stack of layers to the mean over tokens and a linear head: the frame that Mixer and ResMLP share.

use tch::Tensor;

use crate::model::layers::{Affine, LayerNorm, Linear, Mlp, PatchEmbed};
use crate::model::network::Forward;
use crate::model::pass::Pass;

/// Tokens to tokens, `[R, B, T, D]` both. It may leave losses and metrics with the pass.
pub trait Layer {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor;
}

impl Layer for LayerNorm {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
        LayerNorm::forward(self, pass, x)
    }
}

impl Layer for Mlp {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
        Mlp::forward(self, pass, x)
    }
}

impl Layer for Affine {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
        Affine::forward(self, pass, x)
    }
}

pub struct Stack {
    pub embed: PatchEmbed,
    /// The last one is the norm.
    pub layers: Vec<Box<dyn Layer>>,
    pub head: Linear,
}

impl Forward for Stack {
    fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
        let mut x = self.embed.forward(pass, images); // [R, B, T, D]
        for layer in &self.layers {
            x = layer.forward(pass, &x);
        }
        let pooled = x.mean_dim([2].as_slice(), false, None); // [R, B, D]
        self.head.forward(pass, &pooled) // [R, B, K]
    }
}
