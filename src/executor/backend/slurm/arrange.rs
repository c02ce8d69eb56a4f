//! What would be submitted: runs that nobody has, as jobs in the pools that they fit, and how many pilots do them. A value,
//! so that `--dry-run` prints exactly what `run` would do.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::super::Options;
use super::super::super::devices::{Devices, Slot};
use super::super::super::jobs::{self, Pending, PlannedJob, Standing};
use super::amount;
use super::batch::{How, Job, Record};
use super::pool::{Need, Place};
use super::profile::Profile;
use crate::error::{Error, Result};
use crate::estimate;
use crate::here::now;
use crate::plan::Plan;
use crate::script::Script;
use crate::script::describe;
use crate::units::duration;

/// Runs of one shape that a GPU's worker trains together, where nobody says how many.
const PACK: u32 = 16;
/// Parameters, gradients and two moments, 4 bytes each.
const BYTES_PER_PARAMETER: u64 = 16;

/// New jobs of a plan.
pub(super) struct Arranged {
    pub record: Record,
    pub jobs: Vec<Job>,
    pub arrays: Vec<Wanted>,
    pub notes: Vec<String>,
}

/// Pilots of one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wanted {
    #[serde(skip)]
    pub number: usize,
    pub pool: String,
    pub jobs: usize,
    pub pilots: u32,
    /// Workers of one pilot.
    pub slots: u32,
    /// One after the other, of the longest job; none where its time cannot be told.
    pub allocations: Option<u64>,
}

/// # Errors
/// A run fits no pool.
pub(super) fn arrange(
    plan: &Plan,
    standing: &Standing,
    taken: &BTreeSet<String>,
    options: &Options,
    profile: &Profile,
    (store, batches): (&Path, usize),
) -> Result<Arranged> {
    let directory = std::env::current_dir()?;
    [store, &directory].into_iter().try_for_each(refuse_path)?;
    let mut pending = jobs::pending(plan, standing);
    pending.retain(|run| !taken.contains(&run.id));
    let gpus = profile.has_gpus() && options.devices != Devices::Cpu;
    if !gpus {
        let cpu = Slot { device: "cpu".into(), threads: 1, cores: Vec::new(), visible: None };
        jobs::check_precision(&pending, &[cpu])?;
    }
    let mut notes = Vec::new();
    let seconds = seconds(plan, &pending, profile, &mut notes);
    let slots: u32 = profile.pools.iter().map(|pool| pool.pilots.saturating_mul(pool.slots(options.threads, 1))).sum();
    let pack = options.pack.unwrap_or(if gpus { PACK } else { 1 });
    let params: HashMap<&str, u64> = plan.runs.iter().map(|run| (run.id.as_str(), run.costs.params)).collect();
    let ids: Vec<String> = pending.iter().map(|run| run.id.clone()).collect();
    let planned = jobs::jobs(pending, !options.no_trunks, pack as usize, slots as usize);
    let need = |job: &PlannedJob| {
        let params = |run: &Pending| params.get(run.id.as_str()).copied().unwrap_or(0);
        let known: Vec<f64> = job.runs.iter().filter_map(|run| seconds.get(&run.id)).copied().collect();
        Need {
            gpus: if gpus { job.runs.iter().map(Pending::gpus).max().unwrap_or(1) as u32 } else { 0 },
            bytes: job.leaders().map(params).sum::<u64>().saturating_mul(BYTES_PER_PARAMETER),
            seconds: (known.len() == job.runs.len()).then(|| known.iter().sum()),
            can_be_cut: job.runs.iter().all(|run| seconds.is_empty() || goes_on(run)),
        }
    };
    let mut placed: Vec<(&PlannedJob, Place)> = Vec::new();
    for job in &planned {
        let what = job.runs.first().map_or("a job".into(), |run| format!("run {} ({})", run.id, run.label));
        placed.push((job, profile.tightest(&need(job), &what)?));
    }
    let arrays = wanted(profile, options, &placed);
    notes.extend(arrays.iter().filter_map(|array| cut_note(profile, array)));
    let record = Record {
        id: id(&plan.sweep, &ids, store, batches),
        sweep: plan.sweep.clone(),
        created: now(),
        program: std::env::current_exe()?,
        directory,
        profile: profile.clone(),
        how: How {
            retries: options.retries,
            trunks: !options.no_trunks,
            slots: options.slots,
            threads: options.threads,
            hang: options.hang_timeout,
        },
    };
    let jobs = placed.into_iter().map(|(job, place)| Job::of(job, place.pool)).collect();
    Ok(Arranged { record, jobs, arrays, notes })
}

/// Whether it can be gone on with in another allocation: a script may say that it always starts over.
fn goes_on(run: &Pending) -> bool {
    let model = &run.config.model;
    // One that was not asked when it was planned is not asked here.
    let says = || Script::of(model).ok().and_then(|script| describe::known(&script, &run.config.task));
    !model.is_script() || says().is_none_or(|hello| hello.resumes)
}

/// #SBATCH lines have no way to write these characters that all versions read alike.
fn refuse_path(path: &Path) -> Result<()> {
    match path.to_string_lossy().contains(|c: char| c.is_control() || "\"\\".contains(c)) {
        true => Err(Error::bad_input(format!("{path:?} has a quote, a backslash or a control character"))
            .hint("Slurm is told of the store and of the folder where this is typed: give it another name")),
        false => Ok(()),
    }
}

fn wanted(profile: &Profile, options: &Options, placed: &[(&PlannedJob, Place)]) -> Vec<Wanted> {
    let of = |number: usize| {
        let pool = &profile.pools[number];
        let of_pool = || placed.iter().filter(|(_, place)| place.pool == number);
        let own: Vec<Place> = of_pool().map(|(_, place)| *place).collect();
        let together = of_pool().flat_map(|(job, _)| &job.runs).map(Pending::gpus).max().unwrap_or(1);
        let slots = options.slots.unwrap_or_else(|| pool.slots(options.threads, together));
        let pilots = (own.len().div_ceil(slots.max(1) as usize)).min(pool.pilots as usize) as u32;
        let allocations = own.iter().filter_map(|place| place.allocations).max();
        Wanted { number, pool: pool.name(number), jobs: own.len(), pilots, slots, allocations }
    };
    (0..profile.pools.len()).map(of).filter(|array| array.jobs > 0).collect()
}

fn cut_note(profile: &Profile, array: &Wanted) -> Option<String> {
    let (allocations, pool) = (array.allocations.filter(|count| *count > 1)?, &array.pool);
    let time = amount::time(profile.pools[array.number].seconds.unwrap_or(0));
    Some(format!(
        "{pool}: the longest job takes about {allocations} allocations of {time}: it is cut by checkpoints, one after the other"
    ))
}

/// Of each run on one slot, where a pool has an end that they could be compared to and they can be told.
fn seconds(plan: &Plan, pending: &[Pending], profile: &Profile, notes: &mut Vec<String>) -> HashMap<String, f64> {
    if pending.is_empty() || profile.pools.iter().all(|pool| pool.seconds.is_none()) {
        return HashMap::new();
    }
    let steps: HashMap<&str, u64> = pending.iter().map(|run| (run.id.as_str(), run.step)).collect();
    let left = plan.left(|run| steps.get(run.id.as_str()).copied());
    match estimate::seconds_per_run(plan, &left.runs) {
        Ok(seconds) => {
            // What a script does not say is not known.
            let known = left.runs.into_iter().map(|run| run.id).zip(seconds).filter(|(_, seconds)| seconds.is_finite());
            let known: HashMap<String, f64> = known.collect();
            if !known.is_empty() {
                let all = duration(known.values().sum());
                notes.push(format!("about {all} on one slot, as fast as this machine's cores"));
            }
            known
        }
        Err(error) => {
            notes.push(format!("how long runs take cannot be told here ({}): they go where they fit", error.message));
            HashMap::new()
        }
    }
}

/// Eight digits that no other batch of any store has: the same runs are the same batch, so a dry run is exact.
fn id(sweep: &str, runs: &[String], store: &Path, batches: usize) -> String {
    let digest = Sha256::digest(format!("{sweep}\n{}\n{batches}\n{}", store.display(), runs.join("\n")));
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
