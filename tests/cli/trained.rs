//! `crossover model forward --run` and `model export`: the model that a run has left is the one whose loss it logged.

use std::path::Path;

use crossover::run::Named;
use crossover::task;

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "one"
task = { name = "mnist1d", test = 300 }
[axes]
examples = [200]
[budget]
steps = 30
[train]
batch = 16
evals = 1
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
"#;

/// float32, as numpy writes it.
fn write_npy(path: &Path, shape: &[usize], values: impl Iterator<Item = f32>) {
    let shape = shape.iter().map(usize::to_string).collect::<Vec<String>>().join(", ");
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.flat_map(f32::to_le_bytes));
    std::fs::write(path, bytes).expect("a file");
}

fn read_npy(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).expect("the logits");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let values = bytes[10 + header..].chunks_exact(4);
    values.map(|four| f64::from(f32::from_le_bytes([four[0], four[1], four[2], four[3]]))).collect()
}

/// Mean cross-entropy.
fn loss(logits: &[f64], labels: &[usize]) -> f64 {
    let classes = logits.len() / labels.len();
    let one = |(row, label): (&[f64], &usize)| {
        let most = row.iter().copied().fold(f64::MIN, f64::max);
        most + row.iter().map(|logit| (logit - most).exp()).sum::<f64>().ln() - row[*label]
    };
    logits.chunks_exact(classes).zip(labels).map(one).sum::<f64>() / labels.len() as f64
}

#[test]
fn a_trained_model_gives_the_loss_that_its_run_logged() {
    let dir = Workdir::new();
    dir.write("one.toml", SWEEP);
    dir.stdout(&["run", "one.toml", "--devices", "cpu", "--slots", "1"]);
    let run = dir.json(&["list", "one", "--json"])["runs"][0].take();
    let (id, logged) = (run["id"].as_str().expect("an id"), run["metrics"]["test_loss"].as_f64().expect("a loss"));

    let named: Named = serde_json::from_value(run["config"]["task"].clone()).expect("a task");
    let test = task::examples(&named, 1, &dir.path("nowhere")).expect("examples").test;
    let labels: Vec<usize> = test.labels.iter().map(|label| *label as usize).collect();
    let values = (0..test.images.len()).map(|at| test.images.value(at) as f32);
    write_npy(&dir.path("images.npy"), &[labels.len(), 1, 1, 40], values);

    dir.stdout(&["model", "forward", "--run", id, "--images", "images.npy", "-o", "logits.npy"]);
    let found = loss(&read_npy(&dir.path("logits.npy")), &labels);
    assert!((found - logged).abs() < 1e-4, "{found}, and the run logged {logged}");

    // What is exported is the same model: its command line is printed.
    let said = dir.stdout(&["model", "export", id, "-o", "net.safetensors"]);
    let command = said.lines().nth(1).expect("a command");
    assert!(command.starts_with("crossover model forward convnet --set "), "{said}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let words: Vec<&str> = words
        .iter()
        .map(|word| match *word {
            "IMAGES.npy" => "images.npy",
            "LOGITS.npy" => "again.npy",
            other => other,
        })
        .collect();
    dir.stdout(&words);
    assert_eq!(read_npy(&dir.path("again.npy")).len(), labels.len() * 10);
}

#[test]
fn a_run_without_weights_is_refused() {
    let dir = crate::output::finished();
    let planned = dir.json(&["plan", "small.toml", "--no-time", "--json"]);
    let id = planned["runs"][0]["id"].as_str().expect("an id");
    let refused = dir.stderr(&["model", "export", id, "-o", "net.safetensors"], 1);
    assert!(refused.contains("weights.safetensors is not there") && refused.contains("hint: "), "{refused}");
    let refused = dir.stderr(&["model", "forward", "--images", "images.npy", "-o", "logits.npy"], 2);
    assert!(refused.contains("--weights"), "{refused}");
}
