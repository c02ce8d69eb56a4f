//! The programs that train: the worker, wherever it was installed, with the libtorch that it is started with; and this
//! program itself, which starts scripts and loads no libtorch.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::sys::signal::Signal;

use crate::cache;
use crate::error::{Error, Result};
use crate::shell::quoted;

const NAME: &str = "crossover-worker";
const LIBRARY: &str = "libtorch_cpu.so";
const VERSION: &str = "2.11.0";
/// The dynamic linker ends a program with this when a library is missing.
const NO_LIBRARY: i32 = 127;

/// What trains a run. A worker is of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrainedBy {
    Libtorch,
    Script,
}

/// Found once, started as often as it takes.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// Of libtorch; none where no folder is known, and the dynamic linker is left to find it.
    libraries: Option<PathBuf>,
    trains: TrainedBy,
}

impl TrainedBy {
    /// # Errors
    /// Its program is not there.
    pub fn program(self) -> Result<Program> {
        match self {
            TrainedBy::Libtorch => Program::find(),
            TrainedBy::Script => Ok(Program { path: std::env::current_exe()?, libraries: None, trains: self }),
        }
    }
}

impl Program {
    /// `$CROSSOVER_WORKER`, else `crossover-worker` beside this program, else the one on PATH.
    ///
    /// # Errors
    /// There is none.
    pub fn find() -> Result<Self> {
        let libraries = libraries(&places());
        if let Some(path) = std::env::var_os("CROSSOVER_WORKER") {
            return Ok(Self { path: path.into(), libraries, trains: TrainedBy::Libtorch });
        }
        let beside = std::env::current_exe()?.with_file_name(NAME);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join(NAME));
        let Some(path) = std::iter::once(beside.clone()).chain(on_path).find(|path| path.is_file()) else {
            let error = Error::failed(format!("there is no worker program: neither {} nor on PATH", beside.display()));
            return Err(error.hint(
                "'make build' in the source folder builds both programs, 'make install' installs both; CROSSOVER_WORKER \
                 names another",
            ));
        };
        Ok(Self { path, libraries, trains: TrainedBy::Libtorch })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn trains(&self) -> TrainedBy {
        self.trains
    }

    /// As a person starts it.
    pub fn typed(&self) -> String {
        let path = quoted(&self.path.display().to_string());
        if self.trains == TrainedBy::Script { format!("{path} script") } else { path }
    }

    /// Not yet started. LD_LIBRARY_PATH of the user comes first.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if self.trains == TrainedBy::Script {
            command.arg("script");
        }
        if let Some(libraries) = &self.libraries {
            let given = std::env::var_os("LD_LIBRARY_PATH").filter(|given| !given.is_empty());
            let mut paths = given.map_or_else(OsString::new, |mut given| {
                given.push(":");
                given
            });
            paths.push(libraries);
            command.env("LD_LIBRARY_PATH", paths);
        }
        command
    }
}

/// Where libtorch may be, the first that holds: `$LIBTORCH`, what this program was built against, beside the program, the
/// cache folder.
fn places() -> Vec<PathBuf> {
    let chosen = std::env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from);
    let built = option_env!("CROSSOVER_LIBTORCH_LIB").map(PathBuf::from);
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().skip(1).take(2).map(|folder| folder.join("libtorch/lib"));
    let cached = |kind: &str| Some(cache::dir().ok()?.join(format!("libtorch-{VERSION}-{kind}/lib")));
    let chosen = chosen.map(|folder| folder.join("lib")).into_iter().chain(built).chain(beside);
    chosen.chain(["cuda", "cpu"].into_iter().filter_map(cached)).collect()
}

fn libraries(places: &[PathBuf]) -> Option<PathBuf> {
    places.iter().find(|folder| folder.join(LIBRARY).exists()).cloned()
}

/// To be said of a process.
pub fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(9)) => "was killed by SIGKILL, as the kernel does when memory runs out".into(),
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
            format!("was killed by {name}")
        }
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, None) => "ended".into(),
    }
}

/// What to do about a worker that ended because a library is missing; none if it ended for another reason.
pub fn missing_library(exit_code: Option<i32>, said: &str) -> Option<Error> {
    let line = said.lines().find(|line| line.contains("error while loading shared libraries"));
    if exit_code != Some(NO_LIBRARY) && line.is_none() {
        return None;
    }
    let what = line.and_then(|line| line.split("shared libraries: ").nth(1)).unwrap_or("a library is missing");
    let error = Error::failed(format!("the worker cannot load libtorch: {what}"));
    Some(error.hint(format!(
        "set LIBTORCH to the folder of a libtorch {VERSION}, or put it as 'libtorch' beside the program; the one of a \
         Python with torch {VERSION} works too: export LIBTORCH=$(python3 -c 'import os, torch; \
         print(os.path.dirname(torch.__file__))')"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_holds_libtorch_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [empty, first, second] = ["empty", "first", "second"].map(|name| folder.path().join(name));
        for place in [&empty, &first, &second] {
            std::fs::create_dir(place).unwrap();
        }
        std::fs::write(first.join(LIBRARY), "").unwrap();
        std::fs::write(second.join(LIBRARY), "").unwrap();
        assert_eq!(libraries(&[empty.clone(), first.clone(), second]), Some(first));
        assert_eq!(libraries(&[empty]), None);
    }

    #[test]
    fn a_missing_libtorch_is_told_with_what_to_do() {
        let linker = "crossover-worker: error while loading shared libraries: libtorch_cpu.so: cannot open shared object \
                      file: No such file or directory";
        let error = missing_library(None, linker).unwrap();
        assert!(error.message.contains("libtorch_cpu.so: cannot open shared object file"), "{error}");
        assert!(error.hint.unwrap().contains("LIBTORCH"));
        assert!(missing_library(Some(1), "error: a run failed").is_none());
        assert!(missing_library(Some(127), "").is_some());
    }
}
