//! A plan for tests of what comes after planning.

use serde_json::json;

use crate::model::{Costs, Io};
use crate::plan::{Plan, Planned};
use crate::run::{Named, Recipe, RunConfig, Settings};
use crate::units::Flops;

/// `archs x examples x lrs x seeds`, as the planner would expand them.
pub fn plan(archs: &[&str], examples: &[u64], lrs: &[f64], seeds: &[u64]) -> Plan {
    let mut runs = Vec::new();
    for &arch in archs {
        for &examples in examples {
            for &lr in lrs {
                runs.extend(seeds.iter().map(|&seed| planned(arch, examples, lr, seed)));
            }
        }
    }
    Plan {
        sweep: "small".into(),
        question: Some("Does it hold?".into()),
        source: "name = \"small\"\n".into(),
        tuned: if lrs.len() > 1 { vec!["lr".into()] } else { vec![] },
        runs,
        dropped: vec![],
    }
}

fn planned(arch: &str, examples: u64, lr: f64, seed: u64) -> Planned {
    let named = |name: &str| Named { name: name.into(), settings: Settings::from([("width".into(), json!(8))]) };
    let train = Recipe { batch: 16, lr, weight_decay: 1e-4, beta2: 0.999, evals: 1, ..Recipe::default() };
    let config = RunConfig { model: named(arch), task: named("mnist1d"), examples, steps: 20, train, seed };
    Planned {
        id: config.id(),
        label: arch.into(),
        cell: format!("{arch} {examples}"),
        config,
        shape: Settings::new(),
        io: Io { channels: 1, height: 1, width: 40, classes: 10 },
        costs: Costs { params: 100, active_params: 100, forward_flops: 200 },
        train_flops: Flops(3 * 200 * 16 * 20),
        shared_steps: 0,
        examples_per_second: None,
    }
}
