//! `crossover next`: from a sweep that was run to one that says more, and back again.

use std::path::Path;

use serde_json::Value;

use crate::workdir::Workdir;

const SWEEP: &str = r#"
# Planted laws that cross near 45,000 examples.
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [250, 1000, 4000, 16000, 64000]
seed = [0, 1, 2]
[budget]
examples = 256_000
[train]
evals = 1
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
width = 32
depth = 2
heads = 2
"#;

/// Runs a sweep with the worker that trains nothing, and writes the planted losses into its logs.
fn run(dir: &Workdir, sweep: &str) {
    let ran = dir.command(&["run", sweep]).env("CROSSOVER_NOOP", "step_millis=0").output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for folder in std::fs::read_dir(dir.path("runs")).expect("the store").flatten().map(|entry| entry.path()) {
        if folder.join("run.json").exists() {
            plant(&folder);
        }
    }
    dir.stdout(&["ingest", "--rebuild"]);
}

fn plant(folder: &Path) {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of a run");
    let config: Value = serde_json::from_str::<Value>(&read("run.json")).expect("JSON")["config"].take();
    let (examples, seed) = (config["examples"].as_f64().unwrap(), config["seed"].as_f64().unwrap());
    let wiggle = 1.0 + 0.015 * (examples.ln() * 37.0 + seed * 11.0).sin();
    let loss = match config["model"]["name"].as_str() {
        Some("convnet") => (0.5 + 30.0 * examples.powf(-0.5)) * wiggle,
        _ => (0.3 + 15.0 * examples.powf(-0.35)) / wiggle,
    };
    let planted = |line: &str| {
        let mut event: Value = serde_json::from_str(line).expect("an event");
        for value in event["values"].as_object_mut().into_iter().flat_map(|values| values.values_mut()) {
            *value = loss.into();
        }
        format!("{event}\n")
    };
    let events: String = read("events.jsonl").lines().map(planted).collect();
    std::fs::write(folder.join("events.jsonl"), events).expect("the log");
}

fn root(fit: &Value) -> (f64, f64) {
    let root =
        &fit["crossovers"][0]["roots"].as_array().unwrap().iter().find(|root| root["inside_data"] == true).unwrap();
    (root["low"].as_f64().unwrap().ln(), root["high"].as_f64().unwrap().ln())
}

#[test]
fn the_next_sweep_runs_holds_the_old_one_and_narrows_as_it_said() {
    let dir = Workdir::new();
    run(dir.write("small.toml", SWEEP), "small.toml");
    let json = dir.json(&["next", "small", "-o", "more.toml", "--json"]);
    let text = std::fs::read_to_string(dir.path("more.toml")).expect("the sweep file");
    assert_eq!(json["toml"].as_str(), Some(text.as_str()));
    assert!(text.starts_with("# Made by 'crossover next small'"), "{text}");

    let before: Value = dir.json(&["fit", "small", "--json"]);
    let plan = dir.json(&["plan", "more.toml", "--no-time", "--json"]);
    let old = dir.json(&["plan", "small.toml", "--no-time", "--json"]);
    let ids = |plan: &Value| -> Vec<String> {
        plan["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(ids(&old).iter().all(|id| ids(&plan).contains(id)));
    assert_eq!(json["runs"].as_u64(), Some((ids(&plan).len() - ids(&old).len()) as u64));
    let cost = plan["train_flops"].as_f64().unwrap() - old["train_flops"].as_f64().unwrap();
    assert_eq!(json["flops"].as_f64(), Some(cost));
    assert!(cost <= old["train_flops"].as_f64().unwrap(), "no more than the sweep itself");

    run(&dir, "more.toml");
    let after = dir.json(&["fit", "more.toml", "--json"]);
    let ((low, high), (lower, higher)) = (root(&before), root(&after));
    let promised = json["expected"][0]["shrinks_to"].as_f64().unwrap();
    let kept = (higher - lower) / (high - low);
    // The noise of one small sweep is itself known to a fifth.
    assert!(promised < 0.9 && (kept / promised).ln().abs() < 0.4, "promised {promised}, kept {kept}");
}

#[test]
fn explains_itself_and_what_it_cannot_do() {
    let dir = Workdir::new();
    run(dir.write("small.toml", SWEEP), "small.toml");
    let text = dir.stdout(&["next", "small", "-o", "more.toml"]);
    assert!(text.contains("--truth 'convnet: E="), "{text}");
    insta::assert_snapshot!(text);
    // Its own file is written anew; one that somebody changed is theirs.
    assert_eq!(dir.stdout(&["next", "small", "-o", "more.toml"]), text);
    let own = std::fs::read_to_string(dir.path("more.toml")).expect("the sweep file");
    dir.write("more.toml", &own.replace("narrows most", "narrows"));
    let refused = dir.stderr(&["next", "small", "-o", "more.toml"], 2);
    assert!(refused.contains("more.toml is there already, and not as crossover wrote it"), "{refused}");
    dir.stdout(&["next", "small", "-o", "more.toml", "--force"]);
    assert_eq!(std::fs::read_to_string(dir.path("more.toml")).expect("the sweep file"), own);
    let printed = dir.stdout(&["next", "small", "--narrow", "alpha"]);
    assert!(printed.contains("name = \"small-next\""), "{printed}");
    let said = |more: &[&str], code: i32| dir.stderr(&[&["next", "small"], more].concat(), code);
    insta::assert_snapshot!(
        "refusals",
        [
            said(&["--narrow", "aplha"], 2),
            said(&["--between", "convnet,vti"], 2),
            said(&["--between", "convnet"], 2),
            said(&["--flops", "1e3"], 1),
            said(&["--x", "params"], 1),
            said(&["--law", "chinchilla"], 2),
            dir.stderr(&["next", "smal"], 2),
        ]
        .concat()
    );
    // What it was called before.
    assert_eq!(said(&["--fit", "chinchilla"], 2), said(&["--law", "chinchilla"], 2));
}
