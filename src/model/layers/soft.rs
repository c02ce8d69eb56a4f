//! Soft MoE (Puigcerver et al. 2023, arXiv 2308.00951, section 2.1): no token is sent anywhere. Each slot of an expert reads
//! a weighted mean of an image's tokens, each token reads a weighted mean of all slots' outputs; both weights are softmaxes
//! of the same logits, over tokens and over slots. Nothing is dropped and nothing needs balancing.

use tch::{Kind, Tensor};

use crate::model::layers::Layer;
use crate::model::layers::experts::Experts;
use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::{Pass, exact};

/// In shape comments: E experts of S slots each, G = R*B images.
pub struct SoftExperts {
    block: u64,
    count: i64,
    slots: i64,
    /// What each slot looks for, `[D, E, S]`.
    mu: Slot,
    scale: Slot,
    experts: Experts,
}

impl SoftExperts {
    /// `count` experts of `slots` slots each; `block` is the block that they are in. Slots start as flax's do,
    /// of which only the direction counts; the scale starts at 1.
    pub fn new(b: &mut Builder, name: &str, block: u64, width: i64, hidden: i64, count: i64, slots: i64) -> Self {
        let mu = b.decayed(format!("{name}.mu"), &[width, count, slots], Init::lecun(width));
        let scale = b.undecayed(format!("{name}.scale"), &[1], Init::Constant(1.0));
        Self { block, count, slots, mu, scale, experts: Experts::new(b, name, count, width, hidden) }
    }

    /// How much tokens listen to each expert: the mean of their weights `[G, T, E*S]`; the shares add up to 1.
    fn report(&self, pass: &mut Pass, combine: &Tensor) {
        let share =
            combine.view([pass.rows, -1, self.count, self.slots]).sum_dim_intlist([3i64].as_slice(), false, None);
        let share = share.mean_dim([1i64].as_slice(), false, Kind::Float); // [R, E]
        pass.report_loads(self.block, &share);
    }
}

impl Layer for SoftExperts {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
        let [rows, batch, tokens, width] = x.size()[..] else { unreachable!("tokens are [R, B, T, D]") };
        let (count, slots) = (self.count, self.slots);
        let mu = unit(&pass.rows_of(self.mu).view([rows, width, count * slots]), 1); // [R, D, E*S]
        let mu = mu * pass.rows_of(self.scale).view([rows, 1, 1]);
        let flat = x.reshape([rows, batch * tokens, width]);
        let logits = unit(&flat, 2).bmm(&mu).view([rows * batch, tokens, count * slots]); // [G, T, E*S]
        let (dispatch, combine) = (logits.softmax(1, None), logits.softmax(2, None));
        if !pass.train() {
            self.report(pass, &combine);
        }
        let read = dispatch.transpose(1, 2).bmm(&flat.view([rows * batch, tokens, width])); // [G, E*S, D]
        let read = read.view([rows, batch, count, slots, width]).transpose(1, 2); // [R, E, B, S, D]
        let read = read.reshape([rows * count, batch * slots, width]);
        let done = self.experts.forward(pass, &read).view([rows, count, batch, slots, width]).transpose(1, 2);
        combine.bmm(&done.reshape([rows * batch, count * slots, width])).view([rows, batch, tokens, width])
    }
}

/// Vectors along a dimension at length 1, as the authors' program does it.
fn unit(x: &Tensor, dim: i64) -> Tensor {
    x * (exact(x).square().sum_dim_intlist([dim].as_slice(), true, None) + 1e-6).rsqrt().to_kind(x.kind())
}
