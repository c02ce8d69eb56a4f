//! `crossover run` and `resume` with a worker that trains nothing and fails when told to.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "nothing"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2]
[budget]
steps = 40
[train]
batch = 64
[[model]]
arch = "vit"
patch = 5
"#;

fn nothing() -> Workdir {
    let dir = Workdir::new();
    dir.write("nothing.toml", SWEEP);
    dir
}

fn command(dir: &Workdir, args: &[&str], noop: &str) -> Command {
    let mut command = dir.command(args);
    command.env("CROSSOVER_NOOP", noop);
    command
}

/// Runs the sweep with a worker that behaves so, with these flags.
fn run(dir: &Workdir, noop: &str, flags: &[&str]) -> Output {
    let args = [&["run", "nothing.toml", "--devices", "cpu", "--slots", "1"], flags].concat();
    command(dir, &args, noop).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn summary(dir: &Workdir) -> serde_json::Value {
    dir.json(&["status", "nothing", "--json"])[0].clone()
}

#[test]
fn a_crash_takes_one_attempt_and_never_the_sweep() {
    let dir = nothing();
    let output = run(&dir, "crash=1:20 checkpoint_every=10", &["--json"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("trying again").count(), 3, "{}", said(&output));
    assert!(said(&output).contains("SIGABRT") && said(&output).contains("told to crash at step 20 of attempt 1"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["done"], &report["failed"]), (&3.into(), &0.into()));
    // The second attempt went on from the checkpoint before the crash.
    let shown = dir.json(&["show", run_id(&dir).as_str(), "--json"]);
    assert_eq!(shown["history"][1]["from_step"], 10);
}

fn run_id(dir: &Workdir) -> String {
    let plan = dir.json(&["plan", "nothing.toml", "--no-time", "--json"]);
    plan["runs"][0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn precision_is_an_axis_whose_usual_value_is_no_part_of_an_id_and_which_a_device_may_not_have() {
    let dir = nothing();
    let ids = |dir: &Workdir| -> Vec<String> {
        let plan = dir.json(&["plan", "nothing.toml", "--no-time", "--json"]);
        plan["runs"].as_array().expect("runs").iter().map(|run| run["id"].as_str().expect("an id").into()).collect()
    };
    let usual = ids(&dir);
    dir.write("nothing.toml", &SWEEP.replace("[budget]", "precision = [\"fp32\", \"bf16\"]\n[budget]"));
    let both = ids(&dir);
    assert_eq!((both.len(), usual.iter().filter(|id| both.contains(id)).count()), (6, 3));
    assert!(run(&dir, "", &[]).status.success());
    let shown = |id: &String| dir.stdout(&["show", id]);
    let coarse: Vec<&String> = both.iter().filter(|id| !usual.contains(id)).collect();
    assert!(shown(&usual[0]).contains("precision=\"fp32\"") && shown(coarse[0]).contains("precision=\"bf16\""));
    let log = std::fs::read_to_string(dir.path(&format!("runs/{}/events.jsonl", coarse[0]))).expect("a log");
    assert!(log.lines().next().is_some_and(|line| line.contains("\"precision\":\"bf16\"")), "{log}");
    let listed = dir.stdout(&["list", "--where", "precision=bf16"]);
    assert!(listed.ends_with("3 of 6 runs\n"), "{listed}");
    // A CPU would compute something else than it says.
    dir.write("nothing.toml", &SWEEP.replace("[train]", "[train]\nprecision = \"tf32\""));
    let refused = run(&dir, "", &["--replace"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = said(&refused);
    assert!(said.contains("has precision = \"tf32\", which GPUs have: a slot is cpu"), "{said}");
    assert!(said.contains("a CPU computes in \"fp32\" or \"bf16\""), "{said}");
}

#[test]
fn what_fails_is_said_at_once_and_tried_again_by_the_same_command() {
    let dir = nothing();
    let output = run(&dir, "fail=9:3", &["--retries", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("attempt 2 failed: told to fail at step 3 of attempt 2"), "{}", said(&output));
    assert!(said(&output).contains("hint: 'crossover status nothing' says why"), "{}", said(&output));
    let summary = summary(&dir);
    assert_eq!((&summary["counts"]["failed"], &summary["failures"][0]["attempts"]), (&3.into(), &2.into()));
    assert!(summary["failures"][0]["reason"].as_str().is_some_and(|reason| reason.contains("told to fail")));
    let again = run(&dir, "", &[]);
    assert!(again.status.success(), "{}", said(&again));
}

#[test]
fn a_diverged_run_is_final() {
    let dir = nothing();
    let output = run(&dir, "diverge_from_seed=2", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("diverged: its loss was not finite at step 3"), "{}", said(&output));
    assert_eq!((&summary(&dir)["counts"]["done"], &summary(&dir)["counts"]["diverged"]), (&2.into(), &1.into()));
    assert!(said(&run(&dir, "", &[])).contains("nothing to do"));
}

#[test]
fn a_worker_that_does_not_start_is_said_with_its_last_words() {
    let dir = nothing();
    let output = command(&dir, &["run", "nothing.toml"], "speed=fast").output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("workers do not start") && said(&output).contains("'speed=fast'"), "{output:?}");
    let output = dir.command(&["run", "nothing.toml"]).env("CROSSOVER_WORKER", "/nonexistent").output().expect("ok");
    assert!(said(&output).contains("/nonexistent") && said(&output).contains("hint:"), "{output:?}");
}

#[test]
fn a_second_orchestrator_is_refused_and_readers_work_meanwhile() {
    let dir = nothing();
    let mut first = command(&dir, &["run", "nothing.toml", "--slots", "1"], "step_millis=50");
    let mut first = first.stderr(Stdio::null()).spawn().expect("it starts");
    let since = Instant::now();
    while dir.status()[0].is_null() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = run(&dir, "", &[]);
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains(&first.id().to_string()) && said(&second).contains("hint:"), "{}", said(&second));
    assert_eq!(summary(&dir)["runs"], 3);
    assert!(first.wait().expect("it ends").success());
}

#[test]
fn a_dry_run_is_exact_and_leaves_nothing() {
    let dir = nothing();
    let decision = dir.json(&["run", "nothing.toml", "--devices", "cpu", "--slots", "2", "--dry-run", "--json"]);
    assert_eq!((&decision["runs"], decision["slots"].as_array().map(Vec::len)), (&3.into(), Some(2)));
    assert!(!dir.path("runs").exists());
    assert!(run(&dir, "", &[]).status.success());
    let decision = dir.json(&["run", "nothing.toml", "--dry-run", "--json"]);
    assert_eq!((&decision["ended"], decision["jobs"].as_array().map(Vec::len)), (&3.into(), Some(0)));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_in_silence() {
    use std::os::unix::process::ExitStatusExt;
    let dir = nothing();
    for args in [&["model", "list"][..], &["plan", "nothing.toml", "--no-time", "--json"], &["status"], &["--help"]] {
        let mut child = dir.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        // 13 is SIGPIPE; a program that had written all before the reader left has succeeded.
        assert!(output.status.signal() == Some(13) || output.status.success(), "{args:?}: {}", output.status);
        assert_eq!(said(&output), "", "{args:?}");
    }
}
