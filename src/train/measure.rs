//! Timing a training step, for `crossover plan`.

use std::time::Instant;

use tch::Device;

use crate::error::Result;
use crate::train::steps::Steps;
use crate::worker::Shape;

/// Timed for about this long, in seconds, and at least so many steps.
const TIMED_FOR: f64 = 0.5;
const STEPS: u32 = 3;

/// Seconds of one training step of each shape on a CPU.
pub fn on_cpu(shapes: &[Shape]) -> Result<Vec<f64>> {
    shapes.iter().map(step_seconds).collect()
}

/// The fastest seen, since other programs only add to it.
fn step_seconds(shape: &Shape) -> Result<f64> {
    let mut steps = Steps::new(&shape.model, shape.io, shape.batch, shape.precision, 1, Device::Cpu)?;
    let mut step = || {
        let begun = Instant::now();
        let _ = steps.step();
        begun.elapsed().as_secs_f64()
    };
    step(); // allocates, and picks kernels
    let (begun, mut fastest, mut count) = (Instant::now(), f64::INFINITY, 0);
    while count < STEPS || begun.elapsed().as_secs_f64() < TIMED_FOR {
        fastest = step().min(fastest);
        count += 1;
    }
    Ok(fastest)
}
