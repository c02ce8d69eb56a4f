//! Milliseconds of one training step (forward, cross entropy, backward, AdamW), by architecture and rows of a pack.
//!
//!     cargo bench -p crossover-worker --bench step [-- cuda]

use std::time::{Duration, Instant};

use crossover_worker::model::network::{Mode, build};
use crossover_worker::model::{Io, resolve};
use crossover_worker::run::{Recipe, Schedule};
use crossover_worker::train::optimizer::AdamW;
use crossover_worker::train::process;
use tch::{Device, Kind, Tensor, no_grad};

const BATCH: i64 = 64;

struct Case {
    what: &'static str,
    arch: &'static str,
    keys: &'static str,
    io: Io,
}

const fn case(what: &'static str, arch: &'static str, keys: &'static str, io: Io) -> Case {
    Case { what, arch, keys, io }
}

const GREY: Io = Io { channels: 1, height: 28, width: 28, classes: 10 };
const RGB: Io = Io { channels: 3, height: 32, width: 32, classes: 10 };
const CASES: [Case; 13] = [
    case("vit d64 L4 h4 p4, 1x28x28", "vit", "{}", GREY),
    case("vit d64 L4 h4 p7, 1x28x28", "vit", r#"{"patch": 7}"#, GREY),
    case("vit d192 L6 h3 p4, 3x32x32", "vit", r#"{"width": 192, "depth": 6, "heads": 3}"#, RGB),
    case("moe d64 L4 h4 p7 E8 k2, 1x28x28", "moe", r#"{"patch": 7}"#, GREY),
    case("moe d64 L4 h4 p7 E8 soft, 1x28x28", "moe", r#"{"patch": 7, "router": "soft"}"#, GREY),
    case("resnet w8 1,1,1, 1x28x28", "convnet", r#"{"width": 8, "depths": [1, 1, 1]}"#, GREY),
    case("convnext w16 1,1,1, 1x28x28", "convnet", r#"{"width": 16, "depths": [1, 1, 1], "block": "convnext"}"#, GREY),
    case("resnet-18 w16, 3x32x32", "convnet", r#"{"width": 16}"#, RGB),
    case("resnet-18 w32, 3x32x32", "convnet", r#"{"width": 32}"#, RGB),
    case("mlp d512 L3, 1x28x28", "mlp", r#"{"width": 512, "depth": 3}"#, GREY),
    case("mixer d192 L6 p4, 3x32x32", "mixer", r#"{"width": 192, "depth": 6}"#, RGB),
    case("resmlp d192 L6 p4, 3x32x32", "resmlp", r#"{"width": 192, "depth": 6}"#, RGB),
    case("perceiver 32x64, 1x28x28", "perceiver", "{}", GREY),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let device = if args.iter().any(|arg| arg == "cuda") { Device::Cuda(0) } else { Device::Cpu };
    process::prepare(1);
    let packs: &[u64] = if device == Device::Cpu { &[1] } else { &[1, 4, 16] };
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with("--") && *arg != "cuda");
    for case in CASES.iter().filter(|case| filter.is_none_or(|filter| case.what.contains(filter.as_str()))) {
        for &rows in packs {
            println!("{:34} R={rows:<3} {:8.2} ms", case.what, step_ms(case, rows, device));
        }
    }
}

fn recipe() -> Recipe {
    Recipe {
        batch: BATCH as u64,
        lr: 1e-4,
        weight_decay: 0.05,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        clip: Some(1.0),
        warmup: 0,
        schedule: Schedule::Constant,
        evals: 1,
    }
}

/// What this thread has computed: unlike the clock, it does not count what else the machine does.
fn cpu_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// The fastest of some steps.
fn step_ms(case: &Case, rows: u64, device: Device) -> f64 {
    let started = Instant::now();
    let keys = serde_json::from_str(case.keys).expect("JSON");
    let network = build(&resolve(case.arch, None, &keys).expect("keys"), case.io).expect("a network");
    let seeds: Vec<u64> = (0..rows).collect();
    let (params, mut stats) = network.init(&seeds);
    let mut params = params.to_device(device).set_requires_grad(true);
    stats = stats.to_device(device);
    let recipe = recipe();
    let layout = network.layout();
    let mut optimizer = AdamW::new(&vec![&recipe; rows as usize], layout.params, layout.decayed, device);
    let Io { channels, height, width, classes } = case.io;
    let shape = [rows as i64, BATCH, channels as i64, height as i64, width as i64];
    let images = Tensor::randn(shape, (Kind::Float, device));
    let labels = Tensor::randint(classes as i64, [rows as i64 * BATCH], (Kind::Int64, device));
    let mut times = Vec::new();
    let now = || match device {
        Device::Cpu => cpu_time(),
        _ => started.elapsed(),
    };
    for step in 0..if device == Device::Cpu { 15 } else { 60 } {
        let start = now();
        let output = network.forward(&params, &stats, &images, Mode::Train { seeds: &seeds, step });
        let loss = output.logits.view([-1, classes as i64]).cross_entropy_for_logits(&labels) * rows as f64;
        let loss = output.losses.values().fold(loss, |sum, auxiliary| sum + auxiliary.sum(Kind::Float));
        let gradient = Tensor::run_backward(&[loss], &[&params], false, false).swap_remove(0);
        no_grad(|| optimizer.update(&mut params, gradient, 1.0, step));
        if let Some(updated) = output.stats {
            stats = updated;
        }
        if device != Device::Cpu {
            tch::Cuda::synchronize(0);
        }
        times.push((now() - start).as_secs_f64() * 1e3);
    }
    times.into_iter().fold(f64::INFINITY, f64::min)
}
