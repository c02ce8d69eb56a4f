//! Stores that earlier releases made, each with what the release said of it (`scripts/store_fixture.sh` made both): every
//! later one opens them, says the same, and goes on with them. `0.1-schema-1` was made on 27 November 2026 by 0.1.0 as it was
//! before any release (commit 65b365d): its index has the first schema, its lines and records have no checksums. `0.1-schema-2` a day
//! later (commit 952c1bb), with both.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workdir::Workdir;

fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/older");
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    archives.sort();
    archives
}

/// Each store, in a folder of its own.
fn each(look: impl Fn(&Workdir)) {
    assert!(!archives().is_empty());
    for archive in archives() {
        println!("{}", archive.display());
        let dir = Workdir::new();
        let file = std::fs::File::open(&archive).expect("an archive");
        let plain = zstd::Decoder::new(file).expect("packed with zstd");
        tar::Archive::new(plain).unpack(dir.path(".")).expect("a tar archive");
        look(&dir);
    }
}

fn read(dir: &Workdir, name: &str) -> String {
    std::fs::read_to_string(dir.path(name)).expect("a file of the archive")
}

fn ran(dir: &Workdir, args: &[&str], noop: Option<&str>) {
    let mut command = dir.command(args);
    if let Some(noop) = noop {
        command.env("CROSSOVER_NOOP", noop);
    }
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn counts(dir: &Workdir, sweep: &str) -> Vec<(String, u64)> {
    let status = dir.json(&["status", sweep, "--json"]);
    let counts = status[0]["counts"].as_object().expect("counts").iter();
    counts.filter_map(|(state, count)| Some((state.clone(), count.as_u64().filter(|count| *count > 0)?))).collect()
}

fn export(dir: &Workdir, sweep: &str) -> String {
    dir.stdout(&["export", sweep, "--format", "csv", "--no-times"])
}

/// What was said of a fit is said again, to rounding.
fn fits_as(now: &Value, then: &Value, of: &str) {
    let fits = |of: &Value| of["fits"].as_array().expect("fits").clone();
    assert_eq!(fits(now).len(), fits(then).len(), "{of}");
    for (now, then) in fits(now).iter().zip(&fits(then)) {
        assert_eq!((&now["group"], &now["law"]), (&then["group"], &then["law"]), "{of}");
        for (name, value) in then["params"].as_object().expect("params") {
            let (now, then) = (now["params"][name].as_f64().expect("a number"), value.as_f64().expect("a number"));
            assert!((now - then).abs() <= 1e-4 * then.abs() + 1e-6, "{of}: {name} was {then} and is {now}");
        }
    }
}

#[test]
fn a_store_of_before_is_read_and_says_what_it_said() {
    each(|dir| {
        let of = |sweep: &str| counts(dir, sweep);
        let count = |state: &str, count: u64| (state.to_owned(), count);
        assert_eq!(of("trained"), [count("done", 16)]);
        assert_eq!(of("planned"), [count("diverged", 20), count("done", 40)]);
        assert_eq!(of("failing"), [count("failed", 2)]);
        assert_eq!(of("stopped"), [count("interrupted", 1), count("to_do", 1)]);
        assert_eq!(of("long"), [count("interrupted", 1)]);
        let said = |after: &str| {
            for sweep in ["trained", "planned"] {
                assert!(export(dir, sweep) == read(dir, &format!("said/{sweep}.csv")), "{sweep}, {after}");
            }
            for sweep in ["trained", "planned", "others"] {
                let now = dir.json(&["fit", sweep, "--x", "data", "--bootstrap", "0", "--json"]);
                fits_as(&now, &serde_json::from_str(&read(dir, &format!("said/{sweep}.json"))).expect("JSON"), sweep);
            }
            for member in dir.json(&["status", "planned", "--json"])[0]["members"].as_array().expect("runs") {
                let run = member["run"].as_str().expect("an id");
                assert_eq!(dir.json(&["show", run, "--json"])["id"], run, "{after}");
            }
        };
        said("as it was found");
        // A file means the runs that it meant.
        for sweep in ["trained", "planned"] {
            let plan = dir.json(&["plan", &format!("{sweep}.toml"), "--no-time", "--json"]);
            assert_eq!(plan["left"]["runs"], 0, "{sweep}");
        }
        dir.stdout(&["ingest", "--rebuild"]);
        said("rebuilt");
    });
}

#[test]
fn a_store_of_before_is_gone_on_with() {
    each(|dir| {
        // From a checkpoint of the program of then: what it had measured stays, and the end is the one that it had where
        // nothing stopped it, but for the rounding of another processor.
        let values = |csv: &str| -> Vec<(String, f64)> {
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            let head = reader.headers().expect("a head").clone();
            let at = |name: &str| head.iter().position(|column| column == name).expect("a column");
            let rows = reader.records().map(|row| row.expect("a row"));
            let place = ["run", "step", "metric"].map(at);
            rows.map(|row| (place.map(|at| row[at].to_owned()).join(" "), row[at("value")].parse().expect("a number")))
                .collect()
        };
        let before = values(&export(dir, "long"));
        ran(dir, &["run", "long.toml", "--slots", "1"], None);
        let (now, then) = (values(&export(dir, "long")), values(&read(dir, "said/long.csv")));
        assert_eq!(now.len(), then.len());
        for ((name, now), (of_then, then)) in now.iter().zip(&then) {
            assert!(name == of_then && (now - then).abs() < 0.02 * then.abs(), "{name}: {now}, {of_then}: {then}");
        }
        assert!(before.iter().all(|measured| now.contains(measured) || measured.0.ends_with(' ')), "{before:?}");
        let run = &dir.json(&["status", "long", "--json"])[0]["members"][0]["run"];
        let shown = dir.json(&["show", run.as_str().expect("an id"), "--json"]);
        assert!(shown["history"][1]["from_step"].as_u64() > Some(0), "{shown}");

        ran(dir, &["resume", "stopped"], Some("step_millis=0"));
        assert_eq!(counts(dir, "stopped"), [("done".to_owned(), 2)]);
        ran(dir, &["run", "failing.toml"], Some("step_millis=0"));
        assert_eq!(counts(dir, "failing"), [("done".to_owned(), 2)]);
        // A budget more: what there is stays as it is.
        dir.write("trained.toml", &read(dir, "trained.toml").replace("[30, 60]", "[30, 60, 90]"));
        ran(dir, &["run", "trained.toml", "--slots", "1"], None);
        assert_eq!(counts(dir, "trained"), [("done".to_owned(), 24)]);
        let (now, then) = (values(&export(dir, "trained")), values(&read(dir, "said/trained.csv")));
        assert_eq!(now.iter().filter(|(name, _)| name.ends_with(" 90 test_loss")).count(), 8);
        assert!(then.iter().all(|measured| now.contains(measured)));
    });
}
