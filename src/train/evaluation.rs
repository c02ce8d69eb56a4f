//! Loss and error of every row of a pack on a whole split.

use std::collections::BTreeMap;

use tch::{Device, Kind, Reduction, Tensor};

use crate::error::{Context, Result};
use crate::model::network::{Mode, Network};
use crate::task::data::{Normal, Set};

/// Input values of a batch over all rows: large enough to keep a device busy, small enough for its memory and, on a
/// CPU, for its caches.
const VALUES_CPU: i64 = 1 << 18;
const VALUES_CUDA: i64 = 1 << 22;
const LARGEST_BATCH: i64 = 4096;

/// Means over a split, for each row: nats per example, the share of wrong answers, and what the model reports itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    pub loss: Vec<f64>,
    pub error: Vec<f64>,
    pub extra: BTreeMap<String, Vec<f64>>,
}

/// Evaluates parameters `[R, P]`, in their float type, and running statistics `[R, S]`. Its batches depend on shapes alone,
/// so the same weights always give the same numbers.
pub fn evaluate(network: &Network, params: &Tensor, stats: &Tensor, set: &Set, normal: &Normal) -> Result<Evaluated> {
    let _guard = tch::no_grad_guard();
    let (rows, device) = (params.size()[0], params.device());
    let batch = batch_size(set, rows);
    let zeros = || Tensor::zeros([rows], (Kind::Double, device));
    let (mut loss, mut wrong, mut extra) = (zeros(), zeros(), BTreeMap::<String, Tensor>::new());
    for start in (0..set.len).step_by(batch as usize) {
        let count = batch.min(set.len - start);
        let (images, labels) = set.slice(start, count, normal)?; // [R, B, C, H, W], [1, B]
        let output = network.forward(params, stats, &images.to_kind(params.kind()), Mode::Eval);
        loss += cross_entropy(&output.logits, &labels).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        let answers = output.logits.argmax(-1, false); // [R, B]
        wrong += answers.not_equal_tensor(&labels).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        for (name, value) in output.metrics {
            *extra.entry(name).or_insert_with(zeros) += value.to_kind(Kind::Double) * count as f64;
        }
    }
    let mean = |sum: &Tensor| {
        Vec::<f64>::try_from((sum / set.len as f64).to_device(Device::Cpu)).context(|| "cannot read an evaluation")
    };
    let extra = extra.iter().map(|(name, sum)| Ok((name.clone(), mean(sum)?))).collect::<Result<_>>()?;
    Ok(Evaluated { loss: mean(&loss)?, error: mean(&wrong)?, extra })
}

/// Nats of each example `[R, B]`, of logits `[R, B, K]` and labels `[R or 1, B]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let size = logits.size();
    let labels = labels.expand([size[0], size[1]], false).reshape([-1]);
    let flat = logits.reshape([-1, size[2]]).to_kind(Kind::Float); // [R B, K]
    flat.cross_entropy_loss::<Tensor>(&labels, None, Reduction::None, -100, 0.0).view([size[0], size[1]])
}

fn batch_size(set: &Set, rows: i64) -> u64 {
    let values = if set.labels.device().is_cuda() { VALUES_CUDA } else { VALUES_CPU };
    let per_image = set.values() * rows;
    (values / per_image).clamp(1, (LARGEST_BATCH / rows).max(1)) as u64
}
