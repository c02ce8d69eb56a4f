//! `--json` of every command: one document whose names stand in docs/json.md, also where the command fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::output::{COMMANDS, finished, words};
use crate::workdir::Workdir;

/// Objects whose keys are a user's, or listed elsewhere: settings, metrics, parameters of laws.
const BY_NAME: [&str; 15] = [
    "settings",
    "train",
    "params",
    "intervals",
    "metrics",
    "tuned",
    "size",
    "shape",
    "keys",
    "meanings",
    "outcomes",
    "columns",
    "formulas",
    "target",
    "values",
];

fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                if !BY_NAME.contains(&name.as_str()) || !value.is_object() {
                    names(value, found);
                }
            }
        }
        _ => {}
    }
}

fn document(output: &Output, what: &dyn std::fmt::Debug) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        panic!("{what:?}: {error}\nstdout: {out}\nstderr: {said}")
    })
}

#[test]
fn every_name_is_described() {
    let read = |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name);
    // Multipliers and what stands beside them are described where they are explained.
    let docs = read("docs/json.md") + &read("docs/comparison.md");
    let dir = finished();
    let more = [
        "plot renamed --bootstrap 50 --json",
        "plot renamed --x seconds --bootstrap 0 --json",
        "fit renamed --law power --bootstrap 50 --shared --backtest --multiverse --predict data=1e4",
        "fit renamed --law isoflop --bootstrap 50",
        "plot renamed --law isoflop --bootstrap 50",
        "fit --file rows.csv --law auto --bootstrap 50",
        "ingest --rebuild",
        "resume renamed --dry-run",
    ];
    for command in COMMANDS.iter().filter(|command| !command.starts_with("completions")).chain(&more) {
        let mut words = words(&dir, command);
        match words.iter().position(|word| word == "csv") {
            Some(format) => words[format] = "json".into(),
            None if !words.contains(&"--json".into()) => words.push("--json".into()),
            None => {}
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = dir.output(&words);
        let document = document(&output, &words);
        assert!(output.status.success() && document.get("error").is_none(), "{words:?}: {document}");
        let mut found = BTreeSet::new();
        names(&document, &mut found);
        for name in found {
            let described = docs.contains(&format!("`{name}`")) || docs.contains(&format!("\"{name}\""));
            assert!(described, "{words:?} prints '{name}', which docs/json.md does not describe");
        }
    }
}

#[test]
fn what_fails_says_so_in_json_too() {
    let dir = finished();
    for command in [
        "init mnist1d -o small.toml --json",
        "plan nowhere.toml --json",
        "run nowhere.toml --json",
        "resume nothing --json",
        "status nothing --json",
        "list nothing --json",
        "list --where colour=red --json",
        "show ffff --json",
        "show ffff --log --json",
        "retry --json",
        "retry ffff --json",
        "prune --sweep nothing --yes --json",
        "cancel nothing --json",
        "compare small nothing --json",
        "ingest --store small.toml --json",
        "import nowhere.csv --json",
        "fit nothing --json",
        "fit small --law chinchila --json",
        "next nothing --json",
        "simulate small.toml --x seconds --truth a:A=1,alpha=1 --json",
        "plot nothing --json",
        "task show nothing --json",
        "task fetch nothing --json",
        "model info nothing --json",
        "model ladder vit --params 1 --tolerance 2 --json",
        "fit --json",
        "fit small --bootstrap many --json",
        "status --jsn --json",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let output = dir.output(&words);
        let error = document(&output, &words)["error"].take();
        assert_eq!(error["exit_code"].as_i64(), output.status.code().map(i64::from), "{words:?}: {error}");
        assert!(
            !output.status.success() && error["message"].as_str().is_some_and(|said| !said.is_empty()),
            "{words:?}"
        );
        assert!(error["hint"].is_string(), "{words:?} has no hint: {error}");
    }
}

/// How far it got, and what was left out.
#[test]
fn what_is_known_stands_beside_the_error() {
    let dir = Workdir::new();
    dir.write("small.toml", crate::output::SWEEP);
    let fails = |args: &[&str]| dir.command(args).env("CROSSOVER_NOOP", "fail=9:3").output().expect("it starts");
    let run = fails(&["run", "small.toml", "--retries", "0", "--json"]);
    let told = document(&run, &"run");
    assert_eq!((&told["failed"], &told["done"], &told["error"]["exit_code"]), (&32.into(), &0.into(), &1.into()));
    assert_eq!((&told["sweeps"][0]["sweep"], &told["runs"]), (&"small".into(), &32.into()));
    for command in [&["fit", "small", "--json"][..], &["plot", "small", "--multiplier", "--json"]] {
        let told = document(&dir.output(command), &command);
        let message = told["error"]["message"].as_str().expect("a message");
        assert!(message.starts_with("there are no points to fit: it failed: told to fail"), "{told}");
        assert!(told["left_out"][0]["reason"].as_str().is_some_and(|why| why.contains("told to fail")), "{told}");
    }
}

#[test]
fn a_finished_sweep_counts_what_is_done() {
    let dir = finished();
    let run = dir.json(&["run", "small.toml", "--json"]);
    let expected = |told: &Value| {
        assert_eq!(
            (&told["done"], &told["runs"], &told["ended_before"]),
            (&32.into(), &32.into(), &32.into()),
            "{told}"
        );
    };
    expected(&run);
    expected(&run["sweeps"][0]);
    expected(&dir.json(&["resume", "small", "--json"]));
    let nothing = dir.json(&["resume", "--json"]);
    assert_eq!((&nothing["sweeps"], &nothing["runs"], &nothing["done"]), (&Value::Array(vec![]), &0.into(), &0.into()));
}

#[test]
fn a_run_knows_its_cell_and_a_figure_its_points() {
    let dir = finished();
    let planned = dir.json(&["plan", "small.toml", "--no-time", "--json"])["runs"][0].take();
    let shown = dir.json(&["show", planned["id"].as_str().expect("an id"), "--json"]);
    assert_eq!((&shown["cell"], &shown["curve"]), (&planned["cell"], &planned["label"]));
    assert_eq!(shown["places"][0]["sweep"], "small");
    assert_eq!(shown["history"][0]["outcome"], serde_json::json!({"outcome": "done"}));
    let plot = dir.json(&["plot", "small", "--bootstrap", "0", "--json"]);
    let series = &plot["figures"][0]["series"];
    assert_eq!((series[0]["points"].as_array().map(Vec::len), &plot["output"]), (Some(8), &Value::Null));
    assert!(series[0]["line"].as_array().is_some_and(|line| line.len() > 50), "{series}");
}
