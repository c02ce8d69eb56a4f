//! What orchestrating a run costs: runs that train nothing (`CROSSOVER_NOOP`) through the program, its worker and the
//! store, against starting a process that does nothing. Run by `make bench`.

use std::process::{Command, Stdio};
use std::time::Instant;

const FEW: u32 = 50;
const MANY: u32 = 550;

fn main() {
    // The difference of two sweeps leaves out what is paid once: the program's start and the worker's.
    let (few, many) = (sweep_seconds(FEW), sweep_seconds(MANY));
    let per_run = (many - few) / f64::from(MANY - FEW);
    let started = Instant::now();
    for _ in FEW..MANY {
        Command::new("true").status().expect("a process");
    }
    let per_process = started.elapsed().as_secs_f64() / f64::from(MANY - FEW);
    println!(
        "overhead of a run, worker reused: {:.2} ms; {:.1} times a process that does nothing ({:.2} ms)",
        1e3 * per_run,
        per_run / per_process,
        1e3 * per_process
    );
}

fn sweep_seconds(runs: u32) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seeds: Vec<String> = (0..runs).map(|seed| seed.to_string()).collect();
    let text = format!(
        r#"
name = "nothing"
task = {{ name = "mnist1d" }}
[axes]
examples = [100]
seed = [{}]
[budget]
steps = 2
[train]
batch = 64
[[model]]
arch = "vit"
patch = 5
"#,
        seeds.join(", ")
    );
    std::fs::write(folder.path().join("nothing.toml"), text).expect("a sweep file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossover"));
    command.args(["run", "nothing.toml", "--devices", "cpu", "--slots", "1"]).current_dir(folder.path());
    command.env("CROSSOVER_NOOP", "").stderr(Stdio::null());
    let started = Instant::now();
    assert!(command.status().expect("the program starts").success());
    started.elapsed().as_secs_f64()
}
