//! A script's process and all that it starts: in a group of its own, ended with it, and found again where whoever started it
//! is gone. A process of a script is known by its environment, which names the run's file: that holds for what has left the
//! group too, and no number of a process that is long dead can be taken for it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::{Declared, files, protocol};
use crate::error::{Context, Error, Result};

/// Between a kill and the end of a process.
const DIES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Killed with its group when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its process, and its group.
    pid: Pid,
    grace: Duration,
    /// When it was sent SIGTERM.
    asked: Option<Instant>,
    /// It was still there when its grace was over.
    pub overstayed: bool,
    ended: Option<ExitStatus>,
}

/// How a script is started, and where.
pub struct Start<'a> {
    pub script: &'a Declared,
    pub folder: &'a Path,
    /// What it is asked ([`protocol::Asked`]).
    pub asked: &'a Path,
    pub describe: bool,
    pub stdout: File,
    pub stderr: File,
    /// To leave in, after SIGTERM.
    pub grace: Duration,
}

impl Running {
    /// Ends with the thread that calls this, if not before.
    ///
    /// # Errors
    /// Its program is not there or cannot be started.
    pub fn start(start: Start) -> Result<Running> {
        let Start { script, folder, asked, describe, stdout, stderr, grace } = start;
        let failed = || format!("cannot start {}", script.typed());
        let words = files::command(script)?;
        let (program, arguments) = words.split_first().ok_or_else(|| Error::bad_input("the command is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env(protocol::RUN, asked);
        match describe {
            true => command.env(protocol::DESCRIBE, "1"),
            false => command.env_remove(protocol::DESCRIBE),
        };
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let parent = nix::unistd::getpid();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                match nix::unistd::getppid() == parent {
                    true => Ok(()),
                    false => Err(std::io::ErrorKind::BrokenPipe.into()),
                }
            });
        }
        let child = command.spawn().context(failed).map_err(|error| {
            error.hint("is the program of its `command` on PATH? Relative paths start where crossover is started")
        })?;
        let pid = Pid::from_raw(child.id() as i32);
        Ok(Running { child, pid, grace, asked: None, overstayed: false, ended: None })
    }

    /// SIGTERM to its main process; the group is killed once its grace is over. Asking again changes nothing.
    pub fn ask_to_stop(&mut self) {
        if self.asked.is_none() && self.ended.is_none() {
            self.asked = Some(Instant::now());
            let _ = kill(self.pid, Signal::SIGTERM);
        }
    }

    pub fn was_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The whole group, at once.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
    }

    /// How its main process ended, if it has; what is left of its group then ends too.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        // Not reaped yet: until the group is killed its number is nobody else's.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), look) {
            Ok(WaitStatus::StillAlive) => {
                if self.asked.is_some_and(|asked| asked.elapsed() > self.grace) && !self.overstayed {
                    self.overstayed = true;
                    self.kill();
                }
                Ok(None)
            }
            Err(Errno::EINTR) => Ok(None),
            Ok(_) | Err(_) => {
                let _ = killpg(self.pid, Signal::SIGKILL);
                self.ended = Some(self.child.wait().context(|| "a script's process is lost")?);
                Ok(self.ended)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let since = Instant::now();
        while matches!(self.ended(), Ok(None)) && since.elapsed() < DIES_WITHIN {
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Ends every process that a script left which was asked what is in this file, or in one whose path begins so, and waits for
/// their end.
///
/// # Errors
/// One of them cannot be ended, by its number.
pub fn end_all_of(asked: &Path) -> Result<usize> {
    let mark = [protocol::RUN.as_bytes(), b"=", asked.as_os_str().as_encoded_bytes()].concat();
    let (since, mut met) = (Instant::now(), 0);
    loop {
        let left = carrying(&mark);
        met = met.max(left.len());
        if left.is_empty() {
            return Ok(met);
        }
        if since.elapsed() > DIES_WITHIN {
            let pids: Vec<String> = left.iter().map(Pid::to_string).collect();
            return Err(Error::failed(format!("process {} of an earlier attempt cannot be ended", pids.join(", ")))
                .hint("a process that SIGKILL does not end waits for a disk or a device; once it is gone the same command goes on"));
        }
        left.into_iter().for_each(|pid| _ = kill(pid, Signal::SIGKILL));
        thread::sleep(LOOK_EVERY);
    }
}

/// Processes of this user whose environment has this variable.
fn carrying(mark: &[u8]) -> Vec<Pid> {
    let own = std::process::id() as i32;
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = listed.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        *pid != own && environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark))
    };
    pids.filter(carries).map(Pid::from_raw).collect()
}

/// A process that outlives a killed worker by as long as it takes to end what its script has started.
pub struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it was told last.
    asked: PathBuf,
}

impl Guard {
    /// # Errors
    /// This program cannot be started a second time.
    pub fn start() -> Result<Guard> {
        let failed = || "cannot start what looks after scripts";
        let program = std::env::current_exe().context(failed)?;
        let mut command = Command::new(program);
        command.args(["script", "guard"]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut child = command.spawn().context(failed)?;
        Ok(Guard { stdin: child.stdin.take(), child, asked: PathBuf::new() })
    }

    /// One that looks after the scripts that are asked what is in this file, or in one whose path begins so.
    ///
    /// # Errors
    /// As of [`Guard::start`].
    pub fn over(asked: &Path) -> Result<Guard> {
        let mut guard = Guard::start()?;
        guard.look_after(asked)?;
        Ok(guard)
    }

    /// From here on it looks after the script that is asked what is in this file, until it is told of another.
    pub fn look_after(&mut self, asked: &Path) -> Result<()> {
        self.asked = asked.to_owned();
        let line = [asked.as_os_str().as_encoded_bytes(), b"\n"].concat();
        let told = self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(&line));
        if told.is_ok() { Ok(()) } else { self.replace() }
    }

    /// Starts another where it was killed.
    pub fn keep(&mut self) -> Result<()> {
        if matches!(self.child.try_wait(), Ok(None)) { Ok(()) } else { self.replace() }
    }

    fn replace(&mut self) -> Result<()> {
        let asked = std::mem::take(&mut self.asked);
        *self = Guard::start()?;
        let line = [asked.as_os_str().as_encoded_bytes(), b"\n"].concat();
        let told = self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(&line));
        self.asked = asked;
        told.context(|| "cannot tell what looks after scripts")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a guard does: once whoever tells it is gone, it ends what is left of the script that it was told of last.
///
/// # Errors
/// A process cannot be ended.
pub fn guard() -> Result<()> {
    for number in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
    let mut last = Vec::new();
    for line in std::io::stdin().lock().split(b'\n') {
        last = line.context(|| "stdin")?;
    }
    if last.is_empty() { Ok(()) } else { end_all_of(Path::new(OsStr::from_bytes(&last))).map(drop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path, text: &str, grace: Duration) -> Running {
        let script = Declared { command: ["sh", "-c", text].map(str::to_owned).into(), files: None, gpus: 1 };
        let file = |name: &str| File::create(folder.join(name)).unwrap();
        let (asked, stdout, stderr) = (folder.join("script.json"), file("out"), file("err"));
        let start = Start { script: &script, folder, asked: &asked, describe: false, stdout, stderr, grace };
        Running::start(start).unwrap()
    }

    fn end(running: &mut Running) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = running.ended().unwrap() {
                return status;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "it never ends");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_a_script_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = shell(dir.path(), "sleep 100 & exit 3", Duration::from_secs(9));
        assert_eq!(end(&mut running).code(), Some(3));
        let mark = format!("{}={}", protocol::RUN, dir.path().join("script.json").display());
        let since = Instant::now();
        while !carrying(mark.as_bytes()).is_empty() {
            assert!(since.elapsed() < Duration::from_secs(9), "its child is not gone");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn sigterm_is_for_the_main_process_and_whoever_ignores_it_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let ready = |running: &mut Running| {
            while !dir.path().join("ready").exists() {
                assert!(running.ended().unwrap().is_none());
                thread::sleep(Duration::from_millis(2));
            }
            std::fs::remove_file(dir.path().join("ready")).unwrap();
        };
        let mut polite =
            shell(dir.path(), "trap 'exit 5' TERM; touch ready; while :; do sleep 0.01; done", Duration::from_secs(9));
        ready(&mut polite);
        polite.ask_to_stop();
        assert_eq!((end(&mut polite).code(), polite.overstayed), (Some(5), false));
        let mut deaf =
            shell(dir.path(), "trap '' TERM; touch ready; while :; do sleep 0.01; done", Duration::from_millis(50));
        ready(&mut deaf);
        deaf.ask_to_stop();
        assert_eq!((end(&mut deaf).code(), deaf.overstayed), (None, true));
    }

    #[test]
    fn leftovers_are_found_by_their_environment_even_outside_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let leaves = "setsid sh -c 'touch left; exec sleep 100' & while [ ! -e left ]; do sleep 0.01; done";
        let mut running = shell(dir.path(), leaves, Duration::from_secs(9));
        end(&mut running);
        let asked = dir.path().join("script.json");
        assert_eq!(end_all_of(&asked).unwrap(), 1);
        assert_eq!(end_all_of(&asked).unwrap(), 0);
    }
}
