//! What orchestrating a run costs: runs that train nothing (`CROSSOVER_NOOP`) through the program, its workers and the
//! store, at 1 to 64 slots, against starting a process that does nothing. Run by `make bench`.

use std::process::{Command, Stdio};
use std::time::Instant;

const FEW: u32 = 100;
const MANY: u32 = 2100;

fn main() {
    let started = Instant::now();
    for _ in 0..500 {
        Command::new("true").status().expect("a process");
    }
    let per_process = started.elapsed().as_secs_f64() / 500.0;
    for slots in [1, 2, 16, 64] {
        // The difference of two sweeps leaves out what is paid once: the program's start and the workers'.
        let (few, many) = (sweep(FEW, slots), sweep(MANY, slots));
        let per_run = (many.seconds - few.seconds) / f64::from(MANY - FEW);
        println!(
            "no-op runs, {slots} slots: {:.0}/s once all are up ({:.2} ms a run; a process that does nothing takes {:.2} ms); \
             {:.2} s to the {FEW}th run; peak {} MiB",
            1.0 / per_run,
            1e3 * per_run,
            1e3 * per_process,
            few.seconds,
            many.peak_kib >> 10,
        );
    }
}

struct Swept {
    seconds: f64,
    /// Of the orchestrator.
    peak_kib: u64,
}

fn sweep(runs: u32, slots: u32) -> Swept {
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
    command.args(["run", "nothing.toml", "--devices", "cpu", "--slots", &slots.to_string()]).current_dir(folder.path());
    command.env("CROSSOVER_NOOP", "").stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let seen = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        peak_kib = peak_kib.max(seen.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("its status") {
            assert!(status.success());
            return Swept { seconds: started.elapsed().as_secs_f64(), peak_kib };
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
