//! A folder of its own for each test, and commands run in it; a failing one prints all there is to know.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Workdir {
    folder: tempfile::TempDir,
}

impl Workdir {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).expect("a file in a temporary folder");
        self
    }

    /// The program, not yet started: in this folder, without colour, with a cache folder of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossover"));
        command.args(args).current_dir(self.folder.path()).env("NO_COLOR", "1");
        command
            .env("CROSSOVER_CACHE", self.path("cache"))
            .env_remove("CROSSOVER_WORKER")
            .env_remove("CROSSOVER_STORE")
            .env("COLUMNS", "200");
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Its stdout; it has to succeed.
    pub fn stdout(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{}", describe(self.folder.path(), args, &output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// How the sweeps stand; null while the store is being made.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.output(&["status", "--json"]).stdout).unwrap_or_default()
    }

    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.stdout(args)).expect("JSON")
    }

    /// Its stderr; it has to fail with this exit code and print no data but the error, where JSON is asked for.
    pub fn stderr(&self, args: &[&str], code: i32) -> String {
        let output = self.output(args);
        let described = describe(self.folder.path(), args, &output);
        assert_eq!(output.status.code(), Some(code), "{described}");
        if args.contains(&"--json") {
            let data: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(data["error"]["exit_code"], code, "{described}");
        } else {
            assert!(output.stdout.is_empty(), "{described}");
        }
        String::from_utf8(output.stderr).expect("UTF-8")
    }
}

fn describe(folder: &Path, args: &[&str], output: &Output) -> String {
    format!(
        "\nin {}\ncrossover {}\n{}\nstdout: {}\nstderr: {}",
        folder.display(),
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
