//! Sets larger than memory: trained on from their file, to the same results and as fast as small ones. Their files are sparse,
//! zeros but for some images, so that a test needs no disk for them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::formats::npz;
use crate::workdir::Workdir;

const SIDE: u64 = 64;
const IMAGE: u64 = 3 * SIDE * SIDE;
const CONTENT: &str = "00000000000000aa";

/// A set of so many images in the cache, as an import leaves it, and a sweep of it.
fn set(count: u64, steps: u64) -> Workdir {
    let dir = Workdir::new();
    npz(&dir, "arrays.npz");
    dir.stdout(&["task", "show", "npz:arrays.npz"]);
    let folder = dir.path("cache/data/npz");
    let mut imported = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let record = imported.find(|path| path.extension().is_some_and(|end| end == "json")).expect("a record");
    let mut kept: Value = serde_json::from_slice(&fs::read(record).expect("a record")).expect("JSON");
    kept["about"] =
        json!({"channels": 3, "height": SIDE, "width": SIDE, "classes": ["0", "1"], "parts": [count, 0, 0]});
    (kept["audit"], kept["copies"]) = (Value::Null, json!([]));
    fs::write(folder.join(format!("{CONTENT}.json")), kept.to_string()).expect("a record");
    let file = File::create(folder.join(format!("{CONTENT}.examples"))).expect("a file");
    file.set_len(count * (2 + IMAGE)).expect("a sparse file");
    let labels: Vec<u8> = (0..count).flat_map(|index| [(index % 2) as u8, 0]).collect();
    file.write_all_at(&labels, 0).expect("labels");
    // Some images of ones, in one of the classes.
    for index in (1..count).step_by((count / 200) as usize | 1).filter(|index| index % 2 == 1) {
        file.write_all_at(&[1; IMAGE as usize], 2 * count + index * IMAGE).expect("an image");
    }
    dir.write(
        "large.toml",
        &format!(
            "name = \"large\"\ntask = {{ name = \"npz\", content = \"{CONTENT}\", validation = 200, test = 200 }}\n\
             [budget]\nsteps = {steps}\n[train]\nbatch = 32\nevals = 1\n\
             [[model]]\narch = \"convnet\"\nwidth = 16\ndepths = [1, 1]\n"
        ),
    );
    dir
}

struct Trained {
    export: String,
    speed: f64,
    /// Of the worker, in bytes.
    peak: u64,
}

fn train(dir: &Workdir, hold: Option<&str>) -> Trained {
    let mut command = dir.command(&["run", "large.toml", "--slots", "1", "--devices", "cpu"]);
    command.envs(hold.map(|bytes| ("CROSSOVER_HOLD_BYTES", bytes)));
    let mut run = command.spawn().expect("it starts");
    let mut peak = 0;
    let status = loop {
        peak = worker(dir).and_then(memory).unwrap_or(0).max(peak);
        match run.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success());
    let with_times = dir.json(&["export", "large", "--format", "json"]);
    let speed = with_times["runs"][0]["examples_per_second"].as_f64().expect("a speed");
    Trained { export: dir.stdout(&["export", "large", "--format", "csv", "--no-times"]), speed, peak }
}

/// The process that trains, by the log of the one run.
fn worker(dir: &Workdir) -> Option<u64> {
    let logs = fs::read_dir(dir.path("runs")).ok()?.flatten().map(|entry| entry.path().join("events.jsonl"));
    let log = fs::read_to_string(logs.filter(|log: &PathBuf| log.exists()).last()?).ok()?;
    serde_json::from_str::<Value>(log.lines().next()?).ok()?["pid"].as_u64()
}

pub fn memory(pid: u64) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    Some(1024 * line.parse::<u64>().ok()?)
}

#[test]
fn a_set_on_disk_trains_to_the_results_of_one_in_memory_within_less_of_it() {
    const COUNT: u64 = (128 << 20) / IMAGE;
    let held = train(&set(COUNT, 6), None);
    let on_disk = train(&set(COUNT, 6), Some("0"));
    assert_eq!(on_disk.export, held.export);
    assert!(held.export.contains(",6,test_loss,"), "{}", held.export);
    let mib = |bytes: u64| bytes >> 20;
    assert!(on_disk.peak + (64 << 20) < held.peak, "{} and {} MiB", mib(on_disk.peak), mib(held.peak));
}

/// cargo test --release --test cli -- --ignored --nocapture large::
#[test]
#[ignore = "20 GiB: minutes, and a release build to say anything"]
fn a_set_of_20_gib_trains_as_fast_as_a_small_one_within_2_gib() {
    let small = train(&set(2000, 400), None);
    let large = train(&set((20 << 30) / IMAGE, 400), None);
    println!("small: {:.0} examples/s, {} MiB", small.speed, small.peak >> 20);
    println!("20 GiB: {:.0} examples/s, {} MiB", large.speed, large.peak >> 20);
    assert!(large.speed > 0.9 * small.speed);
    assert!(large.peak < 2 << 30);
}
