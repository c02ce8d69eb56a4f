//! Workers of an earlier orchestration that was killed and that still hold their runs: they write their checkpoints and
//! end by themselves, and are ended where they do not.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::super::{Decision, Observer};
use crate::error::{Error, Result};
use crate::event::EventLog;
use crate::here::hostname;
use crate::store::{Reader, State};

/// A worker whose orchestrator was killed gives up by itself a little earlier.
const ENDS_WITHIN: Duration = Duration::from_secs(35);
const DIES_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until none holds a run of the decision; false where `stopped` says so first.
///
/// # Errors
/// One cannot be ended, by name.
pub(in crate::executor) fn outlive(
    store: &Reader,
    decision: &Decision,
    observer: &mut dyn Observer,
    stopped: &dyn Fn() -> bool,
) -> Result<bool> {
    let runs: Vec<&str> = decision.jobs.iter().flat_map(|job| &job.runs).map(|run| run.id.as_str()).collect();
    let standing = store.standing(runs)?;
    let mut running = standing.iter().filter(|(_, (state, _))| *state == State::Running);
    let Some(held) = running.by_ref().map(|(id, _)| id).find(|id| is_held(store, id)) else { return Ok(true) };
    let others = running.map(|(id, _)| id).filter(|id| is_held(store, id));
    let held: Vec<&String> = std::iter::once(held).chain(others).collect();
    let pids = held.iter().filter_map(|id| worker(store, id).transpose()).collect::<Result<Vec<_>>>()?;
    let named: Vec<String> = pids.iter().map(|pid| format!("process {pid}")).collect();
    let who = if named.is_empty() { "a process unknown".into() } else { named.join(", ") };
    let runs = if held.len() == 1 { "1 run is".to_string() } else { format!("{} runs are", held.len()) };
    let seconds = ENDS_WITHIN.as_secs();
    observer.say(&format!("{runs} held by workers of an earlier run ({who}): waiting up to {seconds} s for their end"));
    let since = Instant::now();
    let mut killed = false;
    while held.iter().any(|id| is_held(store, id)) {
        if stopped() {
            return Ok(false);
        }
        if since.elapsed() > ENDS_WITHIN && !std::mem::replace(&mut killed, true) {
            observer.say(&format!("they do not end: killing {who}"));
            pids.iter().for_each(|pid| _ = kill(*pid, Signal::SIGKILL));
        }
        if since.elapsed() > ENDS_WITHIN + DIES_WITHIN {
            return Err(Error::failed(format!("runs of this sweep are still held by {who}"))
                .hint("a process that SIGKILL does not end waits for a disk or a device; once it is gone the same command goes on"));
        }
        observer.tick();
        thread::sleep(LOOK_EVERY);
    }
    Ok(true)
}

fn is_held(store: &Reader, id: &str) -> bool {
    EventLog::is_open(&store.run_folder(id))
}

/// The process on this machine that took the run up last, if it is a worker.
fn worker(store: &Reader, id: &str) -> Result<Option<Pid>> {
    let host = hostname();
    let last = store.attempts(id)?.into_iter().max_by_key(|attempt| attempt.attempt);
    let here = last.filter(|attempt| attempt.host.as_deref() == Some(host.as_str()));
    let Some(pid) = here.and_then(|attempt| attempt.pid) else { return Ok(None) };
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let started_as = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let of_scripts = name.starts_with("crossover") && started_as.split(|byte| *byte == 0).nth(1) == Some(b"script");
    let is_worker = name.starts_with("crossover-worker") || of_scripts;
    Ok(is_worker.then(|| Pid::from_raw(pid as i32)))
}
