//! What layers compute in. One policy for every arch: parameters, moments, losses and the statistics of norms are float32
//! whatever it is (docs/precision.md).

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32, on GPUs too, where convolutions would be rounded by default and matrix products not.
    #[default]
    Fp32,
    /// float32 of which GPUs round what they multiply to 11 significant bits. CPUs have no such thing.
    Tf32,
    /// bfloat16: 8 significant bits.
    Bf16,
}

impl Precision {
    pub const ALL: [Precision; 3] = [Precision::Fp32, Precision::Tf32, Precision::Bf16];

    /// As in a sweep file.
    pub fn word(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }

    /// What runs had before there was a choice: it is left out of what is hashed and kept, so that they have their ids.
    pub fn is_usual(&self) -> bool {
        *self == Precision::default()
    }
}
