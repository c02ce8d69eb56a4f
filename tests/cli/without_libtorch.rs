//! Commands that do not train do not load libtorch.

use crate::workdir::Workdir;

/// The dynamic linker lists what it loads on stdout instead of running the program.
fn libraries(program: &str) -> String {
    let output = std::process::Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn only_the_worker_loads_libtorch() {
    let program = libraries(env!("CARGO_BIN_EXE_crossover"));
    assert!(program.contains("libc.so") && !program.contains("torch") && !program.contains("libc10"), "{program}");
    let worker = std::path::Path::new(env!("CARGO_BIN_EXE_crossover")).with_file_name("crossover-worker");
    let worker = libraries(worker.to_str().expect("a UTF-8 path"));
    assert!(worker.contains("libtorch_cpu.so"), "{worker}");
}

#[test]
fn help_and_status_answer_without_libtorch_anywhere() {
    let dir = Workdir::new();
    for args in [&["fit", "--help"][..], &["status"], &["model", "list"], &["task", "list"]] {
        let output = dir.command(args).env("CROSSOVER_WORKER", "/nonexistent").output().expect("it starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
