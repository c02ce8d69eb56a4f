//! How long a plan will take here: seconds per step measured once per shape on this machine, by the worker (so that
//! this program needs no libtorch), cached, and interpolated between the sizes of an arch.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::Stdio;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::out;
use crate::plan::{Plan, Planned};
use crate::run::Precision;
use crate::task;
use crate::trunk;
use crate::worker::Shape;
use crate::worker::program::{Program, missing_library};

/// Larger steps are measured on fewer examples and scaled up, so that measuring stays short.
const MEASURED_FLOPS: u64 = 20_000_000_000;

/// What `plan` says about time and disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Of all runs, on one slot.
    pub slot_seconds: f64,
    pub slots: usize,
    /// On all slots.
    pub seconds: f64,
    pub disk_bytes: u64,
}

/// Seconds of each of the runs on one slot, which are some or all of the plan's; of one that branches off a trunk, without
/// it. NaN where a script does not say how fast it is.
pub fn seconds_per_run(plan: &Plan, runs: &[Planned]) -> Result<Vec<f64>> {
    let mut timings = Timings::load()?;
    let anchors = anchors(plan);
    if anchors.is_empty() {
        return runs.iter().map(|run| run_seconds(run, &anchors, &timings)).collect();
    }
    timings.measure(anchors.values().flatten().map(|run| measured_shape(run)))?;
    runs.iter().map(|run| run_seconds(run, &anchors, &timings)).collect()
}

/// Time and disk of what is not done yet, of the runs whose time is known. `slots` work side by side; the longest run is a lower bound.
pub fn estimate(plan: &Plan, seconds: &[f64], slots: usize) -> Estimate {
    let known = || seconds.iter().copied().filter(|seconds| seconds.is_finite());
    let slot_seconds: f64 = known().sum();
    let longest = known().fold(0.0, f64::max);
    Estimate {
        slot_seconds,
        slots,
        seconds: (slot_seconds / slots as f64).max(longest),
        disk_bytes: disk_bytes(plan, slots),
    }
}

/// Checkpoints of the runs under way (parameters and two moments; two of each run of a trunk, and one more while it is
/// written), the final weights and about 4 kB of config and metrics of each run.
pub fn disk_bytes(plan: &Plan, slots: usize) -> u64 {
    let at_start: Vec<_> = plan.runs.iter().map(|run| (&run.config, 0)).collect();
    let of_trunk = |group: &Vec<usize>| {
        (2 * group.len() as u64 + 1).saturating_mul(3 * 4).saturating_mul(plan.runs[group[0]].costs.params)
    };
    let mut largest: Vec<u64> = trunk::groups(&at_start).iter().map(of_trunk).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let weights = plan.runs.iter().map(|run| run.costs.params.saturating_mul(4).saturating_add(4096));
    largest.iter().take(slots).copied().chain(weights).fold(0, u64::saturating_add)
}

/// What the time of a step depends on beside the model's size.
type Kind<'a> = (&'a str, u64, Precision);

fn kind(run: &Planned) -> Kind<'_> {
    (&run.label, run.config.train.batch, run.config.train.precision)
}

/// Per label, batch and precision, the smallest and the largest model: others lie between.
fn anchors(plan: &Plan) -> BTreeMap<Kind<'_>, Vec<&Planned>> {
    let mut ends: BTreeMap<Kind, (&Planned, &Planned)> = BTreeMap::new();
    for run in plan.runs.iter().filter(|run| !run.config.model.is_script()) {
        let (small, large) = ends.entry(kind(run)).or_insert((run, run));
        if run.costs.forward_flops < small.costs.forward_flops {
            *small = run;
        }
        if run.costs.forward_flops > large.costs.forward_flops {
            *large = run;
        }
    }
    ends.into_iter().map(|(key, (small, large))| (key, vec![small, large])).collect()
}

fn measured_shape(run: &Planned) -> Shape {
    let step_flops = 3 * run.costs.forward_flops.max(1);
    let batch = run.config.train.batch.min((MEASURED_FLOPS / step_flops).max(1));
    Shape { model: run.config.model.clone(), io: run.io, batch, precision: run.config.train.precision }
}

fn run_seconds(run: &Planned, anchors: &BTreeMap<Kind, Vec<&Planned>>, timings: &Timings) -> Result<f64> {
    let trained = run.config.train.batch * (run.config.steps - run.shared_steps);
    if run.config.model.is_script() {
        return Ok(run.examples_per_second.map_or(f64::NAN, |speed| trained as f64 / speed));
    }
    let ends = &anchors[&kind(run)];
    let known: Vec<(f64, f64)> = ends
        .iter()
        .filter_map(|end| {
            let shape = measured_shape(end);
            let per_example = timings.get(&shape)? / shape.batch as f64;
            Some(((end.costs.forward_flops.max(1) as f64).ln(), per_example.ln()))
        })
        .collect();
    let [small, large] = known.as_slice() else {
        return Err(Error::failed(format!("the step time of {} was not measured", run.label)));
    };
    let share = if large.0 > small.0 {
        ((run.costs.forward_flops.max(1) as f64).ln() - small.0) / (large.0 - small.0)
    } else {
        0.0
    };
    let per_example = (small.1 + share * (large.1 - small.1)).exp();
    let splits = task::splits(&run.config.task)?;
    // Evaluation is a forward pass, a third of a training step; the test split's is the last one's alone.
    let evaluated = splits.validation * run.config.train.evals.min(run.config.steps) + splits.test;
    Ok(per_example * (trained as f64 + evaluated as f64 / 3.0))
}

/// Measured seconds per step by shape, kept in the cache folder.
struct Timings {
    path: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl Timings {
    /// A cache that cannot be read is measured anew.
    fn load() -> Result<Self> {
        let path = cache::dir()?.join("step-seconds.json");
        let seconds = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Self { path, seconds })
    }

    /// The shape, this machine's processor and this version: what a step time depends on.
    fn key(shape: &Shape) -> String {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
        let shape = serde_json::to_string(shape).unwrap_or_default();
        let digest = Sha256::digest(format!("{} {cpu} {shape}", env!("CARGO_PKG_VERSION")));
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn get(&self, shape: &Shape) -> Option<f64> {
        self.seconds.get(&Self::key(shape)).copied()
    }

    fn measure(&mut self, wanted: impl Iterator<Item = Shape>) -> Result<()> {
        let mut shapes = Vec::new();
        for shape in wanted {
            if self.get(&shape).is_none() && !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        if shapes.is_empty() {
            return Ok(());
        }
        let models = shapes.len();
        out::say(format_args!("measuring the training step of {models} models on this machine (kept for next time)"));
        let seconds = ask_worker(&shapes)?;
        if seconds.len() != shapes.len() {
            return Err(Error::failed(format!("crossover-worker timed {} of {} shapes", seconds.len(), shapes.len())));
        }
        self.seconds.extend(shapes.iter().map(Self::key).zip(seconds));
        let text = serde_json::to_vec(&self.seconds).context(|| "cannot write step times")?;
        // They are measured again the next time.
        if let Err(error) = crate::files::write_atomically(&self.path, &text) {
            out::say(format_args!("note: step times are not kept: {error}"));
        }
        Ok(())
    }
}

fn ask_worker(shapes: &[Shape]) -> Result<Vec<f64>> {
    let worker = Program::find()?;
    let failed = || format!("cannot time training steps with {}", worker.path().display());
    // A file, not a pipe: a worker that dies early cannot end this program with a broken pipe.
    let mut question = tempfile::tempfile().context(failed)?;
    question.write_all(&serde_json::to_vec(shapes).context(failed)?).context(failed)?;
    question.rewind().context(failed)?;
    let output = worker.command().arg("measure").stdin(question).stderr(Stdio::inherit()).output().context(failed)?;
    if let Some(error) = missing_library(output.status.code(), "") {
        return Err(error);
    }
    if !output.status.success() {
        return Err(Error::failed(format!("{}: it ended with {}", failed(), output.status))
            .hint("--no-time plans without an estimate"));
    }
    serde_json::from_slice(&output.stdout).context(failed)
}
