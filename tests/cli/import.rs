//! `crossover import`.

use crate::workdir::Workdir;

/// L = floor + 20 x^-0.5 at five scales of two seeds.
fn rows(arch: &str, floor: f64) -> String {
    let mut rows = String::from("arch,examples,loss,seed\n");
    for (i, x) in [250.0f64, 1000.0, 4000.0, 16_000.0, 64_000.0].into_iter().enumerate() {
        for seed in 0..2 {
            let wiggle = 1.0 + 0.002 * f64::from((3 * i as i32 + 7 * seed) % 5 - 2);
            rows += &format!("{arch},{x},{},{seed}\n", (floor + 20.0 * x.powf(-0.5)) * wiggle);
        }
    }
    rows
}

#[test]
fn an_import_is_a_study_and_two_are_one() {
    let dir = Workdir::new();
    dir.write("ours.csv", &rows("vit", 0.5)).write("theirs.csv", &rows("vit", 0.3));
    let said = dir.stdout(&["import", "ours.csv"]);
    assert!(said.contains("imported 10 points of vit as 'ours'"), "{said}");
    dir.stdout(&["import", "theirs.csv", "--name", "paper"]);
    assert!(dir.stdout(&["import", "ours.csv"]).contains("is there already"));
    std::fs::remove_file(dir.path("ours.csv")).expect("the import keeps the bytes");
    let answer = dir.stdout(&["fit", "ours", "paper", "--x", "data", "--bootstrap", "200"]);
    assert!(answer.starts_with("vit (paper) leads vit (ours) throughout"), "{answer}");
    let fitted = dir.json(&["fit", "paper", "--bootstrap", "0", "--json"]);
    let origin = &fitted["fits"][0]["provenance"]["file"];
    assert_eq!((&origin["path"], &origin["rows"]), (&"theirs.csv".into(), &10.into()), "{fitted}");
    assert!(dir.stdout(&["status"]).contains("imported: paper from theirs.csv"));
    // It has no runs to list.
    for command in [&["export", "paper", "--format", "csv"][..], &["compare", "paper", "ours"], &["list", "paper"]] {
        let said = dir.stderr(command, 2);
        assert!(said.contains("'paper' is an import") && said.contains("'crossover fit paper'"), "{said}");
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let dir = Workdir::new();
    dir.write("a.csv", &rows("vit", 0.5)).write("text.csv", "arch,words\nvit,many\n");
    assert!(dir.stderr(&["import", "text.csv"], 2).contains("hint:"));
    assert!(!dir.path("runs/imports").exists(), "what cannot be read is not kept");
    dir.stdout(&["import", "a.csv"]);
    dir.write("a.csv", &rows("vit", 0.4));
    assert!(dir.stderr(&["import", "a.csv"], 2).contains("--force"));
    dir.stdout(&["import", "a.csv", "--force"]);
    assert!(dir.stderr(&["import", "a.csv", "--name", "../up"], 2).contains("cannot name"));
    std::fs::create_dir(dir.path("empty")).expect("a folder");
    assert!(dir.stderr(&["import", "empty"], 2).contains("holds no logs"));
    assert!(dir.stderr(&["fit", "b"], 2).contains("there are: a"));
}

#[test]
fn an_import_is_renamed_and_removed() {
    let dir = Workdir::new();
    dir.write("a.csv", &rows("vit", 0.5)).stdout(&["import", "a.csv"]);
    let fitted =
        |name: &str| dir.json(&["fit", name, "--x", "data", "--bootstrap", "0", "--json"])["fits"][0]["params"].take();
    let before = fitted("a");
    assert_eq!(dir.stdout(&["rename", "a", "theirs"]), "'a' is 'theirs' now\n");
    assert_eq!(fitted("theirs"), before);
    assert!(dir.stderr(&["fit", "a"], 2).contains("there are: theirs"));
    assert!(dir.stderr(&["rename", "theirs", "my file"], 2).contains("no name for a sweep or an import"));
    // Of the same bytes: it is there, under the name that it has now.
    dir.stdout(&["import", "a.csv"]);
    assert!(dir.stderr(&["rename", "theirs", "a"], 2).contains("'a' is an import of this store already"));
    let listed = dir.json(&["prune", "--sweep", "theirs", "--dry-run", "--json"]);
    assert_eq!((&listed["items"][0]["what"], &listed["items"][0]["of"]), (&"import".into(), &"theirs".into()));
    assert!(dir.stdout(&["prune", "--sweep", "theirs", "--yes"]).contains("removed"));
    assert!(!dir.path("runs/imports/theirs").exists());
    assert_eq!(fitted("a"), before);
    assert!(dir.stderr(&["prune", "--sweep", "theirs", "--yes"], 2).contains("'theirs'"));
}
