//! A real slurmctld with two slurmds on this machine, for tests of pilots: one for all of them, ended with them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::workdir::Workdir;

pub struct Cluster {
    folder: PathBuf,
}

/// That of all tests; none, and why is said, where there can be none.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(1001)).as_ref()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm.sh")
}

impl Cluster {
    /// With arrays of at most so many tasks.
    pub fn start(largest_array: u32) -> Option<Cluster> {
        let is_there = |program: &str| {
            let places = ["/usr/sbin", "/usr/bin", "/sbin", "/usr/local/bin"];
            places.iter().any(|place| Path::new(place).join(program).exists())
        };
        let is_root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
        if !is_root || !["slurmctld", "slurmd", "munged"].iter().all(|program| is_there(program)) {
            println!("SKIPPED: tests of pilots want root and Slurm: make slurm-packages");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder").keep();
        let mut start = Command::new(script());
        start.arg("start").arg(&folder).arg(std::process::id().to_string());
        start.env("CROSSOVER_SLURM_ARRAY", largest_array.to_string()).stdin(Stdio::null());
        let started = start.output().expect("a shell");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Some(Cluster { folder })
    }

    pub fn conf(&self) -> PathBuf {
        self.folder.join("slurm.conf")
    }

    /// A program of Slurm, and what it says.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("SLURM_CONF", self.conf()).output().expect("a program");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn kill_controller(&self) {
        let pid = std::fs::read_to_string(self.folder.join("slurmctld.pid")).expect("its number");
        kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGKILL).expect("it runs");
    }

    /// As when its power fails: what runs there is killed by whoever knows it.
    pub fn kill_node(&self, node: &str) {
        let pid = std::fs::read_to_string(self.folder.join(format!("slurmd-{node}.pid"))).expect("its number");
        kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGKILL).expect("it runs");
    }

    pub fn start_controller(&self) {
        assert!(Command::new(script()).arg("controller").arg(&self.folder).status().expect("a shell").success());
    }
}

/// A folder with a sweep, a profile and a cluster that it is for.
pub struct Lab<'a> {
    pub dir: Workdir,
    pub cluster: &'a Cluster,
    pub noop: &'static str,
}

impl<'a> Lab<'a> {
    pub fn new(cluster: &'a Cluster, sweep: &str, profile: &str, noop: &'static str) -> Lab<'a> {
        let dir = Workdir::new();
        dir.write("many.toml", sweep).write("profile.toml", profile);
        Lab { dir, cluster, noop }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.dir.command(args);
        command.env("SLURM_CONF", self.cluster.conf()).env("CROSSOVER_SLURM_SECONDS", "0.5");
        command.env("CROSSOVER_NOOP", self.noop).stdin(Stdio::null());
        command
    }

    /// What it says on stdout and stderr; it has to succeed.
    pub fn says(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}\n{}", self.logs());
        said
    }

    /// What it says on stderr; it has to fail.
    pub fn refuses(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it starts");
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn submit(&self, more: &[&str]) -> String {
        self.says(&[&["run", "many.toml", "--executor", "slurm", "--profile", "profile.toml"], more].concat())
    }

    pub fn status(&self) -> Value {
        let output = self.command(&["status", "many", "--json"]).output().expect("it starts");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")[0].take()
    }

    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(60), "{what}: {}\n{}", self.status(), self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Metrics that were logged so far.
    pub fn logged(&self) -> usize {
        crate::interrupted::logs(&self.dir).iter().map(|log| log.matches("\"metrics\"").count()).sum()
    }

    /// Of pilots that came and have not said that they left: what they are called, and their processes.
    pub fn pilots(&self) -> Vec<(String, i32)> {
        let mut found = Vec::new();
        for batch in std::fs::read_dir(self.dir.path("runs/slurm")).into_iter().flatten().flatten() {
            for entry in std::fs::read_dir(batch.path().join("pilots")).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_there = path.extension().is_some_and(|extension| extension == "came")
                    && !path.with_extension("left").exists()
                    && !path.with_extension("gone").exists();
                let came = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
                if let (true, Some(came)) = (is_there, came) {
                    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                    found.push((name, came["pid"].as_i64().expect("a number") as i32));
                }
            }
        }
        found
    }

    /// Kills a pilot, its batch shell first, so that nobody says anything.
    pub fn kill_pilot(&self, pid: i32) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let shell = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2)?.parse::<i32>().ok());
        for pid in shell.into_iter().chain([pid]).filter(|pid| *pid > 1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// That were submitted.
    pub fn scripts(&self) -> Vec<String> {
        let batches = std::fs::read_dir(self.dir.path("runs/slurm")).into_iter().flatten().flatten();
        let files = batches.flat_map(|batch| std::fs::read_dir(batch.path().join("submissions")).into_iter().flatten());
        let scripts =
            files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "sh"));
        scripts.map(|path| std::fs::read_to_string(path).expect("a script")).collect()
    }

    /// What pilots said.
    pub fn logs(&self) -> String {
        let mut said = String::new();
        for batch in std::fs::read_dir(self.dir.path("runs/slurm")).into_iter().flatten().flatten() {
            for entry in std::fs::read_dir(batch.path().join("logs")).into_iter().flatten().flatten() {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                said += &format!("{}:\n{text}\n", entry.path().display());
            }
        }
        said
    }

    pub fn export(&self) -> String {
        self.dir.stdout(&["export", "many", "--format", "csv", "--no-times"])
    }

    /// Waits for the rest; then all is as if the sweep had been trained here, and nothing of it is left in the queue.
    pub fn finish(&self) {
        let said = self.submit(&["--wait"]);
        self.is_as_here(&said);
    }

    pub fn is_as_here(&self, said: &str) {
        let here = Workdir::new();
        let sweep = std::fs::read_to_string(self.dir.path("many.toml")).expect("a sweep");
        if let Ok(script) = std::fs::read_to_string(self.dir.path("train.py")) {
            here.write("train.py", &script);
        }
        let trained = here.write("many.toml", &sweep).command(&["run", "many.toml"]).env("CROSSOVER_NOOP", "").output();
        assert!(trained.expect("it starts").status.success());
        let expected = here.stdout(&["export", "many", "--format", "csv", "--no-times"]);
        assert_eq!(self.export(), expected, "{said}\n{}", self.logs());
        for log in crate::interrupted::logs(&self.dir) {
            assert_eq!(log.matches("\"done\"").count(), 1, "done once: {log}");
        }
        crate::interrupted::no_worker_is_left(&self.dir);
        let names: Vec<String> = std::fs::read_dir(self.dir.path("runs/slurm"))
            .expect("batches")
            .flatten()
            .map(|batch| format!("crossover-{}", batch.file_name().to_string_lossy()))
            .collect();
        self.until("pilots leave", || {
            let queue = self.cluster.ask("squeue", &["--noheader", "--format=%j"]);
            !queue.lines().any(|line| names.iter().any(|name| line.trim().starts_with(name.as_str())))
        });
    }
}
