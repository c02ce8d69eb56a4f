//! Metric rows a second from event logs into the database, through the store's own path, and what a store of 20,000 runs and
//! 20 million values takes to be looked at: `cargo bench --bench ingest`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crossover::cli::load_plan;
use crossover::event::{Event, Outcome};
use crossover::model::{Costs, Io};
use crossover::plan::{Plan, Planned};
use crossover::run::{Named, Recipe, RunConfig, Schedule, Settings};
use crossover::store::Store;
use crossover::units::Flops;

const RUNS: u64 = 100;
const STEPS: u64 = 2_000;

fn main() {
    for names in [&["train_loss"][..], &["train_loss", "val_loss", "val_error", "test_loss", "test_error"]] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut store = Store::open(dir.path()).expect("a store");
        let plan = plan();
        store.register(&plan).expect("registered");
        for run in &plan.runs {
            write_log(&dir.path().join(&run.id), names);
        }
        let started = Instant::now();
        let ingested = store.ingest().expect("ingested");
        let seconds = started.elapsed().as_secs_f64();
        let per_line = names.len();
        println!(
            "ingest, {per_line} values a line: {:.0} rows/s ({} rows)",
            ingested.rows as f64 / seconds,
            ingested.rows
        );
    }
    large();
}

/// A finished sweep of 20,000 runs, 1,000 values each.
fn large() {
    let seeds: Vec<String> = (0..20_000).map(|seed| seed.to_string()).collect();
    let text = format!(
        "name = \"large\"\ntask = {{ name = \"mnist1d\" }}\n[axes]\nexamples = [100]\nseed = [{}]\n[budget]\nsteps = 500\n\
         [[model]]\narch = \"mlp\"\n",
        seeds.join(", ")
    );
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("large.toml"), &text).expect("a sweep file");
    let plan = load_plan(&text, "large.toml").expect("a good sweep");
    let mut store = Store::open(&dir.path().join("runs")).expect("a store");
    store.register(&plan).expect("registered");
    let mut lines = Vec::new();
    for step in 1..=500 {
        let values = [("val_loss", 1.0), ("test_loss", 1.1)].map(|(name, loss)| (name.to_string(), loss / step as f64));
        line(&mut lines, &Event::Metrics { step, values: values.into() });
    }
    let outcome = Outcome::Done;
    line(&mut lines, &Event::End { attempt: 1, time: 2.0, seconds: 1.0, examples_per_second: 9.0, outcome });
    for run in &plan.runs {
        std::fs::write(dir.path().join("runs").join(&run.id).join("events.jsonl"), &lines).expect("a log");
    }
    let started = Instant::now();
    let rows = store.ingest().expect("ingested").rows;
    println!("20,000 runs, {rows} values: ingested in {:.1} s", started.elapsed().as_secs_f64());
    drop(store);
    let asked: [&[&str]; 4] = [
        &["status"],
        &["run", "large.toml", "--devices", "cpu"],
        &["export", "large", "--format", "csv"],
        &["export", "large", "--format", "json"],
    ];
    for args in asked {
        let (seconds, peak_kib) = timed(dir.path(), args);
        println!("  crossover {:<32} {seconds:>7.3} s  {:>5} MiB", args.join(" "), peak_kib >> 10);
    }
}

/// Seconds that the program takes, and the most memory that it was seen to have.
fn timed(folder: &Path, args: &[&str]) -> (f64, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossover"));
    command.args(args).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let (status, mut peak_kib) = (format!("/proc/{}/status", child.id()), 0);
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let seen = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        peak_kib = peak_kib.max(seen.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("its status") {
            assert!(status.success(), "{args:?}");
            return (started.elapsed().as_secs_f64(), peak_kib);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn line(lines: &mut Vec<u8>, event: &Event) {
    serde_json::to_writer(&mut *lines, event).expect("JSON");
    lines.push(b'\n');
}

fn write_log(folder: &std::path::Path, names: &[&str]) {
    let mut lines = Vec::new();
    for step in 0..STEPS {
        let value = |at: usize| 1.0 / (step as f64 + 1.5 + at as f64);
        let values: BTreeMap<_, _> = names.iter().enumerate().map(|(at, name)| (name.to_string(), value(at))).collect();
        serde_json::to_writer(&mut lines, &Event::Metrics { step, values }).expect("JSON");
        lines.push(b'\n');
    }
    std::fs::File::create(folder.join("events.jsonl")).and_then(|mut file| file.write_all(&lines)).expect("a log");
}

fn plan() -> Plan {
    let run = |seed| {
        let train = Recipe {
            weight_decay: 0.0,
            beta2: 0.999,
            clip: None,
            schedule: Schedule::Constant,
            evals: 4,
            ..Recipe::default()
        };
        let named = |name: &str| Named { name: name.into(), settings: Settings::new() };
        let config =
            RunConfig { model: named("vit"), task: named("mnist1d"), examples: 1000, steps: STEPS, train, seed };
        Planned {
            id: config.id(),
            label: "vit".into(),
            cell: "vit".into(),
            config,
            shape: Settings::new(),
            io: Io { channels: 1, height: 1, width: 40, classes: 10 },
            costs: Costs { params: 1, active_params: 1, forward_flops: 1 },
            train_flops: Flops(1),
            shared_steps: 0,
            examples_per_second: None,
        }
    };
    Plan {
        sweep: "bench".into(),
        question: None,
        source: String::new(),
        tuned: vec![],
        runs: (0..RUNS).map(run).collect(),
        dropped: vec![],
    }
}
