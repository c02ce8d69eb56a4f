//! What a script says of itself before anything is trained: asked once for each config, and remembered in the cache folder
//! under the hash of all that the answer depends on.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::process::{Guard, Running, Start, end_all_of};
use super::protocol::{self, Asked, Hello, Line};
use super::{Declared, Script, files};
use crate::cache;
use crate::error::{Context, Error, Result};
use crate::files::{end_of, write_atomically};
use crate::out;
use crate::run::{Named, Recipe, RunConfig};
use crate::task::files::data_dir;

/// Imports of a deep-learning library from a cold disk take half a minute.
const WITHIN: Duration = Duration::from_secs(120);
/// Of what it prints beside its hello.
const MOST: u64 = 1 << 20;

/// What planning has to know of scripts, and cannot compute.
pub trait Scripts {
    /// The hash of what is in a script's files.
    fn hash(&self, script: &Declared) -> Result<String>;
    /// What it says of itself, for a task.
    fn hello(&self, script: &Script, task: &Named) -> Result<Hello>;
}

/// Scripts of this machine.
#[derive(Default)]
pub struct Here {
    /// Whom it was said of that they are asked.
    told: RefCell<HashSet<String>>,
}

/// Nobody is asked: for programs that plan what they do not trust.
pub struct Nowhere;

impl Scripts for Here {
    fn hash(&self, script: &Declared) -> Result<String> {
        files::hash(script)
    }

    fn hello(&self, script: &Script, task: &Named) -> Result<Hello> {
        if let Some(known) = known(script, task) {
            return Ok(known);
        }
        let place = remembered(script, task)?;
        let typed = script.declared.typed();
        if self.told.borrow_mut().insert(typed.clone()) {
            out::say(format_args!("asking {typed} what it is (each answer is kept until its files change)"));
        }
        let hello = ask(script, task)?;
        let failed = || format!("cannot write {}", place.display());
        write_atomically(&place, &serde_json::to_vec(&hello).context(failed)?)?;
        Ok(hello)
    }
}

/// What it has said when it was asked before; nobody is asked.
pub fn known(script: &Script, task: &Named) -> Option<Hello> {
    let text = std::fs::read(remembered(script, task).ok()?).ok()?;
    serde_json::from_slice::<Hello>(&text).ok().filter(|known| known.protocol == protocol::VERSION)
}

impl Scripts for Nowhere {
    fn hash(&self, _: &Declared) -> Result<String> {
        Err(Error::bad_input("scripts are not started here"))
    }

    fn hello(&self, _: &Script, _: &Named) -> Result<Hello> {
        Err(Error::bad_input("scripts are not started here"))
    }
}

/// Where the answer is kept. Its speed is that of this machine's processor and GPUs.
fn remembered(script: &Script, task: &Named) -> Result<PathBuf> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    let cpu = format!("{cpu}{}", gpus(Path::new("/proc/driver/nvidia/gpus")));
    let asked = serde_json::to_string(&(script.named(), task)).context(|| "cannot write what a script is asked")?;
    let digest = Sha256::digest(format!("{} {cpu} {asked}", protocol::VERSION));
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache::dir()?.join("scripts").join(format!("{name}.json")))
}

/// Their kinds, as NVIDIA's driver has them in a folder for each: nvidia-smi takes a second to say so. Nothing where there is none.
fn gpus(driver: &Path) -> String {
    let listed = std::fs::read_dir(driver).into_iter().flatten().flatten();
    let texts = listed.filter_map(|gpu| std::fs::read_to_string(gpu.path().join("information")).ok());
    let kind = |text: String| Some(text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned());
    let kinds: BTreeSet<String> = texts.filter_map(kind).collect();
    kinds.iter().map(|kind| format!(", {kind}")).collect()
}

/// Starts it in a folder that is removed afterwards, with `CROSSOVER_DESCRIBE` set, and takes the hello from its stdout.
///
/// # Errors
/// It cannot be started, fails, takes too long, or says none.
pub fn ask(script: &Script, task: &Named) -> Result<Hello> {
    let failed = || "cannot ask a script what it is";
    let folder = tempfile::tempdir().context(failed)?;
    let place = |name: &str| folder.path().join(name);
    let (lines, file, data) = (place("none"), place("script.json"), data_dir()?);
    let train = Recipe::default();
    let config = RunConfig { model: script.named(), task: task.clone(), examples: 1, steps: 1, train, seed: 0 };
    let asked = Asked {
        protocol: protocol::VERSION,
        id: "",
        attempt: 1,
        config: &script.keys,
        task: protocol::task(&config),
        examples: config.examples,
        steps: config.steps,
        seed: config.seed,
        train: config.train.keys(),
        evaluations: config.evaluations(),
        resume: 0,
        threads: 1,
        grace: 1.0,
        folder: folder.path(),
        events: &lines,
        data: &data,
    };
    write_atomically(&file, &serde_json::to_vec_pretty(&asked).context(failed)?)?;
    let create = |name: &str| File::create(place(name)).context(failed);
    // It ends what the script started also where this process is killed before it can.
    let _guard = Guard::over(&file)?;
    let mut running = Running::start(Start {
        script: &script.declared,
        folder: folder.path(),
        asked: &file,
        describe: true,
        stdout: create("stdout")?,
        stderr: create("stderr")?,
        grace: Duration::ZERO,
    })?;
    let since = Instant::now();
    let status = loop {
        match running.ended()? {
            Some(status) => break Some(status),
            None if since.elapsed() > WITHIN => break None,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    drop(running);
    end_all_of(&file)?;
    let typed = script.declared.typed();
    let hint = "with CROSSOVER_DESCRIBE set a script prints its hello and leaves (docs/protocol.md); where one cannot, \
                `describe = false` in its [[model]] plans without";
    match status {
        None => {
            let seconds = WITHIN.as_secs();
            Err(Error::failed(format!("{typed}: asked what it is, it has not left within {seconds} s")).hint(hint))
        }
        Some(status) if !status.success() => {
            let why = last_words(&place("stderr"));
            Err(Error::failed(format!("{typed}: asked what it is, it ended with {status}{why}")).hint(hint))
        }
        Some(_) => match hello_in(&place("stdout"))? {
            Some(hello) => Ok(hello),
            None => Err(Error::failed(format!("{typed}: asked what it is, it printed no hello")).hint(hint)),
        },
    }
}

/// The first line that is a hello; what else it prints is its own.
fn hello_in(stdout: &Path) -> Result<Option<Hello>> {
    let text = beginning(stdout)?;
    for line in text.lines() {
        match protocol::read(line, u64::MAX) {
            Ok(Line::Hello(hello)) => return Ok(Some(hello)),
            Err(why) if line.contains("\"hello\"") => return Err(Error::failed(format!("its hello: {why}: {line}"))),
            _ => {}
        }
    }
    Ok(None)
}

fn beginning(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    read.context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of what a script printed, each on its own.
pub fn last_words(log: &Path) -> String {
    const LINES: usize = 8;
    const BYTES: u64 = 8192;
    let text = end_of(log, 0, BYTES);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_machines_with_other_gpus_are_kept_apart() {
        let driver = tempfile::tempdir().unwrap();
        assert_eq!(gpus(&driver.path().join("none")), "", "as before there were any");
        for (bus, model) in [("0000:01:00.0", "NVIDIA H100"), ("0000:02:00.0", "NVIDIA A100"), ("3", "NVIDIA H100")] {
            std::fs::create_dir(driver.path().join(bus)).unwrap();
            let text = format!("Model: \t\t {model}\nIRQ:   \t\t 120\n");
            std::fs::write(driver.path().join(bus).join("information"), text).unwrap();
        }
        assert_eq!(gpus(driver.path()), ", NVIDIA A100, NVIDIA H100");
    }
}
