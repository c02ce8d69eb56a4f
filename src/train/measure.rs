//! Timing a training step, for `crossover plan`.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::model::network::{self, Mode};
use crate::run::{Recipe, Schedule};
use crate::train::evaluation::cross_entropy;
use crate::train::optimizer::AdamW;
use crate::train::precision::kind;
use crate::worker::Shape;

/// Timed for about this long, in seconds, and at least so many steps.
const TIMED_FOR: f64 = 0.5;
const STEPS: u32 = 3;

/// Seconds of one training step of each shape on a CPU.
pub fn on_cpu(shapes: &[Shape]) -> Result<Vec<f64>> {
    shapes.iter().map(|shape| step_seconds(shape, Device::Cpu)).collect()
}

/// Seconds of one training step of a model on `batch` examples: the fastest seen, since other programs only add to it.
fn step_seconds(shape: &Shape, device: Device) -> Result<f64> {
    let &Shape { ref model, io, batch, precision } = shape;
    let network = network::build(model, io)?;
    let layout = network.layout();
    let (params, stats) = network.init(&[0]);
    let (mut params, stats) = (params.to_device(device).set_requires_grad(true), stats.to_device(device));
    let recipe = Recipe {
        batch,
        lr: 1e-4,
        weight_decay: 0.01,
        beta2: 0.999,
        schedule: Schedule::Constant,
        evals: 0,
        precision,
        ..Recipe::default()
    };
    let mut optimizer = AdamW::new(&[&recipe], layout.params, layout.decayed, device);
    let shape = [1, batch, io.channels, io.height, io.width].map(|size| size as i64);
    let images = Tensor::zeros(shape, (Kind::Float, device)).uniform_(-1.0, 1.0).to_kind(kind(precision));
    let labels = Tensor::zeros([1, batch as i64], (Kind::Int64, device));
    let mut step = |step: u64| {
        let begun = Instant::now();
        let output =
            network.forward(&params.to_kind(kind(precision)), &stats, &images, Mode::Train { seeds: &[0], step });
        let loss = cross_entropy(&output.logits, &labels).mean(Kind::Float);
        let total = output.losses.values().fold(loss, |total, auxiliary| total + auxiliary.sum(Kind::Float));
        let grad = Tensor::run_backward(&[&total], &[&params], false, false).swap_remove(0);
        tch::no_grad(|| optimizer.update(&mut params, grad, 1.0, step));
        total.double_value(&[]); // waits for the device
        begun.elapsed().as_secs_f64()
    };
    step(0); // allocates, and picks kernels
    let (begun, mut fastest, mut count) = (Instant::now(), f64::INFINITY, 0);
    while count < STEPS || begun.elapsed().as_secs_f64() < TIMED_FOR {
        fastest = step(u64::from(count)).min(fastest);
        count += 1;
    }
    Ok(fastest)
}
