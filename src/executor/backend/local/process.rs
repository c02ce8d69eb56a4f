//! A worker's process: started pinned and leashed, spoken to in lines, and never left behind.

use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::super::devices::Slot;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::lines::{Line, Lines};
use crate::units::{bytes, duration};
use crate::worker::program::{Program, TrainedBy, how_it_ended};
use crate::worker::{Job, Message};

/// Between the end of a worker's output and its death.
const REAP: Duration = Duration::from_secs(5);
/// Longer than any message that there is.
const LINE: usize = 1 << 20;
/// libtorch's large tensors go back to the kernel at every free unless these are large: 12 to 15% of a step.
const MALLOC: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "1073741824"), ("MALLOC_TRIM_THRESHOLD_", "8589934592")];

pub(super) enum FromWorker {
    Said(Message),
    /// A line that is no message.
    Garbled(String),
    /// It is dead, and how it ended.
    Gone(String),
}

/// Killed with its process group when dropped. Nothing here waits for it: what a worker does not take or say, or a death
/// that takes long, is another thread's patience.
pub(super) struct WorkerProcess {
    /// None once it is dead: its number may be another's then.
    pid: Arc<Mutex<Option<Pid>>>,
    /// Lines for its stdin; dropped, its stdin ends.
    jobs: Option<Sender<Vec<u8>>>,
    log: PathBuf,
    /// The most memory that it was seen to hold, in bytes.
    peak: Arc<AtomicU64>,
}

impl WorkerProcess {
    /// Starts `program` on slot `number`. What it says goes to `hear`, from a thread of its own; its stderr goes to
    /// `log`.
    pub(super) fn start(
        program: &Program,
        number: usize,
        slot: &Slot,
        log: PathBuf,
        hear: impl Fn(FromWorker) + Send + 'static,
    ) -> Result<WorkerProcess> {
        let failed = || format!("cannot start a worker ({})", program.path().display());
        if let Some(folder) = log.parent() {
            files::make_folder(folder).context(|| format!("cannot make {}", folder.display()))?;
        }
        let stderr = File::create(&log).context(|| format!("cannot write {}", log.display()))?;
        let mut command = command(program, number, slot)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().context(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed("a worker was started without its pipes"));
        };
        let pid = Arc::new(Mutex::new(Some(Pid::from_raw(child.id() as i32))));
        let peak = Arc::new(AtomicU64::new(0));
        let (jobs, lines) = mpsc::channel();
        thread::spawn(move || write(stdin, &lines));
        thread::spawn({
            let (pid, peak) = (pid.clone(), peak.clone());
            move || {
                listen(stdout, &hear);
                hear(FromWorker::Gone(reap(child, &pid, &peak)));
            }
        });
        Ok(WorkerProcess { pid, jobs: Some(jobs), log, peak })
    }

    /// A worker that is gone does not take it; that is heard as `Gone`.
    pub(super) fn send(&mut self, job: &Job) {
        if let (Some(jobs), Ok(mut line)) = (&self.jobs, serde_json::to_vec(job)) {
            line.push(b'\n');
            let _ = jobs.send(line);
        }
    }

    /// Its stdin ends: it writes a checkpoint and exits. One that a person has stopped goes on to do so.
    pub(super) fn ask_to_stop(&mut self) {
        self.jobs = None;
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGTERM);
    }

    pub(super) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = *lock(&self.pid) {
            let _ = killpg(pid, signal);
        }
    }

    pub(super) fn is_there(&self) -> bool {
        lock(&self.pid).is_some()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// For what is said when the kernel kills it.
    pub(super) fn look_at_memory(&mut self) {
        if let Some(bytes) = lock(&self.pid).and_then(peak_memory) {
            self.peak.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Why nothing is heard of it.
    pub(super) fn describe_silence(&self, silent: Duration) -> String {
        let Some(pid) = *lock(&self.pid) else { return "the worker is gone".into() };
        let what = match state(pid) {
            Some('T' | 't') => "it was stopped by a signal (SIGSTOP)",
            Some('D') => "it waits for a disk or a device",
            _ => "it hangs",
        };
        format!("no progress for {}: {what}; process {pid} was killed", duration(silent.as_secs_f64()))
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A poisoned lock still holds what it held.
fn lock(pid: &Mutex<Option<Pid>>) -> MutexGuard<'_, Option<Pid>> {
    pid.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `R`, `S`, `D`, `T`, … as in proc(5).
fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The most that a process has held, in bytes.
fn peak_memory(pid: Pid) -> Option<u64> {
    memory_line(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// A line in KiB of a file under /proc.
fn memory_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn command(program: &Program, number: usize, slot: &Slot) -> Result<Command> {
    let threads = slot.threads.to_string();
    let mut command = program.command();
    // A worker on a GPU sees only its own, which is then number 0.
    let device = if slot.is_gpu() { "cuda:0" } else { "cpu" };
    command.args(["serve", "--device", device, "--threads", &threads]);
    command.env("CROSSOVER_SLOT", number.to_string());
    command.env("OMP_NUM_THREADS", &threads).env("MKL_NUM_THREADS", &threads);
    match &slot.visible {
        Some(gpus) => drop(command.env("CUDA_VISIBLE_DEVICES", gpus).env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")),
        // A script would take what it sees.
        None if program.trains() == TrainedBy::Script => drop(command.env("CUDA_VISIBLE_DEVICES", "")),
        None => {}
    }
    for (name, value) in MALLOC {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    // A group of its own: Ctrl-C at the terminal reaches the orchestrator alone, which decides.
    command.process_group(0);
    let mut cores = CpuSet::new();
    for &core in &slot.cores {
        cores.set(core).context(|| format!("cannot pin a worker to core {core}"))?;
    }
    let pinned = !slot.cores.is_empty();
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            // Behind the closing stdin: the kernel sends SIGTERM when the orchestrator's thread ends.
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
            if nix::unistd::getppid() != parent {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            if pinned {
                sched_setaffinity(Pid::from_raw(0), &cores)?;
            }
            Ok(())
        });
    }
    Ok(command)
}

fn write(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    for line in lines {
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

fn listen(stdout: ChildStdout, hear: &dyn Fn(FromWorker)) {
    for line in Lines::new(BufReader::new(stdout), LINE) {
        let Ok(line) = line else { break };
        hear(match line {
            Line::Whole(line) => match serde_json::from_str(&line) {
                Ok(message) => FromWorker::Said(message),
                Err(_) => FromWorker::Garbled(line),
            },
            Line::Overlong(start) => FromWorker::Garbled(start),
        });
    }
}

/// How it ended, after its output did; killed if it lingers.
fn reap(mut child: Child, pid: &Mutex<Option<Pid>>, peak: &AtomicU64) -> String {
    let since = Instant::now();
    loop {
        let mut there = lock(pid);
        let status = child.try_wait();
        if !matches!(status, Ok(None)) {
            *there = None;
        }
        drop(there);
        match status {
            Ok(Some(status)) => return describe(status, peak.load(Ordering::Relaxed)),
            Err(error) => return format!("the worker is lost: {error}"),
            Ok(None) if since.elapsed() > REAP => {
                if let Some(pid) = *lock(pid) {
                    let _ = killpg(pid, Signal::SIGKILL);
                }
            }
            Ok(None) => {}
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn describe(status: ExitStatus, peak: u64) -> String {
    let total = || std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_line(&text, "MemTotal:"));
    let held = match status.signal().filter(|signal| *signal == 9 && peak > 0).and_then(|_| total()) {
        Some(total) => format!(" (it held {} of {})", bytes(peak), bytes(total)),
        None => String::new(),
    };
    format!("the worker {}{held}", how_it_ended(status))
}
