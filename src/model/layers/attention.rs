//! Multi-head self-attention. It has no parameters of its own between the projections, so rows fold into the batch.

use tch::{Device, Tensor};

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
        let (tokens, width) = (size[2], size[3]);
        let split = |x: &Tensor| x.reshape([-1, tokens, self.heads, width / self.heads]).transpose(1, 2);
        let [q, k, v] = match &self.input {
            Input::Learned { qkv } => {
                let qkv = qkv.forward(pass, x).view([-1, tokens, 3, self.heads, width / self.heads]);
                parts(&qkv.permute([2, 0, 3, 1, 4])) // of [3, R*B, heads, T, D/heads]
            }
            Input::Identity { v } => [split(x), split(x), split(&v.forward(pass, x))],
        };
        let mixed = attend(&q, &k, &v, mask); // [R*B, heads, T, D/heads]
        self.proj.forward(pass, &mixed.transpose(1, 2).reshape(size.as_slice()))
    }
}

/// The tensors along the first dimension. One backward puts their gradients together, where each of several `select`s would
/// fill and copy all of `x`.
pub fn parts<const N: usize>(x: &Tensor) -> [Tensor; N] {
    x.unbind(0).try_into().unwrap_or_else(|parts: Vec<Tensor>| unreachable!("{N} parts, not {}", parts.len()))
}

/// softmax(q k' / sqrt(d)) v over `[…, T, d]`, where the mask is true.
///
/// In float32 on CPUs: the backward of bfloat16 takes thirty times as long there (117 ms against 3.6 for a ViT 64 wide).
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Tensor {
    let kind = q.kind();
    let [q, k, v] = [q, k, v].map(|x| if x.device() == Device::Cpu { exact(x) } else { x.shallow_clone() });
    Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false).to_kind(kind)
}
