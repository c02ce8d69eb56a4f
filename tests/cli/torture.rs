//! Whatever is killed, stopped or hung up when: no run is lost, none is done twice, no result differs, nothing is left
//! over. `make torture` does this for longer; CROSSOVER_TORTURE_SEED repeats what a failure prints.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::interrupted::{guards, no_worker_is_left, workers};
use crate::scripts::{TRAIN, python};
use crate::workdir::Workdir;

/// A sweep takes about as long as a dozen faults. Half of its runs are a script's, which starts a process of its own.
const SWEEP: &str = r#"
name = "torture"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2, 3, 4, 5, 6]
[budget]
steps = [60, 120]
[train]
batch = 64
evals = 10
schedule = "wsd"
warmup_steps = 5
[[model]]
arch = "vit"
patch = 5
[[model]]
name = "script"
command = ["PYTHON", "train.py"]
pause = 0.004
breaks = "child"
"#;
const NOOP: &str = "step_millis=4 checkpoint_every=7";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillOrchestrator,
    KillWorker,
    /// What looks after a worker's scripts.
    KillGuard,
    KillAll,
    StopWorker,
    FreezeWorker,
    Terminate,
    Interrupt,
    InterruptTwice,
    HangUp,
    CloseTerminal,
}

const FAULTS: [Fault; 11] = [
    Fault::KillOrchestrator,
    Fault::KillWorker,
    Fault::KillGuard,
    Fault::KillAll,
    Fault::StopWorker,
    Fault::FreezeWorker,
    Fault::Terminate,
    Fault::Interrupt,
    Fault::InterruptTwice,
    Fault::HangUp,
    Fault::CloseTerminal,
];

pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn sweeps_survive_random_faults() {
    let (faults, seed) = (number("CROSSOVER_TORTURE_FAULTS", 160), number("CROSSOVER_TORTURE_SEED", 12));
    println!("{faults} faults, CROSSOVER_TORTURE_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let alone = with_sweep();
    let output = alone.command(&["run", "torture.toml"]).env("CROSSOVER_NOOP", "").output();
    assert!(output.expect("it starts").status.success());
    let expected = export(&alone);
    let (mut met, mut sweeps) = (BTreeMap::<Fault, u32>::new(), 0);
    let is_enough = |met: &BTreeMap<Fault, u32>| u64::from(met.values().sum::<u32>()) >= faults;
    while !is_enough(&met) {
        let dir = with_sweep();
        while !suffer(&dir, &mut random, &mut met) && !is_enough(&met) {}
        examine(&dir, &expected);
        sweeps += 1;
    }
    println!("{sweeps} sweeps, {met:?}");
}

fn with_sweep() -> Workdir {
    let dir = Workdir::new();
    dir.write("torture.toml", &SWEEP.replace("PYTHON", &python())).write("train.py", TRAIN);
    dir
}

/// One life of an orchestrator with some faults in it; true where it was done in spite of them.
fn suffer(dir: &Workdir, random: &mut ChaCha8Rng, met: &mut BTreeMap<Fault, u32>) -> bool {
    let mut terminal = random.next_u32().is_multiple_of(2).then(Terminal::open);
    let mut orchestrator = start(dir, terminal.as_ref());
    while !ends_within(&mut orchestrator, Duration::from_millis(u64::from(random.next_u32() % 500))) {
        let fault = match FAULTS[random.next_u32() as usize % FAULTS.len()] {
            Fault::CloseTerminal if terminal.is_none() => Fault::HangUp,
            fault => fault,
        };
        *met.entry(fault).or_default() += 1;
        let main = Pid::from_raw(orchestrator.id() as i32);
        let workers: Vec<Pid> = workers(dir).into_iter().map(Pid::from_raw).collect();
        let worker = workers.get(random.next_u32() as usize % workers.len().max(1));
        let send = |pid: Pid, signal: Signal| _ = kill(pid, signal);
        match fault {
            Fault::KillOrchestrator => send(main, Signal::SIGKILL),
            Fault::KillAll => {
                send(main, Signal::SIGKILL);
                workers.iter().for_each(|worker| send(*worker, Signal::SIGKILL));
            }
            Fault::KillGuard => {
                guards(dir).into_iter().for_each(|guard| send(Pid::from_raw(guard), Signal::SIGKILL));
                // Another takes its place.
                std::thread::sleep(Duration::from_millis(200));
            }
            Fault::KillWorker => worker.into_iter().for_each(|worker| send(*worker, Signal::SIGKILL)),
            Fault::StopWorker => worker.into_iter().for_each(|worker| send(*worker, Signal::SIGTERM)),
            Fault::FreezeWorker => worker.into_iter().for_each(|worker| {
                send(*worker, Signal::SIGSTOP);
                std::thread::sleep(Duration::from_millis(50));
                send(*worker, Signal::SIGCONT);
            }),
            Fault::Terminate => send(main, Signal::SIGTERM),
            Fault::Interrupt => send(main, Signal::SIGINT),
            Fault::InterruptTwice => {
                send(main, Signal::SIGINT);
                std::thread::sleep(Duration::from_millis(20));
                send(main, Signal::SIGINT);
            }
            Fault::HangUp => send(main, Signal::SIGHUP),
            Fault::CloseTerminal => drop(terminal.take()),
        }
    }
    no_worker_is_left(dir);
    orchestrator.wait().expect("its status").success()
}

fn ends_within(orchestrator: &mut Child, wait: Duration) -> bool {
    let since = Instant::now();
    while since.elapsed() < wait {
        if orchestrator.try_wait().expect("its status").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Left alone it ends, and everything is as if it always had been.
fn examine(dir: &Workdir, expected: &str) {
    let output = dir.command(&["run", "torture.toml", "--slots", "2"]).env("CROSSOVER_NOOP", NOOP).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(export(dir), expected, "lost or different");
    no_worker_is_left(dir);
    for run in std::fs::read_dir(dir.path("runs")).expect("the store").flatten() {
        let Ok(log) = std::fs::read_to_string(run.path().join("events.jsonl")) else { continue };
        assert_eq!(log.matches("\"done\"").count(), 1, "done once: {}\n{log}", run.path().display());
        let left = std::fs::read_dir(run.path()).expect("a folder").flatten().map(|file| file.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("partial")).collect();
        assert!(left.is_empty(), "left over: {left:?}");
    }
    std::fs::remove_file(dir.path("runs/crossover.db")).expect("the database");
    dir.stdout(&["ingest", "--rebuild"]);
    assert_eq!(export(dir), expected, "rebuilt");
}

fn export(dir: &Workdir) -> String {
    dir.stdout(&["export", "torture", "--format", "csv", "--no-times"])
}

/// On a terminal of its own, or with none.
fn start(dir: &Workdir, terminal: Option<&Terminal>) -> Child {
    let mut command = dir.command(&["run", "torture.toml", "--slots", "2", "--retries", "1000000"]);
    command.env("CROSSOVER_NOOP", NOOP).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(terminal) = terminal {
        let seat = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(&terminal.seat)
            .expect("the terminal");
        let number = seat.as_raw_fd();
        command.stderr(seat.try_clone().expect("a file"));
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                match libc::ioctl(number, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("the program starts");
        drop(seat);
        return child;
    }
    command.spawn().expect("the program starts")
}

/// Dropped, it is a window that was closed.
struct Terminal {
    is_closed: Arc<AtomicBool>,
    window: Option<JoinHandle<()>>,
    seat: PathBuf,
}

impl Terminal {
    fn open() -> Terminal {
        let (mut window, mut seat) = (0, 0);
        let (name, settings) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: both numbers are written where it succeeds; no name or settings are asked for or given.
        let opened = unsafe { libc::openpty(&mut window, &mut seat, name, settings, std::ptr::null()) };
        assert_eq!(opened, 0, "a terminal: {}", std::io::Error::last_os_error());
        // SAFETY: they were opened above and are nobody else's.
        let (window, seat) = unsafe { (File::from_raw_fd(window), OwnedFd::from_raw_fd(seat)) };
        let path = std::fs::read_link(format!("/proc/self/fd/{}", seat.as_raw_fd())).expect("its name");
        // A child that had it open would keep the window open.
        // SAFETY: asks the kernel to close a descriptor that is open here in programs that are started later.
        unsafe { libc::fcntl(window.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let is_closed = Arc::new(AtomicBool::new(false));
        let watched = is_closed.clone();
        let reads = std::thread::spawn(move || read_until(window, &watched));
        Terminal { is_closed, window: Some(reads), seat: path }
    }
}

/// Somebody has to read what is written there.
fn read_until(mut window: File, is_closed: &AtomicBool) {
    while !is_closed.load(Ordering::Relaxed) {
        let mut asked = [PollFd::new(window.as_fd(), PollFlags::POLLIN)];
        match poll(&mut asked, PollTimeout::from(10_u8)) {
            Ok(1..) if window.read(&mut [0; 4096]).is_ok() => {}
            // Nobody sits there yet, or any more.
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.window.take().map(JoinHandle::join);
    }
}
