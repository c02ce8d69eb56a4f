//! What Slurm was last asked about a batch, and when it may be asked again: a controller serves thousands of users, so a
//! sweep has one squeue call every 40 to 180 seconds, whoever makes it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::batch::{self, Batch};
use super::pilots::Pilots;
use super::queue::{self, Task};
use crate::error::Result;
use crate::files;
use crate::here::now;

/// Seconds before the first call, how much longer each wait is than the one before where nothing has changed, and the
/// longest wait.
const FIRST: f64 = 40.0;
const MORE: f64 = 10.0;
const LONGEST: f64 = 180.0;
/// The first wait in its place, in seconds, and the others shortened alike.
const VARIABLE: &str = "CROSSOVER_SLURM_SECONDS";
/// A job that sbatch has made is in the queue at once: a call that was never answered has made none after so long.
const ANSWERED_WITHIN: f64 = 120.0;

/// An answer of squeue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Seconds since the Unix epoch.
    pub time: f64,
    /// When it was asked last, whether it answered or not.
    pub tried: f64,
    /// Until it may be asked again.
    pub wait: f64,
    pub tasks: Vec<Task>,
}

/// The last answer about a batch, if there was one.
pub(super) fn seen(batch: &Batch) -> Option<Seen> {
    batch::read(&file(batch)).ok()
}

fn file(batch: &Batch) -> PathBuf {
    batch.folder.join("seen.json")
}

/// Whether it may be asked again.
///
/// # Errors
/// What was submitted cannot be read.
pub(super) fn is_due(batch: &Batch) -> Result<bool> {
    let seen = seen(batch).unwrap_or_default();
    let submitted = batch.submissions()?.iter().map(|submission| submission.time).fold(0.0, f64::max);
    let wait = if seen.tried > submitted { seen.wait } else { scaled(FIRST) };
    Ok(now() - seen.tried.max(submitted) >= wait)
}

fn scaled(seconds: f64) -> f64 {
    let first = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).filter(|first: &f64| *first > 0.0);
    seconds * first.unwrap_or(FIRST) / FIRST
}

/// Asks about these batches in one call, and writes down which pilots and nodes are found gone.
///
/// # Errors
/// Slurm does not answer: then nothing new is known.
pub(super) fn ask(batches: &[&Batch]) -> Result<bool> {
    // Slurm may hide jobs from who does not own them, and then nobody's silence says anything.
    let batches: Vec<&Batch> = batches.iter().copied().filter(|batch| batch.is_own()).collect();
    // Before the question: what comes after it is not meant by the answer.
    let known = batches.iter().map(|batch| Pilots::of(&batch.folder).all()).collect::<Result<Vec<_>>>()?;
    let submissions = batches.iter().map(|batch| batch.submissions()).collect::<Result<Vec<_>>>()?;
    let names: BTreeSet<&str> = submissions.iter().flatten().map(|submission| submission.name.as_str()).collect();
    if names.is_empty() {
        return Ok(false);
    }
    let asked = now();
    let tasks = match queue::tasks(&names.into_iter().collect::<Vec<_>>()) {
        Ok(tasks) => tasks,
        Err(error) => {
            batches.iter().try_for_each(|batch| remember(batch, asked, None))?;
            return Err(error);
        }
    };
    let mut found = false;
    for ((batch, known), submissions) in batches.iter().zip(known).zip(submissions) {
        let own = |task: &&Task| submissions.iter().any(|submission| submission.name == task.name);
        let tasks: Vec<Task> = tasks.iter().filter(own).cloned().collect();
        remember(batch, asked, Some(&tasks))?;
        for submission in submissions.iter().filter(|one| one.job.is_none() && one.refused.is_none()) {
            match tasks.iter().find(|task| task.name == submission.name) {
                Some(task) => batch.submitted(submission.number, task.job)?,
                None if now() - submission.time > ANSWERED_WITHIN => {
                    batch.refused(submission.number, "sbatch was cut off, and Slurm has no such job")?;
                }
                None => {}
            }
        }
        let failed = tasks.iter().filter(|task| task.state == "NODE_FAIL");
        let mut lost: Vec<(&str, bool)> = failed.map(|task| (task.nodes.as_str(), true)).collect();
        for (id, pilot) in known.iter().filter(|(_, pilot)| pilot.is_unsettled()) {
            let task = tasks.iter().find(|task| (task.job, task.task) == (id.job, id.task));
            let state = match (&pilot.gone, task) {
                (Some(gone), _) => &gone.state,
                (None, None) => "NOT KNOWN ANY MORE",
                (None, Some(task)) if task.has_ended() => &task.state,
                (None, Some(task)) if task.is_waiting() => "REQUEUED",
                // What is not surely over is alive.
                (None, Some(_)) => continue,
            };
            Pilots::of(&batch.folder).is_found_gone(*id, state)?;
            lost.push((pilot.came.node.as_str(), state == "NODE_FAIL"));
            found = true;
        }
        mind_nodes(batch.store(), &lost)?;
    }
    Ok(found)
}

/// The same for one, if it may be asked, and where it is no matter if Slurm does not answer; whether a pilot was found gone.
pub(super) fn of_one_batch(batch: &Batch) -> Result<bool> {
    Ok(is_due(batch)? && ask(&[batch]).unwrap_or(false))
}

/// What was answered to a question of this time; none: it has not answered.
fn remember(batch: &Batch, tried: f64, answer: Option<&[Task]>) -> Result<()> {
    let last = seen(batch).unwrap_or_default();
    let has_changed = answer.is_some_and(|tasks| tasks != last.tasks);
    let wait =
        if has_changed { scaled(FIRST) } else { (last.wait + scaled(MORE)).clamp(scaled(FIRST), scaled(LONGEST)) };
    let seen = match answer {
        Some(tasks) => Seen { time: tried, tried, wait, tasks: tasks.to_vec() },
        None => Seen { tried, wait, ..last },
    };
    files::write_atomically(&file(batch), &batch::json(&seen)?)
}

/// Nodes that Slurm says have failed, or does not use any more since a pilot was lost there.
fn mind_nodes(store: &Path, lost: &[(&str, bool)]) -> Result<()> {
    let asked: BTreeSet<&str> = lost.iter().filter(|(_, failed)| !failed).map(|(node, _)| *node).collect();
    let mut failed: BTreeSet<String> =
        lost.iter().filter(|(_, failed)| *failed).map(|(node, _)| (*node).to_owned()).collect();
    if !asked.is_empty() {
        failed.extend(queue::failed_nodes(&asked.into_iter().collect::<Vec<_>>()));
    }
    for node in failed.iter().filter(|node| !node.is_empty() && !node.contains('/')) {
        let path = store.join("slurm/nodes").join(node);
        if !path.exists() {
            files::write_atomically(&path, &batch::json(&serde_json::json!({"time": now()}))?)?;
        }
    }
    Ok(())
}

/// Nodes that have failed since the store is there; one whose file is removed is used again.
pub(super) fn failed_nodes(store: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(store.join("slurm/nodes")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.'));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
