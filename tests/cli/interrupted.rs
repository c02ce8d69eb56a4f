//! Interrupted in any way and run again, a sweep's results are those of one that was left alone, byte for byte.

use std::collections::HashSet;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::workdir::Workdir;

/// Real training of both archs, small enough for a test, long enough to be hit in the middle.
const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [200, 1000]
seed = [0, 1]
[budget]
steps = 400
[train]
batch = 32
evals = 6
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

/// The events of each run.
pub fn logs(dir: &Workdir) -> Vec<String> {
    logs_in(&dir.path("runs"))
}

pub fn logs_in(store: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(store).into_iter().flatten().flatten();
    folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("events.jsonl")).ok()).collect()
}

/// Starts the sweep and ends it when `more` metrics were logged, and how it ended; none if it was done before that.
/// Without `workers_too` the orchestrator is killed alone, and its workers have to notice by themselves.
pub fn interrupt(dir: &Workdir, signal: Signal, more: usize, workers_too: bool) -> Option<ExitStatus> {
    let logged = || logs(dir).iter().map(|log| log.matches("\"metrics\"").count()).sum::<usize>();
    let before = logged();
    let mut command = dir.command(&["run", "small.toml", "--slots", "2"]);
    command.env("CROSSOVER_CHECKPOINT_SECONDS", "0.05").stdout(Stdio::null()).stderr(Stdio::null());
    let mut orchestrator = command.spawn().expect("the program starts");
    let start = Instant::now();
    while logged() < before + more {
        if let Some(status) = orchestrator.try_wait().expect("its status") {
            assert!(status.success(), "{status}");
            return None;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
    let workers = workers(dir);
    kill(Pid::from_raw(orchestrator.id() as i32), signal).expect("it still runs");
    for worker in workers.iter().filter(|_| signal == Signal::SIGKILL && workers_too) {
        kill(Pid::from_raw(*worker), signal).ok();
    }
    let status = orchestrator.wait().expect("it ends");
    no_worker_is_left(dir);
    Some(status)
}

/// What looks after scripts.
pub fn guards(dir: &Workdir) -> Vec<i32> {
    processes(dir, |words| words.get(1..3) == Some(&["script".into(), "guard".into()]))
}

/// Workers that were started in this test's folder, and scripts with what they started, by process id.
pub fn workers(dir: &Workdir) -> Vec<i32> {
    processes(dir, |words| {
        let is_ours = words.first().is_some_and(|program| program.ends_with("/crossover"));
        !is_ours || words.get(1..3) == Some(&["script".into(), "serve".into()])
    })
}

fn processes(dir: &Workdir, which: impl Fn(&[String]) -> bool) -> Vec<i32> {
    let folder = std::fs::canonicalize(dir.path("")).expect("the folder");
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<String> =
            words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)) && which(&words)
    };
    pids.filter(ours).collect()
}

pub fn no_worker_is_left(dir: &Workdir) {
    let start = Instant::now();
    let left = || [workers(dir), guards(dir)].concat();
    while !left().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "workers outlive their orchestrator: {:?}", left());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "small", "--format", "csv", "--no-times"])
}

#[test]
fn results_are_the_same_however_often_a_sweep_is_interrupted() {
    let alone = Workdir::new();
    alone.write("small.toml", SWEEP).stdout(&["run", "small.toml", "--slots", "2"]);
    let expected = export(&alone);
    let rows: Vec<&str> = expected.lines().skip(1).collect();
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len(), "no row twice");
    assert!(rows.len() >= 8 * 5, "every run reports: {expected}");

    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let dir = Workdir::new();
        dir.write("small.toml", SWEEP);
        for workers_too in [false, true, true] {
            let status = interrupt(&dir, signal, 9, workers_too).expect("interrupted before it was done");
            assert!(!status.success(), "interrupted before it was done");
            assert!(signal == Signal::SIGKILL || status.code() == Some(130), "{status}");
        }
        dir.stdout(&["run", "small.toml", "--slots", "2"]);
        assert_eq!(export(&dir), expected, "after {signal}");

        std::fs::remove_file(dir.path("runs/crossover.db")).expect("the database");
        dir.stdout(&["ingest", "--rebuild"]);
        assert_eq!(export(&dir), expected, "rebuilt after {signal}");
    }
}

/// One run of 50 steps that trains nothing and writes a checkpoint every ten.
fn fifty_steps(dir: &Workdir) {
    let sweep = SWEEP.replace("steps = 400", "steps = 50").replace("[200, 1000]", "[200]").replace("seed = [0, 1]", "");
    let sweep = &sweep[..sweep.find("[[model]]\narch = \"vit\"").expect("two models")];
    dir.write("small.toml", sweep);
}

fn run_as(dir: &Workdir, noop: &str) -> std::process::Output {
    let mut command = dir.command(&["run", "small.toml", "--slots", "1", "--devices", "cpu", "--retries", "0"]);
    command.env("CROSSOVER_NOOP", noop).output().expect("it starts")
}

/// The folder of the only run.
fn folder(dir: &Workdir) -> std::path::PathBuf {
    let paths = std::fs::read_dir(dir.path("runs")).expect("a store").flatten().map(|entry| entry.path());
    paths.into_iter().find(|path| path.join("run.json").exists()).expect("a run")
}

/// A bad checkpoint is told where the user looks, not in a slot's log alone, and the one before is taken.
#[test]
fn a_damaged_checkpoint_is_told_on_the_terminal() {
    let alone = Workdir::new();
    fifty_steps(&alone);
    assert!(run_as(&alone, "").status.success());
    let dir = Workdir::new();
    fifty_steps(&dir);
    assert_eq!(run_as(&dir, "checkpoint_every=10 fail=1:35").status.code(), Some(1));
    let newest = folder(&dir).join("checkpoint.safetensors");
    let mut bytes = std::fs::read(&newest).expect("a checkpoint");
    *bytes.last_mut().expect("content") ^= 1;
    std::fs::write(&newest, bytes).expect("damaged");
    let output = run_as(&dir, "checkpoint_every=10");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: run ")).collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].contains("goes on from the checkpoint before, at step 20: "), "{said}");
    assert!(told[0].ends_with("checkpoint.safetensors is damaged: its checksum is not that of its content"), "{said}");
    assert_eq!(export(&dir), export(&alone));
    assert!(!newest.exists() && !newest.with_file_name("checkpoint.previous.safetensors").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_read_fails_its_run_and_stays() {
    let dir = Workdir::new();
    fifty_steps(&dir);
    assert_eq!(run_as(&dir, "checkpoint_every=10 fail=1:35").status.code(), Some(1));
    let newest = folder(&dir).join("checkpoint.safetensors");
    let kept = dir.path("kept");
    std::fs::rename(&newest, &kept).expect("moved");
    std::fs::create_dir(&newest).expect("a folder in its place");
    let output = run_as(&dir, "checkpoint_every=10");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot read {}", newest.display())), "{said}");
    std::fs::remove_dir(&newest).expect("still there");
    std::fs::rename(&kept, &newest).expect("moved back");
    assert!(run_as(&dir, "checkpoint_every=10").status.success());
    assert!(logs(&dir)[0].contains("\"from_step\":30"), "{}", logs(&dir)[0]);
}

#[test]
fn a_finished_sweep_trains_nothing_again() {
    let dir = Workdir::new();
    let sweep = SWEEP.replace("steps = 400", "steps = 40").replace("seed = [0, 1]", "");
    dir.write("small.toml", &sweep).stdout(&["run", "small.toml"]);
    let before = export(&dir);
    let output =
        dir.command(&["run", "small.toml"]).env("CROSSOVER_WORKER", "/nonexistent").output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(export(&dir), before);
}
