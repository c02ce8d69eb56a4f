//! What bfloat16 changes: little, in every arch, and nothing of what stays float32.

use crossover_worker::model::network::{Mode, Network};
use crossover_worker::run::Precision;
use crossover_worker::train::evaluation::cross_entropy;
use crossover_worker::train::precision::kind;
use tch::{Device, Kind, Tensor, no_grad};

use crate::{images, shaken, zoo};

const STEPS: u64 = 4;

struct Step {
    loss: f64,
    gradient: Tensor,
    stats: Option<Tensor>,
    logits: Tensor,
}

/// A training step at these parameters `[1, P]`, and the logits of an evaluation.
fn step(network: &Network, params: &Tensor, stats: &Tensor, images: &Tensor, precision: Precision, step: u64) -> Step {
    let (leaf, kind) = (params.copy().set_requires_grad(true), kind(precision));
    let (params, images) = (leaf.to_kind(kind), images.to_kind(kind));
    let output = network.forward(&params, stats, &images, Mode::Train { seeds: &[1], step });
    assert_eq!(output.logits.kind(), kind);
    let classes = network.io().classes as i64;
    let labels = Tensor::arange(images.size()[1], (Kind::Int64, Device::Cpu)).remainder(classes).unsqueeze(0);
    let loss = cross_entropy(&output.logits, &labels).mean(Kind::Float);
    let total =
        output.losses.values().fold(loss.shallow_clone(), |total, auxiliary| total + auxiliary.sum(Kind::Float));
    let gradient = Tensor::run_backward(&[&total], &[&leaf], false, false).swap_remove(0);
    let logits = no_grad(|| network.forward(&params, stats, &images, Mode::Eval).logits.to_kind(Kind::Float));
    Step { loss: loss.double_value(&[]), gradient, stats: output.stats, logits }
}

/// Along a few steps of gradient descent in float32. A bfloat16's last bit is a 256th.
#[test]
fn losses_in_bfloat16_are_those_in_float32_to_a_hundredth() {
    for (model, io) in zoo() {
        let (network, mut params, mut stats) = shaken(&model, io, 1);
        let images = images(1, 16, io);
        for at in 0..STEPS {
            let [exact, coarse] = [Precision::Fp32, Precision::Bf16]
                .map(|precision| step(&network, &params, &stats, &images, precision, at));
            let norm = |x: &Tensor| x.norm().double_value(&[]);
            let loss = (coarse.loss / exact.loss - 1.0).abs();
            let logits = norm(&(&coarse.logits - &exact.logits)) / norm(&exact.logits);
            assert!(loss < 0.01 && logits < 0.04, "{model:?}, step {at}: loss {loss} apart, logits {logits}");
            assert!(coarse.loss != exact.loss, "{model:?}: it is not computed in another type");
            assert_eq!(coarse.gradient.kind(), Kind::Float, "{model:?}");
            params -= exact.gradient * 0.03;
            if let (Some(exact), Some(coarse)) = (exact.stats, coarse.stats) {
                assert_eq!(coarse.kind(), Kind::Float, "{model:?}");
                let apart = norm(&(&coarse - &exact)) / norm(&exact);
                assert!(apart < 0.01, "{model:?}: running statistics are {apart} apart");
                stats = exact;
            }
        }
    }
}
