//! The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) as timm's VisionTransformer builds it, names of
//! parameters included.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size, rule};
use crate::model::grid::Grid;
use crate::model::scale::{stack, widths};
use crate::model::tally::Tally;
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vit {
    /// D, the width of a token.
    pub width: u64,
    /// Blocks.
    pub depth: u64,
    /// Attention heads; they divide the width.
    pub heads: u64,
    /// Patches are `patch x patch` pixels, cut to the image where it is smaller (1 x 40 images have 1 x `patch` ones);
    /// their last ones end at its border.
    pub patch: u64,
    /// Pixels from one patch to the next: below `patch` they overlap; 0 is `patch`, they tile the image.
    pub stride: u64,
    /// What the head reads: the class token, or the mean over tokens (then there is no class token).
    pub pool: Pool,
    /// What is added to tokens to tell where they are.
    pub position: Position,
    /// Hidden width of the MLPs, in widths.
    pub mlp_ratio: f64,
    /// What attention compares.
    pub qk: Qk,
    /// How many rows and columns of tokens away attention reads; 0 is everywhere. A class token reads all tokens and is
    /// read by none. It is a mask over full attention, and costs what that costs.
    pub window: u64,
    /// Whether attention and MLP are added to their input, or replace it.
    pub residual: bool,
    /// Whether attention, MLP and head have a layer norm before them.
    pub norm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    Cls,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    Learned,
    /// Fixed 2-d sines and cosines; zero for the class token.
    Sincos,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qk {
    /// Linear maps of tokens.
    Learned,
    /// The tokens themselves: attention is by likeness.
    Identity,
}

/// Of a `recurrent` and a `moe` too.
pub(super) const VIT_KEYS: &[(&str, &str)] = &[
    ("width", "of a token"),
    ("depth", "blocks; of a recurrent: times that its one block is applied"),
    ("heads", "of attention; they divide the width"),
    ("patch", "pixels of a patch's side"),
    ("stride", "pixels from one patch to the next; 0: patch, they tile the image"),
    ("pool", "what the head reads: cls (a class token) or mean (over tokens)"),
    ("position", "learned, sincos or none"),
    ("mlp_ratio", "hidden width of the MLPs, in widths"),
    ("qk", "what attention compares: learned (maps of tokens) or identity (tokens)"),
    ("window", "rows and columns of tokens away that attention reads; 0: everywhere"),
    ("residual", "whether attention and MLP are added to their input"),
    ("norm", "whether attention, MLP and head have a layer norm before them"),
];

/// Of a `recurrent` too.
pub(super) const VIT_SHAPE: &[&str] = &["width", "depth", "heads"];

impl Default for Vit {
    fn default() -> Self {
        Self {
            width: 64,
            depth: 4,
            heads: 4,
            patch: 4,
            stride: 0,
            pool: Pool::Cls,
            position: Position::Learned,
            mlp_ratio: 4.0,
            qk: Qk::Learned,
            window: 0,
            residual: true,
            norm: true,
        }
    }
}

const fn size(name: &'static str, source: &'static str, config: fn() -> Vit) -> Size<Vit> {
    Size { name, source, config }
}

impl Config for Vit {
    const NAME: &'static str = "vit";
    const ABOUT: &'static str = "vision transformer (Dosovitskiy et al. 2021), as in timm";
    const KEYS: Keys = &[VIT_KEYS];
    const SIZES: &'static [Size<Self>] = &[
        size("ti16", "Touvron et al. 2021, DeiT-Ti; timm vit_tiny_patch16_224", || published(192, 3)),
        size("s16", "Touvron et al. 2021, DeiT-S; timm vit_small_patch16_224", || published(384, 6)),
        size("b16", "Dosovitskiy et al. 2021, table 1; timm vit_base_patch16_224", || published(768, 12)),
    ];

    const SHAPE: &'static [&'static str] = VIT_SHAPE;
    const USUAL: &'static str = "2 deep from width 8, 3 from 16, 4 from 24; 12 from DeiT-Ti's 192 to ViT-B's 768, 24 at ViT-L's 1024, 32 \
        at ViT-H's 1280 (Dosovitskiy et al. 2021, Touvron et al. 2021); heads of 16 to 64";

    fn check(&self) -> Result<()> {
        rule(self.width >= 1, "width", self.width, "must be at least 1", "width = 64")?;
        rule(self.depth >= 1, "depth", self.depth, "must be at least 1", "depth = 4")?;
        rule(self.patch >= 1, "patch", self.patch, "must be at least 1", "patch = 4")?;
        let stride = format!("must be at most patch = {}: pixels between patches are not seen", self.patch);
        rule(self.stride <= self.patch, "stride", self.stride, &stride, &format!("stride = {}", self.patch))?;
        let hint = format!("heads = {}", usual_heads(self.width));
        rule(self.heads >= 1, "heads", self.heads, "must be at least 1", &hint)?;
        let divides = self.width.is_multiple_of(self.heads);
        rule(divides, "heads", self.heads, &format!("must divide width = {}", self.width), &hint)?;
        let coded = self.position != Position::Sincos || self.width.is_multiple_of(4);
        let hint = format!("width = {}", self.width.next_multiple_of(4));
        rule(coded, "width", self.width, "must be a multiple of 4 for position = sincos", &hint)?;
        let hidden = self.mlp_ratio.is_finite() && self.hidden() >= 1 && self.mlp_ratio <= 1024.0;
        rule(hidden, "mlp_ratio", self.mlp_ratio, "must leave the MLP a hidden layer", "mlp_ratio = 4.0")
    }

    /// timm: params p²cd + d + Td + d + L(12d² + 13d) + 2d + (d+1)K, MACs Np²cd + L(12Td² + 2T²d) + dK, with an MLP
    /// ratio of 4, a class token and a learned position code.
    fn costs(&self, io: Io) -> Result<Costs> {
        self.costs_with(io, &|tally, _, tokens| self.mlp_costs(tally, tokens))
    }

    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        self.through(&USUAL_SIZES, held)
    }
}

fn published(width: u64, heads: u64) -> Vit {
    Vit { width, depth: 12, heads, patch: 16, ..Vit::default() }
}

/// `(width, depth)`, the ends of lines that pass through DeiT-Ti, DeiT-S, ViT-B, ViT-L and ViT-H. Below, four
/// blocks as this family's default, and fewer only where heads get too narrow: of 3e4 params on MNIST-1D four blocks 24 wide
/// make 26% errors, two blocks 34 wide 33% (docs/families.md). Published small ones have 2 to 14, at widths of 128 to 384
/// (Hassani et al. 2021, arXiv 2104.05704).
const USUAL_SIZES: [(u64, u64); 8] = [(12, 2), (16, 3), (24, 4), (64, 4), (192, 12), (768, 12), (1024, 24), (1280, 32)];

/// Width of a head: 64 from DeiT-Ti's three on, a third of narrower models, and at least 16.
fn usual_head(width: u64) -> f64 {
    (width as f64 / 3.0).clamp(16.0, 64.0)
}

/// The divisor of the width that makes heads nearest to their usual width, and hardly wider than the published ones.
pub(super) fn usual_heads(width: u64) -> u64 {
    let off = |heads: u64| {
        let head = width as f64 / heads as f64;
        (head / usual_head(width)).ln().abs() + f64::from(head > 72.0)
    };
    let divisors = (1..=width.min(512)).filter(|heads| width.is_multiple_of(*heads));
    divisors.min_by(|a, b| off(*a).total_cmp(&off(*b))).unwrap_or(1)
}

/// Widths of tokens on a ladder: even ones, which every number of `heads` that is held divides.
pub(super) fn usual_widths(heads: Option<u64>) -> Vec<u64> {
    widths(heads.unwrap_or(2).max(2), 8, 4096)
}

impl Vit {
    /// The rungs on the line through `(width, depth)` of published models.
    pub(super) fn through(&self, sizes: &[(u64, u64)], held: &Settings) -> Vec<Self> {
        let heads = held.contains_key("heads").then_some(self.heads);
        let rungs = stack((self.width, self.depth), usual_widths(heads), sizes, 32, held).into_iter();
        let heads = |width: u64| heads.unwrap_or_else(|| usual_heads(width));
        rungs.map(|(width, depth)| Self { width, depth, heads: heads(width), ..self.clone() }).collect()
    }

    pub fn grid(&self, io: Io) -> Result<Grid> {
        match self.stride {
            0 => Grid::tiling(self.patch, io),
            stride => Grid::sliding(self.patch, stride, io),
        }
    }

    fn class_tokens(&self) -> u64 {
        u64::from(self.pool == Pool::Cls)
    }

    pub(super) fn hidden(&self) -> u64 {
        (self.width as f64 * self.mlp_ratio) as u64
    }

    /// T, the class token among them.
    pub(super) fn tokens(&self, io: Io) -> Result<u64> {
        Ok(self.grid(io)?.tokens() + self.class_tokens())
    }

    /// The whole model's costs where `mlp` adds those of block i's MLP: (tally, i, tokens).
    pub(super) fn costs_with(&self, io: Io, mlp: &dyn Fn(&mut Tally, u64, u64)) -> Result<Costs> {
        let grid = self.grid(io)?;
        let (d, n, t) = (self.width, grid.tokens(), self.tokens(io)?);
        let mut tally = Tally::default();
        tally.linear(n, io.channels * grid.patch[0] * grid.patch[1], d);
        tally.params(self.class_tokens() * d);
        if self.position == Position::Learned {
            tally.params(t * d);
        }
        for block in 0..self.depth {
            self.attention_costs(&mut tally, t);
            mlp(&mut tally, block, t);
        }
        if self.norm {
            tally.params((2 * self.depth + 1) * 2 * d);
        }
        tally.linear(1, d, io.classes);
        Ok(tally.costs())
    }

    fn attention_costs(&self, tally: &mut Tally, tokens: u64) {
        let d = self.width;
        match self.qk {
            Qk::Learned => tally.linear(tokens, d, 3 * d),
            Qk::Identity => tally.linear(tokens, d, d),
        }
        tally.product(tokens, d, tokens); // q k'
        tally.product(tokens, tokens, d); // weights times v
        tally.linear(tokens, d, d);
    }

    pub(super) fn mlp_costs(&self, tally: &mut Tally, tokens: u64) {
        tally.linear(tokens, self.width, self.hidden());
        tally.linear(tokens, self.hidden(), self.width);
    }
}

#[cfg(torch)]
pub use network::Net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::{Attention, Constant, Layer, LayerNorm, Linear, Mlp, PatchEmbed, neighbours, sincos_2d};
    use crate::model::layout::{Builder, Init, Slot};
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use tch::Tensor;

    /// Builds the MLP of a block: (builder, index of the block, name).
    pub type BuildMlp<'a> = dyn Fn(&mut Builder, u64, &str) -> Box<dyn Layer> + 'a;

    pub struct Net {
        embed: PatchEmbed,
        class: Option<Slot>,
        learned: Option<Slot>,
        /// `[1, 1, T, D]`.
        fixed: Option<Constant>,
        /// Which token reads which, `[T, T]`; none where all read all.
        mask: Option<Constant>,
        blocks: Vec<Block>,
        /// How often a token goes through all blocks.
        rounds: u64,
        norm: Option<LayerNorm>,
        head: Linear,
        pool: Pool,
    }

    impl Net {
        pub fn new(b: &mut Builder, config: &Vit, io: Io) -> Result<Self> {
            let (width, hidden) = (config.width as i64, config.hidden() as i64);
            Self::with(b, config, io, &|b, _, name| Box::new(Mlp::new(b, name, width, hidden)))
        }

        /// The same network, its blocks gone through many times.
        pub fn repeated(self, rounds: u64) -> Self {
            Self { rounds, ..self }
        }

        /// With the MLP of block i as `mlp` builds it: (builder, i, name).
        pub fn with(b: &mut Builder, config: &Vit, io: Io, mlp: &BuildMlp) -> Result<Self> {
            let grid = config.grid(io)?;
            let width = config.width as i64;
            let ([height, columns], class_tokens) = (grid.cells.map(|side| side as i64), config.class_tokens() as i64);
            let tokens = height * columns + class_tokens;
            let class = (config.pool == Pool::Cls)
                .then(|| b.undecayed("cls_token", &[1, 1, width], Init::Normal { std: 1e-6 }));
            let learned = (config.position == Position::Learned)
                .then(|| b.undecayed("pos_embed", &[1, tokens, width], Init::Normal { std: 0.02 }));
            let fixed = (config.position == Position::Sincos).then(|| {
                let code = sincos_2d(height, columns, width).constant_pad_nd([0, 0, class_tokens, 0]); // zeros for the class token
                Constant::new(code.view([1, 1, tokens, width]))
            });
            let mask = (config.window > 0)
                .then(|| Constant::new(neighbours(height, columns, config.window as i64, class_tokens)));
            let [patch, stride] = [grid.patch, grid.stride].map(|sides| sides.map(|side| side as i64));
            let embed = PatchEmbed::new(b, "patch_embed.proj", io.channels as i64, patch, stride, width);
            let blocks = (0..config.depth).map(|i| Block::new(b, i, config, mlp)).collect();
            // timm's names: the norm after a mean is fc_norm.
            let norm = config.norm_of(b, if config.pool == Pool::Cls { "norm" } else { "fc_norm" });
            let head = Linear::normal(b, "head", width, io.classes as i64);
            Ok(Self { embed, class, learned, fixed, mask, blocks, rounds: 1, norm, head, pool: config.pool })
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let mut x = self.embed.forward(pass, images); // [R, B, N, D]
            let size = x.size();
            if let Some(class) = self.class {
                let class = pass.rows_of(class).expand([size[0], size[1], 1, size[3]], false);
                x = Tensor::cat(&[class, x], 2); // [R, B, T, D]
            }
            if let Some(learned) = self.learned {
                x += pass.rows_of(learned); // [R, 1, T, D]
            }
            if let Some(fixed) = &self.fixed {
                x += fixed.like(&x);
            }
            let mask = self.mask.as_ref().map(|mask| mask.like(&x));
            for block in (0..self.rounds).flat_map(|_| &self.blocks) {
                x = block.forward(pass, &x, mask.as_ref());
            }
            let pooled = match self.pool {
                Pool::Cls => x.select(2, 0),
                Pool::Mean => x.mean_dim([2].as_slice(), false, None),
            }; // [R, B, D]
            self.head.forward(pass, &normal(pass, &self.norm, &pooled)) // [R, B, K]
        }
    }

    impl Vit {
        fn norm_of(&self, b: &mut Builder, name: &str) -> Option<LayerNorm> {
            self.norm.then(|| LayerNorm::new(b, name, self.width as i64))
        }
    }

    /// As it is without a norm.
    fn normal(pass: &Pass, norm: &Option<LayerNorm>, x: &Tensor) -> Tensor {
        norm.as_ref().map_or_else(|| x.shallow_clone(), |norm| norm.forward(pass, x))
    }

    /// Pre-norm: attention, then MLP, each added to its input.
    struct Block {
        norm1: Option<LayerNorm>,
        attention: Attention,
        norm2: Option<LayerNorm>,
        mlp: Box<dyn Layer>,
        residual: bool,
    }

    impl Block {
        fn new(b: &mut Builder, index: u64, config: &Vit, mlp: &BuildMlp) -> Self {
            let (name, width) = (format!("blocks.{index}"), config.width as i64);
            let attention = match config.qk {
                Qk::Learned => Attention::new,
                Qk::Identity => Attention::identity,
            };
            Self {
                norm1: config.norm_of(b, &format!("{name}.norm1")),
                attention: attention(b, &format!("{name}.attn"), width, config.heads as i64),
                norm2: config.norm_of(b, &format!("{name}.norm2")),
                mlp: mlp(b, index, &format!("{name}.mlp")),
                residual: config.residual,
            }
        }

        fn forward(&self, pass: &mut Pass, x: &Tensor, mask: Option<&Tensor>) -> Tensor {
            let add = |x: &Tensor, y: Tensor| if self.residual { x + y } else { y };
            let x = add(x, self.attention.forward(pass, &normal(pass, &self.norm1, x), mask));
            let y = normal(pass, &self.norm2, &x);
            add(&x, self.mlp.forward(pass, &y))
        }
    }
}
