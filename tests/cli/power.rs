//! What a computer can do to a store: its power fails, its disk is full, a bit of a file is another. `make torture` runs
//! these; they print the table of docs/faults.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::interrupted::no_worker_is_left;
use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "power"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2, 3, 4, 5, 6, 7]
[budget]
steps = 60
[train]
batch = 64
evals = 10
[[model]]
arch = "vit"
patch = 5
"#;
const NOOP: &str = "step_millis=4 checkpoint_every=7";

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

fn random() -> ChaCha8Rng {
    let seed = number("CROSSOVER_TORTURE_SEED", 12);
    println!("CROSSOVER_TORTURE_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed.into())
}

fn run(dir: &Workdir, store: &Path, noop: &str) -> Command {
    let mut command = dir.command(&["run", "power.toml", "--slots", "2", "--retries", "9"]);
    command.env("CROSSOVER_STORE", store).env("CROSSOVER_NOOP", noop);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// None where it is refused.
fn export(dir: &Workdir, store: &Path) -> Option<String> {
    let mut command = dir.command(&["export", "power", "--format", "csv", "--no-times"]);
    let output = command.env("CROSSOVER_STORE", store).output().expect("it starts");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
}

/// What the sweep gives where nothing happens.
fn undisturbed() -> (Workdir, String) {
    let dir = Workdir::new();
    dir.write("power.toml", SWEEP);
    let store = dir.path("alone");
    assert!(run(&dir, &store, "").status().expect("it starts").success());
    let expected = export(&dir, &store).expect("an export");
    (dir, expected)
}

/// Run again, until it is done; what it said where it is not.
fn finish(dir: &Workdir, store: &Path) -> Result<(), String> {
    let output = run(dir, store, "").output().expect("it starts");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp").success());
}

/// A file system in a file, mounted.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// None, and why, where this machine does not let one mount.
    fn new(dir: &Workdir, name: &str, mkfs: &[&str], mebibytes: u64) -> Option<Disk> {
        let image = dir.path(&format!("{name}.img"));
        std::fs::File::create(&image).expect("a file").set_len(mebibytes << 20).expect("its size");
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).args(mkfs).arg(&image).stderr(Stdio::null()).status();
        if !made.is_ok_and(|made| made.success()) {
            println!("SKIPPED: there is no mkfs.ext4");
            return None;
        }
        Disk::mount(image, dir.path(name))
    }

    fn mount(image: PathBuf, at: PathBuf) -> Option<Disk> {
        std::fs::create_dir_all(&at).expect("a folder");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-o", "loop"]).arg(&image).arg(&at).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|mounted| mounted.success()) {
            println!("SKIPPED: nothing can be mounted here (root, and loop devices)");
            return None;
        }
        Some(Disk { image, at })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// The disk as it is at a moment, with what was synced and without what was not, is what a power cut leaves.
#[test]
#[ignore = "minutes, and root: make torture"]
fn power_cuts() {
    let (dir, expected) = undisturbed();
    let mut random = random();
    let Some(disk) = Disk::new(&dir, "disk", &["-b", "4096"], 192) else { return };
    let cuts = number("CROSSOVER_TORTURE_CUTS", 40);
    let (mut made, mut lost_index) = (0, 0);
    while made < cuts {
        let store = disk.at.join("runs");
        let _ = std::fs::remove_dir_all(&store);
        let mut child = run(&dir, &store, NOOP).spawn().expect("it starts");
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % 900)));
            let left = dir.path(&format!("cut-{made}.img"));
            copy(&disk.image, &left);
            made += 1;
            let after = Disk::mount(left.clone(), dir.path(&format!("cut-{made}"))).expect("as the one before");
            let store = after.at.join("runs");
            if let Err(said) = finish(&dir, &store) {
                // An index that is empty beside folders is told with what to type.
                assert!(said.contains("ingest") && said.contains("--rebuild"), "{said}");
                lost_index += 1;
                let mut rebuild = dir.command(&["ingest", "--rebuild"]);
                assert!(rebuild.env("CROSSOVER_STORE", &store).output().expect("it starts").status.success());
                finish(&dir, &store).expect("it is done then");
            }
            assert_eq!(export(&dir, &store).as_deref(), Some(expected.as_str()), "cut {made}");
            drop(after);
            std::fs::remove_file(left).expect("a file");
        }
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT);
        child.wait().expect("it ends");
    }
    println!("power cuts: {made}, index made again in {lost_index}, results the same in all");
}

/// Of bytes, and of names.
#[test]
#[ignore = "minutes, and root: make torture"]
fn full_disks() {
    let (dir, expected) = undisturbed();
    let mut random = random();
    for (name, mkfs) in
        [("bytes", vec!["-b", "1024", "-m", "0"]), ("inodes", vec!["-b", "1024", "-m", "0", "-N", "96"])]
    {
        let Some(disk) = Disk::new(&dir, name, &mkfs, 24) else { return };
        let tries = number("CROSSOVER_TORTURE_FULL", 10);
        for _ in 0..tries {
            let (store, ballast) = (disk.at.join("runs"), disk.at.join("ballast"));
            let _ = std::fs::remove_dir_all(&store);
            std::fs::create_dir_all(&ballast).expect("a folder");
            let child = run(&dir, &store, NOOP).spawn().expect("it starts");
            std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % 1500)));
            fill(&ballast, name == "inodes");
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked"), "{said}");
            if !output.status.success() {
                assert!(said.contains("space") || said.contains("full") || said.contains("fail"), "{said}");
            }
            no_worker_is_left(&dir);
            std::fs::remove_dir_all(&ballast).expect("room");
            finish(&dir, &store).unwrap_or_else(|said| panic!("{name}: with room again: {said}"));
            assert_eq!(export(&dir, &store).as_deref(), Some(expected.as_str()), "{name}");
        }
        println!("full of {name}: {tries}, gone on with room again, results the same in all");
    }
}

fn fill(ballast: &Path, with_names: bool) {
    for number in 0.. {
        let path = ballast.join(number.to_string());
        let bytes = if with_names { 0 } else { 256 << 10 };
        if std::fs::write(&path, vec![7; bytes]).is_err() {
            break;
        }
    }
    // The rest, in small pieces.
    for number in 0.. {
        if with_names || std::fs::write(ballast.join(format!("small-{number}")), [7; 1024]).is_err() {
            break;
        }
    }
}

/// One bit in a file of a store, of each file, half-way and at the end.
#[test]
#[ignore = "minutes: make torture"]
fn flipped_bits() {
    let (dir, expected) = undisturbed();
    let mut random = random();
    let half = dir.path("half");
    let mut child = run(&dir, &half, NOOP).spawn().expect("it starts");
    let since = Instant::now();
    while crate::interrupted::logs_in(&half).iter().filter(|log| log.contains("\"done\"")).count() < 3 {
        assert!(since.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(10));
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT)
        .expect("ok");
    child.wait().expect("it ends");
    let each = number("CROSSOVER_TORTURE_FLIPS", 4);
    // By kind of file: the same at once, the same after what was said to type, refused, another result.
    let mut outcomes = BTreeMap::<String, [u32; 4]>::new();
    for whole in [dir.path("alone"), half] {
        for file in files(&whole) {
            for _ in 0..each {
                let store = dir.path("flipped");
                let _ = std::fs::remove_dir_all(&store);
                copy(&whole, &store);
                let outcome = flip(&dir, &store, &file, &mut random, &expected);
                let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                let kind = if file.starts_with("sweeps") { "sweeps/NAME.json".into() } else { name };
                outcomes.entry(kind).or_default()[outcome] += 1;
            }
        }
    }
    println!("| file | flips | same at once | same after what was said | refused | another result |");
    for (kind, counts) in &outcomes {
        let [same, mended, refused, other] = counts;
        println!("| {kind} | {} | {same} | {mended} | {refused} | {other} |", counts.iter().sum::<u32>());
    }
    assert_eq!(outcomes.values().map(|counts| counts[3]).sum::<u32>(), 0);
}

fn flip(dir: &Workdir, store: &Path, file: &Path, random: &mut ChaCha8Rng, expected: &str) -> usize {
    let path = store.join(file);
    let mut bytes = std::fs::read(&path).expect("a file");
    if bytes.is_empty() {
        return 0;
    }
    let at = random.next_u32() as usize % (8 * bytes.len());
    bytes[at / 8] ^= 1 << (at % 8);
    std::fs::write(&path, bytes).expect("a file");
    // The index of a finished sweep reads no log again: without it the logs are all there is.
    if random.next_u32().is_multiple_of(2) && !file.to_string_lossy().starts_with("crossover.db") {
        for name in ["crossover.db", "crossover.db-wal", "crossover.db-shm"] {
            let _ = std::fs::remove_file(store.join(name));
        }
    }
    let done = finish(dir, store);
    if let Err(said) = &done {
        assert!(!said.contains("panicked") && said.contains("hint:"), "{}: {said}", file.display());
    }
    let told = done.is_err() || export(dir, store).is_none();
    if !told {
        return if export(dir, store).as_deref() == Some(expected) { 0 } else { 3 };
    }
    let mut rebuild = dir.command(&["ingest", "--rebuild"]);
    let _ = rebuild.env("CROSSOVER_STORE", store).output().expect("it starts");
    match finish(dir, store) {
        Ok(()) if export(dir, store).as_deref() == Some(expected) => 1,
        Ok(()) => 3,
        Err(_) => 2,
    }
}

/// Of a store, by their paths in it.
fn files(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![store.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path().strip_prefix(store).expect("within").to_path_buf()),
            }
        }
    }
    found.sort();
    found
}
