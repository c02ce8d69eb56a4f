//! Pilots, their workers and their shells as victims: no run is lost, none is done twice, no result differs, nothing is left
//! over. `make torture` does this for longer; CROSSOVER_TORTURE_SEED repeats what a failure prints.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::cluster::{Lab, shared};
use crate::interrupted::workers;
use crate::torture::number;

const SWEEP: &str = r#"
name = "many"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
[budget]
steps = [60, 120]
[train]
batch = 64
evals = 10
schedule = "wsd"
warmup_steps = 5
[[model]]
arch = "vit"
patch = 5
"#;
const PROFILE: &str = "[slurm]\npilots = 3\n[[slurm.pool]]\npartition = \"main\"\ncpus = 1\n";
const NOOP: &str = "step_millis=15 checkpoint_every=7";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillPilot,
    KillWorker,
    KillBoth,
    FreezePilot,
    Terminate,
    Requeue,
    Cancel,
}

const FAULTS: [Fault; 7] = [
    Fault::KillPilot,
    Fault::KillWorker,
    Fault::KillBoth,
    Fault::FreezePilot,
    Fault::Terminate,
    Fault::Requeue,
    Fault::Cancel,
];

#[test]
fn sweeps_survive_what_happens_to_pilots() {
    let Some(cluster) = shared() else { return };
    // A fault costs seconds here: Slurm lets a requeued task wait.
    let faults = number("CROSSOVER_TORTURE_FAULTS", 160).div_ceil(20);
    let seed = number("CROSSOVER_TORTURE_SEED", 12);
    println!("{faults} faults, CROSSOVER_TORTURE_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut met = BTreeMap::<Fault, u64>::new();
    let (mut sweeps, mut all) = (0, 0);
    while all < faults {
        let lab = Lab::new(cluster, SWEEP, PROFILE, NOOP);
        lab.submit(&["--retries", "1000000"]);
        for _ in 0..8.min(faults - all) {
            let before = lab.logged();
            let is_over = || lab.status()["slurm"].is_null();
            lab.until("it goes on", || lab.logged() > before || is_over());
            std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % 400)));
            if is_over() {
                break;
            }
            let fault = FAULTS[random.next_u32() as usize % FAULTS.len()];
            if meet(&lab, fault, &mut random) {
                *met.entry(fault).or_default() += 1;
                all += 1;
            }
        }
        lab.finish();
        sweeps += 1;
    }
    println!("{sweeps} sweeps, {met:?}");
}

/// Whether there was anybody to meet it.
fn meet(lab: &Lab, fault: Fault, random: &mut ChaCha8Rng) -> bool {
    let pilots = lab.pilots();
    let workers = workers(&lab.dir);
    if pilots.is_empty() || workers.is_empty() {
        return false;
    }
    let (name, pilot) = &pilots[random.next_u32() as usize % pilots.len()];
    let worker = workers[random.next_u32() as usize % workers.len()];
    let task = name.split('.').next().expect("a task");
    let send = |pid: i32, signal: Signal| _ = kill(Pid::from_raw(pid), signal);
    match fault {
        Fault::KillPilot => send(*pilot, Signal::SIGKILL),
        Fault::KillWorker => send(worker, Signal::SIGKILL),
        Fault::KillBoth => {
            send(*pilot, Signal::SIGKILL);
            send(worker, Signal::SIGKILL);
        }
        Fault::FreezePilot => {
            send(*pilot, Signal::SIGSTOP);
            std::thread::sleep(Duration::from_millis(300));
            send(*pilot, Signal::SIGCONT);
        }
        Fault::Terminate => send(*pilot, Signal::SIGTERM),
        Fault::Requeue => drop(lab.cluster.ask("scontrol", &["requeue", task])),
        Fault::Cancel => drop(lab.cluster.ask("scancel", &[task])),
    }
    true
}
