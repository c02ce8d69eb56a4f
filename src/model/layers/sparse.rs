//! Sparse experts (V-MoE, Riquelme et al. 2021, arXiv 2106.05974, section 2 and appendix A): each token goes to the k
//! experts that a router likes best for it, as long as these have room.
//!
//! Tokens of one image compete with each other and with no others: an expert has its room per image, and auxiliary losses
//! are of each image's tokens, their mean over the batch. V-MoE's groups are 8 images, those of the sparse models in the
//! authors' Soft MoE study are one image too. So what a model answers to an image does not depend on the batch that it is
//! in, an evaluation not on how it is batched, and what an image costs is a closed form. The price: an expert cannot take
//! all tokens of one image and none of the next.

use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use crate::model::layers::experts::Experts;
use crate::model::layers::{Layer, Linear};
use crate::model::layout::{Builder, Init};
use crate::model::pass::{Mode, Pass, exact};
use crate::random::stream;

/// How tokens are sent to experts.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// E.
    pub experts: i64,
    /// k, the experts that a token asks for.
    pub top_k: i64,
    /// Tokens of one image that an expert has room for.
    pub room: i64,
    /// Whether tokens of higher score are served first (batch prioritized routing, section 4), or those of lower index.
    pub by_score: bool,
    /// Weight of the auxiliary losses, half for each.
    pub balance: f64,
}

/// In shape comments: E experts, k choices, G = R*B images.
pub struct SparseExperts {
    name: String,
    block: u64,
    routing: Routing,
    router: Linear,
    experts: Experts,
}

impl SparseExperts {
    /// `block` is the block that they are in.
    pub fn new(b: &mut Builder, name: &str, block: u64, width: i64, hidden: i64, routing: Routing) -> Self {
        let router = Linear::unbiased(b, &format!("{name}.router"), width, routing.experts, Init::lecun(width));
        let experts = Experts::new(b, name, routing.experts, width, hidden);
        Self { name: name.to_string(), block, routing, router, experts }
    }

    /// What is added to the router's logits in training, `[G, T, E]`: normal, of deviation 1 / E.
    fn noise(&self, pass: &Pass, logits: &Tensor) -> Option<Tensor> {
        let Mode::Train { seeds, step } = pass.mode else { return None };
        let count = logits.numel() / seeds.len();
        let noise: Vec<f32> = seeds.iter().flat_map(|seed| noise(*seed, step, &self.name, count)).collect();
        let noise = Tensor::from_slice(&noise).to_device(logits.device()).to_kind(logits.kind());
        Some(noise.view_as(logits) / self.routing.experts as f64)
    }

    /// How many stand before each choice in the queue of its expert: all first choices before second ones. `chosen`
    /// `[G, T, k]`, `score` `[G, T]` of first choices.
    fn queue(&self, chosen: &Tensor, score: &Tensor) -> Tensor {
        let [images, tokens, choices] = chosen.size()[..] else { unreachable!("choices are [G, T, k]") };
        let order = self.routing.by_score.then(|| {
            let order = score.argsort_stable(true, 1, true); // [G, T]
            order.unsqueeze(2).expand([images, tokens, choices], false)
        });
        let sorted = order.as_ref().map_or_else(|| chosen.shallow_clone(), |order| chosen.gather(1, order, false));
        let line = sorted.transpose(1, 2).reshape([images, choices * tokens]);
        let served = line.one_hot(self.routing.experts).cumsum(1, None); // [G, k*T, E]
        let before = served.gather(2, &line.unsqueeze(2), false) - 1; // [G, k*T, 1]
        let before = before.view([images, choices, tokens]).transpose(1, 2).contiguous(); // [G, T, k]
        order.map_or_else(|| before.shallow_clone(), |order| before.scatter(1, &order, &before))
    }

    /// Slots are `[R, E, B, room]`, flat. Gives the slot of each choice `[G*T*k]`, and the token `[R*E*B*room]` in each
    /// slot. Choices that are not served have some slot of their row, and slots that nobody has a token of their image: what
    /// comes of these is weighed by 0 or not read.
    fn slots(&self, rows: i64, chosen: &Tensor, place: &Tensor, served: &Tensor) -> (Tensor, Tensor) {
        let Routing { experts, top_k, room, .. } = self.routing;
        let [images, tokens, _] = chosen.size()[..] else { unreachable!("choices are [G, T, k]") };
        let (batch, all) = (images / rows, images * experts * room);
        let count = |end: i64, shape: &[i64]| Tensor::arange(end, (Kind::Int64, chosen.device())).view(shape);
        let queues = (count(rows, &[-1, 1, 1]) * experts + chosen.view([rows, batch, tokens * top_k])) * batch
            + count(batch, &[1, -1, 1]); // [R, B, T*k]
        let slots = queues.view_as(place) * room + place.clamp_max(room - 1); // [G, T, k]
        let firsts = (count(images, &[rows, 1, batch, 1]) * tokens).expand([rows, experts, batch, room], false);
        let sources = Tensor::cat(&[firsts.reshape([all]), count(1, &[1])], 0); // one more for those not served
        let places = slots.where_self(served, &slots.full_like(all)).view([-1]);
        let token = count(images * tokens, &[-1, 1]).expand([-1, top_k], false).reshape([-1]);
        (slots.view([-1]), sources.scatter(0, &places, &token).narrow(0, 0, all))
    }

    /// How uneven the router's choices are, and how uneven they would be for other noise. Clean `logits` `[G, T, E]`,
    /// `threshold` `[G, T, 1]`.
    fn add_losses(&self, pass: &mut Pass, logits: &Tensor, threshold: &Tensor) {
        let rows = pass.rows;
        let weight = self.routing.balance / 2.0;
        let mean = |loss: &Tensor| loss.view([rows, -1]).mean_dim([1i64].as_slice(), false, None) * weight; // [R]
        pass.add_loss("moe_importance", mean(&importance_loss(logits)));
        pass.add_loss("moe_load", mean(&load_loss(logits, threshold)));
    }

    /// Means over the images of a row: of a token's choices, those that each expert got and those that found no room; of
    /// the tokens, those that no expert took. `served` `[G, T, k]`.
    fn report(&self, pass: &mut Pass, chosen: &Tensor, served: &Tensor) {
        let rows = pass.rows;
        let share = |of: Tensor| of.to_kind(Kind::Float).view([rows, -1]).mean_dim([1i64].as_slice(), false, None); // [R]
        pass.metrics.insert(format!("moe_dropped.{}", self.block), share(served.logical_not()));
        pass.metrics.insert(format!("moe_skipped.{}", self.block), share(served.any_dim(2, false).logical_not()));
        let loads = chosen.one_hot(self.routing.experts).view([rows, -1, self.routing.experts]);
        pass.report_loads(self.block, &loads.mean_dim([1i64].as_slice(), false, Kind::Float));
    }
}

impl Layer for SparseExperts {
    fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
        let [rows, batch, tokens, width] = x.size()[..] else { unreachable!("tokens are [R, B, T, D]") };
        let Routing { experts, top_k, room, balance, .. } = self.routing;
        // The router's choices, weights and losses are float32 (V-MoE, section 3).
        let logits = exact(&self.router.forward(pass, x)).view([rows * batch, tokens, experts]); // [G, T, E]
        let noisy = self.noise(pass, &logits).map_or_else(|| logits.shallow_clone(), |noise| &logits + noise);
        let (best, chosen) = noisy.topk(top_k, 2, true, true); // [G, T, k]
        if pass.train() && balance > 0.0 {
            self.add_losses(pass, &logits, &best.narrow(2, top_k - 1, 1));
        }
        let gates = noisy.softmax(2, None).gather(2, &chosen, false); // [G, T, k], not brought to a sum of 1
        let place = self.queue(&chosen, &gates.select(2, 0)); // [G, T, k]
        let served = place.lt(room);
        if !pass.train() {
            self.report(pass, &chosen, &served);
        }
        let (slots, sources) = self.slots(rows, &chosen, &place, &served);
        let read = x.reshape([-1, width]).index_select(0, &sources).view([rows * experts, batch * room, width]);
        let done = self.experts.forward(pass, &read).view([-1, width]); // [R*E*B*room, D]
        let weights = (gates * served).to_kind(x.kind()).view([-1, top_k, 1]);
        let mixed = done.index_select(0, &slots).view([-1, top_k, width]) * weights; // [G*T, k, D]
        mixed.sum_dim_intlist([1i64].as_slice(), false, None).view([rows, batch, tokens, width])
    }
}

/// Standard normal numbers for the router of one layer at one step of a run.
pub fn noise(seed: u64, step: u64, layer: &str, count: usize) -> impl Iterator<Item = f32> {
    let random = stream(seed, &format!("router noise {layer}"), step);
    Distribution::<f32>::sample_iter(StandardNormal, random).take(count)
}

/// Squared coefficient of variation over experts of their summed softmax (appendix A.2), `[G, T, E]` to `[G]`.
pub fn importance_loss(logits: &Tensor) -> Tensor {
    unevenness(&logits.softmax(2, None).mean_dim([1i64].as_slice(), false, None))
}

/// The same of a smooth count of choices (appendix A.2): how likely an expert were among the k best of a
/// token if its noise were drawn again. Clean logits `[G, T, E]`, the k-th largest noisy one `[G, T, 1]`, to `[G]`.
pub fn load_loss(logits: &Tensor, threshold: &Tensor) -> Tensor {
    let experts = logits.size()[2] as f64;
    unevenness(&((logits - threshold) * experts).special_ndtr().mean_dim([1i64].as_slice(), false, None))
}

/// (deviation / mean)² over experts, `[G, E]` to `[G]`.
fn unevenness(loads: &Tensor) -> Tensor {
    let variance = loads.var_dim([1i64].as_slice(), false, false);
    variance / loads.mean_dim([1i64].as_slice(), false, None).square()
}
