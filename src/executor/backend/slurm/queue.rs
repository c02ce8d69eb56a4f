//! What Slurm is asked and told: sbatch, squeue, scancel, scontrol. slurmdbd is never needed, and what squeue does not say
//! for sure is "alive, unknown".

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// Slurm's programs try for a while by themselves to reach a controller.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of a program that fails without a word.
const SILENT: &str = "it said nothing";
/// States in which a task has no process and will have none, unless somebody requeues it.
const ENDED: [&str; 9] =
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"];

/// A task of an array, as squeue tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Task {
    pub name: String,
    /// Of the array.
    pub job: u64,
    pub task: u32,
    pub state: String,
    /// Why it waits.
    pub reason: String,
    pub nodes: String,
}

impl Task {
    /// No process of it is there.
    pub(super) fn has_ended(&self) -> bool {
        ENDED.contains(&self.state.as_str())
    }

    /// It waits for its first allocation or for another one: no process of it is there now.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == "PENDING"
    }
}

/// Jobs of these names, whatever state they are in: one call for all.
///
/// # Errors
/// squeue is not there, or the controller does not answer.
pub(super) fn tasks(names: &[&str]) -> Result<Vec<Task>> {
    let names = format!("--name={}", names.join(","));
    let format = "--format=%j|%F|%K|%T|%r|%N";
    let said = ask("squeue", &["--noheader", "--array", "--states=all", &names, format])?;
    Ok(said.lines().filter_map(task).collect())
}

fn task(line: &str) -> Option<Task> {
    let [name, job, task, state, reason, nodes] = line.trim().splitn(6, '|').collect::<Vec<_>>().try_into().ok()?;
    let [name, state, reason, nodes] = [name, state, reason, nodes].map(str::to_owned);
    Some(Task { name, job: job.parse().ok()?, task: task.parse().ok()?, state, reason, nodes })
}

/// The job that sbatch makes of a script; none where it is not known whether it made one.
///
/// # Errors
/// It is refused: as sbatch says it.
pub(super) fn submit(script: &Path) -> Result<Option<u64>> {
    let said = match ask("sbatch", &["--parsable", &script.display().to_string()]) {
        // The controller may have taken it and not been heard.
        Err(error) if may_have_been_heard(&error.message) => return Ok(None),
        said => said?,
    };
    // With the cluster's name behind it where there are several.
    Ok(said.trim().split(';').next().and_then(|job| job.parse().ok()))
}

/// Whether a program of Slurm failed after it may have said what it had to say.
fn may_have_been_heard(said: &str) -> bool {
    let said = said.to_lowercase();
    let lost = ["timed out", "not answered", "unable to contact slurm controller", "zero bytes", "receive failure"];
    !said.contains("connect failure") && lost.iter().any(|words| said.contains(words))
}

/// Takes away the tasks of these jobs that wait.
pub(super) fn take_away(jobs: &[u64]) -> Result<()> {
    scancel(&["--quiet", "--state=PENDING"], jobs)
}

/// The same, and tells the batch shells of those that run to stop.
pub(super) fn cancel(jobs: &[u64]) -> Result<()> {
    take_away(jobs)?;
    scancel(&["--quiet", "--batch", "--signal=TERM", "--state=RUNNING"], jobs)
}

fn scancel(how: &[&str], jobs: &[u64]) -> Result<()> {
    let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    match jobs.is_empty() {
        true => Ok(()),
        // Of jobs that are over it says nothing, and fails.
        false => match ask("scancel", &[how, jobs.as_slice()].concat()) {
            Err(error) if !error.message.contains(SILENT) => Err(error),
            _ => Ok(()),
        },
    }
}

/// Tasks that an array may have: MaxArraySize caps their index.
pub(super) fn largest_array() -> Result<u32> {
    let said = ask("scontrol", &["show", "config"])?;
    let line = said.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize")?.trim().strip_prefix('='));
    // Where it is not said, Slurm's own.
    Ok(line.and_then(|value| value.trim().parse().ok()).unwrap_or(1001).max(1))
}

/// Those of the nodes that Slurm does not use now.
pub(super) fn failed_nodes(nodes: &[&str]) -> Vec<String> {
    let nodes = nodes.join(",");
    let Ok(said) = ask("sinfo", &["--noheader", "--Node", "--nodes", &nodes, "--format=%N|%T"]) else {
        return Vec::new();
    };
    let failed = |line: &str| {
        let (node, state) = line.trim().split_once('|')?;
        // With a sign behind it where it does not answer or is powered down. One that is drained comes back.
        let state = state.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        ["down", "error", "fail", "failing", "unknown"].contains(&state.as_str()).then(|| node.to_owned())
    };
    let mut found: Vec<String> = said.lines().filter_map(failed).collect();
    found.dedup();
    found
}

/// What a program of Slurm says on stdout.
fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A user's defaults for these programs would hide pilots, or give them other names.
    std::env::vars_os().filter(|(name, _)| is_default(&name.to_string_lossy())).for_each(|(name, _)| {
        command.env_remove(name);
    });
    let child = command.spawn().map_err(|error| {
        Error::failed(format!("cannot start {program}: {error}"))
            .hint("'--executor slurm' is for a login host of a cluster; is Slurm on your PATH there?")
    })?;
    let (status, out, said) = finished(program, child)?;
    if status.success() {
        return Ok(out);
    }
    let said = said.trim().replace('\n', "; ");
    let said = if said.is_empty() { format!("{SILENT} ({status})") } else { said };
    let said = said.replace(&format!("{program}: error: "), "");
    Err(Error::failed(format!("{program} refused: {said}")).hint(hint(&said)))
}

fn is_default(variable: &str) -> bool {
    const OF_SBATCH: [&str; 4] = ["SBATCH_ARRAY_INX", "SBATCH_CLUSTERS", "SBATCH_JOB_NAME", "SBATCH_OUTPUT"];
    ["SQUEUE_", "SCANCEL_", "SINFO_"].iter().any(|program| variable.starts_with(program))
        || OF_SBATCH.contains(&variable)
        || variable == "SLURM_CLUSTERS"
}

fn hint(said: &str) -> &'static str {
    let knows = |words: &[&str]| words.iter().any(|word| said.to_lowercase().contains(word));
    match () {
        () if knows(&["contact slurm controller", "connect failure", "timed out", "socket timed out"]) => {
            "the controller does not answer: pilots go on without it, and the same command works once it is back"
        }
        () if knows(&["partition"]) => "'sinfo' lists the partitions; the profile names one in [[slurm.pool]]",
        () if knows(&["account", "qos", "association"]) => {
            "'sacctmgr show associations user=$USER' lists what is yours; the profile names them in [[slurm.pool]]"
        }
        () if knows(&["array", "limit", "qosmax", "submitjob"]) => {
            "fewer `pilots` in the profile; 'scontrol show config' and 'sacctmgr show qos' have the limits"
        }
        () if knows(&["node configuration", "gres", "memory"]) => {
            "no node has all of it: 'sinfo -o \"%P %c %m %G\"' lists cores, memory and gres of each partition"
        }
        () => "--dry-run prints the script; the profile makes its #SBATCH lines",
    }
}

/// How it ended, and what it wrote; killed where it takes too long.
fn finished(program: &str, mut child: Child) -> Result<(ExitStatus, String, String)> {
    let since = Instant::now();
    let drain = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what there is.
            let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = drain(child.stdout.take().map(|stream| Box::new(stream) as _));
    let said = drain(child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = loop {
        match child.try_wait().context(|| format!("cannot wait for {program}"))? {
            Some(status) => break status,
            None if since.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = PATIENCE.as_secs();
                return Err(
                    Error::failed(format!("{program} has not answered within {seconds} s")).hint(hint("timed out"))
                );
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok((status, text(out), text(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_are_tasks_and_states_that_are_not_known_are_alive() {
        let said = "crossover-0a-1|12|0|RUNNING|None|a\ncrossover-0a-1|12|1|PENDING|Resources|\n\
                    crossover-0a-1|12|2|NODE_FAIL|NodeDown|b\ncrossover-0a-1|12|3|REQUEUE_HOLD|launch failed requeued held|\n\
                    crossover-0a-1|12|4|CONFIGURING|None|c\nslurm_load_jobs error\n";
        let tasks: Vec<Task> = said.lines().filter_map(task).collect();
        assert_eq!(tasks.len(), 5);
        assert_eq!((tasks[1].reason.as_str(), tasks[2].nodes.as_str()), ("Resources", "b"));
        assert_eq!(tasks.iter().map(Task::has_ended).collect::<Vec<_>>(), [false, false, true, false, false]);
        assert_eq!(tasks.iter().map(Task::is_waiting).collect::<Vec<_>>(), [false, true, false, false, false]);
    }

    #[test]
    fn an_sbatch_that_may_have_been_heard_is_not_refused() {
        for said in [
            "Batch job submission failed: Socket timed out on send/recv operation",
            "Batch job submission failed: Unable to contact slurm controller (receive failure)",
            "Zero Bytes were transmitted or received",
            "sbatch has not answered within 60 s",
        ] {
            assert!(may_have_been_heard(said), "{said}");
        }
        for said in ["Unable to contact slurm controller (connect failure)", "Invalid partition name specified"] {
            assert!(!may_have_been_heard(said), "{said}");
        }
    }

    #[test]
    fn refusals_are_told_with_what_to_look_at() {
        let told = |said: &str| hint(said);
        assert!(told("Batch job submission failed: Invalid partition name specified").contains("sinfo"));
        assert!(told("Invalid qos specification").contains("sacctmgr"));
        assert!(told("Unable to contact slurm controller (connect failure)").contains("pilots go on"));
        assert!(told("Requested node configuration is not available").contains("sinfo -o"));
    }
}
