//! Vision transformers with many MLPs of which each token takes a few: the sparse experts of V-MoE (Riquelme et al. 2021,
//! arXiv 2106.05974) or the soft ones of Soft MoE (Puigcerver et al. 2023, arXiv 2308.00951), in place of the MLPs of some
//! blocks of `vit`, whose keys it has.
//!
//! Evaluations log, as means over the images of the validation split, for each block i with experts: of its tokens' choices
//! the share that expert e got, `moe_load.i.e`, and the share that found no room, `moe_dropped.i`; of its tokens the share
//! that no expert took, `moe_skipped.i`. Soft experts have only loads: the share of the tokens' weights on the expert.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size, refusal, rule};
#[cfg(torch)]
use crate::model::layers::{Layer, Mlp, Routing, SoftExperts, SparseExperts};
#[cfg(torch)]
use crate::model::layout::Builder;
use crate::model::tally::Tally;
#[cfg(torch)]
use crate::model::vit;
use crate::model::vit::{VIT_KEYS, Vit};
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moe {
    #[serde(flatten)]
    pub vit: Vit,
    /// E, the MLPs that stand for one; each is as large as the one.
    pub experts: u64,
    /// Every n-th block has experts, the n-th first; or else `last`.
    pub every: Option<u64>,
    /// The last n blocks have experts; or else `every`. (V-MoE's Last-n counts every second block: the same costs.)
    pub last: Option<u64>,
    pub router: RouterKind,
    /// Of router = top_k: k, the experts that a token asks for.
    pub top_k: Option<u64>,
    /// Of router = top_k: an expert has room for ceil(capacity * k * T / E) of an image's T tokens, and never for more than
    /// T; to tokens beyond that it adds nothing.
    pub capacity: Option<f64>,
    /// Of router = top_k: who is served first where room is short.
    pub priority: Option<Priority>,
    /// Of router = top_k: weight of the auxiliary losses, half for importance and half for load.
    pub balance: Option<f64>,
    /// Of router = soft: slots of each expert; none is as many as it takes to have T in all, T / E rounded.
    pub slots: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// V-MoE: a token goes to the k experts of the largest softmax.
    TopK,
    /// Soft MoE: experts read mixtures of tokens.
    Soft,
}

/// Second choices come after all first ones; among first ones, or second ones:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Tokens in reading order, the class token before them.
    Order,
    /// Tokens by their largest softmax: batch prioritized routing.
    Score,
}

/// What the keys of a router come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Router {
    TopK { top_k: u64, capacity: f64, priority: Priority, balance: f64 },
    Soft { slots: Option<u64> },
}

/// Which blocks have experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Every(u64),
    Last(u64),
}

impl Default for Moe {
    /// The experts of the checkpoints that V-MoE's authors released: 8 in every second block, of which 2.
    fn default() -> Self {
        Self {
            vit: Vit::default(),
            experts: 8,
            every: Some(2),
            last: None,
            router: RouterKind::TopK,
            top_k: Some(2),
            capacity: Some(1.05),
            priority: Some(Priority::Order),
            balance: Some(0.01),
            slots: None,
        }
    }
}

const fn size(name: &'static str, config: fn() -> Moe) -> Size<Moe> {
    let source =
        "Riquelme et al. 2021, E = 32, K = 2, Every 2; vmoe configs/vmoe_paper/common.py, without its pre-logits";
    Size { name, source, config }
}

impl Config for Moe {
    const NAME: &'static str = "moe";
    const ABOUT: &'static str =
        "ViT with sparse (V-MoE, Riquelme et al. 2021) or soft (Puigcerver et al. 2023) experts";
    const KEYS: Keys = &[
        VIT_KEYS,
        &[
            ("experts", "MLPs that stand for one, each as large as the one"),
            ("every", "every n-th block has experts; or else last"),
            ("last", "the last n blocks have experts; or else every"),
            ("router", "top_k (V-MoE) or soft (Soft MoE)"),
            ("top_k", "experts that a token asks for"),
            ("capacity", "room of an expert for an image's tokens, in even shares"),
            ("priority", "who is served first where room is short: order or score (batch prioritized)"),
            ("balance", "weight of the importance and load losses"),
            ("slots", "slots of each soft expert; null: as many as tokens in all"),
        ],
    ];
    const SIZES: &'static [Size<Self>] = &[
        size("s32", || published(512, 8, 8, 32)),
        size("b32", || published(768, 12, 12, 32)),
        size("b16", || published(768, 12, 12, 16)),
        size("l32", || published(1024, 24, 16, 32)),
        size("l16", || published(1024, 24, 16, 16)),
        size("h14", || published(1280, 32, 16, 14)),
    ];

    const SHAPE: &'static [&'static str] = &["width", "depth", "heads", "experts"];
    const USUAL: &'static str = "2 deep from width 8, 3 from 16, 4 from 24 to 64, 8 at V-MoE-S's 512, 12 at B's 768, 24 at L's 1024, 32 at H's \
        1280 (Riquelme et al. 2021); heads of 16 to 64; 8 experts in every second block, as the authors released";

    fn check(&self) -> Result<()> {
        self.vit.check()?;
        self.router()?;
        let (key, blocks) = match self.place()? {
            Place::Every(blocks) => ("every", blocks),
            Place::Last(blocks) => ("last", blocks),
        };
        let within = (1..=self.vit.depth).contains(&blocks);
        rule(within, key, blocks, &format!("must be 1 to depth = {}", self.vit.depth), &format!("{key} = 1"))
    }

    fn costs(&self, io: Io) -> Result<Costs> {
        let (place, router) = (self.place()?, self.router()?);
        self.vit.costs_with(io, &|tally, block, tokens| match place.has(block, self.vit.depth) {
            true => self.expert_costs(tally, router, tokens),
            false => self.vit.mlp_costs(tally, tokens),
        })
    }

    /// Experts are as the keys say.
    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        let rungs = self.vit.through(&USUAL_SIZES, held).into_iter();
        rungs.map(|vit| Self { vit, ..self.clone() }).collect()
    }

    /// `last` takes `every` back and the other way round, and a router the keys of the other.
    fn giving_way(mut self, given: &Settings) -> Self {
        let has = |key: &str| given.get(key).is_some_and(|value| !value.is_null());
        if has("every") || has("last") {
            (self.every, self.last) = (None, None);
        }
        let usual = Self::default();
        match given.get("router").and_then(|router| router.as_str()) {
            Some("soft") => (self.top_k, self.capacity, self.priority, self.balance) = (None, None, None, None),
            Some("top_k") if self.router == RouterKind::Soft => {
                self.slots = None;
                (self.top_k, self.capacity, self.priority, self.balance) =
                    (usual.top_k, usual.capacity, usual.priority, usual.balance);
            }
            _ => (),
        }
        self
    }
}

/// `(width, depth)`: V-MoE's S, B, L and H, and below as a ViT.
const USUAL_SIZES: [(u64, u64); 8] = [(12, 2), (16, 3), (24, 4), (64, 4), (512, 8), (768, 12), (1024, 24), (1280, 32)];

fn published(width: u64, depth: u64, heads: u64, patch: u64) -> Moe {
    Moe { vit: Vit { width, depth, heads, patch, ..Vit::default() }, experts: 32, ..Moe::default() }
}

impl Place {
    fn has(self, block: u64, depth: u64) -> bool {
        match self {
            Place::Every(n) => (block + 1).is_multiple_of(n),
            Place::Last(n) => block + n >= depth,
        }
    }
}

/// Refuses a key of the other router.
fn foreign(key: &str, value: Option<impl Serialize>, router: &str) -> Result<()> {
    let value = value.map(|value| serde_json::json!(value));
    let rule =
        |value| rule(false, key, value, &format!("is a key of router = {router}"), &format!("router = {router}"));
    value.map_or(Ok(()), rule)
}

impl Moe {
    fn place(&self) -> Result<Place> {
        match (self.every, self.last) {
            (Some(every), None) => Ok(Place::Every(every)),
            (None, Some(last)) => Ok(Place::Last(last)),
            (Some(every), Some(last)) => {
                let beside = format!("cannot stand beside every = {every}: they are two ways to say where experts are");
                Err(refusal("last", last, &beside, "give one of every and last"))
            }
            (None, None) => Err(refusal("experts", self.experts, "must be in some blocks", "every = 2")),
        }
    }

    fn router(&self) -> Result<Router> {
        let experts = self.experts;
        rule(experts >= 1, "experts", experts, "must be at least 1", "experts = 8")?;
        if self.router == RouterKind::Soft {
            foreign("top_k", self.top_k, "top_k")?;
            foreign("capacity", self.capacity, "top_k")?;
            foreign("priority", self.priority, "top_k")?;
            foreign("balance", self.balance, "top_k")?;
            let slots = self.slots.unwrap_or(1);
            rule(slots >= 1, "slots", slots, "must be at least 1", "slots = 1")?;
            return Ok(Router::Soft { slots: self.slots });
        }
        foreign("slots", self.slots, "soft")?;
        let (Some(top_k), Some(capacity), Some(priority), Some(balance)) =
            (self.top_k, self.capacity, self.priority, self.balance)
        else {
            let rule = "needs top_k, capacity, priority and balance";
            return Err(refusal("router", "top_k", rule, "leave out those that you do not give"));
        };
        let within = (1..=experts).contains(&top_k);
        rule(within, "top_k", top_k, &format!("must be 1 to experts = {experts}"), "top_k = 1")?;
        let room = capacity > 0.0 && capacity <= 1024.0;
        rule(room, "capacity", capacity, "must be above 0, and at most 1024", "capacity = 1.05")?;
        let weight = (0.0..=1024.0).contains(&balance);
        rule(weight, "balance", balance, "must be 0 to 1024", "balance = 0.01")?;
        Ok(Router::TopK { top_k, capacity, priority, balance })
    }

    /// Tokens of an image that each expert computes for, of so many: full slots and empty ones alike.
    fn slots(&self, router: Router, tokens: u64) -> u64 {
        match router {
            Router::TopK { top_k, capacity, .. } => {
                let choices = tokens.saturating_mul(top_k) as f64;
                ((choices * capacity / self.experts as f64).ceil() as u64).clamp(1, tokens)
            }
            Router::Soft { slots: Some(slots) } => slots,
            Router::Soft { slots: None } => ((tokens as f64 / self.experts as f64).round() as u64).max(1),
        }
    }

    /// Router and experts over all their slots. Tokens are brought to slots and back by index with a top-k router, which
    /// costs no FLOPs, by products with a soft one. Of sparse experts those that a token does not go to are inactive for
    /// it; it listens to all soft ones.
    fn expert_costs(&self, tally: &mut Tally, router: Router, tokens: u64) {
        let (d, e, slots) = (self.vit.width, self.experts, self.slots(router, tokens));
        let mut expert = Tally::default();
        self.vit.mlp_costs(&mut expert, slots);
        tally.part(expert, e, e);
        match router {
            Router::TopK { top_k, .. } => {
                tally.params(d.saturating_mul(e));
                tally.product(tokens, d, e);
                tally.inactive(expert.costs().params.saturating_mul(e.saturating_sub(top_k)));
            }
            Router::Soft { .. } => {
                let slots = slots.saturating_mul(e);
                tally.params(d.saturating_mul(slots).saturating_add(1));
                tally.product(tokens, d, slots); // what is alike
                tally.product(slots, tokens, d); // what slots read
                tally.product(tokens, slots, d); // what tokens read
            }
        }
    }
}

#[cfg(torch)]
impl Moe {
    pub fn network(&self, b: &mut Builder, io: Io) -> Result<vit::Net> {
        let (place, router, vit) = (self.place()?, self.router()?, &self.vit);
        let (width, hidden, experts) = (vit.width as i64, vit.hidden() as i64, self.experts as i64);
        let slots = self.slots(router, vit.tokens(io)?) as i64;
        vit::Net::with(b, vit, io, &|b, block, name| -> Box<dyn Layer> {
            match router {
                _ if !place.has(block, vit.depth) => Box::new(Mlp::new(b, name, width, hidden)),
                Router::Soft { .. } => Box::new(SoftExperts::new(b, name, block, width, hidden, experts, slots)),
                Router::TopK { top_k, priority, balance, .. } => {
                    let (top_k, by_score) = (top_k as i64, priority == Priority::Score);
                    let routing = Routing { experts, top_k, room: slots, by_score, balance };
                    Box::new(SparseExperts::new(b, name, block, width, hidden, routing))
                }
            }
        })
    }
}
