//! The walls between the rooms of the source tree, so that nobody has to remember them: see DESIGN.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file by its module's path, its tests cut off.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let name = name.to_str().unwrap().replace('/', "::");
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_owned();
                if !name.split("::").any(|part| part == "tests") {
                    found.insert(name, code);
                }
            }
        }
    }
    found
}

/// The modules that a file imports with `use crate::…`, one import a line.
fn imports(code: &str, known: &BTreeSet<&String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in code.split("use crate::").skip(1) {
        let path = line.split(';').next().unwrap_or_default();
        let (base, names) = path.split_once('{').unwrap_or((path, ""));
        let names: Vec<&str> = names.trim_end_matches('}').split(',').map(str::trim).collect();
        for name in names {
            let whole = format!("{base}{name}");
            let mut parts: Vec<&str> = whole.split("::").filter(|part| !part.is_empty()).collect();
            while !parts.is_empty() && !known.contains(&parts.join("::")) {
                parts.pop();
            }
            if !parts.is_empty() {
                found.insert(parts.join("::"));
            }
        }
    }
    found
}

#[test]
fn libraries_stay_in_their_rooms() {
    let walls: [(&str, &[&str]); 4] = [
        ("tch::", &["model", "task", "train"]),
        ("rusqlite::", &["store"]),
        ("terminal_size::", &["progress"]),
        ("plotters::", &["plot"]),
    ];
    for (name, code) in modules() {
        for (library, rooms) in walls {
            let room = name.split("::").next().unwrap_or_default();
            // fetch:: is not tch::.
            let names = |at: usize| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            let named = code.match_indices(library).any(|(at, _)| names(at));
            assert!(rooms.contains(&room) || !named, "{name} names {library}: only {rooms:?} do");
        }
    }
}

/// println! panics where a disk is full or a reader has gone.
#[test]
fn one_place_writes_stdout_and_stderr() {
    for (name, code) in modules() {
        let room = name.split("::").next().unwrap_or_default();
        for written in ["print!(", "println!(", "stdout()"] {
            let allowed = room == "out" || (["worker", "progress"].contains(&room) && written == "stdout()");
            assert!(allowed || !code.contains(written), "{name} has {written}: crate::out writes");
        }
    }
}

#[test]
fn no_two_files_of_a_room_import_each_other() {
    let modules = modules();
    let known: BTreeSet<&String> = modules.keys().collect();
    let mut edges = 0;
    for room in ["fit", "study", "cli", "store", "plot"] {
        let inside = |name: &str| name.split("::").next() == Some(room);
        let files = modules.iter().filter(|(name, _)| inside(name));
        let all: BTreeMap<&String, BTreeSet<String>> =
            files.map(|(name, code)| (name, imports(code, &known))).collect();
        for (name, imported) in &all {
            for other in imported.iter().filter(|other| *other != *name) {
                edges += 1;
                let back = all.get(other).is_some_and(|back| back.contains(*name));
                assert!(!back, "{name} and {other} import each other");
            }
        }
    }
    assert!(edges > 150, "{edges} imports were found: the test looks at nothing");
}

/// Analysis knows of no command line, and fits of no store.
#[test]
fn arrows_point_down() {
    let modules = modules();
    let known: BTreeSet<&String> = modules.keys().collect();
    let order = ["cli", "study", "plot", "fit", "store", "plan", "spec"];
    let below: [(&str, &[&str]); 5] = [
        ("study", &["cli"]),
        ("plot", &["cli", "study", "fit", "store"]),
        ("fit", &["cli", "study", "plot", "store", "plan", "spec"]),
        ("store", &["cli", "study", "plot", "fit"]),
        ("plan", &["cli", "study", "plot", "fit", "store"]),
    ];
    for (name, code) in &modules {
        let room = name.split("::").next().unwrap_or_default();
        let Some((_, above)) = below.iter().find(|(this, _)| *this == room) else { continue };
        for other in imports(code, &known) {
            let other = other.split("::").next().unwrap_or_default().to_owned();
            assert!(!above.contains(&other.as_str()), "{name} imports {other}: arrows point down {order:?}");
        }
    }
}
