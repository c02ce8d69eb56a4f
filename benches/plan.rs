//! Time to plan sweeps of 100 to 100,000 runs, everything included: TOML, checks, costs, ids; and the memory at its peak.
//! Run by `make bench`.

use std::time::Instant;

fn main() {
    println!("{:>8}  {:>10}  {:>10}  {:>8}", "runs", "seconds", "runs/s", "peak");
    for seeds in [5, 50, 500, 5000] {
        let seeds: Vec<String> = (0..seeds).map(|seed| seed.to_string()).collect();
        let text = format!(
            r#"
name = "large"
task = {{ name = "fashion-mnist" }}
[axes]
examples = [250, 1000, 4000, 16000, 48000]
seed = [{}]
[tuned]
lr = [1e-3, 3e-3]
[budget]
examples = 100_000
[[model]]
arch = "convnet"
forward_flops = [2.6e6]
[[model]]
arch = "vit"
patch = 7
forward_flops = [2.6e6]
"#,
            seeds.join(", ")
        );
        let start = Instant::now();
        let plan = crossover::cli::load_plan(&text, "large.toml").expect("a good sweep");
        let seconds = start.elapsed().as_secs_f64();
        let rate = plan.runs.len() as f64 / seconds;
        println!("{:>8}  {seconds:>10.4}  {rate:>10.0}  {:>4} MiB", plan.runs.len(), peak_kib() >> 10);
    }
}

/// The most memory that this program has had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
    peak.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0)
}
