//! Architectures: what they are called, what they cost (closed forms, D8), how they scale (D9). No libtorch here:
//! the networks themselves are in `model/network.rs` and below, which only the worker links.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::run::{Named, Settings};

/// What a model sees: images of `channels x height x width`, and how many classes it tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Io {
    pub channels: u64,
    pub height: u64,
    pub width: u64,
    pub classes: u64,
}

/// Closed-form costs of one config; training is three times forward (D8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    pub params: u64,
    /// Parameters that one example passes through; equal to `params` but for sparse models.
    pub active_params: u64,
    /// FLOPs of the forward pass of one example.
    pub forward_flops: u64,
}

/// What a size ladder aims at (D9).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Params(f64),
    ForwardFlops(f64),
}

/// Names of all archs, in the order of the documentation.
pub fn names() -> Vec<&'static str> {
    todo!()
}

/// The config of `arch` with `size` (a published model's name) as its base and `given` keys on top, all defaults
/// filled in. Refuses unknown archs, sizes and keys and impossible values, with the nearest known name as a hint.
pub fn resolve(_arch: &str, _size: Option<&str>, _given: &Settings) -> Result<Named> {
    todo!()
}

/// Costs of a resolved config on this input. Refuses what does not fit together (a patch that does not divide the image).
pub fn costs(_model: &Named, _io: Io) -> Result<Costs> {
    todo!()
}

/// The config nearest to `target` among those that the arch's scaling rule reaches with the `given` keys held.
/// Refuses where none is within `tolerance` (relative), naming the nearest and its cost.
pub fn scale_to(_arch: &str, _given: &Settings, _target: Target, _tolerance: f64, _io: Io) -> Result<Named> {
    todo!()
}
