//! What a point is and what stands for a curve: sizes and tuned values in `fit`, `plot`, `next` and `export`.

use std::path::Path;

use serde_json::{Value, json};

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "sized"
task = { name = "mnist1d" }
[axes]
examples = [64, 128, 256, 512, 1024]
seed = [0, 1]
[tuned]
lr = [1e-3, 3e-3, 1e-2]
[budget]
examples = 1024
[train]
evals = 1
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
params = [4e3, 3e4]
tolerance = 0.3
"#;

/// Which size of the vit is the better one at the i-th of the five scales.
type Better = fn(usize) -> &'static str;

const FLIPPING: Better = |i| if i % 2 == 0 { "small" } else { "large" };
const GROWING: Better = |i| if i < 2 { "small" } else { "large" };

/// The sweep, run by the worker that trains nothing, with planted losses in its logs.
fn sized(better: Better) -> Workdir {
    let dir = Workdir::new();
    dir.write("sized.toml", SWEEP);
    let ran = dir.command(&["run", "sized.toml"]).env("CROSSOVER_NOOP", "step_millis=0").output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for folder in std::fs::read_dir(dir.path("runs")).expect("the store").flatten().map(|entry| entry.path()) {
        if folder.join("run.json").exists() {
            plant(&folder, better);
        }
    }
    dir.stdout(&["ingest", "--rebuild"]);
    dir
}

fn plant(folder: &Path, better: Better) {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of a run");
    let config: Value = serde_json::from_str::<Value>(&read("run.json")).expect("JSON")["config"].take();
    let (examples, seed) = (config["examples"].as_f64().unwrap(), config["seed"].as_f64().unwrap());
    let lr = config["train"]["lr"].as_f64().unwrap();
    let is_large = config["model"]["settings"]["width"] == 24;
    let worse = config["model"]["name"] == "vit" && is_large != (better((examples / 64.0).log2() as usize) == "large");
    let wiggle = 1.0 + 0.01 * (examples.ln() * 37.0 + seed * 11.0).sin();
    let tuned = 1.0 + (lr / 3e-3).ln().powi(2) / 10.0;
    let loss = match config["model"]["name"].as_str() {
        Some("convnet") => (0.5 + 8.0 * examples.powf(-0.5)) * wiggle * tuned,
        _ => (0.3 + 5.0 * examples.powf(-0.35)) / wiggle * tuned * if worse { 1.1 } else { 1.0 },
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

fn flips(fit: &Value) -> Vec<&Value> {
    let fits = fit["fits"].as_array().expect("fits").iter();
    fits.flat_map(|fit| fit["verdicts"].as_array().unwrap()).filter(|verdict| verdict["kind"] == "sizes-flip").collect()
}

const FIT: [&str; 4] = ["fit", "sized", "--bootstrap", "100"];

#[test]
fn the_points_name_their_size_and_a_choice_that_flips_is_flagged() {
    let dir = sized(FLIPPING);
    let json = dir.json(&[&FIT[..], &["--json"]].concat());
    let points: Vec<&Value> =
        json["points"].as_array().expect("points").iter().filter(|point| point["curve"] == "vit").collect();
    let params: Vec<u64> = points.iter().map(|point| point["params"].as_f64().unwrap() as u64).collect();
    assert_eq!(params, [4114, 29578, 4114, 29578, 4114]);
    let first = points[0];
    assert_eq!(first["size"], json!({"depth": 2, "heads": 1, "width": 12}));
    assert_eq!(
        (&first["tuned"], &first["seeds"], &first["best_of"]),
        (&json!({"lr": 3e-3}), &json!([0, 1]), &json!(2))
    );
    assert_eq!((&first["steps"], first["data"].as_f64()), (&json!(16), Some(64.0)));
    let runs: Vec<Value> = first["runs"].as_array().unwrap().clone();
    let value = |id: &Value| {
        let shown = dir.json(&["show", id.as_str().unwrap(), "--json"]);
        assert_eq!(shown["config"]["model"]["settings"]["width"], 12);
        shown["metrics"]["test_loss"][0][1].as_f64().unwrap()
    };
    let mean = runs.iter().map(value).sum::<f64>() / 2.0;
    assert!((first["mean"].as_f64().unwrap() / mean - 1.0).abs() < 1e-12 && runs.len() == 2, "{first}");

    let flips = flips(&json);
    assert_eq!(flips.len(), 1, "{json}");
    assert_eq!(flips[0]["scales"].as_array().map(Vec::len), Some(5));
    assert_eq!(flips[0]["params"][1], 29578.0);

    let output = dir.output(&FIT);
    let (text, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (_, table) = text.split_once("what each point is:\n").expect("the table");
    let rows: Vec<&str> = table.lines().skip(1).take(10).collect();
    assert!(rows.iter().all(|row| row.contains("3e-3") && row.chars().count() <= 100), "{text}");
    assert!(rows[5].starts_with("vit") && rows[5].ends_with("depth=2 heads=1 width=12"), "{text}");
    let said = "at each of 5 scales the best of up to 2 sizes by validation loss stands for a curve (--sizes each shows \
                all sizes)";
    assert_eq!(talk.lines().filter(|line| *line == said).count(), 1, "{talk}");
    assert!(talk.contains("vit: its best size goes back and forth"), "{talk}");
}

#[test]
fn a_size_that_grows_with_the_scale_is_no_flip_and_each_size_can_be_a_curve() {
    let dir = sized(GROWING);
    assert!(flips(&dir.json(&[&FIT[..], &["--json"]].concat())).is_empty());
    let output = dir.output(&[&FIT[..], &["--sizes", "each", "--json"]].concat());
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names: Vec<&str> = json["fits"].as_array().unwrap().iter().filter_map(|fit| fit["curve"].as_str()).collect();
    assert_eq!(names, ["convnet", "vit 29.6k", "vit 4.11k"]);
    assert!(json["fits"].as_array().unwrap().iter().all(|fit| fit["points_used"] == 10), "{json}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    // A new value of the axis measures every size.
    let next = dir.json(&["next", "sized", "--sizes", "each", "--narrow", "alpha", "--bootstrap", "100", "--json"]);
    let named = next["expected"].as_array().unwrap().iter().map(ToString::to_string).collect::<String>();
    assert!(named.contains("vit 4.11k") && named.contains("vit 29.6k"), "{next}");
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let dir = Workdir::new();
    dir.write("runs.csv", "arch,examples,params,loss\nvit,100,1e3,2\nvit,200,1e3,1\n");
    let said = |more: &[&str]| dir.stderr(&[&["fit"], more].concat(), 2);
    let refused = said(&["--csv", "runs.csv", "--sizes", "each", "--x", "params"]);
    assert!(refused.contains("the size is the scale") && refused.contains("hint: --x data"), "{refused}");
    let refused = said(&["sized", "--sizes", "each", "--law", "chinchilla"]);
    assert!(refused.contains("fitted to all sizes of a curve together"), "{refused}");
    let refused = said(&["--csv", "runs.csv", "--sizes", "best"]);
    assert!(refused.contains("no validation loss") && refused.contains("hint:"), "{refused}");
    assert!(said(&["sized", "--sizes", "some"]).contains("best"));
}

#[test]
fn what_is_left_out_is_one_line_for_each_reason() {
    let dir = Workdir::new();
    dir.write("sized.toml", SWEEP);
    let mut run = dir.command(&["run", "sized.toml"]);
    let ran = run.env("CROSSOVER_NOOP", "step_millis=0 diverge_from_seed=1").output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let output = dir.output(&FIT);
    let talk = String::from_utf8_lossy(&output.stderr);
    let left_out: Vec<&str> = talk.lines().filter(|line| line.starts_with("left out")).collect();
    assert_eq!(left_out.len(), 1, "{talk}");
    assert!(left_out[0].starts_with("left out: 10 runs whose loss was not finite (run "), "{talk}");
    assert!(left_out[0].ends_with("and 9 more, which 'crossover fit sized --json' lists)"), "{talk}");
    let json = dir.json(&[&FIT[..], &["--json"]].concat());
    assert_eq!(json["left_out"].as_array().map(Vec::len), Some(15), "10 runs, and 5 cells that another outshines");
}
