//! Multi-head self-attention. It has no parameters of its own between the projections, so rows fold into the batch.

use tch::Tensor;

use crate::model::layers::Linear;
use crate::model::layout::Builder;
use crate::model::pass::Pass;

pub struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: i64,
}

impl Attention {
    pub fn new(b: &mut Builder, name: &str, width: i64, heads: i64) -> Self {
        Self {
            qkv: Linear::normal(b, &format!("{name}.qkv"), width, 3 * width),
            proj: Linear::normal(b, &format!("{name}.proj"), width, width),
            heads,
        }
    }

    /// `[R, B, T, D]` to `[R, B, T, D]`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        let size = x.size();
        let (tokens, width) = (size[2], size[3]);
        let qkv = self.qkv.forward(pass, x).view([-1, tokens, 3, self.heads, width / self.heads]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]); // [3, R*B, heads, T, D/heads]
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(0, part));
        let mixed = attend(&q, &k, &v); // [R*B, heads, T, D/heads]
        self.proj.forward(pass, &mixed.transpose(1, 2).reshape(size.as_slice()))
    }
}

/// softmax(q k' / sqrt(d)) v over `[…, T, d]`.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, None::<&Tensor>, 0.0, false, None, false)
}
