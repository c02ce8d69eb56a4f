//! Slower faults than kills: a slot that is sick, a worker that hangs or does not read, signals of every kind.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupted::{no_worker_is_left, workers};
use crate::workdir::Workdir;

/// After which a signal is a second one, and not the first again.
const A_SECOND_ONE: Duration = Duration::from_millis(1100);

fn many(runs: usize) -> Workdir {
    let (dir, seeds) = (Workdir::new(), (0..runs).collect::<Vec<_>>());
    let sweep = format!(
        "name = \"many\"\ntask = {{ name = \"mnist1d\" }}\n[axes]\nexamples = [100]\nseed = {seeds:?}\n\
         [budget]\nsteps = 40\n[train]\nbatch = 64\n[[model]]\narch = \"vit\"\npatch = 5\n"
    );
    dir.write("many.toml", &sweep);
    dir
}

fn command(dir: &Workdir, noop: &str, flags: &[&str]) -> Command {
    let mut command = dir.command(&[&["run", "many.toml", "--devices", "cpu"], flags].concat());
    command.env("CROSSOVER_NOOP", noop).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(dir: &Workdir, noop: &str, flags: &[&str]) -> (Output, String) {
    let output = command(dir, noop, flags).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// Started, and so far that every one of its workers trains.
fn busy(dir: &Workdir, noop: &str, flags: &[&str], busy_workers: usize) -> Child {
    let orchestrator = command(dir, noop, flags).spawn().expect("it starts");
    let since = Instant::now();
    while crate::interrupted::logs(dir).len() < busy_workers {
        assert!(since.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
    orchestrator
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("it runs");
}

/// How it ended, and after how long.
fn end(dir: &Workdir, child: Child) -> (Output, Duration) {
    let since = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    let took = since.elapsed();
    no_worker_is_left(dir);
    (output, took)
}

#[test]
fn a_sick_slot_is_left_alone_and_the_sweep_is_done() {
    let dir = many(24);
    let (output, said) = run(&dir, "sick=1 step_millis=10", &["--slots", "4"]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": left alone; 3 slots go on").count(), 1, "{said}");
    assert!(said.contains("warning: slot 1 (cpu): 3 jobs failed in a row, CUDA error: told to be sick"), "{said}");
    assert_eq!(said.matches("'nvidia-smi -q'").count(), 1, "advice is given once: {said}");
    assert_eq!(dir.json(&["status", "many", "--json"])[0]["counts"]["done"], 24);
}

#[test]
fn a_slot_whose_workers_do_not_start_is_left_alone() {
    let dir = many(24);
    let (output, said) = run(&dir, "dead=0 step_millis=10", &["--slots", "2"]);
    assert!(output.status.success() && said.contains("slot 0 (cpu): workers do not start"), "{said}");
    let dir = many(24);
    let (output, said) = run(&dir, "dead=0", &["--slots", "1"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: cpu: workers do not start, CUDA error: told to be no good"), "{said}");
    assert_eq!(dir.json(&["status", "many", "--json"])[0]["counts"]["failed"], 0, "they stay to do");
}

#[test]
fn a_worker_that_hangs_is_a_failed_attempt_that_says_how() {
    let dir = many(24);
    let (output, said) = run(&dir, "hang=1:5", &["--slots", "8", "--hang-timeout", "0.5"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("failed: no progress for") && said.contains("it hangs; process"), "{said}");

    let dir = many(24);
    let child = busy(&dir, "step_millis=100", &["--slots", "1", "--hang-timeout", "2"], 1);
    workers(&dir).iter().for_each(|worker| kill(Pid::from_raw(*worker), Signal::SIGSTOP).expect("it runs"));
    std::thread::sleep(Duration::from_secs(4));
    send(&child, Signal::SIGINT);
    let (output, _) = end(&dir, child);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("it was stopped by a signal (SIGSTOP)"), "{said}");
}

#[test]
fn a_sweep_that_fails_as_a_whole_can_be_ended() {
    let dir = many(24);
    let (output, said) = run(&dir, "fail=9:5", &["--slots", "2", "--retries", "0", "--max-failures", "4"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("4 runs failed, which ends the sweep (--max-failures 4)"), "{said}");
    assert_eq!(dir.json(&["status", "many", "--json"])[0]["counts"]["failed"], 4);
}

#[test]
fn every_signal_that_ends_programs_stops_with_checkpoints() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = many(24);
        let child = busy(&dir, "step_millis=100", &["--slots", "2"], 2);
        send(&child, signal);
        let (output, took) = end(&dir, child);
        assert_eq!(output.status.code(), Some(130), "{signal}");
        assert!(took < Duration::from_secs(5), "{signal}: {took:?}");
        let stopped = &dir.json(&["status", "many", "--json"])[0]["counts"]["interrupted"];
        assert!(stopped.as_u64().is_some_and(|stopped| stopped >= 1), "{signal}: {stopped}");
    }
}

/// As nohup starts programs.
#[test]
fn a_hang_up_that_is_ignored_stays_ignored() {
    let dir = many(24);
    let mut command = command(&dir, "step_millis=5", &["--slots", "2"]);
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::signal(Signal::SIGHUP, nix::sys::signal::SigHandler::SigIgn)?;
            Ok(())
        });
    }
    let child = command.spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(700));
    send(&child, Signal::SIGHUP);
    let (output, _) = end(&dir, child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A person pauses a worker; its stop goes on, writes its checkpoint and ends.
#[test]
fn a_stopped_worker_does_not_hold_up_an_interruption() {
    let dir = many(24);
    let child = busy(&dir, "step_millis=100", &["--slots", "1"], 1);
    workers(&dir).iter().for_each(|worker| kill(Pid::from_raw(*worker), Signal::SIGSTOP).expect("it runs"));
    send(&child, Signal::SIGINT);
    let (output, took) = end(&dir, child);
    assert_eq!(output.status.code(), Some(130));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_worker_that_hangs_is_killed_by_the_second_interruption() {
    let dir = many(24);
    let child = busy(&dir, "hang=9:5", &["--slots", "1"], 1);
    std::thread::sleep(Duration::from_millis(300));
    send(&child, Signal::SIGINT);
    std::thread::sleep(A_SECOND_ONE);
    send(&child, Signal::SIGINT);
    let (output, took) = end(&dir, child);
    assert_eq!(output.status.code(), Some(130));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// A job line is longer than a pipe holds, and nobody reads it.
#[test]
fn a_worker_that_does_not_read_never_blocks_the_orchestrator() {
    let dir = many(600);
    let child = busy(&dir, "step_millis=20", &["--slots", "1", "--pack", "300"], 1);
    workers(&dir).iter().for_each(|worker| kill(Pid::from_raw(*worker), Signal::SIGSTOP).expect("it runs"));
    send(&child, Signal::SIGINT);
    std::thread::sleep(A_SECOND_ONE);
    send(&child, Signal::SIGINT);
    let (output, took) = end(&dir, child);
    assert_eq!(output.status.code(), Some(130));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// A terminal that is held, or a pager that nobody scrolls.
#[test]
fn talk_that_nobody_reads_holds_up_no_run() {
    const RUNS: usize = 96; // a line each: more than the pipe holds
    let dir = many(RUNS);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).expect("a small one");
    let mut child = command(&dir, "step_millis=0", &["--slots", "2"]).stderr(writer).spawn().expect("it starts");
    let since = Instant::now();
    // Not asked before the first run, when there is no store.
    while crate::interrupted::logs(&dir).is_empty()
        || dir.json(&["status", "many", "--json"])[0]["counts"]["done"] != RUNS
    {
        assert!(since.elapsed() < Duration::from_secs(60), "the runs wait for a reader");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("text");
    assert!(said.len() > 4096 && said.contains("many: 96 of 96 runs done"), "{said}");
    assert!(child.wait().expect("it ends").success());
    no_worker_is_left(&dir);
}

/// Its orchestrator was killed, and it neither trains nor ends.
#[test]
fn a_hung_orphan_is_named_waited_for_and_ended() {
    let dir = many(24);
    let mut child = busy(&dir, "hang=9:5", &["--slots", "1"], 1);
    std::thread::sleep(Duration::from_millis(300));
    let [orphan] = workers(&dir)[..] else { panic!("one worker") };
    send(&child, Signal::SIGKILL);
    child.wait().expect("it ends");
    kill(Pid::from_raw(orphan), Signal::SIGSTOP).expect("it runs");
    let (output, said) = run(&dir, "", &["--slots", "1"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("1 run is held by workers of an earlier run (process {orphan})")), "{said}");
    assert!(said.contains(&format!("they do not end: killing process {orphan}")), "{said}");
    no_worker_is_left(&dir);
}
