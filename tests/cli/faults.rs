//! What happens to stores: indexes that are lost, folders that are deleted, logs that lose lines, users who may not write.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::workdir::Workdir;

/// Runs of the worker that trains nothing, of several evaluations each.
fn sweep(seeds: u64) -> String {
    let seeds: Vec<u64> = (0..seeds).collect();
    format!(
        "name = \"small\"\ntask = {{ name = \"mnist1d\" }}\n[axes]\nexamples = [100, 200]\nseed = {seeds:?}\n\
         [budget]\nsteps = 40\n[train]\nbatch = 64\nevals = 3\n[[model]]\narch = \"mlp\"\n"
    )
}

fn finished(seeds: u64) -> Workdir {
    let dir = Workdir::new();
    dir.write("small.toml", &sweep(seeds));
    ran(&dir, &["run", "small.toml"]);
    dir
}

fn output(dir: &Workdir, args: &[&str]) -> Output {
    dir.command(args).env("CROSSOVER_NOOP", "").output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its stderr; it has to succeed.
fn ran(dir: &Workdir, args: &[&str]) -> String {
    let output = output(dir, args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "small", "--format", "csv", "--no-times"])
}

fn runs(dir: &Workdir) -> Vec<String> {
    let members = dir.json(&["status", "small", "--json"])[0]["members"].take();
    members.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("a fifo");
}

/// How it ended within ten seconds, and what it said; what hangs is killed.
fn within(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let since = Instant::now();
    while child.try_wait().expect("its status").is_none() {
        if since.elapsed() > Duration::from_secs(10) {
            child.kill().expect("it hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it ended");
    (output.status.code(), said(&output))
}

#[test]
fn every_command_says_that_the_index_is_lost_and_none_begins_a_new_one() {
    let dir = finished(1);
    let expected = export(&dir);
    let run = runs(&dir)[0].clone();
    for lost in ["not there", "empty"] {
        match lost {
            "empty" => drop(dir.write("runs/crossover.db", "")),
            _ => std::fs::remove_file(dir.path("runs/crossover.db")).expect("the index"),
        }
        for args in [
            "status",
            "status small --json",
            "list",
            "fit small",
            "plot small -o small.svg",
            "export small --format csv",
            "next small",
            "resume",
            "plan small.toml --no-time",
            "run small.toml",
            "run small.toml --dry-run",
            "ingest",
            "rename small other",
            "compare runs runs",
            "show RUN",
        ] {
            let words: Vec<&str> = args.split(' ').map(|word| if word == "RUN" { &run } else { word }).collect();
            let output = output(&dir, &words);
            assert_eq!(output.status.code(), Some(1), "{args}: {}", said(&output));
            let told = format!("runs holds folders of runs, and their index crossover.db is {lost}");
            assert!(said(&output).contains(&told), "{args}: {}", said(&output));
            assert!(said(&output).contains("'crossover ingest --rebuild' makes it again"), "{args}: {}", said(&output));
        }
        let left = dir.path("runs/crossover.db").metadata().map_or(0, |index| index.len());
        assert_eq!(left, 0, "nothing was begun");
        dir.stdout(&["ingest", "--rebuild"]);
        assert_eq!(export(&dir), expected);
    }
}

#[test]
fn a_store_is_rebuilt_within_few_open_files() {
    let dir = finished(40);
    let expected = export(&dir);
    std::fs::remove_file(dir.path("runs/crossover.db")).expect("the index");
    let rebuild = format!("ulimit -n 24; exec '{}' ingest --rebuild", env!("CARGO_BIN_EXE_crossover"));
    let output = Command::new("sh").args(["-c", &rebuild]).current_dir(dir.path("")).output().expect("a shell");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(export(&dir), expected);
}

#[test]
fn a_rebuild_that_is_killed_at_any_moment_leaves_a_whole_index() {
    let dir = finished(20);
    let expected = export(&dir);
    // The fastest of three: beside other tests one alone may take several times as long, and few would be hit.
    let timed = |_| {
        let since = Instant::now();
        dir.stdout(&["ingest", "--rebuild"]);
        since.elapsed()
    };
    let whole = (0..3).map(timed).min().expect("three");
    let mut killed = 0;
    for part in 0..30u32 {
        let mut child = dir.command(&["ingest", "--rebuild"]).stderr(Stdio::null()).spawn().expect("it starts");
        // Most of the time goes before and after what matters: the moments are spread over all of it.
        std::thread::sleep(whole * part / 24);
        child.kill().expect("a child");
        killed += u32::from(!child.wait().expect("its status").success());
        assert_eq!(export(&dir), expected, "killed after {part} of 24 parts of {whole:?}");
    }
    assert!(killed > 10, "{killed} of 30 were hit");
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(export(&dir), expected);
    let names = std::fs::read_dir(dir.path("runs")).expect("the store").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("crossover.db.")).collect();
    assert_eq!(left.len(), 0, "nothing lies about: {left:?}");
}

#[test]
fn a_log_that_lost_metrics_makes_its_run_to_do_and_the_results_are_the_same() {
    let dir = finished(1);
    let expected = export(&dir);
    let run = &runs(&dir)[0];
    let log = dir.path(&format!("runs/{run}/events.jsonl"));
    let text = std::fs::read_to_string(&log).expect("a log");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"step\":12,")).collect();
    assert_eq!(kept.len() + 1, text.lines().count());
    std::fs::write(&log, format!("\0\0\0\n{}\n{}\n", kept[0], kept.join("\n"))).expect("the log");
    let output = dir.output(&["ingest", "--rebuild", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the folders hold less than the old database did"), "{}", said(&output));
    assert!(said(&output).contains("it is kept as ") && said(&output).contains("crossover.db.kept-1"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["repeated"], report["skipped"].as_array().map(Vec::len)), (&1.into(), Some(1)));
    assert!(report["less"].as_str().is_some_and(|less| less.contains("values of metrics")), "{report}");
    assert!(dir.path("runs/crossover.db.kept-1").exists());
    let status = dir.stdout(&["status"]);
    assert!(status.contains("the metrics of step 12 are missing: its log lost lines"), "{status}");
    assert!(status.contains("1 lines of event logs could not be read, 1 lines of event logs repeat"), "{status}");
    assert!(dir.stdout(&["show", run]).contains("1 lines of event logs could not be read"));
    ran(&dir, &["run", "small.toml"]);
    assert_eq!(export(&dir), expected);
}

#[test]
fn a_run_whose_folder_was_deleted_is_done_again() {
    let dir = finished(2);
    let expected = export(&dir);
    std::fs::remove_dir_all(dir.path(&format!("runs/{}", runs(&dir)[1]))).expect("a run's folder");
    let status = dir.stdout(&["status"]);
    assert!(status.contains("small: the folders of 1 runs were deleted: they are to do again"), "{status}");
    assert_eq!(dir.json(&["status", "--json"])[0]["deleted"], 1);
    let told = ran(&dir, &["run", "small.toml"]);
    assert!(told.contains("its log was deleted, so it is to do again"), "{told}");
    assert_eq!(export(&dir), expected);
}

#[test]
fn a_damaged_record_is_named_and_mended() {
    let dir = finished(2);
    let ids = runs(&dir);
    let record = |at: usize| dir.path(&format!("runs/{}/run.json", ids[at]));
    std::fs::write(record(0), "").expect("a record");
    let told = ran(&dir, &["ingest", "--rebuild"]);
    assert!(told.contains("run.json: written again from what the database knew"), "{told}");
    // As after a power cut, with the index lost too.
    (0..4).for_each(|at| std::fs::write(record(at), "").expect("a record"));
    std::fs::remove_file(dir.path("runs/crossover.db")).expect("the index");
    let output = dir.output(&["ingest", "--rebuild", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&format!("damaged: {}", record(0).display())), "{}", said(&output));
    assert!(said(&output).contains("run.json: it is empty") && said(&output).contains("4 records are damaged"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((report["damaged"].as_array().map(Vec::len), &report["error"]["exit_code"]), (Some(4), &1.into()));
    // The plan knows them, and their logs are there.
    ran(&dir, &["run", "small.toml"]);
    assert_eq!(dir.json(&["status", "--json"])[0]["counts"]["done"], 4);
}

/// Starts a shell with what it is given to type.
type Shell<'s> = &'s dyn Fn(&str) -> Command;

/// As another user, and where nothing can be written at all.
#[test]
fn what_cannot_be_written_is_read() {
    let dir = finished(1);
    let open = |path: &str| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(path), mode).expect("permissions");
    };
    open("");
    open("runs");
    let program = dir.path("crossover");
    std::fs::copy(env!("CARGO_BIN_EXE_crossover"), &program).expect("the program");
    let export = "export small --format csv --no-times";
    let expected = dir.stdout(&export.split(' ').collect::<Vec<_>>());
    let commands = [export, "status", "list", "fit small --bootstrap 0", "plot small --bootstrap 0 --json"];
    let whole = |how: &str, shell: &dyn Fn(&str) -> Command| {
        for command in commands {
            let typed = format!("CROSSOVER_CACHE=/nonexistent '{}' {command}", program.display());
            let output = shell(&typed).current_dir(dir.path("")).output().expect("a shell");
            // A power law needs more scales than this sweep has.
            let expected_code = i32::from(command.starts_with("fit"));
            let told = said(&output);
            assert_eq!(output.status.code(), Some(expected_code), "{how}: {command}: {told}");
            assert!(!told.contains("cannot open") && !told.contains("permission"), "{how}: {command}: {told}");
            if command == export {
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{how}");
            }
        }
    };
    let other = |typed: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", typed]);
        command
    };
    let mounted = |typed: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "-m",
            "sh",
            "-c",
            &format!("mount -o bind,ro runs runs && mount -o remount,bind,ro runs && {typed}"),
        ]);
        command
    };
    let mut ways: Vec<(&str, Shell)> = Vec::new();
    for (how, shell) in [("another user", &other as Shell), ("a read-only mount", &mounted)] {
        match shell("true").current_dir(dir.path("")).status() {
            Ok(status) if status.success() => ways.push((how, shell)),
            _ => eprintln!("SKIPPED: this machine does not let the test be {how}"),
        }
    }
    ways.iter().for_each(|(how, shell)| whole(how, shell));
    // What a killed writer leaves beside the index, with what SQLite keeps beside that and without.
    let mut training = dir.command(&["run", "small.toml", "--slots", "1"]);
    dir.write("small.toml", &sweep(2));
    let mut training =
        training.env("CROSSOVER_NOOP", "step_millis=50").stderr(Stdio::null()).spawn().expect("it starts");
    let since = Instant::now();
    while dir.json(&["status", "--json"])[0]["runs"] != 4 && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    training.kill().expect("a child");
    training.wait().expect("it ends");
    assert!(dir.path("runs/crossover.db-wal").metadata().is_ok_and(|log| log.len() > 0), "a log is left");
    let saved = std::fs::read(dir.path("runs/crossover.db-wal")).expect("the log");
    let expected = "4";
    for shm in [true, false] {
        for (how, shell) in &ways {
            // Reading as root in between takes the log in.
            std::fs::write(dir.path("runs/crossover.db-wal"), &saved).expect("the log");
            if !shm {
                let _ = std::fs::remove_file(dir.path("runs/crossover.db-shm"));
            }
            let typed = format!("'{}' status --json", program.display());
            let output = shell(&typed).current_dir(dir.path("")).output().expect("a shell");
            assert!(output.status.success(), "{how}, {shm}: {}", said(&output));
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(status[0]["runs"].to_string(), expected, "{how}, {shm}");
        }
    }
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let dir = finished(1);
    let run = runs(&dir)[0].clone();
    fifo(&dir.path("fifo.toml"));
    fifo(&dir.path("fifo.csv"));
    std::fs::create_dir(dir.path("folder.toml")).expect("a folder");
    for (args, told) in [
        ("plan fifo.toml --no-time", "fifo.toml: it is a fifo (a named pipe), not a file"),
        ("run fifo.toml", "it is a fifo"),
        ("status fifo.toml", "it is a fifo"),
        ("plan folder.toml --no-time", "it is a folder, not a file"),
        ("fit --file fifo.csv", "fifo.csv: it is a fifo"),
        ("import fifo.csv", "it is a fifo"),
    ] {
        let (code, error) = within(dir.command(&args.split(' ').collect::<Vec<_>>()));
        assert!(code == Some(2) && error.contains(told) && error.contains("hint:"), "{args}: {code:?} {error}");
    }
    let replace = |name: &str| {
        let path = dir.path(&format!("runs/{name}"));
        std::fs::rename(&path, dir.path("aside")).expect("a file of the store");
        fifo(&path);
    };
    let back = |name: &str| std::fs::rename(dir.path("aside"), dir.path(&format!("runs/{name}"))).expect("the same");
    for (name, args) in
        [("crossover.db", "status"), ("crossover.db", "ingest"), (&*format!("{run}/events.jsonl"), "ingest --rebuild")]
    {
        replace(name);
        let (code, error) = within(dir.command(&args.split(' ').collect::<Vec<_>>()));
        assert!(
            code == Some(1) && error.contains("it is a fifo") && error.contains("hint:"),
            "{name}: {code:?} {error}"
        );
        back(name);
    }
    replace(&format!("{run}/run.json"));
    let (code, error) = within(dir.command(&["ingest", "--rebuild"]));
    assert!(code == Some(0) && error.contains("written again"), "{code:?} {error}");
    replace("writer.lock");
    let (code, _) = within(dir.command(&["status"]));
    assert_eq!(code, Some(0));
    let (code, error) = within(dir.command(&["ingest"]));
    assert!(code == Some(1) && error.contains("writer.lock: it is a fifo"), "{code:?} {error}");
}

/// One bit of each page of the index: every command that reads values gives the same or says what to type.
#[test]
fn a_flipped_bit_in_the_index_is_told_and_mended() {
    let dir = finished(2);
    let index = dir.path("runs/crossover.db");
    let whole = std::fs::read(&index).expect("the index");
    let csv = ["export", "small", "--format", "csv", "--no-times"];
    let (commands, pages) = ([&csv[..], &["status", "--json"]], whole.len() / 4096);
    let expected = commands.map(|args| dir.stdout(args));
    let mut told = 0;
    for page in 0..pages {
        let mut bytes = whole.clone();
        bytes[4096 * page + 4000] ^= 16;
        std::fs::write(&index, bytes).expect("the index");
        for (args, expected) in commands.iter().zip(&expected) {
            let output = output(&dir, args);
            if output.status.success() {
                assert_eq!(String::from_utf8_lossy(&output.stdout), *expected, "page {page}");
            } else {
                assert!(said(&output).contains("crossover.db is damaged: its checksums say that"), "{}", said(&output));
                assert!(said(&output).contains("hint: 'crossover ingest --rebuild' makes it again"));
                told += 1;
            }
        }
    }
    assert!(told > pages / 2, "{told} of {pages} pages");
    ran(&dir, &["ingest", "--rebuild"]);
    assert_eq!(commands.map(|args| dir.stdout(args)), expected);
}

/// The index has what it said, and the commands that look at logs say that it alone has.
#[test]
fn a_log_that_is_deleted_alone_is_told() {
    let dir = finished(1);
    let (expected, run) = (export(&dir), runs(&dir)[0].clone());
    std::fs::remove_file(dir.path(&format!("runs/{run}/events.jsonl"))).expect("a log");
    ran(&dir, &["run", "small.toml"]);
    assert_eq!(export(&dir), expected);
    for told in [ran(&dir, &["ingest"]), dir.stdout(&["status", "small"]), dir.stdout(&["show", &run])] {
        let names = told.contains(&format!("the logs of {run} were deleted"));
        assert!(names && told.contains("crossover retry RUN"), "{told}");
    }
    assert_eq!(dir.json(&["ingest", "--json"])["without_log"][0], run.as_str());
    assert_eq!(dir.json(&["status", "small", "--json"])[0]["without_log"][0], run.as_str());
    assert_eq!(dir.json(&["show", &run, "--json"])["without_log"], true);
    let told = dir.stderr(&["ingest", "--rebuild"], 1);
    assert!(told.contains("the folders hold less than the old database did"), "{told}");
    ran(&dir, &["run", "small.toml"]);
    assert_eq!(export(&dir), expected);
    assert!(dir.json(&["ingest", "--json"])["without_log"].as_array().unwrap().is_empty());
}

/// It is not made again at its old place, and where it is now the sweep goes on.
#[test]
fn a_store_that_is_moved_while_it_is_trained_into_stops_the_sweep() {
    let dir = Workdir::new();
    dir.write("small.toml", &sweep(2));
    let mut training = dir.command(&["run", "small.toml", "--slots", "1"]);
    let training = training.env("CROSSOVER_NOOP", "step_millis=30 checkpoint_every=5").stderr(Stdio::piped());
    let training = training.spawn().expect("it starts");
    let since = Instant::now();
    let done = || dir.status()[0]["counts"]["done"] == 1;
    while !done() && since.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::rename(dir.path("runs"), dir.path("moved")).expect("a store");
    let output = training.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is gone: it was moved, removed or unmounted"), "{}", said(&output));
    assert!(said(&output).contains("hint: bring it back, or name where it is now with --store DIR"));
    assert!(!dir.path("runs").exists(), "nothing makes it again");
    ran(&dir, &["run", "small.toml", "--store", "moved"]);
    assert_eq!(dir.json(&["status", "--store", "moved", "--json"])[0]["counts"]["done"], 4);
}

#[test]
fn names_that_could_not_be_typed_are_refused() {
    let dir = finished(1);
    dir.write("a.csv", "arch,examples,loss\nvit,1,1\nvit,2,0.9\n");
    for name in ["--help", "-x", "-"] {
        dir.write("named.toml", &sweep(1).replace("\"small\"", &format!("{name:?}")));
        assert!(dir.stderr(&["plan", "named.toml", "--no-time"], 2).contains("no name for a sweep"));
        assert!(dir.stderr(&["import", "a.csv", &format!("--name={name}")], 2).contains("cannot name"));
        assert!(dir.stderr(&["rename", "small", "--", name], 2).contains("no name for a sweep"));
    }
    std::fs::rename(dir.path("a.csv"), dir.path("-x.csv")).expect("a file");
    assert!(dir.stdout(&["import", "./-x.csv"]).contains("as 'x'"), "a file may be called so");
}

/// A disk of its own, mounted while it lives.
struct Disk<'d> {
    dir: &'d Workdir,
    at: &'static str,
}

impl<'d> Disk<'d> {
    /// None where this machine does not let the test mount.
    fn mount(dir: &'d Workdir, image: &str, at: &'static str) -> Option<Disk<'d>> {
        std::fs::create_dir_all(dir.path(at)).expect("a folder");
        let mounted = Command::new("mount").args(["-o", "loop", image, at]).current_dir(dir.path("")).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Disk { dir, at })
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.at]).current_dir(self.dir.path("")).status();
    }
}

/// What the disk holds while a sweep is trained is what a power cut leaves: whole records, and an index that knows them.
#[test]
fn a_power_cut_leaves_records_and_an_index() {
    let dir = Workdir::new();
    dir.write("small.toml", &sweep(16));
    let image = File::create(dir.path("image")).and_then(|image| image.set_len(64 << 20));
    image.expect("an image");
    let made = Command::new("mkfs.ext4").args(["-q", "image"]).current_dir(dir.path("")).status();
    let disk = made.ok().and_then(|_| Disk::mount(&dir, "image", "disk"));
    let Some(_disk) = disk else {
        return eprintln!("SKIPPED: this machine does not let the test mount an image");
    };
    let mut training = dir.command(&["run", "small.toml", "--store", "disk/runs", "--slots", "1"]);
    let mut training =
        training.env("CROSSOVER_NOOP", "step_millis=20").stderr(Stdio::null()).spawn().expect("it starts");
    let status = |store: &str| {
        let output = dir.output(&["status", "small", "--json", "--store", store]);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        found.get(0).cloned().unwrap_or_default()
    };
    let since = Instant::now();
    while status("disk/runs")["counts"]["running"] != 1 && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::copy(dir.path("image"), dir.path("cut")).expect("what is on the disk");
    training.kill().expect("a child");
    training.wait().expect("it ends");
    let _cut = Disk::mount(&dir, "cut", "after").expect("a whole file system");
    let folders = std::fs::read_dir(dir.path("after/runs")).expect("the store").flatten();
    let records = folders.filter_map(|folder| std::fs::read(folder.path().join("run.json")).ok());
    let whole = records.filter(|record| serde_json::from_slice::<serde_json::Value>(record).is_ok()).count();
    assert_eq!((whole, status("after/runs")["runs"].as_u64()), (32, Some(32)));
    ran(&dir, &["run", "small.toml", "--store", "after/runs"]);
    assert_eq!(status("after/runs")["counts"]["done"], 32);
}
