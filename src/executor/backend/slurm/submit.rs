//! Arrays of pilots, cut at what Slurm takes and written down before and after each sbatch call, so that nothing
//! half-submitted is forgotten: it is found again by its job's name.

use super::asking;
use super::batch::{Batch, Submission};
use super::queue;
use super::script::{self, Array};
use crate::error::Result;
use crate::here::now;
use crate::shell::quoted;

/// Submits `tasks` pilots of a pool; what was submitted.
///
/// # Errors
/// sbatch refuses one of the arrays: what was submitted before it stays, and is said.
pub(super) fn pilots(batch: &Batch, pool: usize, tasks: u32) -> Result<Vec<Submission>> {
    let largest = queue::largest_array()?;
    let mut submitted: Vec<Submission> = Vec::new();
    let mut left = tasks;
    while left > 0 {
        let tasks = left.min(largest);
        let number = batch.submissions()?.last().map_or(0, |last| last.number) + 1;
        let name = name(batch, number);
        let mut submission = Submission { number, name, pool, tasks, time: now(), job: None, refused: None };
        let path = batch.about_to_submit(&submission, &text(batch, &submission)?)?;
        match queue::submit(&path) {
            Ok(Some(job)) => {
                batch.submitted(number, job)?;
                submission.job = Some(job);
            }
            // Found by its name later, or not.
            Ok(None) => {}
            Err(error) => {
                batch.refused(number, &error.message)?;
                let before: u32 = submitted.iter().map(|submission| submission.tasks).sum();
                let stay = format!("{before} pilots that were submitted before it go on");
                return Err(if before > 0 { error.context(stay) } else { error });
            }
        }
        submitted.push(submission);
        left -= tasks;
    }
    Ok(submitted)
}

/// Of the jobs of a submission in the queue: of this batch and no other, on any cluster.
pub(super) fn name(batch: &Batch, number: u32) -> String {
    format!("crossover-{}-{number}", batch.id())
}

/// The script of a submission.
///
/// # Errors
/// The batch does not say what its pools are.
pub(super) fn text(batch: &Batch, submission: &Submission) -> Result<String> {
    let record = batch.record()?;
    let excluded = asking::failed_nodes(batch.store());
    let pools = &record.profile.pools;
    let pool = &pools[submission.pool.min(pools.len().saturating_sub(1))];
    let (name, number, tasks) = (submission.name.as_str(), submission.number, submission.tasks);
    let directory = record.directory.as_path();
    let array = Array { name, folder: &batch.folder, number, pool, tasks, excluded: &excluded, directory };
    Ok(script::text(&record.profile, &array, &record.program))
}

/// What a person is told of it.
pub(super) fn told(sweep: &str, submitted: &[Submission]) -> String {
    let pilots: u32 = submitted.iter().map(|submission| submission.tasks).sum();
    let jobs: Vec<String> = submitted.iter().filter_map(|one| one.job).map(|job| job.to_string()).collect();
    let jobs = if jobs.is_empty() { "not answered".into() } else { jobs.join(", ") };
    let all = if pilots == 1 { "1 pilot".into() } else { format!("{pilots} pilots") };
    format!("{sweep}: {all} submitted (Slurm job {jobs}); 'crossover status {}' follows them", quoted(sweep))
}
