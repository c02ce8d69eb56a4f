//! A pack under way: models of one shape, trained together as lanes of one batched model. Nothing mixes lanes, so
//! a loss that is not finite stays in its own. A lane serves one run, or on a trunk several that differ in their budget:
//! each has its own log and evaluations, and the shorter ones branch off with a checkpoint, to be trained on alone.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::error::{Context, Result};
use crate::event::{Event, Outcome};
use crate::here;
use crate::model::network::{Mode, Network};
use crate::run::Recipe;
use crate::task::data::{Data, Normal};
use crate::train::batches::{Batches, Lanes};
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::evaluation::{cross_entropy, evaluate};
use crate::train::optimizer::AdamW;
use crate::train::precision;
use crate::train::row::Row;
use crate::train::schedule;
use crate::worker;

/// In shape comments: R lanes, B batch, P parameters, S running statistics.
pub struct Pack<'a> {
    pub rows: Vec<Row<'a>>,
    /// Steps done, and those of the longest run of each lane.
    pub step: u64,
    pub steps: u64,
    recipe: &'a Recipe,
    /// Of each lane.
    seeds: Vec<u64>,
    batches: Lanes,
    network: &'a Network,
    data: Rc<Data>,
    normal: Normal,
    /// `[R, P]`, the one leaf of the graph.
    params: Tensor,
    /// `[R, S]`.
    stats: Tensor,
    optimizer: AdamW,
    /// Losses `[R]` of the last steps, not yet read from the device.
    unread: Vec<Tensor>,
    from_step: u64,
    started: Instant,
    evaluating: Duration,
}

impl<'a> Pack<'a> {
    /// Lanes that stand at the same step, where `saved` has a checkpoint of each, or at the start, where it has none.
    /// The runs of a lane come longest first; the first ones are of one length.
    pub fn new(network: &'a Network, data: Rc<Data>, lanes: Vec<Vec<Row<'a>>>, saved: Vec<Checkpoint>) -> Result<Self> {
        let device = data.train.labels.device();
        let configs: Vec<_> = lanes.iter().map(|rows| &rows[0].run.config).collect();
        let recipes: Vec<_> = configs.iter().map(|config| &config.train).collect();
        let seeds: Vec<_> = configs.iter().map(|config| config.seed).collect();
        let examples: Vec<_> = configs.iter().map(|config| config.examples).collect();
        let batches: Vec<_> =
            configs.iter().map(|config| Batches::new(config.seed, config.examples)).collect::<Result<_>>()?;
        let normal = data.normal(&examples)?;
        let layout = network.layout();
        let mut optimizer = AdamW::new(&recipes, layout.params, layout.decayed, device);
        let step = saved.first().map_or(0, |saved| saved.step);
        let (params, stats) = if saved.is_empty() {
            network.init(&seeds)
        } else {
            let stack = |of: fn(&Checkpoint) -> &Tensor| Tensor::stack(&saved.iter().map(of).collect::<Vec<_>>(), 0);
            optimizer.first = stack(|saved| &saved.first).to_device(device);
            optimizer.second = stack(|saved| &saved.second).to_device(device);
            (stack(|saved| &saved.params), stack(|saved| &saved.stats))
        };
        Ok(Self {
            step,
            steps: configs[0].steps,
            recipe: recipes[0],
            seeds,
            batches: Lanes::new(batches, recipes[0].batch),
            network,
            normal,
            params: params.to_device(device).set_requires_grad(true),
            stats: stats.to_device(device),
            optimizer,
            unread: Vec::new(),
            from_step: step,
            started: Instant::now(),
            evaluating: Duration::ZERO,
            data,
            rows: lanes.into_iter().flatten().collect(),
        })
    }

    /// One update of every lane.
    pub fn train_step(&mut self) -> Result<()> {
        let [now, then] = self.batches.at(self.step, self.steps);
        let (images, labels) = self.data.batch([&now, &then], &self.seeds, self.step, &self.normal)?;
        let kind = precision::kind(self.recipe.precision);
        let (params, images) = (self.params.to_kind(kind), images.to_kind(kind)); // themselves in float32
        let mode = Mode::Train { seeds: &self.seeds, step: self.step };
        let output = self.network.forward(&params, &self.stats, &images, mode);
        let loss = cross_entropy(&output.logits, &labels).mean_dim([1i64].as_slice(), false, None); // [R]
        let total = output.losses.values().fold(loss.shallow_clone(), |total, auxiliary| total + auxiliary);
        let grad = Tensor::run_backward(&[total.sum(Kind::Float)], &[&self.params], false, false).swap_remove(0); // [R, P]
        let factor = schedule::factor(self.recipe, self.step, self.steps);
        tch::no_grad(|| self.optimizer.update(&mut self.params, grad, factor, self.step));
        if let Some(stats) = output.stats {
            self.stats = stats;
        }
        // A loss that is finite and an auxiliary one that is not: the sum says so, and the mean is of the first.
        self.unread.push(loss.detach().where_self(&total.isfinite(), &total.detach()));
        self.step += 1;
        Ok(())
    }

    /// Losses that wait on the device.
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// Reads the losses of the steps since the last call, and ends the rows in which one is not finite.
    pub fn settle(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let first_step = self.step - self.unread.len() as u64 + 1;
        let losses = Tensor::stack(&self.unread, 0).to_device(Device::Cpu); // [steps, R]
        self.unread.clear();
        let losses = Vec::<Vec<f32>>::try_from(losses).context(|| "cannot read the losses")?;
        for (step, losses) in (first_step..).zip(losses) {
            self.rows.iter_mut().for_each(|row| row.read_loss(step, losses[row.lane].into()));
        }
        self.write_ends()
    }

    /// Measures what is measured at this step, unless an earlier attempt has logged it.
    pub fn evaluate(&mut self) -> Result<()> {
        if !self.rows.iter().any(|row| row.is_due(self.step)) {
            return Ok(());
        }
        self.settle()?;
        let begun = Instant::now();
        if self.rows.iter().any(|row| row.wants_metrics(self.step)) {
            let params = self.params.detach().to_kind(precision::kind(self.recipe.precision));
            let on = |set| evaluate(self.network, &params, &self.stats, set, &self.normal);
            let validation = on(&self.data.validation)?;
            let ends = self.rows.iter().any(|row| row.wants_test(self.step));
            let test = if ends { Some(on(&self.data.test)?) } else { None };
            self.rows.iter_mut().try_for_each(|row| row.log_metrics(self.step, &validation, test.as_ref()))?;
            self.write_ends()?;
        }
        self.rows.iter_mut().filter(|row| row.is_due(self.step)).for_each(Row::forget_losses);
        self.evaluating += begun.elapsed();
        Ok(())
    }

    /// Whether any row is still being trained.
    pub fn alive(&self) -> bool {
        self.rows.iter().any(|row| row.outcome.is_none())
    }

    /// Mean of the last losses of the rows still being trained.
    pub fn loss(&self) -> f64 {
        let losses: Vec<f64> = self.rows.iter().filter(|row| row.outcome.is_none()).map(|row| row.last_loss).collect();
        losses.iter().sum::<f64>() / losses.len().max(1) as f64
    }

    /// Of this attempt, evaluations left out; of all lanes together.
    pub fn examples_per_second(&self) -> f64 {
        let examples = (self.step - self.from_step) * self.recipe.batch * self.seeds.len() as u64;
        examples as f64 / self.seconds().max(1e-9)
    }

    /// Writes the checkpoints of the rows still being trained.
    pub fn checkpoint(&mut self) -> Result<()> {
        self.settle()?;
        self.rows.iter().filter(|row| row.outcome.is_none()).try_for_each(|row| self.save(row))
    }

    /// The log before the checkpoint that stands on it.
    fn save(&self, row: &Row) -> Result<()> {
        row.log.sync()?;
        let at = |tensor: &Tensor| tensor.get(row.lane as i64);
        let checkpoint = Checkpoint {
            step: self.step,
            params: at(&self.params),
            first: at(&self.optimizer.first),
            second: at(&self.optimizer.second),
            stats: at(&self.stats),
            loss_sum: row.loss_sum,
            loss_count: row.loss_count,
        };
        checkpoint.write(row.run)
    }

    /// Lets the runs go whose trunk ends here: they stop, each with a checkpoint, and their folders are free.
    pub fn branch(&mut self) -> Result<()> {
        if !self.rows.iter().any(|row| row.branches(self.step, self.steps)) {
            return Ok(());
        }
        self.settle()?;
        self.rows.iter().filter(|row| row.branches(self.step, self.steps)).try_for_each(|row| self.save(row))?;
        for row in self.rows.iter_mut().filter(|row| row.branches(self.step, self.steps)) {
            row.outcome = Some(Outcome::Stopped { step: self.step });
        }
        self.write_ends()?;
        self.rows.retain(|row| !matches!(row.outcome, Some(Outcome::Stopped { .. })));
        Ok(())
    }

    /// Checkpoints the rows still being trained and ends this attempt at them.
    pub fn stop(&mut self) -> Result<()> {
        self.checkpoint()?;
        self.end_with(&Outcome::Stopped { step: self.step })
    }

    /// Ends the rows that got to the end of their budget; their weights stay.
    pub fn finish(&mut self) -> Result<()> {
        for row in self.rows.iter().filter(|row| row.outcome.is_none()) {
            let (params, stats) = (self.params.get(row.lane as i64), self.stats.get(row.lane as i64));
            checkpoint::write_weights(&row.run.folder, self.network.layout(), &params, &stats)?;
        }
        self.end_with(&Outcome::Done)
    }

    fn end_with(&mut self, outcome: &Outcome) -> Result<()> {
        for row in self.rows.iter_mut().filter(|row| row.outcome.is_none()) {
            row.outcome = Some(outcome.clone());
        }
        self.write_ends()
    }

    /// Logs the end of each row that has one since the last call; only a stopped one keeps its checkpoints.
    fn write_ends(&mut self) -> Result<()> {
        let (seconds, speed) = (self.seconds(), self.examples_per_second() / self.seeds.len() as f64);
        for row in self.rows.iter_mut().filter(|row| !row.end_logged) {
            let Some(outcome) = row.outcome.clone() else { continue };
            let kept = matches!(outcome, Outcome::Stopped { .. });
            let (attempt, time) = (row.run.attempt, here::now());
            row.log.append(&Event::End { attempt, time, seconds, examples_per_second: speed, outcome })?;
            row.log.sync()?;
            row.end_logged = true;
            if !kept {
                worker::checkpoint::remove(&row.run.folder)?;
            }
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        (self.started.elapsed() - self.evaluating).as_secs_f64()
    }

    pub fn recipe(&self) -> &'a Recipe {
        self.recipe
    }
}
