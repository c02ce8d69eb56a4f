//! `crossover list`, `compare` and `init`: around a sweep, before it and after it.

use crate::output::{SWEEP, finished};
use crate::workdir::Workdir;

fn ids(listed: &serde_json::Value) -> Vec<String> {
    let runs = listed["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn runs_are_listed_by_state_and_in_order() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    let ran =
        dir.command(&["run", "small.toml"]).env("CROSSOVER_NOOP", "diverge_from_seed=1").output().expect("it starts");
    assert!(ran.status.success(), "{ran:?}");
    let all = dir.json(&["list", "small", "--json"]);
    assert_eq!(ids(&all).len(), 32);
    let diverged = dir.json(&["list", "--where", "state=diverged", "--where", "curve=vit", "--json"]);
    assert_eq!(ids(&diverged).len(), 8);
    assert!(diverged["runs"].as_array().expect("runs").iter().all(|run| run["config"]["seed"] == 1));
    let losses = |flags: &[&str]| -> Vec<f64> {
        let listed =
            dir.json(&[&["list", "--where", "examples>=400", "--sort", "test_loss", "--json"], flags].concat());
        let runs = listed["runs"].as_array().expect("runs").clone();
        runs.iter().filter_map(|run| run["metrics"]["test_loss"].as_f64()).collect()
    };
    let rising = losses(&[]);
    assert!(rising.len() == 8 && rising.is_sorted(), "{rising:?}");
    assert_eq!(losses(&["--reverse"]), rising.into_iter().rev().collect::<Vec<_>>());
    let text = dir.stdout(&["list", "--where", "lr=3e-3", "--sort", "seconds"]);
    assert!(text.contains("test_loss") && text.ends_with("16 of 32 runs\n"), "{text}");
    assert_eq!(dir.json(&["list", "--where", "state=failed", "--json"])["runs"], serde_json::json!([]));
    let refused = dir.stderr(&["list", "--where", "curv=vit"], 2);
    assert!(refused.contains("did you mean curve?"), "{refused}");
    assert!(dir.stderr(&["list", "--sort", "losss"], 2).contains("--sort losss"));
}

#[test]
fn two_sweeps_and_two_stores_are_compared() {
    let dir = finished();
    dir.write("more.toml", &SWEEP.replace("\"small\"", "\"more\"").replace("[100, 200, 400, 800]", "[400, 800, 1200]"));
    let ran = dir.command(&["run", "more.toml"]).env("CROSSOVER_NOOP", "step_millis=0").output().expect("it starts");
    assert!(ran.status.success(), "{ran:?}");
    let found = dir.json(&["compare", "small", "more", "--json"]);
    let count = |list: &str| found[list].as_array().map(Vec::len);
    assert_eq!(
        (count("both"), count("only_a"), count("only_b"), count("differ")),
        (Some(16), Some(16), Some(8), Some(0))
    );
    assert_eq!(
        found["settings"][0],
        serde_json::json!({"key": "examples", "a": [100, 200, 400, 800], "b": [400, 800, 1200]})
    );
    assert_eq!((&found["metrics"][0]["runs"], &found["metrics"][0]["equal"]), (&16.into(), &16.into()));

    let other =
        dir.command(&["run", "small.toml", "--store", "other"]).env("CROSSOVER_NOOP", "diverge_from_seed=1").output();
    assert!(other.expect("it starts").status.success());
    let text = dir.stdout(&["compare", "small", "other"]);
    assert!(text.contains("32 runs in both, 0 in a alone, 0 in b alone") && text.contains("diverged"), "{text}");
    let found = dir.json(&["compare", "small", "other:small", "--json"]);
    assert_eq!(found["differ"].as_array().map(Vec::len), Some(16));
    assert_eq!((&found["differ"][0]["what"], &found["differ"][0]["b"]), (&"state".into(), &"diverged".into()));
    assert!(dir.stderr(&["compare", "small", "other:smal"], 2).contains("hint: "));
}

#[test]
fn a_first_sweep_plans_and_is_not_written_over_another() {
    let dir = Workdir::new();
    let said = dir.stdout(&["init", "mnist1d"]);
    assert!(said.starts_with("mnist1d.toml\n") && said.contains("crossover plan mnist1d.toml"), "{said}");
    let written = std::fs::read_to_string(dir.path("mnist1d.toml")).expect("the sweep");
    let comments = written.lines().filter(|line| line.contains('#')).count();
    assert!(comments >= 10, "{written}");
    let planned = dir.json(&["plan", "mnist1d.toml", "--no-time", "--json"]);
    assert_eq!((&planned["sweep"], &planned["dropped"]), (&"mnist1d".into(), &serde_json::json!([])));
    assert_eq!(dir.stdout(&["init", "mnist1d"]), said, "as it was written, it is written anew");
    let mine = written.replace("batch = 64", "batch = 32");
    dir.write("mnist1d.toml", &mine);
    let refused = dir.stderr(&["init", "mnist1d"], 2);
    assert!(refused.contains("mnist1d.toml is there already"), "{refused}");
    assert_eq!(std::fs::read_to_string(dir.path("mnist1d.toml")).expect("the sweep"), mine);
    dir.stdout(&["init", "mnist1d", "--set", "shuffle=true", "--name", "mixed", "-o", "other.toml"]);
    assert_eq!(dir.json(&["plan", "other.toml", "--no-time", "--json"])["sweep"], "mixed");
    assert!(dir.stderr(&["init", "mnist2d"], 2).contains("did you mean"));
}
