//! Which sweep a command means: a name is what the store has, a file is what it says, and nothing of either is lost.

use std::process::Output;

use crate::workdir::Workdir;

/// A sweep of these `[[model]]`s and data sizes, all called `small`.
fn sweep(models: &[&str], examples: &str) -> String {
    let models: String = models.iter().map(|model| format!("[[model]]\n{model}\n")).collect();
    format!(
        "name = \"small\"\ntask = {{ name = \"mnist1d\" }}\n[axes]\nexamples = {examples}\n\
         [budget]\nexamples = 3200\n[train]\nevals = 1\n{models}"
    )
}

const VIT: &str = "arch = \"vit\"\npatch = 5\nwidth = 16\ndepth = 1\nheads = 2";
const MLP: &str = "arch = \"mlp\"";
const CONVNET: &str = "arch = \"convnet\"\nwidth = 8\ndepths = [1, 1]";

fn run(dir: &Workdir, args: &[&str]) -> Output {
    dir.command(args).env("CROSSOVER_NOOP", "").output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ran(dir: &Workdir, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

fn curves(dir: &Workdir, given: &str) -> Vec<String> {
    let export = dir.json(&["export", given, "--format", "json"]);
    let mut curves: Vec<String> =
        export["runs"].as_array().unwrap().iter().map(|run| run["curve"].as_str().unwrap().to_owned()).collect();
    curves.dedup();
    curves
}

#[test]
fn two_sweeps_of_one_name_are_told_apart_and_both_stay() {
    let dir = Workdir::new();
    dir.write("a.toml", &sweep(&[VIT, MLP], "[100, 200]")).write("b.toml", &sweep(&[CONVNET, MLP], "[100, 200]"));
    ran(&dir, &["run", "a.toml"]);
    let refused = run(&dir, &["run", "b.toml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    for part in [
        "'small' in the store has other runs than b.toml: 2 runs added (convnet), 2 gone (vit)",
        "'crossover rename small small-old'",
        "--replace keeps the old ones as small@1",
    ] {
        assert!(said(&refused).contains(part), "no {part} in {}", said(&refused));
    }
    assert_eq!(said(&run(&dir, &["run", "b.toml", "--dry-run"])), said(&refused), "a dry run is exact");
    // A file that was never run is asked for, and not what has its name.
    let asked = run(&dir, &["status", "b.toml", "--json"]);
    assert!(said(&asked).contains("b.toml differs from 'small' in runs: 2 runs added (convnet), 2 gone (vit)"));
    let status: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    assert_eq!((&status[0]["counts"]["done"], &status[0]["counts"]["to_do"]), (&2.into(), &2.into()));

    let told = ran(&dir, &["run", "b.toml", "--replace"]);
    assert!(told.contains("the sweep that was 'small' is 'small@1' now"), "{told}");
    for (given, has) in [
        ("small", ["convnet", "mlp"]),
        ("b.toml", ["convnet", "mlp"]),
        ("a.toml", ["vit", "mlp"]),
        ("small@1", ["vit", "mlp"]),
    ] {
        assert_eq!(curves(&dir, given), has, "{given}");
    }
    assert!(said(&run(&dir, &["export", "a.toml", "--format", "csv"])).contains("a.toml is 'small@1' in runs"));
    let status = dir.stdout(&["status"]);
    assert!(status.contains("\nsmall ") && status.contains("\nsmall@1 "), "{status}");
    // What was put aside can be gone on with, named anew, and is there after a rebuild.
    dir.stdout(&["rename", "small@1", "older"]);
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!((curves(&dir, "older"), curves(&dir, "a.toml")), (curves(&dir, "older"), curves(&dir, "older")));
    assert!(ran(&dir, &["resume", "older"]).contains("nothing to do"));
}

#[test]
fn a_file_that_was_changed_is_what_it_says_now() {
    let dir = Workdir::new();
    dir.write("a.toml", &sweep(&[VIT, MLP], "[100, 200]"));
    ran(&dir, &["run", "a.toml"]);
    dir.write("a.toml", &sweep(&[MLP], "[100, 200]"));
    assert_eq!(curves(&dir, "a.toml"), ["mlp"], "a model was deleted");
    assert_eq!(curves(&dir, "small"), ["vit", "mlp"]);
    let output = run(&dir, &["export", "a.toml", "--format", "csv"]);
    assert!(
        said(&output).contains("a.toml differs from 'small' in runs: 2 runs gone (vit); used here: the runs of a.toml")
    );
    dir.write("a.toml", &sweep(&[VIT, MLP], "[100, 200, 400]"));
    let status = dir.json(&["status", "a.toml", "--json"]);
    assert_eq!((&status[0]["runs"], &status[0]["counts"]["to_do"]), (&6.into(), &2.into()), "a size was added");
    let told = ran(&dir, &["run", "a.toml"]);
    assert!(told.contains("small: 2 runs added (examples 400)"), "{told}");
    assert!(!ran(&dir, &["run", "a.toml"]).contains("added"));
    // A copy under another name is known by its runs.
    dir.write("copy.toml", &sweep(&[MLP], "[100, 800]").replace("small", "copy"));
    let output = run(&dir, &["status", "copy.toml", "--json"]);
    assert!(said(&output).contains("no sweep 'copy' in runs; other sweeps have 1 of the 2 runs of copy.toml"));
    dir.write("new.toml", &sweep(&[MLP], "[800]").replace("small", "new"));
    let unknown = dir.stderr(&["status", "new.toml"], 2);
    assert!(unknown.contains("no run of new.toml") && unknown.contains("'crossover run new.toml'"), "{unknown}");
}

#[test]
fn a_changed_recipe_is_other_runs_and_a_new_comment_is_not() {
    let dir = Workdir::new();
    let text = sweep(&[MLP], "[100, 200]");
    ran(dir.write("a.toml", &text), &["run", "a.toml"]);
    dir.write("a.toml", &format!("# Why.\n{text}"));
    let told = ran(&dir, &["run", "a.toml"]);
    assert!(told.contains("nothing to do") && !told.contains("small:  "), "{told}");
    dir.write("a.toml", &text.replace("[train]", "[train]\nlr = 3e-3"));
    let refused = said(&run(&dir, &["run", "a.toml"]));
    assert!(refused.contains("2 runs changed (lr 0.001 -> 0.003)"), "{refused}");
}

#[test]
fn a_name_is_changed_to_one_that_is_free() {
    let dir = Workdir::new();
    dir.write("a.toml", &sweep(&[MLP], "[100]"));
    ran(&dir, &["run", "a.toml"]);
    dir.write("runs.csv", "arch,examples,loss\nvit,1,1\nvit,2,0.9\n")
        .stdout(&["import", "runs.csv", "--name", "theirs"]);
    let refused = |args: &[&str]| dir.stderr(args, 2);
    assert!(refused(&["rename", "smal", "b"]).contains("did you mean 'small'?"));
    assert!(refused(&["rename", "small", "theirs"]).contains("'theirs' is an import"));
    assert!(refused(&["rename", "theirs", "small"]).contains("'small' is a sweep"));
    assert!(refused(&["rename", "small", "my sweep"]).contains("no name for a sweep"));
    assert!(refused(&["rename", "small", "small@1"]).contains("no name for a sweep"));
    assert_eq!(dir.stdout(&["rename", "small", "first"]), "'small' is 'first' now\n");
    assert_eq!(curves(&dir, "first"), ["mlp"]);
    // A file and an import of one name are two things.
    dir.write("theirs.toml", &sweep(&[MLP], "[100]").replace("small", "theirs"));
    let refused = run(&dir, &["run", "theirs.toml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(curves(&dir, "theirs.toml"), ["mlp"]);
}
