//! What every command writes, whatever it does: where stdout cannot be written there is an error line, and no panic.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use crate::workdir::Workdir;

pub const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [100, 200, 400, 800]
seed = [0, 1]
[tuned]
lr = [1e-3, 3e-3]
[budget]
steps = 20
[train]
batch = 64
evals = 1
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
"#;

const ROWS: &str = "arch,examples,loss\nvit,100,1\nvit,200,0.8\nvit,400,0.7\nvit,800,0.65\n\
    mlp,100,1.2\nmlp,200,0.9\nmlp,400,0.72\nmlp,800,0.6\n";

/// Each command that prints data, as it is typed in the folder that `finished` makes; RUN is a run's id.
pub const COMMANDS: [&str; 29] = [
    "init mnist1d -o new.toml",
    "plan small.toml --no-time",
    "run small.toml --dry-run",
    "run small.toml --json",
    "resume --json",
    "status",
    "list --where state=done --sort test_loss",
    "show RUN",
    "show RUN --log",
    "retry --failed",
    "prune --dry-run",
    "cancel",
    "compare small small",
    "ingest --json",
    "import rows.csv --name other",
    "fit small --bootstrap 50",
    "next small --bootstrap 50 --narrow alpha",
    "simulate small.toml --trials 5 --bootstrap 50 --truth convnet:E=0.3,A=5,alpha=0.5 --truth vit:E=0.2,A=4,alpha=0.35",
    "plot small --bootstrap 50 -o small.svg",
    "export small --format csv",
    "task list",
    "task show mnist1d",
    "task fetch mnist1d --json",
    "model list",
    "model info vit",
    "model ladder vit --params 1e5",
    "script check train.py --steps 8 --set pause=0.01",
    "rename small renamed",
    "completions bash",
];

/// No command is forgotten above.
#[test]
fn every_command_that_prints_is_tried() {
    let help = Workdir::new().stdout(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let named = commands.lines().take_while(|line| line.starts_with("  "));
    // Lines that go on with what a command does are indented further.
    let names = named.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    // 'man' writes files, and nothing else.
    let names: Vec<&str> = names.filter(|name| !["help", "man"].contains(name)).collect();
    assert!(names.len() > 12, "{help}");
    for name in names {
        assert!(COMMANDS.iter().any(|command| command.starts_with(name)), "{name} is not tried");
    }
}

/// A store with a sweep that was run by the worker that trains nothing.
pub fn finished() -> Workdir {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP).write("rows.csv", ROWS).write("train.py", crate::scripts::TRAIN);
    let ran = dir.command(&["run", "small.toml"]).env("CROSSOVER_NOOP", "step_millis=0").output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    dir
}

/// The words of one of `COMMANDS`.
pub fn words(dir: &Workdir, command: &str) -> Vec<String> {
    let plan = dir.json(&["plan", "small.toml", "--no-time", "--json"]);
    let run = plan["runs"][0]["id"].as_str().expect("an id");
    command.split(' ').map(|word| word.replace("RUN", run)).collect()
}

fn to_full_disk(dir: &Workdir, words: &[String]) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let full = || File::create("/dev/full").expect("it is there on Linux");
    dir.command(&words).stdout(full()).output().expect("it starts")
}

#[test]
fn a_full_disk_is_an_error_line() {
    let dir = finished();
    let mut all: Vec<Vec<String>> = COMMANDS.iter().map(|command| words(&dir, command)).collect();
    all.extend([vec!["--help".into()], vec!["--version".into()], vec!["fit".into(), "--help".into()]]);
    for words in all {
        let output = to_full_disk(&dir, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("error: cannot write to stdout: No space left"), "{words:?}: {said}");
        assert!(!said.contains("panicked"), "{words:?}: {said}");
    }
}

#[test]
fn a_full_disk_at_stderr_stops_nothing() {
    let dir = finished();
    let full = File::create("/dev/full").expect("it is there on Linux");
    let output = dir.command(&["fit", "small", "--bootstrap", "50"]).stderr(full).output().expect("it starts");
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
}

/// 13 is SIGPIPE; a program that had written all before the reader left has succeeded.
#[test]
fn a_reader_that_has_seen_enough_ends_the_program_in_silence() {
    let dir = finished();
    for command in COMMANDS.iter().filter(|command| !command.starts_with("run") && !command.starts_with("resume")) {
        let words = words(&dir, command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = dir.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.signal() == Some(13) || output.status.success(), "{words:?}: {}", output.status);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && !said.contains("error"), "{words:?}: {said}");
    }
}

/// `grep` finds a sentence and `awk` a row; who wants lines of a width says it.
#[test]
fn what_is_piped_has_whole_lines() {
    let dir = finished();
    let fit = |columns: Option<&str>| {
        let mut command = dir.command(&["fit", "--file", "rows.csv", "--bootstrap", "50"]);
        command.env_remove("COLUMNS").envs(columns.map(|columns| ("COLUMNS", columns)));
        String::from_utf8(command.output().expect("it starts").stdout).expect("UTF-8")
    };
    let (whole, narrow) = (fit(None), fit(Some("60")));
    assert!(whole.lines().any(|line| line.len() > 100), "{whole}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    let words = |text: &str| text.split_whitespace().filter(|word| word.len() > 9).count();
    assert_eq!(words(&whole), words(&narrow));
}
