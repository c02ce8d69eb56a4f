//! `crossover retry`, `prune`, `cancel` and `show --log`: living with runs.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2]
[budget]
steps = 40
[train]
batch = 64
evals = 3
[[model]]
arch = "mlp"
"#;

fn run(dir: &Workdir, file: &str, noop: &str) -> Output {
    let args = ["run", file, "--slots", "1", "--retries", "0"];
    dir.command(&args).env("CROSSOVER_NOOP", noop).output().expect("it starts")
}

fn ran(noop: &str) -> Workdir {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    run(&dir, "small.toml", noop);
    dir
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ids(dir: &Workdir) -> Vec<String> {
    let members = dir.json(&["status", "small", "--json"])[0]["members"].take();
    members.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

fn counts(dir: &Workdir) -> Value {
    dir.json(&["status", "small", "--json"])[0]["counts"].take()
}

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "small", "--format", "csv", "--no-times"])
}

#[test]
fn runs_that_failed_or_diverged_begin_anew_and_done_ones_where_they_are_named() {
    let dir = ran("diverge_from_seed=2");
    let expected = export(&ran(""));
    let runs = ids(&dir);
    assert!(dir.stderr(&["retry"], 2).contains("'crossover list' shows"));
    assert!(dir.stderr(&["retry", "small"], 2).contains("'crossover retry small --failed'"));
    assert_eq!(dir.stdout(&["retry", "small", "--failed"]), "there is no such run\n");
    let told = dir.stdout(&["retry", "small", "--diverged"]);
    assert!(told.contains(&format!("run {} was diverged, and is to do; what it left is in ", runs[2])), "{told}");
    assert!(told.contains("1 run is to do; 'crossover resume' trains it"), "{told}");
    let kept = dir.path(&format!("runs/{}/kept-1/events.jsonl", runs[2]));
    assert!(std::fs::read_to_string(kept).expect("its log").contains("diverged"));
    // One that is done, by the beginning of its id.
    let told = dir.json(&["retry", &runs[0][..10], "--json"]);
    assert_eq!((&told["runs"][0]["run"], &told["runs"][0]["was"]), (&runs[0].as_str().into(), &"done".into()));
    assert_eq!((&counts(&dir)["done"], &counts(&dir)["to_do"]), (&1.into(), &2.into()));
    assert_eq!(dir.json(&["show", &runs[0], "--json"])["attempts"], 0);
    // A database made again knows no more of them than this one.
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(counts(&dir)["to_do"], 2);
    assert!(run(&dir, "small.toml", "").status.success());
    assert_eq!(export(&dir), expected);
    // Failed ones from their beginning, whatever checkpoint there is.
    let dir = ran("fail=9:30 checkpoint_every=10");
    assert_eq!(counts(&dir)["failed"], 3);
    dir.stdout(&["retry", "--failed"]);
    let left = std::fs::read_dir(dir.path(&format!("runs/{}", ids(&dir)[0]))).expect("a run's folder").flatten();
    let mut left: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["kept-1", "run.json"]);
    assert!(run(&dir, "small.toml", "").status.success());
    assert_eq!(dir.json(&["show", &ids(&dir)[0], "--json"])["history"][0]["from_step"], 0);
    assert_eq!(export(&dir), expected);
}

#[test]
fn what_a_failed_worker_said_is_shown() {
    let dir = ran("fail=9:3");
    let run = &ids(&dir)[0];
    let told = dir.stdout(&["show", run, "--log"]);
    assert!(told.contains("attempt 1 on cpu of ") && told.contains("failed: told to fail at step 3"), "{told}");
    let log = dir.path(&format!("runs/{run}/worker.log"));
    std::fs::write(&log, "the last words\n").expect("a log");
    let told = dir.json(&["show", run, "--log", "--json"]);
    assert_eq!((&told["log"], &told["failures"][0]["attempt"]), (&"the last words\n".into(), &1.into()));
    std::fs::remove_file(&log).expect("a log");
    assert!(dir.stdout(&["show", run, "--log"]).contains("no log of a worker was kept"));
}

#[test]
fn pruning_lists_asks_and_leaves_results() {
    let dir = ran("");
    let expected = export(&dir);
    let runs = ids(&dir);
    dir.stdout(&["retry", &runs[0]]);
    assert!(run(&dir, "small.toml", "").status.success());
    dir.write(&format!("runs/{}/checkpoint.previous.safetensors", runs[1]), "what was left by a kill");
    let orphan = dir.path("runs/00000000deadbeef");
    std::fs::create_dir(&orphan).expect("a folder");
    std::fs::write(orphan.join("events.jsonl"), "x".repeat(1000)).expect("a log");
    let listed = dir.json(&["prune", "--dry-run", "--json"]);
    let of = |what: &str| listed["items"].as_array().unwrap().iter().filter(|item| item["what"] == what).count();
    assert_eq!((of("checkpoints"), of("kept"), of("folders")), (1, 1, 1), "{listed}");
    assert!(listed["bytes"].as_u64() > Some(1000) && listed["removed"] == false);
    let told = dir.stdout(&["prune", "--dry-run"]);
    assert!(
        told.contains("folders of runs that no other sweep names      1") && told.contains("00000000deadbeef"),
        "{told}"
    );
    // Nobody can be asked here.
    let refused = dir.output(&["prune", "--json"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("nobody can be asked") && said(&refused).contains("--yes") && orphan.exists());
    let removed = dir.json(&["prune", "--only", "folders", "--yes", "--json"]);
    assert_eq!((&removed["removed"], removed["items"].as_array().map(Vec::len)), (&true.into(), Some(1)));
    assert!(!orphan.exists());
    assert!(dir.stdout(&["prune", "--yes"]).contains("removed: "));
    assert_eq!(dir.stdout(&["prune", "--dry-run"]), "there is nothing to remove\n");
    assert_eq!(export(&dir), expected);
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(export(&dir), expected);
}

#[test]
fn a_sweep_goes_with_the_runs_that_no_other_has() {
    let dir = ran("");
    dir.write("other.toml", &SWEEP.replace("small", "other").replace("[0, 1, 2]", "[2, 3]"));
    assert!(run(&dir, "other.toml", "").status.success());
    assert!(dir.stderr(&["prune", "--sweep", "smal", "--yes"], 2).contains("did you mean 'small'?"));
    let removed = dir.json(&["prune", "--sweep", "small", "--yes", "--json"]);
    assert_eq!(removed["items"].as_array().map(Vec::len), Some(3), "{removed}");
    assert!(dir.stderr(&["status", "small"], 2).contains("no sweep 'small'"));
    let other = dir.json(&["status", "other", "--json"]);
    assert_eq!(other[0]["counts"]["done"], 2);
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(dir.json(&["status", "--json"]).as_array().map(Vec::len), Some(1));
}

fn training(dir: &Workdir) -> Child {
    let mut command = dir.command(&["run", "small.toml", "--slots", "1"]);
    command.env("CROSSOVER_NOOP", "step_millis=100").stderr(Stdio::null());
    let child = command.spawn().expect("it starts");
    let since = Instant::now();
    let running = || {
        let sweeps = dir.status();
        sweeps.as_array().is_some_and(|sweeps| sweeps.iter().any(|sweep| sweep["counts"]["running"] == 1))
    };
    while !running() {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is trained");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

#[test]
fn training_is_cancelled_from_elsewhere_and_can_be_gone_on_with() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP).write("other.toml", &SWEEP.replace("small", "other"));
    run(&dir, "other.toml", "");
    assert_eq!(dir.stdout(&["cancel"]), "nothing is being trained in runs\n");
    assert!(dir.stderr(&["cancel", "smal"], 2).contains("no sweep 'smal'"));
    dir.write("small.toml", &SWEEP.replace("[0, 1, 2]", "[5, 6]"));
    let mut child = training(&dir);
    let pid = child.id();
    let refused = dir.stderr(&["cancel", "other"], 1);
    assert!(refused.contains(&format!("process {pid} trains 'small'")), "{refused}");
    let told = dir.stdout(&["cancel", "small"]);
    assert!(told.contains(&format!("process {pid} (")) && told.contains("'crossover resume small' goes on"), "{told}");
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
    assert_eq!(counts(&dir)["interrupted"], 1);
    let mut child = training(&dir);
    let told = dir.json(&["cancel", "--json"]);
    assert_eq!((&told["stopped"], &told["pid"], &told["sweep"]), (&true.into(), &child.id().into(), &"small".into()));
    child.wait().expect("it has ended");
    assert_eq!(dir.json(&["cancel", "--json"])["stopped"], false);
}

#[test]
fn what_is_trained_on_another_machine_is_cancelled_there() {
    let dir = ran("");
    let mut lock = File::options().write(true).truncate(true).open(dir.path("runs/writer.lock")).expect("the lock");
    lock.try_lock().expect("nobody has it");
    let mut is = |writer: &str| {
        lock.set_len(0).and_then(|()| std::io::Seek::rewind(&mut lock)).and_then(|()| lock.write_all(writer.as_bytes()))
    };
    is(r#"{"pid": 7, "host": "elsewhere", "command": "crossover run small.toml"}"#).expect("the lock");
    let told = dir.stderr(&["cancel"], 1);
    assert!(told.contains("process 7 on elsewhere writes to the store"), "{told}");
    let there = format!("hint: on elsewhere type: crossover cancel --store {}", dir.path("runs").display());
    assert!(told.contains(&there), "{told}");
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    is(&format!(r#"{{"pid": 1, "host": "{}", "command": "crossover run"}}"#, here.trim())).expect("the lock");
    let told = dir.stderr(&["cancel", "--json"], 1);
    assert!(told.contains("is not the one that writes to the store"), "{told}");
}
