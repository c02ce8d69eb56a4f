//! The state of a run in training, as its checkpoints hold it. A run resumed from one gives what it would have given
//! without the stop, bit for bit on a CPU.

use std::borrow::Cow;
use std::fs::{self, File};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use crate::error::{Context, Result};
use crate::model::layout::{Layout, Parameter};
use crate::worker::Assignment;
use crate::worker::checkpoint::{self, Found};

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
    pub fn write(&self, run: &Assignment) -> Result<()> {
        let number = |value: u64| Tensor::from_slice(&[value as i64]);
        let tensors = [
            (checkpoint::STEP, number(self.step)),
            ("params", on_cpu(&self.params)),
            ("first", on_cpu(&self.first)),
            ("second", on_cpu(&self.second)),
            ("stats", on_cpu(&self.stats)),
            ("loss_sum", Tensor::from_slice(&[self.loss_sum])),
            ("loss_count", number(self.loss_count)),
        ];
        let tensors = tensors.into_iter().map(|(name, tensor)| Ok((name, Values::of(tensor)?)));
        checkpoint::write(&run.folder, &run.id, tensors.collect::<Result<_>>()?)
    }

    /// See [`checkpoint::read`].
    pub fn read(run: &Assignment, bears_out: &dyn Fn(u64) -> bool, layout: &Layout) -> Result<Found<Checkpoint>> {
        checkpoint::read(run, bears_out, &|step, tensors| take(step, tensors, layout))
    }
}

fn take(step: u64, tensors: &SafeTensors, layout: &Layout) -> Result<Checkpoint, String> {
    let take = |name: &str, kind: Kind, length: i64| {
        let view = tensors.tensor(name).map_err(|_| format!("has no '{name}'"))?;
        let tensor = Tensor::try_from(view).map_err(|error| format!("has a '{name}' that cannot be read: {error}"))?;
        if tensor.kind() != kind || tensor.size() != [length] {
            let found = (tensor.kind(), tensor.size());
            return Err(format!("has '{name}' as {found:?}, and {length} values of {kind:?} are needed"));
        }
        Ok(tensor)
    };
    Ok(Checkpoint {
        step,
        params: take("params", Kind::Float, layout.params)?,
        first: take("first", Kind::Float, layout.params)?,
        second: take("second", Kind::Float, layout.params)?,
        stats: take("stats", Kind::Float, layout.stats)?,
        loss_sum: take("loss_sum", Kind::Double, 1)?.double_value(&[0]),
        loss_count: take("loss_count", Kind::Int64, 1)?.int64_value(&[0]) as u64,
    })
}

/// A tensor on its way to a file, of which no second copy is made before it is written.
struct Values {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Values {
    fn of(tensor: Tensor) -> Result<Values> {
        let dtype = Dtype::try_from(tensor.kind()).context(|| "cannot write a tensor")?;
        let shape = tensor.size().iter().map(|&length| length as usize).collect();
        Ok(Values { tensor, dtype, shape })
    }
}

impl View for Values {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.dtype.size()
    }
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
