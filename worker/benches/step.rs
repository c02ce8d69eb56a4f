//! Milliseconds of one training step (forward, cross entropy, backward, clipping, AdamW), by architecture and rows of a pack.
//!
//!     cargo bench -p crossover-worker --bench step [-- [cuda] [bf16] [PART OF A NAME]]
//!
//! With `ask` it times a few steps of a case for each line `NAME` or `NAME bf16` on stdin, for benches/step.py.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use crossover_worker::model::{Io, resolve};
use crossover_worker::run::Precision;
use crossover_worker::train::steps::Steps;
use crossover_worker::train::{precision, process};
use tch::Device;

const BATCH: u64 = 64;

struct Case {
    name: &'static str,
    arch: &'static str,
    keys: &'static str,
    io: Io,
}

const fn case(name: &'static str, arch: &'static str, keys: &'static str, io: Io) -> Case {
    Case { name, arch, keys, io }
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
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let device = if has("cuda") { Device::Cuda(0) } else { Device::Cpu };
    process::prepare(1);
    if has("ask") {
        return answer();
    }
    let precision = if has("bf16") { Precision::Bf16 } else { Precision::Fp32 };
    let packs: &[u64] = if device == Device::Cpu { &[1] } else { &[1, 4, 16] };
    let steps = if device == Device::Cpu { 15 } else { 60 };
    let filter = args.iter().find(|arg| !["cuda", "bf16"].contains(&arg.as_str()));
    for case in CASES.iter().filter(|case| filter.is_none_or(|filter| case.name.contains(filter.as_str()))) {
        for &rows in packs {
            let mut bench = Bench::new(case, rows, device, precision);
            let fastest = (0..steps).map(|_| bench.step_ms()).fold(f64::INFINITY, f64::min);
            println!("{:34} {} R={rows:<3} {fastest:8.2} ms", case.name, precision.word());
        }
    }
}

/// The fastest of three steps of what each line of stdin names, in milliseconds; models stay between lines.
fn answer() {
    let mut known = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (name, precision) = match line.strip_suffix(" bf16") {
            Some(name) => (name, Precision::Bf16),
            None => (line.as_str(), Precision::Fp32),
        };
        let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case '{name}'"));
        let bench = known.entry(line.clone()).or_insert_with(|| Bench::new(case, 1, Device::Cpu, precision));
        let fastest = (0..3).map(|_| bench.step_ms()).fold(f64::INFINITY, f64::min);
        println!("{fastest}");
        std::io::stdout().flush().expect("stdout");
    }
}

/// What this thread has computed: unlike the clock, it does not count what else the machine does.
fn cpu_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

struct Bench {
    steps: Steps,
    device: Device,
    begun: Instant,
}

impl Bench {
    fn new(case: &Case, rows: u64, device: Device, precision: Precision) -> Self {
        precision::set(precision, device).expect("a precision of this device");
        let keys = serde_json::from_str(case.keys).expect("JSON");
        let model = resolve(case.arch, None, &keys).expect("keys");
        let steps = Steps::new(&model, case.io, BATCH, precision, rows, device).expect("a network");
        Self { steps, device, begun: Instant::now() }
    }

    fn now(&self) -> Duration {
        match self.device {
            Device::Cpu => cpu_time(),
            _ => self.begun.elapsed(),
        }
    }

    fn step_ms(&mut self) -> f64 {
        let start = self.now();
        let _ = self.steps.step();
        self.steps.wait();
        (self.now() - start).as_secs_f64() * 1e3
    }
}
