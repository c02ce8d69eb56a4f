//! A worker's process: started pinned and leashed, spoken to in lines, and never left behind.

use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::devices::Slot;
use crate::error::{Context, Error, Result};
use crate::lines::{Line, Lines};
use crate::worker::program::Program;
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
    /// Its output ended: it is dead or dying.
    Closed,
}

/// Killed with its process group when dropped.
pub(super) struct WorkerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl WorkerProcess {
    /// Starts `program` on a slot. What it says goes to `hear`, from a thread of its own; its stderr goes to `log`.
    pub(super) fn start(
        program: &Program,
        slot: &Slot,
        log: PathBuf,
        hear: impl Fn(FromWorker) + Send + 'static,
    ) -> Result<WorkerProcess> {
        let failed = || format!("cannot start a worker ({})", program.path().display());
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
        }
        let stderr = File::create(&log).context(|| format!("cannot write {}", log.display()))?;
        let mut command = command(program, slot)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().context(failed).map_err(|error| {
            error.hint("'make build' builds both programs; CROSSOVER_WORKER names the worker program")
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed("a worker was started without its pipes"));
        };
        thread::spawn(move || listen(stdout, &hear));
        Ok(WorkerProcess { child, stdin: Some(stdin), log })
    }

    /// A worker that is gone does not take it; that is heard as `Closed`.
    pub(super) fn send(&mut self, job: &Job) -> Result<()> {
        let mut line = serde_json::to_vec(job).context(|| "cannot write a job")?;
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(&line);
        }
        Ok(())
    }

    /// Its stdin ends: it writes a checkpoint and exits.
    pub(super) fn ask_to_stop(&mut self) {
        self.stdin = None;
    }

    pub(super) fn kill(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, after `Closed`; killed if it lingers.
    pub(super) fn reap(mut self) -> String {
        let since = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return describe(status),
                Ok(None) if since.elapsed() < REAP => thread::sleep(Duration::from_millis(5)),
                Ok(None) => self.kill(),
                Err(error) => return format!("the worker is lost: {error}"),
            }
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

fn command(program: &Program, slot: &Slot) -> Result<Command> {
    let threads = slot.threads.to_string();
    let mut command = program.command();
    // A worker on a GPU sees only its own, which is then number 0.
    let device = if slot.is_gpu() { "cuda:0" } else { "cpu" };
    command.args(["serve", "--device", device, "--threads", &threads]);
    command.env("OMP_NUM_THREADS", &threads).env("MKL_NUM_THREADS", &threads);
    if let Some(gpu) = &slot.visible {
        command.env("CUDA_VISIBLE_DEVICES", gpu).env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
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
    hear(FromWorker::Closed);
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(9)) => "the worker was killed by SIGKILL, as the kernel does when memory runs out".into(),
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
            format!("the worker was killed by {name}")
        }
        (Some(code), _) => format!("the worker ended with exit code {code}"),
        (None, None) => "the worker ended".into(),
    }
}
