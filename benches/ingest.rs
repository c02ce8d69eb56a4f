//! Metric rows a second from event logs into the database, through the store's own path: `cargo bench --bench ingest`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use crossover::event::Event;
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
            batch: 64,
            lr: 1e-3,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            clip: None,
            warmup: 0,
            schedule: Schedule::Constant,
            evals: 4,
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
