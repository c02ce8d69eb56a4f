//! Architectures against timm, torchvision and torch's FLOP counter, and what every architecture must satisfy.

// Tests may: clippy allows it by itself only within #[test].
#![allow(clippy::unwrap_used)]

mod costs;
mod independence;
mod initialisation;
mod moe;
mod precision;
mod reference;
mod symmetry;

use crossover_worker::model::network::{Mode, Network, Output, build};
use crossover_worker::model::{Io, resolve};
use crossover_worker::run::{Named, Settings};
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

pub fn settings(json: &str) -> Settings {
    serde_json::from_str(json).unwrap()
}

pub fn model(arch: &str, json: &str) -> Named {
    resolve(arch, None, &settings(json)).unwrap_or_else(|error| panic!("{arch} {json}: {error}"))
}

pub fn io(channels: u64, height: u64, width: u64, classes: u64) -> Io {
    Io { channels, height, width, classes }
}

/// Small configs of every arch that use each of its parts, and an image they fit.
pub fn zoo() -> Vec<(Named, Io)> {
    let rgb = io(3, 8, 8, 5);
    vec![
        (model("convnet", r#"{"width": 4, "depths": [1, 1]}"#), rgb),
        (
            model("convnet", r#"{"width": 2, "depths": [2, 1], "block": "bottleneck", "stem": "large"}"#),
            io(1, 16, 16, 5),
        ),
        (model("convnet", r#"{"width": 4, "depths": [1, 1]}"#), io(1, 1, 40, 5)),
        (model("convnet", r#"{"width": 4, "depths": [1, 2], "block": "plain", "padding": "circular"}"#), rgb),
        (model("convnet", r#"{"width": 4, "depths": [1, 1], "block": "convnext"}"#), rgb),
        (model("convnet", r#"{"width": 4, "depths": [1], "block": "convnext", "stem": "large"}"#), io(1, 1, 40, 5)),
        (model("vit", r#"{"width": 8, "depth": 2, "heads": 2}"#), rgb),
        (model("vit", r#"{"width": 8, "depth": 1, "heads": 2, "patch": 2, "pool": "mean", "position": "none"}"#), rgb),
        (model("vit", r#"{"width": 8, "depth": 1, "heads": 2, "stride": 2, "window": 1, "norm": false}"#), rgb),
        (model("vit", r#"{"width": 8, "depth": 1, "heads": 2, "qk": "identity", "residual": false}"#), rgb),
        (model("recurrent", r#"{"width": 8, "depth": 3, "heads": 2}"#), rgb),
        (
            model("vit", r#"{"width": 8, "depth": 1, "heads": 1, "pool": "mean", "position": "sincos"}"#),
            io(1, 1, 40, 5),
        ),
        (model("mixer", r#"{"width": 8, "depth": 2}"#), rgb),
        (model("mixer", r#"{"width": 6, "depth": 1}"#), io(1, 1, 40, 5)),
        (model("resmlp", r#"{"width": 8, "depth": 2}"#), rgb),
        (model("resmlp", r#"{"width": 6, "depth": 1}"#), io(1, 1, 40, 5)),
        (model("mlp", r#"{"width": 8, "depth": 2}"#), rgb),
        (model("mlp", r#"{"width": 8, "depth": 1, "activation": "gelu"}"#), io(1, 1, 40, 5)),
        (model("perceiver", r#"{"latents": 4, "width": 8, "heads": 2, "bands": 2, "blocks": 3}"#), rgb),
        (model("perceiver", r#"{"latents": 3, "width": 8, "position": "learned", "share": false}"#), io(1, 1, 40, 5)),
        (model("perceiver", r#"{"latents": 3, "width": 4, "position": "none", "blocks": 1}"#), rgb),
        (model("moe", r#"{"width": 8, "depth": 2, "heads": 2, "experts": 3}"#), rgb),
        (
            model("moe", r#"{"width": 8, "depth": 2, "heads": 2, "top_k": 1, "last": 2, "priority": "score"}"#),
            io(1, 1, 40, 5),
        ),
        (model("moe", r#"{"width": 8, "depth": 2, "heads": 2, "patch": 2, "router": "soft", "experts": 3}"#), rgb),
    ]
}

/// Standard normal numbers, the same on every machine.
pub fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let mut random = crossover_worker::random::stream(seed, "test", 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut random)).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Images `[R, B, C, H, W]`, other ones in each row.
pub fn images(rows: u64, batch: i64, io: Io) -> Tensor {
    let shape = [1, batch, io.channels as i64, io.height as i64, io.width as i64];
    Tensor::cat(&(0..rows).map(|row| normal(row, &shape)).collect::<Vec<_>>(), 0)
}

/// A built network with parameters and statistics that are all different, `[R, P]` and `[R, S]`.
pub fn shaken(model: &Named, io: Io, rows: u64) -> (Network, Tensor, Tensor) {
    let network = build(model, io).unwrap();
    let (params, stats) = network.init(&(0..rows).collect::<Vec<_>>());
    let noise = (0..rows).map(|row| normal(100 + row, &[1, params.size()[1]])).collect::<Vec<_>>();
    (network, params + Tensor::cat(&noise, 0) * 0.1, stats)
}

/// A training pass with its gradient by parameters, `[R, P]`; the loss is the sum of the rows' cross entropies (labels
/// 0, 1, 2, …) and auxiliary losses, each times its row's weight.
pub fn trained(
    network: &Network,
    params: &Tensor,
    stats: &Tensor,
    images: &Tensor,
    seeds: &[u64],
    weights: &[f32],
) -> (Output, Tensor, Tensor) {
    let params = params.detach().copy().set_requires_grad(true);
    let output = network.forward(&params, stats, images, Mode::Train { seeds, step: 3 });
    let [rows, batch, classes] = output.logits.size()[..] else { panic!("logits are {:?}", output.logits.size()) };
    let labels = Tensor::arange(batch, (tch::Kind::Int64, tch::Device::Cpu)).remainder(classes);
    let picked = output.logits.log_softmax(-1, None).gather(
        2,
        &labels.view([1, batch, 1]).expand([rows, batch, 1], false),
        false,
    );
    let mut losses = -picked.mean_dim([1, 2].as_slice(), false, None); // [R]
    for loss in output.losses.values() {
        losses += loss;
    }
    (&losses * Tensor::from_slice(weights)).sum(None).backward();
    (output, params.grad(), losses.detach())
}

pub fn gap(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 { 0.0 } else { (a - b).abs().max().double_value(&[]) }
}
