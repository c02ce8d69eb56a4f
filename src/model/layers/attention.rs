//! Multi-head self-attention. It has no parameters of its own between the projections, so rows fold into the batch.

use tch::{Device, Tensor};

use crate::model::kernel;
use crate::model::layers::Linear;
use crate::model::layout::Builder;
use crate::model::pass::{Pass, exact};

pub struct Attention {
    input: Input,
    proj: Linear,
    heads: i64,
}

enum Input {
    /// Queries, keys and values through one linear map.
    Learned { qkv: Linear },
    /// Queries and keys are the tokens as they are.
    Identity { v: Linear },
}

impl Attention {
    pub fn new(b: &mut Builder, name: &str, width: i64, heads: i64) -> Self {
        let qkv = Linear::normal(b, &format!("{name}.qkv"), width, 3 * width);
        Self { input: Input::Learned { qkv }, proj: Linear::normal(b, &format!("{name}.proj"), width, width), heads }
    }

    /// With the tokens themselves for queries and keys.
    pub fn identity(b: &mut Builder, name: &str, width: i64, heads: i64) -> Self {
        let v = Linear::normal(b, &format!("{name}.v"), width, width);
        Self { input: Input::Identity { v }, proj: Linear::normal(b, &format!("{name}.proj"), width, width), heads }
    }

    /// `[R, B, T, D]` to `[R, B, T, D]`; `mask` `[T, T]` is true where a token (row) reads another (column).
    pub fn forward(&self, pass: &Pass, x: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let size = x.size();
        let heads = |x: &Tensor, parts: i64| x.reshape([-1, size[2], parts, self.heads, size[3] / self.heads]);
        let mixed = match &self.input {
            Input::Learned { qkv } => attend(&[&heads(&qkv.forward(pass, x), 3)], mask),
            Input::Identity { v } => {
                let tokens = heads(x, 1);
                attend(&[&tokens, &tokens, &heads(&v.forward(pass, x), 1)], mask)
            }
        }; // [R*B, T, D]
        self.proj.forward(pass, &mixed.view(size.as_slice()))
    }
}

/// softmax(q k' / sqrt(d)) v where the mask is true, of N queries, M keys and M values of each head: `[B, N, H * d]`. The inputs
/// have them in this order, `[B, N or M, parts, H, d]`, one to three in each.
///
/// In float32 on CPUs: the backward of bfloat16 takes thirty times as long there (117 ms against 3.6 for a ViT 64 wide).
pub fn attend(inputs: &[&Tensor], mask: Option<&Tensor>) -> Tensor {
    if mask.is_none()
        && let Some(mixed) = kernel::attend(inputs)
    {
        return mixed;
    }
    // One backward puts the gradients of an input's parts together, where each of several `select`s would fill and copy all of it.
    let parts = inputs.iter().flat_map(|input| input.permute([2, 0, 3, 1, 4]).unbind(0)); // each [B, H, N or M, d]
    let here = |x: Tensor| if x.device() == Device::Cpu { exact(&x) } else { x };
    let [q, k, v]: [Tensor; 3] = parts.map(here).collect::<Vec<_>>().try_into().expect("queries, keys, values");
    let mixed = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false); // [B, H, N, d]
    mixed.to_kind(inputs[0].kind()).transpose(1, 2).flatten(2, 3)
}
