//! Architectures: what they are called, what they cost (closed forms), which sizes are usual. No libtorch here:
//! the networks themselves are in `model/network.rs` and below, which only the worker links.

// What only the network halves use is not dead.
#![cfg_attr(not(torch), allow(dead_code))]

pub mod choice;
pub mod config;
pub mod convnet;
pub mod forward;
pub mod grid;
#[cfg(torch)]
pub mod kernel;
#[cfg(torch)]
pub mod layers;
#[cfg(torch)]
pub mod layout;
pub mod mixer;
pub mod mlp;
pub mod moe;
#[cfg(torch)]
pub mod network;
#[cfg(torch)]
pub mod pass;
pub mod perceiver;
pub mod recurrent;
pub mod resmlp;
mod scale;
pub mod tally;
pub mod vit;
#[cfg(torch)]
pub mod weights;
pub mod window;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, nearest};
use crate::model::config::Arch;
use crate::run::{Named, Settings};

/// The registry, in the order of the documentation. A new arch is its file, its `mod` line, a line here and a line in
/// `network::build`.
static ARCHS: [Arch; 8] = [
    Arch::of::<convnet::Convnet>(),
    Arch::of::<vit::Vit>(),
    Arch::of::<recurrent::Recurrent>(),
    Arch::of::<moe::Moe>(),
    Arch::of::<mixer::Mixer>(),
    Arch::of::<resmlp::Resmlp>(),
    Arch::of::<perceiver::Perceiver>(),
    Arch::of::<mlp::Mlp>(),
];

/// What a model sees: images of `channels x height x width`, and how many classes it tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Io {
    pub channels: u64,
    pub height: u64,
    pub width: u64,
    pub classes: u64,
}

impl Io {
    /// Of a task that only scripts know.
    pub const UNKNOWN: Io = Io { channels: 0, height: 0, width: 0, classes: 0 };

    fn known(self, arch: &str) -> Result<Io> {
        match self == Self::UNKNOWN {
            true => Err(Error::bad_input(format!("arch '{arch}' cannot see this task: only your scripts know it"))
                .hint("a model of this sweep has a `command`, or the sweep another task")),
            false => Ok(self),
        }
    }
}

/// Costs of one config, closed forms for ours; training is three times forward. 0 is what a script does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    pub params: u64,
    /// Parameters that one token passes through; equal to `params` but for sparse experts.
    pub active_params: u64,
    /// FLOPs of the forward pass of one example.
    pub forward_flops: u64,
}

/// What a size ladder aims at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Params(f64),
    ForwardFlops(f64),
}

/// Names of all archs, in the order of the documentation.
pub fn names() -> Vec<&'static str> {
    ARCHS.iter().map(|arch| arch.name).collect()
}

/// The registry entry of `name`: its description, its named sizes, its keys.
pub fn arch(name: &str) -> Result<&'static Arch> {
    ARCHS.iter().find(|arch| arch.name == name).ok_or_else(|| {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("the archs are {}", names().join(", ")),
        };
        Error::bad_input(format!("arch '{name}' is not known")).hint(hint)
    })
}

/// The config of `arch` with `size` (a published model's name) as its base and `given` keys on top, all defaults
/// filled in. Refuses unknown archs, sizes and keys and impossible values, with the nearest known name as a hint.
pub fn resolve(name: &str, size: Option<&str>, given: &Settings) -> Result<Named> {
    let settings = (arch(name)?.resolve)(size, given)?;
    Ok(Named { name: name.to_string(), settings })
}

/// Costs of a resolved config on this input. Refuses what does not fit together (a patch that does not divide the image).
pub fn costs(model: &Named, io: Io) -> Result<Costs> {
    (arch(&model.name)?.costs)(&model.settings, io.known(&model.name)?)
}

/// Sides of the part of the image that one value of the model's last map sees; none where there is no such bound.
pub fn receptive_field(model: &Named, io: Io) -> Result<Option<[u64; 2]>> {
    (arch(&model.name)?.receptive_field)(&model.settings, io)
}

/// How far a ladder's config may be from its target where nobody says: wider than the steps of usual widths from 20 on.
pub const TOLERANCE: f64 = 0.1;

/// The config nearest to `target` among the arch's usual shapes, the `given` keys held. Refuses where none is within
/// `tolerance`, a share of the target, naming the nearest on both sides and their costs.
pub fn scale_to(name: &str, given: &Settings, target: Target, tolerance: f64, io: Io) -> Result<Named> {
    let settings = (arch(name)?.scale)(given, target, tolerance, io.known(name)?)?;
    Ok(Named { name: name.to_string(), settings })
}

/// The keys that say how large this model is, of all its settings.
pub fn shape(model: &Named) -> Result<Settings> {
    let keys = arch(&model.name)?.shape;
    let has = |key: &&str| model.settings.get(*key).map(|value| (key.to_string(), value.clone()));
    Ok(keys.iter().filter_map(has).collect())
}

/// The same in a line, in the arch's own order: `width=64 depth=4 heads=4`.
pub fn shape_text(model: &Named) -> Result<String> {
    Ok(config::shape_text(arch(&model.name)?.shape, &model.settings))
}

impl Costs {
    /// FLOPs of one training step on one example: forward, and twice that for the two products of backward.
    pub fn train_flops(&self) -> u64 {
        self.forward_flops.saturating_mul(3)
    }
}
