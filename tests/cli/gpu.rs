//! `make gpu`, without a GPU: the same code on the CPU, so that what is run where one is lent is known to run.

use std::path::Path;
use std::process::{Command, Output};

use crate::workdir::Workdir;

/// Python's standard library and ours alone: where this Python has no PyTorch, what needs it is skipped.
fn gpu(dir: &Workdir, words: &[&str]) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_crossover")).with_file_name("");
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/gpu.py")).args(words);
    command.arg("--programs").arg(programs).arg("--output").arg(dir.path("gpu.md")).env("PYTHONDONTWRITEBYTECODE", "1");
    // Under it a worker whose memory ran out once waited for itself.
    command.env("RUST_BACKTRACE", "1");
    command.output().expect("python3 starts")
}

#[test]
fn what_is_checked_on_a_gpu_holds_on_a_cpu() {
    let dir = Workdir::new();
    let output = gpu(&dir, &["--device", "cpu"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    let report = std::fs::read_to_string(dir.path("gpu.md")).expect("a report");
    assert!(report.contains("fp32: losses of 20 steps within 0.001"), "{report}");
    for of in ["a sweep that SIGINT stopped, and that went on", "a sweep that was killed, and that went on"] {
        assert!(report.contains(&format!("- holds: {of}: the same bit for bit, weights too")), "{of}: {report}");
    }
    assert!(report.contains("a pack of 4 that does not fit was halved until it did"), "{report}");
    assert!(!report.contains("does not hold") && said.contains("0 of what was checked does not hold"), "{said}");
    // Without PyTorch beside it, that is told.
    assert_eq!(report.contains("this Python has no torch"), said.contains("skipped: "), "{said}");
}

#[test]
fn what_does_not_hold_is_told_and_the_exit_code_says_so() {
    let dir = Workdir::new();
    let output = gpu(&dir, &["--device", "cpu", "--minutes", "0", "facts", "pair"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["facts", "pair"] {
        assert!(said.contains(&format!("error: {part}: it ended: out of time")), "{said}");
    }
    let unknown = gpu(&dir, &["--device", "cpu", "fact"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no part fact: parts are facts agree resume"));
    assert_eq!(unknown.status.code(), Some(1));
}
