//! Which store a command means, what it says of it, and that its hints work as they are typed.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [100, 200]
[budget]
examples = 3200
[train]
evals = 1
[[model]]
arch = "mlp"
"#;

fn said(dir: &Workdir, args: &[&str], noop: &str) -> (Option<i32>, String) {
    let output = dir.command(args).env("CROSSOVER_NOOP", noop).output().expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_store_that_is_named_has_to_be_there() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    assert!(dir.stdout(&["status"]).contains("no sweeps in runs yet"));
    for args in
        [&["status"][..], &["status", "--json"], &["ingest"], &["resume"], &["show", "abc"], &["rename", "a", "b"]]
    {
        let error = dir.stderr(&[args, &["--store", "typo"]].concat(), 2);
        assert!(error.contains("typo holds no store"), "{args:?}: {error}");
    }
    assert!(dir.stderr(&["ingest", "--rebuild", "--store", "typo"], 2).contains("there is no folder typo"));
    assert!(!dir.path("typo").exists());
    let (code, told) = said(&dir, &["run", "small.toml", "--store", "stores"], "");
    assert!(code == Some(0) && told.contains("a new store: stores"), "{told}");
    assert!(dir.stderr(&["status", "--store", "store"], 2).contains("did you mean --store stores?"));
    // And by the environment.
    let output = dir.command(&["status"]).env("CROSSOVER_STORE", "typo").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let output = dir.command(&["status", "--json"]).env("CROSSOVER_STORE", "stores").output().expect("it starts");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status[0]["counts"]["done"], 2);
    let run = status[0]["members"][0]["run"].as_str().expect("an id");
    assert_eq!(dir.json(&["show", run, "--store", "stores", "--json"])["id"], run, "status --json lists the ids");
}

#[test]
fn hints_name_the_store_that_was_named() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    let (code, told) = said(&dir, &["run", "small.toml", "--store", "my runs", "--retries", "0"], "fail=9:3");
    assert_eq!(code, Some(1));
    assert!(told.contains("hint: 'crossover status --store 'my runs' small' says why"), "{told}");
    let mut command = dir.command(&["run", "small.toml"]);
    command.env("CROSSOVER_STORE", "my runs").env("CROSSOVER_NOOP", "fail=9:3");
    let told = String::from_utf8_lossy(&command.output().expect("it starts").stderr).into_owned();
    assert!(told.contains("hint: 'crossover status small' says why"), "{told}");
    let export = dir.command(&["fit", "small", "--store", "my runs"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&export.stderr).into_owned();
    assert!(told.contains("'crossover status --store 'my runs' small' says why"), "{told}");
    dir.write("runs.csv", "arch,examples,loss\nvit,1,1\nvit,2,0.9\n");
    let imported = dir.stdout(&["import", "runs.csv", "--store", "my runs"]);
    assert!(imported.contains("crossover fit --store 'my runs' runs"), "{imported}");
}

#[test]
fn a_plan_knows_what_is_done_and_what_is_left() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    assert_eq!(said(&dir, &["run", "small.toml"], "").0, Some(0));
    let done = dir.stdout(&["plan", "small.toml", "--no-time"]);
    assert!(done.contains("all of them have ended in runs"), "{done}");
    dir.write("small.toml", &SWEEP.replace("200]", "200, 400]"));
    let plan = dir.json(&["plan", "small.toml", "--no-time", "--json"]);
    let flops = |run: usize| plan["runs"][run]["train_flops"].as_u64().expect("FLOPs");
    assert_eq!((&plan["ended"], &plan["left"]["runs"]), (&2.into(), &1.into()));
    assert_eq!(plan["left"]["train_flops"].as_u64(), Some(flops(2)));
    assert!(plan["left"]["disk_bytes"].as_u64() < plan["disk_bytes"].as_u64());
    assert_eq!(plan["difference"]["added"]["what"][0], "examples 400");
    let text = dir.stdout(&["plan", "small.toml", "--no-time"]);
    assert!(text.contains("2 of 3 have ended in runs; the rest: "), "{text}");
    // Another store has done nothing.
    let fresh = dir.json(&["plan", "small.toml", "--no-time", "--json", "--store", "other"]);
    assert_eq!((&fresh["ended"], &fresh["left"]["runs"], &fresh["difference"]), (&0.into(), &3.into(), &().into()));
    dir.write("small.toml", &SWEEP.replace("mlp", "vit\"\npatch = \"5").replace("\"5\"", "5"));
    let (_, told) = said(&dir, &["plan", "small.toml", "--no-time"], "");
    assert!(told.contains("2 runs added (vit), 2 gone (mlp); 'run' asks for --replace"), "{told}");
}

#[test]
fn files_that_are_missing_are_told_before_the_run_and_stop_it_at_once() {
    let dir = Workdir::new();
    dir.write("small.toml", &SWEEP.replace("mnist1d", "fashion-mnist"));
    let fetch = "'crossover task fetch fashion-mnist' gets them (30.9 MB)";
    let here = |args: &[&str]| {
        let mut command = dir.command(args);
        command.env("CROSSOVER_DATA", dir.path("data")).env("CROSSOVER_NOOP", "");
        let output = command.output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = here(&["plan", "small.toml", "--no-time"]);
    assert!(code == Some(0) && told.contains(fetch), "{told}");
    let since = Instant::now();
    let (code, told) = here(&["run", "small.toml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(fetch) && !told.contains("attempt") && since.elapsed() < Duration::from_secs(5), "{told}");
    assert!(here(&["run", "small.toml", "--dry-run"]).1.contains(fetch));
    // A file that is there and is another is refused before the runs too.
    std::fs::create_dir_all(dir.path("data/fashion-mnist")).expect("a folder");
    for file in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        dir.write(&format!("data/fashion-mnist/{file}-ubyte"), "not this");
    }
    let (code, told) = here(&["run", "small.toml"]);
    assert!(code == Some(1) && told.contains("is not the published file") && !told.contains("attempt"), "{told}");
}

#[test]
fn what_does_nothing_is_not_advertised() {
    let dir = Workdir::new();
    for command in ["run", "resume"] {
        let help = dir.stdout(&[command, "--help"]);
        assert!(help.contains("[possible values: local, slurm]"), "{help}");
    }
    dir.write("small.toml", SWEEP);
    assert!(said(&dir, &["run", "small.toml", "--executor", "ray"], "").1.contains("invalid value 'ray'"));
    assert_eq!(said(&dir, &["run", "small.toml", "--executor", "local"], "").0, Some(0));
}

fn numbers(count: u64) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_sweep_that_is_far_too_large_is_counted_and_refused_at_once() {
    let dir = Workdir::new();
    let huge = SWEEP
        .replace(
            "[100, 200]",
            &format!("[{}]\nseed = [{}]\nsize = [{}]", numbers(10_000), numbers(1000), numbers(1000)),
        )
        .replace("mnist1d", "relations");
    dir.write("huge.toml", &huge);
    let since = Instant::now();
    for command in ["plan", "run", "simulate", "status"] {
        let more: &[&str] = if command == "simulate" { &["--truth", "a: A=1 alpha=1"] } else { &[] };
        let error = dir.stderr(&[&[command, "huge.toml"], more].concat(), 2);
        let counted = "huge.toml: the sweep has 10,000,000,000 runs: 10,000 examples x 1,000 seed x 1,000 size";
        match command {
            "status" => assert!(error.contains("holds no store"), "{error}"),
            _ => assert!(error.contains(counted) && error.contains("--force"), "{error}"),
        }
    }
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(!dir.path("runs").exists());
}

#[test]
fn expanding_a_large_sweep_is_ended_by_a_signal() {
    let dir = Workdir::new();
    dir.write("large.toml", &SWEEP.replace("[100, 200]", &format!("[{}]\nseed = [{}]", numbers(9000), numbers(9000))));
    let mut child = dir.command(&["plan", "large.toml", "--no-time", "--force"]).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().expect("it runs").is_none(), "81 million runs take longer");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("a signal");
    let since = Instant::now();
    child.wait().expect("it ends");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn a_value_in_a_list_of_thousands_is_found_without_showing_them_all() {
    let dir = Workdir::new();
    dir.write("twice.toml", &SWEEP.replace("[100, 200]", &format!("[{}, 7]", numbers(10_000))));
    let error = dir.stderr(&["plan", "twice.toml"], 2);
    assert!(error.contains("`examples` has 7 twice [twice.toml:5:12]") && error.len() < 200, "{error}");
}
