//! Adding up what a model costs, by the one convention: a multiply-add is two FLOPs; matrix products, convolutions
//! and attention count, element-wise work does not, as in torch's FlopCounterMode with fused attention off.

use crate::model::Costs;

/// Grows layer by layer; FLOPs are of one example. Saturates rather than wraps: no real model comes near.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    params: u64,
    inactive: u64,
    macs: u64,
}

impl Tally {
    /// Parameters that take part in no product: norms, biases, position codes.
    pub fn params(&mut self, count: u64) {
        self.params = self.params.saturating_add(count);
    }

    /// Parameters already counted that one token does not pass through: the experts not chosen.
    pub fn inactive(&mut self, count: u64) {
        self.inactive = self.inactive.saturating_add(count);
    }

    /// A product `[rows, inner] x [inner, columns]` without parameters, as in attention.
    pub fn product(&mut self, rows: u64, inner: u64, columns: u64) {
        self.macs = self.macs.saturating_add(rows.saturating_mul(inner).saturating_mul(columns));
    }

    /// A part that runs `uses` times, with `copies` sets of weights.
    pub fn part(&mut self, part: Tally, copies: u64, uses: u64) {
        self.params(part.params.saturating_mul(copies));
        self.inactive(part.inactive.saturating_mul(copies));
        self.macs = self.macs.saturating_add(part.macs.saturating_mul(uses));
    }

    /// A linear layer with bias over `tokens`.
    pub fn linear(&mut self, tokens: u64, inputs: u64, outputs: u64) {
        self.params(inputs.saturating_mul(outputs).saturating_add(outputs));
        self.product(tokens, inputs, outputs);
    }

    /// Scale and shift of a norm over `width` channels.
    pub fn norm(&mut self, width: u64) {
        self.params(width.saturating_mul(2));
    }

    /// A convolution without bias; `kernel` = [height, width], `out` = its output [height, width].
    pub fn conv(&mut self, inputs: u64, outputs: u64, kernel: [u64; 2], out: [u64; 2]) {
        let weights = inputs.saturating_mul(outputs).saturating_mul(kernel[0] * kernel[1]);
        self.params(weights);
        self.product(out[0].saturating_mul(out[1]), weights, 1);
    }

    pub fn costs(self) -> Costs {
        Costs {
            params: self.params,
            active_params: self.params.saturating_sub(self.inactive),
            forward_flops: self.macs.saturating_mul(2),
        }
    }
}
