//! Runs that differ in their budget alone share a trunk: what is saved, and that nobody can tell from the results.

use nix::sys::signal::Signal;

use crate::interrupted::{interrupt, logs};
use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d", validation = 500, test = 500 }
[axes]
examples = [200]
[budget]
steps = [100, 160, 250, 400, 630, 1000]
[train]
batch = 32
evals = 6
schedule = "wsd"
warmup_steps = 20
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
width = 16
depth = 1
heads = 2
"#;

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "small", "--format", "csv", "--no-times"])
}

/// Logs of runs that left a trunk.
fn branched(dir: &Workdir) -> usize {
    logs(dir).iter().filter(|log| log.contains("\"stopped\"")).count()
}

#[test]
fn results_are_those_of_runs_trained_alone_however_often_interrupted() {
    let alone = Workdir::new();
    alone.write("small.toml", SWEEP).stdout(&["run", "small.toml", "--slots", "2", "--no-trunks"]);
    let expected = export(&alone);
    assert_eq!(expected.lines().filter(|line| line.contains(",1000,test_loss,")).count(), 2, "{expected}");
    assert_eq!(branched(&alone), 0, "each was trained from its beginning to its end");

    let shared = Workdir::new();
    shared.write("small.toml", SWEEP).stdout(&["run", "small.toml", "--slots", "2"]);
    assert_eq!(export(&shared), expected);
    assert_eq!(branched(&shared), 2 * 5, "all but the longest branched off");

    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let dir = Workdir::new();
        dir.write("small.toml", SWEEP);
        let interruptions = (0..20).take_while(|_| interrupt(&dir, signal, 11, true).is_some()).count();
        assert!(interruptions >= 3, "{interruptions} interruptions");
        assert_eq!(export(&dir), expected, "after {interruptions} times {signal}");
    }
}

/// The same run asked for by a sweep of its own has the same id, in either order, and is not trained again.
#[test]
fn a_budget_alone_is_the_same_run() {
    let dir = Workdir::new();
    let short = SWEEP.replace("[100, 160, 250, 400, 630, 1000]", "[40, 100]").replace("evals = 6", "evals = 2");
    let alone = short.replace("\"small\"", "\"alone\"").replace("[40, 100]", "[40]");
    dir.write("small.toml", &short).write("alone.toml", &alone);
    let runs = |file| dir.json(&["plan", file, "--no-time", "--json"])["runs"].as_array().expect("runs").clone();
    let (all, one) = (runs("small.toml"), runs("alone.toml"));
    let found: Vec<_> = all.iter().filter(|run| run["config"]["steps"] == 40).map(|run| &run["id"]).collect();
    assert_eq!(found, one.iter().map(|run| &run["id"]).collect::<Vec<_>>());
    dir.stdout(&["run", "alone.toml"]);
    let decision = dir.json(&["run", "small.toml", "--dry-run", "--json"]);
    assert_eq!((&decision["ended"], decision["jobs"].as_array().map(Vec::len)), (&2.into(), Some(2)));
    dir.stdout(&["run", "small.toml"]);
    assert_eq!(branched(&dir), 0, "nothing was left to share");
}

#[test]
fn the_plan_says_what_is_saved() {
    let dir = Workdir::new();
    let plan = dir.write("small.toml", SWEEP).json(&["plan", "small.toml", "--no-time", "--json"]);
    let flops = |key: &str| plan[key].as_f64().expect(key);
    // 1000 + 20% of (100 + 160 + 250 + 400 + 630) of 2540 steps.
    assert!((flops("shared_flops") / flops("train_flops") - 1308.0 / 2540.0).abs() < 1e-9);
    assert_eq!(flops("saved_flops"), flops("train_flops") - flops("shared_flops"));
    let warmups: Vec<_> =
        plan["runs"].as_array().expect("runs").iter().map(|run| &run["config"]["train"]["warmup"]).collect();
    assert!(warmups.iter().all(|warmup| **warmup == 20));
    let shown = dir.stdout(&["plan", "small.toml", "--no-time"]);
    assert!(shown.contains("with shared trunks, 51% of that"), "{shown}");
    let decision = dir.json(&["run", "small.toml", "--dry-run", "--json", "--slots", "2"]);
    let shared: Vec<_> =
        decision["jobs"][0]["runs"].as_array().expect("runs").iter().map(|run| &run["shared_steps"]).collect();
    assert_eq!(shared, [0, 504, 320, 200, 128, 80]);
    let apart = dir.json(&["run", "small.toml", "--dry-run", "--json", "--no-trunks"]);
    assert_eq!(apart["jobs"].as_array().map(Vec::len), Some(12));
}

/// A warmup that is not over when the cooldown begins leaves no trunk.
#[test]
fn budgets_too_short_for_their_warmup_are_dropped() {
    let dir = Workdir::new();
    let sweep = SWEEP.replace("warmup_steps = 20", "warmup_steps = 200");
    let plan = dir.write("small.toml", &sweep).json(&["plan", "small.toml", "--no-time", "--json"]);
    assert_eq!(plan["runs"].as_array().map(Vec::len), Some(2 * 4));
    let dropped: Vec<_> = plan["dropped"].as_array().expect("dropped").iter().map(|d| d["reason"].as_str()).collect();
    assert!(
        dropped[0].is_some_and(|reason| reason.contains("200 steps") && reason.contains("begins at 80")),
        "{dropped:?}"
    );
}
