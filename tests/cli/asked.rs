//! What a script of a sweep is asked before anything is trained: what is wrong with it is told where the sweep's file says it,
//! and it ends with whoever asks.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scripts::{TRAIN, python};
use crate::workdir::Workdir;

/// `command` stands in its seventh line, from the eleventh column on, and further keys below.
fn sweep(command: &str, keys: &str) -> String {
    format!(
        "name = \"mine\"\ntask = {{ name = \"own\" }}\naxes = {{ examples = [100] }}\nbudget = {{ steps = 20 }}\n\
         [[model]]\nname = \"my net\"\ncommand = {command}\n{keys}\n"
    )
}

fn command() -> String {
    format!("[{:?}, \"train.py\"]", python())
}

#[test]
fn what_is_wrong_with_a_script_is_told_where_the_sweep_says_it() {
    let dir = Workdir::new();
    dir.write("train.py", TRAIN).write("fails.py", "import nothing_of_that_name\n");
    let words = |words: &str| format!("[{:?}, {words}]", python());
    for (command, keys, code, says, at) in [
        (words("\"trian.py\""), "", 2, "my net: ", "7:11"),
        ("[\"pyton3\", \"train.py\"]".into(), "", 1, "my net: cannot start pyton3 train.py", "7:11"),
        (words("\"fails.py\""), "", 1, "No module named 'nothing_of_that_name'", "7:11"),
        ("[]".into(), "", 2, "`command` is a list of words", "7:11"),
        (command(), "files = [\"src/**/*.py\"]", 2, "there is no such file", "8:9"),
        (command(), "files = \".\"", 2, ". is a folder", "8:9"),
        (command(), "width = { first = [1, nan] }", 2, "`width` has a number that is not finite", "8:9"),
        (command(), "params = 1e5\nscale = \"depth\"", 2, "no depth is within 10% of 100k params", "8:10"),
    ] {
        dir.write("mine.toml", &sweep(&command, keys));
        let told = dir.stderr(&["plan", "mine.toml", "--no-time"], code);
        assert!(told.contains(says) && told.contains(&format!("[mine.toml:{at}]")), "{command} {keys}: {told}");
    }
    dir.write("mine.toml", &sweep(&command(), "").replace("my net", ""));
    let told = dir.stderr(&["plan", "mine.toml"], 2);
    assert!(told.contains("a curve without a name") && told.contains("mine.toml:6:8"), "{told}");
}

/// Whether a process has ended; who is to take note of that may be slow.
fn has_ended(pid: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty()
}

/// Whoever asks is killed or interrupted: what the script has started outside its group too ends with it.
#[test]
fn a_script_that_is_asked_or_checked_ends_with_whoever_asks() {
    let dir = Workdir::new();
    let hangs = r#"
import os, subprocess, sys, time
if "CROSSOVER_DESCRIBE" in os.environ and "later" in sys.argv:
    print('{"event": "hello", "protocol": 1, "step": 0}')
    sys.exit()
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
with open(os.environ["PIDS"] + "~", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(os.environ["PIDS"] + "~", os.environ["PIDS"])
time.sleep(1000)
"#;
    dir.write("train.py", hangs).write("mine.toml", &sweep(&command(), ""));
    let (python, pids) = (python(), dir.path("pids"));
    let plan: &[&str] = &["plan", "mine.toml"];
    let check = &["script", "check", "--", &python, "train.py", "later"];
    for (args, signal) in [(plan, Signal::SIGKILL), (plan, Signal::SIGINT), (check, Signal::SIGKILL)] {
        let mut command = dir.command(args);
        command.env("PIDS", &pids).stdout(Stdio::null()).stderr(Stdio::null());
        let mut asking = command.spawn().expect("it starts");
        let since = Instant::now();
        while !pids.exists() {
            assert!(since.elapsed() < Duration::from_secs(20), "{args:?} starts no script");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(asking.id() as i32), signal).expect("it still runs");
        asking.wait().expect("it ends");
        let started = std::fs::read_to_string(&pids).expect("numbers");
        std::fs::remove_file(&pids).expect("removed");
        let since = Instant::now();
        while !started.split(' ').all(has_ended) {
            assert!(since.elapsed() < Duration::from_secs(10), "{args:?}, {signal}: one of {started} lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
