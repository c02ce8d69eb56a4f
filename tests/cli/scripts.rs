//! Scripts of a user as models: a plain Python program that keeps to the protocol stands in for PyTorch, and breaks its rules
//! when it is told to.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupted::no_worker_is_left;
use crate::workdir::Workdir;

/// Keeps to the protocol, but for what its key `breaks` says. Its loss is a law of width and examples, so that fits work.
pub const TRAIN: &str = r#"
import json, math, os, signal, subprocess, sys, time
run = json.load(open(os.environ["CROSSOVER_RUN"]))
config = run["config"]
width, breaks, pause = config.get("width", 4), config.get("breaks", ""), config.get("pause", 0.0)
describing = "CROSSOVER_DESCRIBE" in os.environ
def say(event, **fields):
    line = json.dumps({"event": event, **fields}) + "\n"
    if describing:
        return sys.stdout.write(line)
    with open(run["events"], "a") as file:
        file.write(line)
params = 3 * width * width + 50 * width + 10
known = {} if breaks == "silent" else {"params": params, "forward_flops": 2 * params, "examples": 5000, "examples_per_second": 1e6}
if describing:
    with open(os.environ.get("ASKED", os.devnull), "a") as asked:
        asked.write("asked\n")
    say("hello", protocol=1, **known)
    sys.exit()
if breaks == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
if breaks in ["child", "nan"]:
    subprocess.Popen(["sleep", "1000"], start_new_session=breaks == "nan")
step, total, saved = 0, 0.0, "checkpoint.json"
if os.path.exists(saved) and breaks != "forgets":
    step, total = json.load(open(saved))
say("hello", protocol=1, step=step)
print("from step", step, flush=True)
def checkpoint():
    with open(saved + ".partial", "w") as file:
        json.dump([step, total], file)
    os.replace(saved + ".partial", saved)
    say("checkpoint", step=step)
while step < run["steps"]:
    step += 1
    total += math.sin(run["seed"] + step * 0.1) / 1000
    time.sleep(pause)
    if breaks == "leaves" and step == run["steps"] // 2:
        sys.exit(0)
    if breaks == "crashes" and run["attempt"] == 1 and step == run["steps"] // 2:
        raise RuntimeError("told to crash")
    say("progress", step=step, loss=2.0)
    if step in run["evaluations"] or step % 10 == 0:
        tuned = 1 + math.log10(run["train"]["lr"] / 1e-3) ** 2 / 10
        loss = 0.1 + tuned * (params ** -0.2 + run["examples"] ** -0.3 + step ** -0.5) + total
        if breaks == "nan" and step >= run["steps"] // 2:
            loss = float("nan")
        values = {"val_loss": loss, "train_loss": 0.9 * loss}
        if step == run["steps"]:
            values["test_loss"] = 1.1 * loss
        say("metrics", step=step, values=values)
    if breaks != "never" and step < run["steps"] and (step % 7 == 0 or breaks != "deaf" and stop):
        checkpoint()
    if breaks != "deaf" and stop:
        sys.exit(say("end", outcome="stopped"))
say("end", outcome="done")
"#;

/// The python that is there, without the detour of a version manager.
pub fn python() -> String {
    let system = "/usr/bin/python3";
    if std::path::Path::new(system).exists() { system.into() } else { "python3".into() }
}

fn sweep(model: &str) -> String {
    format!(
        "name = \"mine\"\ntask = {{ name = \"own\", noise = 0.1 }}\n[axes]\nexamples = [100, 200, 300]\nseed = [0, 1]\n\
         [budget]\nsteps = 20\n[train]\nbatch = 16\n[[model]]\nname = \"my net\"\ncommand = [\"{}\", \"train.py\"]\n{model}\n",
        python()
    )
}

fn mine(model: &str) -> Workdir {
    let dir = Workdir::new();
    dir.write("train.py", TRAIN).write("mine.toml", &sweep(model));
    dir
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run(dir: &Workdir, flags: &[&str]) -> Output {
    let args = [&["run", "mine.toml", "--devices", "cpu", "--slots", "2"], flags].concat();
    dir.output(&args)
}

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "mine", "--format", "csv", "--no-times"])
}

fn refused(dir: &Workdir, toml: &str) -> String {
    dir.write("bad.toml", toml);
    dir.stderr(&["plan", "bad.toml", "--no-time"], 2)
}

/// The folder of a run of the sweep.
fn folder(dir: &Workdir, place: usize) -> std::path::PathBuf {
    let plan = dir.json(&["plan", "mine.toml", "--no-time", "--json"]);
    dir.path(&format!("runs/{}", plan["runs"][place]["id"].as_str().expect("an id")))
}

#[test]
fn a_script_is_planned_run_fitted_and_shown_as_a_model_is() {
    let dir = mine("width = [4, 8]");
    let asked = dir.path("asked");
    let plan = |dir: &Workdir| dir.command(&["plan", "mine.toml"]).env("ASKED", &asked).output().expect("it starts");
    let first = plan(&dir);
    assert!(first.status.success(), "{}", said(&first));
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    // 3 * 16 + 200 + 10 = 258 params, twice that in FLOPs; 20 steps of 16 at 3 times forward are 495,360.
    let line = text.lines().find(|line| line.contains("width=4")).unwrap_or_default();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[4..9], ["258", "516", "100", "20", "495k"], "{text}");
    assert!(text.contains("about 0.0 s on"), "{text}");
    plan(&dir);
    assert_eq!(std::fs::read_to_string(&asked).expect("asked"), "asked\nasked\n", "once for each size");

    let output = run(&dir, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let fit = dir.stdout(&["fit", "mine", "--bootstrap", "0", "--law", "power"]);
    assert!(fit.contains("my net"), "{fit}");
    dir.stdout(&["plot", "mine", "--bootstrap", "0", "-o", "mine.svg"]);
    let listed = dir.stdout(&["list", "--where", "arch=script", "--where", "width=8"]);
    assert!(listed.ends_with("6 of 12 runs\n"), "{listed}");
    let run_folder = folder(&dir, 0);
    let shown = dir.stdout(&["show", "--log", run_folder.file_name().and_then(|name| name.to_str()).expect("an id")]);
    assert!(shown.contains("script.log") && shown.contains("from step 0"), "{shown}");
    let left: Vec<String> = std::fs::read_dir(&run_folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!left.iter().any(|name| name.contains("checkpoint")), "{left:?}");
    let asked: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run_folder.join("script-1.json")).expect("what it was asked"))
            .expect("JSON");
    assert_eq!(
        (&asked["task"]["noise"], &asked["examples"], &asked["config"]["width"]),
        (&0.1.into(), &100.into(), &4.into())
    );
    assert!(run(&dir, &[]).status.success());
    assert_eq!(dir.json(&["status", "mine", "--json"])[0]["counts"]["done"], 12);
}

#[test]
fn changed_code_is_another_run_and_none_trains_what_was_not_planned() {
    let dir = mine("width = 4");
    let ids = || -> Vec<String> {
        let plan = dir.json(&["plan", "mine.toml", "--no-time", "--json"]);
        plan["runs"].as_array().expect("runs").iter().map(|run| run["id"].as_str().expect("an id").into()).collect()
    };
    let before = ids();
    assert!(run(&dir, &[]).status.success());
    dir.write("helper.py", "VALUE = 1\n");
    assert!(ids().iter().all(|id| !before.contains(id)), "a module beside it is its own");
    let replaced = run(&dir, &[]);
    assert_eq!(replaced.status.code(), Some(2));
    assert!(said(&replaced).contains("6 runs changed (files"), "{}", said(&replaced));
    std::fs::remove_file(dir.path("helper.py")).expect("removed");
    assert_eq!(ids(), before);
    let only = |files: &str| {
        dir.write("mine.toml", &sweep(&format!("width = 4\nfiles = {files}")));
        ids()
    };
    assert_eq!((only("[\"train.py\"]"), only("[\"*.py\"]")).1.len(), 6);
    let missing = refused(&dir, &sweep("files = [\"src/**/*.py\"]"));
    assert!(missing.contains("files = [\"src/**/*.py\"]: there is no such file"), "{missing}");
    // It changes while runs wait: they are not trained under an id that is of other code.
    let dir = mine("width = 4\nbreaks = \"crashes\"");
    dir.write("mine.toml", &sweep("width = 4\nbreaks = \"crashes\"\nfiles = [\"part.txt\"]"));
    dir.write("part.txt", "a");
    dir.write(
        "train.py",
        &TRAIN.replace("raise RuntimeError", "open(os.environ[\"PART\"], \"w\").write(\"b\"); raise RuntimeError"),
    );
    let mut command = dir.command(&["run", "mine.toml", "--slots", "1"]);
    let output = command.env("PART", dir.path("part.txt")).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("train.py have changed since this was planned"), "{}", said(&output));
}

/// How many checkpoints scripts have said, in all lives.
fn checkpoints(dir: &Workdir) -> usize {
    let runs = std::fs::read_dir(dir.path("runs")).into_iter().flatten().flatten();
    let files = runs.filter_map(|run| std::fs::read_dir(run.path()).ok()).flatten().flatten();
    let is_said = |name: &str| name.starts_with("script-") && name.ends_with(".jsonl");
    let said = files.filter(|file| is_said(&file.file_name().to_string_lossy()));
    let lines = said.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    lines.map(|lines| lines.matches("\"checkpoint\"").count()).sum()
}

#[test]
fn scripts_and_our_models_share_a_sweep_and_interruptions_change_nothing() {
    let sweep = |pause: f64| {
        sweep(&format!("width = 4\npause = {pause}\nbreaks = \"child\""))
            .replace("{ name = \"own\", noise = 0.1 }", "{ name = \"mnist1d\" }")
            + "[[model]]\narch = \"vit\"\npatch = 5\n"
    };
    let command = |dir: &Workdir, flags: &[&str]| -> Command {
        let mut command = dir.command(&[&["run", "mine.toml", "--slots", "2", "--devices", "cpu"], flags].concat());
        command.env("CROSSOVER_NOOP", "step_millis=4 checkpoint_every=7");
        command
    };
    let dir = mine("");
    dir.write("mine.toml", &sweep(0.01));
    let alone = mine("");
    alone.write("mine.toml", &sweep(0.01));
    let output = command(&alone, &[]).output().expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    for (life, signal) in (1..).zip([Signal::SIGKILL, Signal::SIGINT, Signal::SIGKILL]) {
        let before = checkpoints(&dir);
        let mut first = command(&dir, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let since = Instant::now();
        // A script is in its middle.
        while checkpoints(&dir) == before {
            assert!(first.try_wait().expect("its status").is_none(), "life {life} ends before it is met");
            assert!(since.elapsed() < Duration::from_secs(20), "nothing happens in life {life}");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(first.id() as i32), signal).expect("it still runs");
        first.wait().expect("it ends");
        no_worker_is_left(&dir);
    }
    let output = command(&dir, &[]).output().expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(export(&dir), export(&alone));
    no_worker_is_left(&dir);
    let resumed = dir.json(&["list", "--where", "curve=my net", "--json"]);
    let most = resumed["runs"].as_array().expect("runs").iter().filter_map(|run| run["attempts"].as_u64()).max();
    assert!(most > Some(1), "some were met in their middle");
    std::fs::remove_file(dir.path("runs/crossover.db")).expect("the database");
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(export(&dir), export(&alone), "rebuilt");
}

#[test]
fn what_a_script_does_wrong_is_said_for_what_it_is() {
    for (breaks, says, state) in [
        ("leaves", "it left with exit code 0 and said no `end`", "failed"),
        ("crashes", "it ended with exit code 1", "done"),
        ("nan", "diverged: its loss was not finite at step 10", "diverged"),
    ] {
        let dir = mine(&format!("breaks = \"{breaks}\""));
        let output = run(&dir, &["--retries", "1"]);
        assert!(said(&output).contains(says), "{breaks}: {}", said(&output));
        no_worker_is_left(&dir);
        assert_eq!(dir.json(&["status", "mine", "--json"])[0]["counts"][state], 6, "{breaks}: {}", said(&output));
        if breaks == "crashes" {
            assert!(said(&output).contains("RuntimeError: told to crash"), "{}", said(&output));
            let shown = dir.json(&[
                "show",
                folder(&dir, 0).file_name().and_then(|name| name.to_str()).expect("an id"),
                "--json",
            ]);
            assert_eq!(shown["history"][1]["from_step"], 7, "it went on from its checkpoint");
        }
    }
    let dir = Workdir::new();
    dir.write("train.py", "import nothing_of_that_name\n").write("mine.toml", &sweep(""));
    let refused = dir.stderr(&["plan", "mine.toml"], 1);
    assert!(refused.contains("my net: ") && refused.contains("No module named 'nothing_of_that_name'"), "{refused}");
    assert!(refused.contains("`describe = false`"), "{refused}");
}

#[test]
fn a_ladder_finds_sizes_and_what_is_not_said_is_not_known() {
    let dir = mine("scale = \"width\"\nparams = [1e4, 1e5]");
    let plan = dir.json(&["plan", "mine.toml", "--no-time", "--json"]);
    let widths: Vec<&serde_json::Value> = (0..2).map(|place| &plan["runs"][6 * place]["shape"]["width"]).collect();
    // 3 w^2 + 50 w + 10: 9,970 at 50, 100,170 at 174.
    assert_eq!(widths, [50, 174], "{plan}");
    dir.write("mine.toml", &sweep("scale = { key = \"width\", unit = 8 }\nparams = [1e4, 1e5, 20]\ntolerance = 0.2"));
    let plan = dir.json(&["plan", "mine.toml", "--no-time", "--json"]);
    assert_eq!((&plan["runs"][0]["shape"]["width"], &plan["runs"][6]["shape"]["width"]), (&48.into(), &176.into()));
    assert!(plan["dropped"][0]["reason"].as_str().is_some_and(|why| why.contains("width = 8 has 602")), "{plan}");

    dir.write("mine.toml", &sweep("breaks = \"silent\""));
    let text = dir.stdout(&["plan", "mine.toml"]);
    assert!(text.contains("my net: its time is not known, since its hello has no `examples_per_second`"), "{text}");
    assert!(run(&dir, &[]).status.success());
    dir.stdout(&["fit", "mine", "--x", "data", "--bootstrap", "0", "--law", "power"]);
    let along = dir.stderr(&["fit", "mine", "--x", "compute", "--bootstrap", "0"], 1);
    assert!(along.contains("its script does not say its `forward_flops`"), "{along}");
    let flops = sweep("breaks = \"silent\"").replace("steps = 20", "flops = 1e9");
    assert!(refused(&dir, &flops).contains("FLOPs are no budget for it"));
    dir.write("mine.toml", &sweep("describe = false"));
    dir.write("train.py", "raise SystemExit(3)\n");
    dir.stdout(&["plan", "mine.toml", "--no-time"]);
}

#[test]
fn what_a_sweep_cannot_mean_of_a_script_is_refused_where_it_stands() {
    let dir = mine("");
    for (model, says) in [
        ("arch = \"vit\"", "an `arch` and a `command`"),
        ("lr = 0.1", "`lr` is not a key of a model"),
        ("seed = 3", "`seed` is not a key of a model"),
        ("gpus = 0", "`gpus` is how many GPUs one run takes, from 1, not 0"),
        ("files = [3]", "`files` is a list of files or patterns"),
        ("params = [1e5]", "a ladder of a script needs `scale`"),
        ("scale = \"width\"", "has neither params nor forward_flops"),
        ("scale = \"width\"\nparams = 1e5\nwidth = [1, 2]", "`width` is not a key that a ladder can vary"),
        ("scale = \"width\"\nparams = 1e5\ndepth = [1, 2]", "`depth` is a list"),
        ("scale = { key = \"width\", units = 8 }\nparams = 1e5", "a table of `key` and `unit`"),
        ("describe = \"no\"", "`describe` is true or false"),
        ("describe = false\nscale = \"width\"\nparams = 1e5", "has no ladder"),
        ("size = \"b16\"", "`size` names a published model"),
    ] {
        let told = refused(&dir, &sweep(model));
        assert!(told.contains(says) && told.contains("bad.toml:"), "{model}: {told}");
    }
    let one = sweep("");
    let text = one.replace(&format!("[\"{}\", \"train.py\"]", python()), "\"python train.py\"");
    assert!(refused(&dir, &text).contains("`command` is a list of words"), "no shell splits it");
    assert!(refused(&dir, &one.replace("name = \"my net\"", "")).contains("needs a `name`"));
    assert!(refused(&dir, &one.replace("train.py", "trian.py")).contains("names no file in"));
    let vit = one.clone() + "[[model]]\narch = \"vit\"\n";
    assert!(refused(&dir, &vit).contains("arch 'vit' cannot see this task: only your scripts know it"));
    let gpus =
        dir.write("gpus.toml", &sweep("gpus = 2")).stderr(&["run", "gpus.toml", "--devices", "cpu", "--dry-run"], 2);
    assert!(gpus.contains("a run of a script takes 2 GPUs, and no GPU is to be had"), "{gpus}");
}

/// Each bad script is named for the rule that it breaks.
#[test]
fn a_check_names_the_rules_that_a_script_breaks() {
    let dir = Workdir::new();
    dir.write("train.py", TRAIN);
    let check = |flags: &[&str]| {
        let python = python();
        let fixed = ["script", "check", &python, "train.py", "--steps", "20", "--grace", "0.3", "--set", "pause=0.01"];
        dir.output(&[&fixed, flags].concat())
    };
    let good = check(&[]);
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{text}{}", said(&good));
    assert_eq!(text.matches("kept ").count(), 11, "{text}");
    for (breaks, rule, found) in [
        ("forgets", "it goes on from its checkpoint", "its hello says that it goes on from 0"),
        ("leaves", "it says `end` before it leaves", "it left with exit code 0 after step 9 and said no `end`"),
        ("deaf", "at SIGTERM it says a checkpoint and leaves in time", "it went on to its end"),
        ("nan", "what it measures is finite", "at step 10 is not: its run would be diverged"),
        ("never", "at SIGTERM it says a checkpoint and leaves in time", "and said no checkpoint"),
    ] {
        let output = check(&["--set", &format!("breaks={breaks}")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{breaks}: {text}");
        let line = text.lines().find(|line| line.contains(rule)).unwrap_or_default();
        assert!(line.starts_with("BROKEN") && line.contains(found), "{breaks}: {text}");
    }
    // It is not waited for, for ever.
    let output = check(&["--set", "breaks=deaf", "--set", "pause=0.05"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("it was still there 0.3 s after SIGTERM, and was killed"), "{text}");
    let json = check(&["--json", "--set", "breaks=nan"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(report["rules"].as_array().is_some_and(|rules| rules.len() == 11), "{report}");
    assert_eq!(report["error"]["exit_code"], 1);
}

/// It is PyTorch, which is not here: that it is a program is all that can be seen.
#[test]
fn the_script_to_start_from_is_short_and_a_program() {
    let dir = Workdir::new();
    let script = dir.stdout(&["script", "new"]);
    assert!(script.lines().count() < 80, "{} lines", script.lines().count());
    dir.write("train.py", &script);
    let compiled = Command::new(python()).args(["-m", "py_compile"]).arg(dir.path("train.py")).status();
    assert!(compiled.expect("python").success());
}
