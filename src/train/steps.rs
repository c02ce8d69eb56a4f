//! Training steps of a model on drawn images, with nothing around them: what is timed, and compared between devices and
//! precisions. The same request gives the same weights and images wherever it is asked.

use std::io::BufRead;
use std::time::Instant;

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Context, Error, Result};
use crate::model::network::{self, Mode, Network};
use crate::model::{self, Io};
use crate::out;
use crate::random::stream;
use crate::run::{Named, Precision, Recipe, Schedule, Settings};
use crate::train::evaluation::cross_entropy;
use crate::train::optimizer::AdamW;
use crate::train::{caught, precision};

/// In shape comments: R rows of a pack, B batch, P parameters.
pub struct Steps {
    network: Network,
    seeds: Vec<u64>,
    /// `[R, P]`, the one leaf of the graph.
    params: Tensor,
    stats: Tensor,
    optimizer: AdamW,
    /// `[R, B, C, H, W]`, the same in every row.
    images: Tensor,
    labels: Tensor,
    kind: Kind,
    done: u64,
}

impl Steps {
    /// Of `rows` models that differ in their seed. [`precision::set`] says what products of float32 are rounded to.
    pub fn new(model: &Named, io: Io, batch: u64, precision: Precision, rows: u64, device: Device) -> Result<Self> {
        let network = network::build(model, io)?;
        let seeds: Vec<u64> = (0..rows).collect();
        let (params, stats) = network.init(&seeds);
        let recipe = Recipe { batch, lr: 1e-4, schedule: Schedule::Constant, evals: 1, precision, ..Recipe::default() };
        let layout = network.layout();
        let optimizer = AdamW::new(&vec![&recipe; seeds.len()], layout.params, layout.decayed, device);
        let images = normal("images", &[1, batch, io.channels, io.height, io.width].map(|side| side as i64));
        let labels = Tensor::arange(batch as i64, (Kind::Int64, device)).remainder(io.classes as i64);
        Ok(Self {
            params: params.to_device(device).set_requires_grad(true),
            stats: stats.to_device(device),
            images: images.to_device(device).repeat([rows as i64, 1, 1, 1, 1]),
            labels: labels.unsqueeze(0), // [1, B]
            kind: precision::kind(precision),
            network,
            seeds,
            optimizer,
            done: 0,
        })
    }

    /// Moves each parameter, so that those that begin at zero count: heads, scales of residual branches.
    fn shake(&mut self) {
        let noise = normal("noise", &[1, self.network.layout().params]).to_device(self.params.device());
        tch::no_grad(|| self.params += noise * 0.02);
    }

    /// One update of every row, and its losses `[R]`, which are still on the device.
    pub fn step(&mut self) -> Tensor {
        let (params, images) = (self.params.to_kind(self.kind), self.images.to_kind(self.kind));
        let mode = Mode::Train { seeds: &self.seeds, step: self.done };
        let output = self.network.forward(&params, &self.stats, &images, mode);
        let loss = cross_entropy(&output.logits, &self.labels).mean_dim([1i64].as_slice(), false, None); // [R]
        let total = output.losses.values().fold(loss.shallow_clone(), |total, auxiliary| total + auxiliary);
        let grad = Tensor::run_backward(&[total.sum(Kind::Float)], &[&self.params], false, false).swap_remove(0);
        tch::no_grad(|| self.optimizer.update(&mut self.params, grad, 1.0, self.done));
        if let Some(stats) = output.stats {
            self.stats = stats;
        }
        self.done += 1;
        loss.detach()
    }

    /// Returns when the device has done all that it was given.
    pub fn wait(&self) {
        if let Device::Cuda(index) = self.params.device() {
            tch::Cuda::synchronize(index as i64);
        }
    }

    /// Of an evaluation, `[R, B, K]`, float32.
    fn logits(&self) -> Tensor {
        let (params, images) = (self.params.to_kind(self.kind), self.images.to_kind(self.kind));
        let output = tch::no_grad(|| self.network.forward(&params, &self.stats, &images, Mode::Eval));
        output.logits.to_kind(Kind::Float)
    }
}

fn normal(purpose: &str, shape: &[i64]) -> Tensor {
    let mut random = stream(0, purpose, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut random)).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// A line of stdin of `crossover-worker steps`: `warmup` steps, then `rounds` times `steps` that are timed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    arch: String,
    size: Option<String>,
    #[serde(default)]
    keys: Settings,
    io: Io,
    batch: u64,
    #[serde(default = "one")]
    rows: u64,
    #[serde(default)]
    precision: Precision,
    #[serde(default)]
    warmup: u64,
    #[serde(default = "one")]
    rounds: u64,
    steps: u64,
    /// Weights are shaken, and the answer has the logits that they give.
    #[serde(default)]
    logits: bool,
}

fn one() -> u64 {
    1
}

/// A line of stdout for each of them.
#[derive(Serialize)]
struct Answer {
    params: u64,
    /// Of one example.
    forward_flops: u64,
    /// Of the first row before the first step, an example after the other; none where they are not asked for.
    logits: Vec<f32>,
    /// Of each step, of each row.
    losses: Vec<Vec<f32>>,
    /// Of a step, in each round.
    seconds: Vec<f64>,
}

/// A question that fails: memory that runs out is an answer too.
#[derive(Serialize)]
struct Refusal {
    failure: String,
}

/// Answers the lines of stdin until there are no more.
///
/// # Errors
/// A line that is no question, or a stdout that is gone.
pub fn serve(device: Device) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line.context(|| "cannot read stdin")?;
        let question: Question = serde_json::from_str(&line)
            .map_err(|error| Error::bad_input(format!("stdin: not a question: {error}: {line}")))?;
        let text = match caught(|| answer(&question, device)) {
            Ok(answer) => serde_json::to_string(&answer),
            Err(error) => serde_json::to_string(&Refusal { failure: error.to_string() }),
        };
        out::line(text.context(|| "cannot write an answer")?)?;
    }
    Ok(())
}

fn answer(question: &Question, device: Device) -> Result<Answer> {
    let &Question { io, batch, rows, precision, .. } = question;
    precision::set(precision, device)?;
    let model = model::resolve(&question.arch, question.size.as_deref(), &question.keys)?;
    let costs = model::costs(&model, io)?;
    let mut model = Steps::new(&model, io, batch, precision, rows, device)?;
    let mut logits = Vec::new();
    if question.logits {
        model.shake();
        let first = model.logits().get(0).flatten(0, 1).to_device(Device::Cpu);
        logits = Vec::try_from(first).context(|| "cannot read the logits")?;
    }
    let mut losses: Vec<Tensor> = (0..question.warmup).map(|_| model.step()).collect();
    let mut seconds = Vec::new();
    for _ in 0..question.rounds {
        model.wait();
        let begun = Instant::now();
        losses.extend((0..question.steps).map(|_| model.step()));
        model.wait();
        seconds.push(begun.elapsed().as_secs_f64() / question.steps.max(1) as f64);
    }
    let losses = Tensor::stack(&losses, 0).to_device(Device::Cpu); // [steps, R]
    let losses = Vec::<Vec<f32>>::try_from(losses).context(|| "cannot read the losses")?;
    Ok(Answer { params: costs.params, forward_flops: costs.forward_flops, logits, losses, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(keys: serde_json::Value) -> Answer {
        let mut question = serde_json::json!({
            "arch": "vit", "keys": {"width": 8, "depth": 1, "heads": 2}, "batch": 4, "steps": 2,
            "io": {"channels": 1, "height": 8, "width": 8, "classes": 3},
        });
        question.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        answer(&serde_json::from_value(question).unwrap(), Device::Cpu).unwrap()
    }

    #[test]
    fn the_same_question_has_the_same_answer_alone_and_in_a_pack() {
        let alone = ask(serde_json::json!({"warmup": 1, "rounds": 2, "logits": true}));
        let packed = ask(serde_json::json!({"warmup": 1, "rounds": 2, "logits": true, "rows": 3}));
        assert_eq!((alone.losses.len(), alone.seconds.len(), alone.logits.len()), (5, 2, 12));
        assert!(alone.losses[4][0] < alone.losses[0][0], "{:?}", alone.losses);
        for (alone, packed) in alone.losses.iter().zip(&packed.losses) {
            assert!((alone[0] - packed[0]).abs() < 1e-5 && packed[0] != packed[1], "{alone:?} {packed:?}");
        }
        let apart = alone.logits.iter().zip(&packed.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "logits are {apart} apart");
    }

    #[test]
    fn weights_that_begin_at_zero_are_shaken() {
        let logits = ask(serde_json::json!({"logits": true})).logits;
        assert!(logits.iter().any(|logit| logit.abs() > 1e-3), "{logits:?}");
        assert!(ask(serde_json::json!({})).logits.is_empty());
    }
}
