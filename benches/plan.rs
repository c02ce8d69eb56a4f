//! Time to plan sweeps of 100 to 10,000 runs, everything included: TOML, checks, costs, ids.
//! Run by `make bench`.

use std::time::Instant;

fn main() {
    println!("{:>8}  {:>10}  {:>10}", "runs", "seconds", "runs/s");
    for seeds in [5, 50, 500] {
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
        println!("{:>8}  {seconds:>10.4}  {:>10.0}", plan.runs.len(), plan.runs.len() as f64 / seconds);
    }
}
