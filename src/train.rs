//! Training: runs in, event logs and checkpoints out. The loop knows steps only; what a run draws at random
//! depends on its seed and the step, so that it can be stopped anywhere and goes on as if it had not been.

pub mod batches;
pub mod checkpoint;
pub mod evaluation;
mod fused;
pub mod measure;
pub mod optimizer;
pub mod pack;
pub mod precision;
pub mod process;
pub mod row;
pub mod schedule;
pub mod steps;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::error::{Context, Error, Result};
use crate::model::network;
use crate::task::data::Loaded;
use crate::trunk;
use crate::worker::{Assignment, Job, Progress, Report, Trainer};
use checkpoint::Checkpoint;
use pack::Pack;
use row::Row;

/// Losses are read from the device after so many steps or this long: reading one waits for the device.
const READ_AFTER: usize = 16;
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Trains on one device; tasks stay there between jobs.
pub struct Libtorch {
    loaded: Loaded,
}

impl Libtorch {
    /// [`process::prepare`] must have been called.
    pub fn new(device: Device) -> Self {
        Self { loaded: Loaded::new(device) }
    }
}

impl Trainer for Libtorch {
    /// A product and its gradient.
    fn prepare(&mut self) -> Result<()> {
        let device = self.loaded.device();
        caught(|| {
            let x = Tensor::ones([8, 8], (Kind::Float, device)).set_requires_grad(true);
            x.matmul(&x).sum(Kind::Float).backward();
            match x.grad().sum(Kind::Double).double_value(&[]) {
                1024.0 => Ok(()),
                sum => Err(Error::failed(format!("{} computes wrongly: {sum} and not 1024", device_name(device)))),
            }
        })
    }

    fn train(&mut self, job: &Job, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<()> {
        caught(|| {
            let stop = |_| stop.load(Ordering::Relaxed);
            alike(&job.runs).into_iter().try_for_each(|runs| train_alike(&runs, &mut self.loaded, &stop, report))
        })
    }
}

/// A call of tch that fails, for want of memory for example, panics: that is one failed attempt, not the end.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Error::failed(format!("libtorch: {reason}")))
    })
}

/// Runs of one shape.
fn alike(runs: &[Assignment]) -> Vec<Vec<&Assignment>> {
    let mut shapes = BTreeMap::<String, Vec<&Assignment>>::new();
    runs.iter().for_each(|run| shapes.entry(run.config.shape_id()).or_default().push(run));
    shapes.into_values().collect()
}

fn train_alike(
    runs: &[&Assignment],
    loaded: &mut Loaded,
    stop: &dyn Fn(u64) -> bool,
    report: &mut dyn FnMut(Report),
) -> Result<()> {
    let config = &runs[0].config;
    precision::set(config.train.precision, loaded.device())?;
    let network = network::build(&config.model, runs[0].io)?;
    let (mut rows, mut steps) = (Vec::new(), Vec::new());
    for &run in runs {
        let Some(mut row) = Row::open(run)? else { continue };
        let found = Checkpoint::read(run, &|step| row.bears_out(step), network.layout())?;
        found.warning.into_iter().for_each(|text| report(Report::Warning(text)));
        let saved = found.saved.filter(|saved| saved.step > 0);
        if let Some(saved) = &saved {
            (row.loss_sum, row.loss_count) = (saved.loss_sum, saved.loss_count);
        }
        steps.push((&run.config, saved.as_ref().map_or(0, |saved| saved.step)));
        rows.push(Some((row, saved)));
    }
    // Lanes that stand at different steps, or have different budgets, are different packs.
    let mut packs = BTreeMap::<(u64, u64), (Vec<Vec<Row>>, Vec<Checkpoint>)>::new();
    for lane in trunk::groups(&steps) {
        let (config, step) = steps[lane[0]];
        let (lanes, checkpoints) = packs.entry((step, config.steps)).or_default();
        let mut of_lane = Vec::new();
        for (mut row, saved) in lane.into_iter().filter_map(|index| rows[index].take()) {
            row.lane = lanes.len();
            checkpoints.extend(saved.filter(|_| of_lane.is_empty()));
            of_lane.push(row);
        }
        lanes.push(of_lane);
    }
    for (lanes, saved) in packs.into_values() {
        let most = lanes.iter().map(|rows| rows[0].run.config.examples).max().unwrap_or(0);
        let data = loaded.get(&config.task, most)?;
        train_pack(Pack::new(&network, data, lanes, saved)?, &device_name(loaded.device()), stop, report)?;
    }
    Ok(())
}

/// The loop. `stop` is asked before each step, with the steps done.
fn train_pack(mut pack: Pack, device: &str, stop: &dyn Fn(u64) -> bool, report: &mut dyn FnMut(Report)) -> Result<()> {
    let checkpoint_every = process::checkpoint_every()?;
    let from_step = pack.step;
    pack.rows.iter_mut().try_for_each(|row| row.log_start(device, from_step))?;
    let (mut reported, mut saved) = (Instant::now(), Instant::now());
    while pack.step < pack.steps {
        if stop(pack.step) {
            return pack.stop();
        }
        pack.train_step()?;
        pack.evaluate()?;
        pack.branch()?;
        let report_due = reported.elapsed() >= REPORT_EVERY;
        if report_due || pack.unread() >= READ_AFTER {
            pack.settle()?;
        }
        if !pack.alive() {
            return Ok(());
        }
        if report_due {
            reported = Instant::now();
            let (step, loss, examples_per_second) = (pack.step, pack.loss(), pack.examples_per_second());
            report(Report::Progress(Progress { step, loss, examples_per_second }));
        }
        if saved.elapsed() >= checkpoint_every {
            pack.checkpoint()?;
            saved = Instant::now();
        }
    }
    pack.finish()
}

/// `cpu` or `cuda:N`, as on the command line.
pub fn parse_device(name: &str) -> Result<Device> {
    let unknown =
        || Error::bad_input(format!("there is no device '{name}'")).hint("devices are cpu, cuda:0, cuda:1, …");
    match name.strip_prefix("cuda") {
        None if name == "cpu" => Ok(Device::Cpu),
        None => Err(unknown()),
        Some("") => Ok(Device::Cuda(0)),
        Some(index) => {
            let index = index.strip_prefix(':').ok_or_else(unknown)?;
            Ok(Device::Cuda(index.parse().context(|| format!("device '{name}'"))?))
        }
    }
}

fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests;
