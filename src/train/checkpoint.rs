//! What a stopped run goes on from: one file a run, replaced whole, so that it is never torn. A run resumed from it
//! gives what it would have given without the stop, bit for bit on a CPU.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::error::{Context, Error, Result};
use crate::model::layout::{Layout, Parameter};
use crate::out;

const FILE: &str = "checkpoint.safetensors";
/// The trained weights, named as in the programs that the architectures are from. Kept when a run is done: probes
/// read them, and `crossover plan` counts them.
const WEIGHTS: &str = "weights.safetensors";

/// One run's state after `step` steps.
#[derive(Debug)]
pub struct Checkpoint {
    pub step: u64,
    /// `[P]` each: parameters and the optimizer's moments.
    pub params: Tensor,
    pub first: Tensor,
    pub second: Tensor,
    /// `[S]`.
    pub stats: Tensor,
    /// Sum and number of the training losses since the last evaluation.
    pub loss_sum: f64,
    pub loss_count: u64,
}

impl Checkpoint {
    pub fn write(&self, folder: &Path) -> Result<()> {
        let number = |value: u64| Tensor::from_slice(&[value as i64]);
        let tensors = [
            ("step", number(self.step)),
            ("params", on_cpu(&self.params)),
            ("first", on_cpu(&self.first)),
            ("second", on_cpu(&self.second)),
            ("stats", on_cpu(&self.stats)),
            ("loss_sum", Tensor::from_slice(&[self.loss_sum])),
            ("loss_count", number(self.loss_count)),
        ];
        write(folder, FILE, &tensors)
    }

    /// The checkpoint in a run's folder. One that cannot be used is reported on stderr and removed: the run starts over.
    pub fn read(folder: &Path, layout: &Layout) -> Result<Option<Checkpoint>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        match parse(&path, layout) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => {
                let path = path.display();
                out::say(format_args!("warning: {path} cannot be used, so the run starts over: {error}"));
                Self::remove(folder)?;
                Ok(None)
            }
        }
    }

    pub fn remove(folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::failed(format!("cannot remove {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

fn parse(path: &Path, layout: &Layout) -> Result<Checkpoint> {
    let mut tensors: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(path).context(|| "not a whole file")?.into_iter().collect();
    let mut take = |name: &str, kind: Kind, length: i64| {
        let tensor = tensors.remove(name).ok_or_else(|| Error::failed(format!("it has no '{name}'")))?;
        if tensor.kind() != kind || tensor.size() != [length] {
            let found = (tensor.kind(), tensor.size());
            return Err(Error::failed(format!(
                "its '{name}' is {found:?}, and {length} values of {kind:?} are needed"
            )));
        }
        Ok(tensor)
    };
    Ok(Checkpoint {
        step: take("step", Kind::Int64, 1)?.int64_value(&[0]) as u64,
        params: take("params", Kind::Float, layout.params)?,
        first: take("first", Kind::Float, layout.params)?,
        second: take("second", Kind::Float, layout.params)?,
        stats: take("stats", Kind::Float, layout.stats)?,
        loss_sum: take("loss_sum", Kind::Double, 1)?.double_value(&[0]),
        loss_count: take("loss_count", Kind::Int64, 1)?.int64_value(&[0]) as u64,
    })
}

/// Leaves the trained weights, parameters `[P]` and running statistics `[S]`, in a run's folder.
pub fn write_weights(folder: &Path, layout: &Layout, params: &Tensor, stats: &Tensor) -> Result<()> {
    let (params, stats) = (on_cpu(params), on_cpu(stats));
    let named = |row: &Tensor, parameter: &Parameter| {
        let values = row.narrow(0, parameter.offset, parameter.len());
        (parameter.name.clone(), values.view(parameter.shape.as_slice()).contiguous())
    };
    let parameters = layout.parameters.iter().map(|parameter| named(&params, parameter));
    let statistics = layout.statistics.iter().map(|statistic| named(&stats, statistic));
    let tensors: Vec<_> = parameters.chain(statistics).collect();
    write(folder, WEIGHTS, &tensors)
}

fn on_cpu(tensor: &Tensor) -> Tensor {
    tensor.detach().to_device(Device::Cpu).contiguous()
}

/// Written beside, synced, renamed; then the folder is synced, so that the name is on the disk too.
fn write<S: AsRef<str>>(folder: &Path, name: &str, tensors: &[(S, Tensor)]) -> Result<()> {
    let (path, partial) = (folder.join(name), folder.join(format!("{name}.partial")));
    let failed = || format!("cannot write {}", path.display());
    Tensor::write_safetensors(tensors, &partial).context(failed)?;
    File::open(&partial).and_then(|file| file.sync_all()).context(failed)?;
    fs::rename(&partial, &path).context(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).context(failed)
}
