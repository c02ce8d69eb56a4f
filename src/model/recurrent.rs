//! A vision transformer that is deep in time, not in weights: one block, applied `depth` times (Dehghani et al. 2019,
//! Universal Transformers, arXiv 1807.03819, section 2.1, without its step codes and halting; weights shared as in Lan et
//! al. 2020, ALBERT, arXiv 1909.11942). It has `vit`'s keys; its params count once, its FLOPs `depth` times.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size};
#[cfg(torch)]
use crate::model::layout::Builder;
#[cfg(torch)]
use crate::model::vit;
use crate::model::vit::{VIT_KEYS, VIT_SHAPE, Vit};
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recurrent(Vit);

impl Config for Recurrent {
    const NAME: &'static str = "recurrent";
    const ABOUT: &'static str = "vision transformer of one block applied many times (Dehghani et al. 2019)";
    const KEYS: Keys = &[VIT_KEYS];
    const SIZES: &'static [Size<Self>] = &[];
    const SHAPE: &'static [&'static str] = VIT_SHAPE;
    const USUAL: &'static str = "2 times from width 8, 3 from 16, 4 from 24 to 64, 12 at ALBERT-base's 768, 24 at ALBERT-large's 1024 (Lan et \
        al. 2020); heads of 16 to 64";

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn costs(&self, io: Io) -> Result<Costs> {
        let forward_flops = self.0.costs(io)?.forward_flops;
        Ok(Costs { forward_flops, ..self.once().costs(io)? })
    }

    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        self.0.through(&USUAL_SIZES, held).into_iter().map(Self).collect()
    }
}

/// `(width, times)`: ALBERT's, and below as a ViT.
const USUAL_SIZES: [(u64, u64); 6] = [(12, 2), (16, 3), (24, 4), (64, 4), (768, 12), (1024, 24)];

impl Recurrent {
    /// What has the weights: a ViT of one block.
    fn once(&self) -> Vit {
        Vit { depth: 1, ..self.0.clone() }
    }

    #[cfg(torch)]
    pub fn network(&self, b: &mut Builder, io: Io) -> Result<vit::Net> {
        Ok(vit::Net::new(b, &self.once(), io)?.repeated(self.0.depth))
    }
}
