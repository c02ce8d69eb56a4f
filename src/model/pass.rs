//! One forward pass: the named views of the flat rows, and what the layers report on the way.
//!
//! Letters in shape comments: R rows of the pack, B batch, T tokens, D width, C channels, H W height and width,
//! K classes, P parameters, S running statistics.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::model::layout::{Layout, Slot};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Random draws are keyed by each row's seed and the step; batch norms use and update batch statistics.
    Train {
        seeds: &'a [u64],
        step: u64,
    },
    Eval,
}

/// In float32 where layers compute in bfloat16, for what is to be exact all the same.
pub fn exact(x: &Tensor) -> Tensor {
    if x.kind() == Kind::BFloat16 { x.to_kind(Kind::Float) } else { x.shallow_clone() }
}

pub struct Pass<'a> {
    /// R.
    pub rows: i64,
    pub mode: Mode<'a>,
    /// Auxiliary losses `[R]`, weighted: the trainer adds them to the loss.
    pub losses: BTreeMap<String, Tensor>,
    /// Values to log, `[R]`, outside the graph.
    pub metrics: BTreeMap<String, Tensor>,
    layout: &'a Layout,
    /// `[R, length]` each, in the layout's order.
    parameters: Vec<Tensor>,
    /// `[R, length]` each; copies, so that batch norms update them in place.
    stats: Vec<Tensor>,
}

impl<'a> Pass<'a> {
    pub fn new(layout: &'a Layout, params: &Tensor, stats: &Tensor, mode: Mode<'a>) -> Self {
        let lengths = |all: &[super::layout::Parameter]| all.iter().map(|p| p.len()).collect::<Vec<_>>();
        // One split: its backward is one concatenation, where many narrows would each make a full-size gradient.
        let parameters = params.split_with_sizes(lengths(&layout.parameters), 1);
        let stats = match layout.statistics.is_empty() {
            true => Vec::new(),
            false => stats.split_with_sizes_copy(lengths(&layout.statistics), 1),
        };
        let (losses, metrics) = (BTreeMap::new(), BTreeMap::new());
        Self { rows: params.size()[0], mode, losses, metrics, layout, parameters, stats }
    }

    pub fn train(&self) -> bool {
        matches!(self.mode, Mode::Train { .. })
    }

    /// Adds to the auxiliary loss of this name, over the layers that have one.
    pub fn add_loss(&mut self, name: &str, loss: Tensor) {
        let sum = self.losses.remove(name).map_or(loss.shallow_clone(), |sum| sum + &loss);
        self.losses.insert(name.to_string(), sum);
    }

    /// Logs each expert's share `[R, E]` of a block's tokens as `moe_load.BLOCK.EXPERT`.
    pub fn report_loads(&mut self, block: u64, shares: &Tensor) {
        for (expert, share) in shares.unbind(1).into_iter().enumerate() {
            self.metrics.insert(format!("moe_load.{block}.{expert}"), share);
        }
    }

    /// A parameter as `[R, shape…]`.
    pub fn rows_of(&self, slot: Slot) -> Tensor {
        let place = self.layout.place(slot);
        let mut shape = vec![self.rows];
        shape.extend(&self.layout.parameters[place].shape);
        self.parameters[place].view(shape.as_slice())
    }

    /// A parameter with the rows folded into its first dimension: `[R * first, rest…]`; a view when R is 1.
    pub fn folded(&self, slot: Slot) -> Tensor {
        let place = self.layout.place(slot);
        let mut shape = self.layout.parameters[place].shape.clone();
        if let Some(first) = shape.first_mut() {
            *first *= self.rows;
        }
        self.parameters[place].reshape(shape.as_slice())
    }

    /// A running statistic `[R * length]`, to be updated in place.
    pub fn statistic(&self, slot: Slot) -> Tensor {
        self.stats[slot.0].view([-1])
    }

    /// The updated running statistics `[R, S]`; none where there are none or nothing was trained.
    pub fn updated_stats(&self) -> Option<Tensor> {
        (self.train() && !self.stats.is_empty()).then(|| Tensor::cat(&self.stats, 1))
    }
}
