//! Built networks: a layout of parameters and a forward pass over the replica axis, so that runs of one shape train as
//! one batched model.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::model::config::parse;
use crate::model::layout::{Builder, Layout};
use crate::model::pass::Pass;
use crate::model::{Io, convnet, mixer, mlp, moe, perceiver, recurrent, resmlp, vit};
use crate::run::Named;

pub use crate::model::pass::Mode;

/// A family's network: layers that know their slots.
pub trait Forward {
    /// Images `[R, B, C, H, W]` to logits `[R, B, K]`.
    fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor;
}

pub struct Network {
    layout: Layout,
    forward: Box<dyn Forward>,
    io: Io,
}

/// What a forward pass gives.
pub struct Output {
    /// `[R, B, K]`.
    pub logits: Tensor,
    /// `[R, S]`, in training and where there are any.
    pub stats: Option<Tensor>,
    /// Auxiliary losses `[R]`, already weighted: to be added to the loss.
    pub losses: BTreeMap<String, Tensor>,
    /// Values to log, `[R]`.
    pub metrics: BTreeMap<String, Tensor>,
}

/// The network of a resolved config. Refuses what `model::costs` refuses.
pub fn build(model: &Named, io: Io) -> Result<Network> {
    super::costs(model, io)?;
    let mut b = Builder::default();
    let given = &model.settings;
    let forward: Box<dyn Forward> = match model.name.as_str() {
        "convnet" => parse::<convnet::Convnet>(given)?.network(&mut b, io),
        "vit" => Box::new(vit::Net::new(&mut b, &parse(given)?, io)?),
        "recurrent" => Box::new(parse::<recurrent::Recurrent>(given)?.network(&mut b, io)?),
        "mixer" => Box::new(mixer::net(&mut b, &parse(given)?, io)?),
        "resmlp" => Box::new(resmlp::net(&mut b, &parse(given)?, io)?),
        "perceiver" => Box::new(perceiver::Net::new(&mut b, &parse(given)?, io)),
        "mlp" => Box::new(mlp::Net::new(&mut b, &parse(given)?, io)),
        "moe" => Box::new(parse::<moe::Moe>(given)?.network(&mut b, io)?),
        name => return Err(Error::failed(format!("arch '{name}' has no network"))),
    };
    Ok(Network { layout: b.finish(), forward, io })
}

impl Network {
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn io(&self) -> Io {
        self.io
    }

    /// Fresh parameters `[R, P]` and running statistics `[R, S]`, one row per seed, float32 on the CPU.
    pub fn init(&self, seeds: &[u64]) -> (Tensor, Tensor) {
        self.layout.init(seeds)
    }

    /// Parameters `[R, P]`, running statistics `[R, S]` in float32, images `[R, B, C, H, W]` in the parameters' float type,
    /// which is what layers compute in. Rows are independent of each other. The inputs are left as they are.
    pub fn forward(&self, params: &Tensor, stats: &Tensor, images: &Tensor, mode: Mode) -> Output {
        let mut pass = Pass::new(&self.layout, params, stats, mode);
        let logits = self.forward.forward(&mut pass, images);
        Output { logits, stats: pass.updated_stats(), losses: pass.losses, metrics: pass.metrics }
    }
}
