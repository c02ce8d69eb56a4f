//! The Perceiver (Jaegle et al. 2021, arXiv 2103.03206): a few latents attend to all pixels, then to each other, again
//! and again. Pixels are tokens; of their neighbourhood it knows only what a position code tells.
//!
//! Its cost is that of pixels: M of them with C channels (their own and the code's) take 2MC² multiply-adds in each
//! cross-attend for keys and values alone. They are computed anew each time, also where cross-attends share weights, as
//! in the published count: 707.2 GFLOPs for ImageNet's model, a multiply-add being two FLOPs as here; by the convention
//! here, which leaves element-wise work out, it is 706.3.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size, rule};
use crate::model::scale::{Levels, climb};
use crate::model::tally::Tally;
use crate::model::vit::{usual_heads, usual_widths};
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Perceiver {
    /// N.
    pub latents: u64,
    /// D, the width of a latent.
    pub width: u64,
    /// Heads of the latents' self-attention; they divide the width. Cross-attends have one, as wide as a pixel's token.
    pub heads: u64,
    /// Frequencies of the Fourier code, per side of the image.
    pub bands: u64,
    /// Blocks: a cross-attend, then self-attention layers.
    pub blocks: u64,
    /// Self-attention layers of a block.
    pub layers_per_block: u64,
    /// Hidden width of the MLPs, in widths.
    pub mlp_ratio: f64,
    /// Whether blocks share weights: all self-attention layers with those of other blocks, and the cross-attends from
    /// the second on.
    pub share: bool,
    pub position: Position,
    /// Width of the learned position code.
    pub position_width: u64,
}

/// What is put beside a pixel's channels to tell where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Row and column in [-1, 1], and their sines and cosines at `bands` frequencies, evenly spaced from 1 to half the
    /// side (section 3.2). Images of one row have a column only.
    Fourier,
    Learned,
    None,
}

impl Default for Perceiver {
    fn default() -> Self {
        Self {
            latents: 32,
            width: 64,
            heads: 4,
            bands: 4,
            blocks: 2,
            layers_per_block: 2,
            mlp_ratio: 1.0,
            share: true,
            position: Position::Fourier,
            position_width: 16,
        }
    }
}

impl Config for Perceiver {
    const NAME: &'static str = "perceiver";
    const ABOUT: &'static str = "Perceiver (Jaegle et al. 2021): latents that attend to pixels";
    const KEYS: Keys = &[&[
        ("latents", "how many"),
        ("width", "of a latent"),
        ("heads", "of the self-attention among latents; they divide the width"),
        ("bands", "frequencies of the Fourier code, per side of the image"),
        ("blocks", "a cross-attend to the pixels, then self-attention layers"),
        ("layers_per_block", "self-attention layers of a block"),
        ("mlp_ratio", "hidden width of the MLPs, in widths"),
        ("share", "whether blocks share weights, the first cross-attend aside"),
        ("position", "fourier, learned or none"),
        ("position_width", "width of the learned code"),
    ]];
    const SIZES: &'static [Size<Self>] = &[Size {
        name: "imagenet",
        source: "Jaegle et al. 2021, section 4.1: 44.9M params, 707.2 GFLOPs",
        config: || Perceiver {
            latents: 512,
            width: 1024,
            heads: 8,
            bands: 64,
            blocks: 8,
            layers_per_block: 6,
            position_width: 128,
            ..Perceiver::default()
        },
    }];

    const SHAPE: &'static [&'static str] = &["width", "latents", "bands", "blocks", "layers_per_block"];
    const USUAL: &'static str = "in the proportions of the published 1024 wide one with 512 latents, 64 bands and 8 blocks of 6 \
        layers: latents and bands as the width, from 8 on, blocks and layers as its square root (Jaegle et al. 2021)";

    fn check(&self) -> Result<()> {
        for (key, value, usual) in [
            ("latents", self.latents, 32),
            ("width", self.width, 64),
            ("bands", self.bands, 4),
            ("blocks", self.blocks, 2),
            ("layers_per_block", self.layers_per_block, 2),
            ("position_width", self.position_width, 16),
        ] {
            rule(value >= 1, key, value, "must be at least 1", &format!("{key} = {usual}"))?;
        }
        let hint = format!("heads = {}", usual_heads(self.width));
        rule(self.heads >= 1, "heads", self.heads, "must be at least 1", &hint)?;
        let divides = self.width.is_multiple_of(self.heads);
        rule(divides, "heads", self.heads, &format!("must divide width = {}", self.width), &hint)?;
        let hidden = self.mlp_ratio.is_finite() && self.hidden() >= 1 && self.mlp_ratio <= 1024.0;
        rule(hidden, "mlp_ratio", self.mlp_ratio, "must leave the MLP a hidden layer", "mlp_ratio = 1.0")
    }

    /// An MLP ratio of 1: params of a cross-attend 2D + 2C + (2D + 2C + 3)C + D + 2D + 2(D + 1)D, of a self-attention
    /// layer 6D² + 10D; MACs 2MC² + 2NDC + 2NMC + 2ND², and 6ND² + 2N²D.
    fn costs(&self, io: Io) -> Result<Costs> {
        let (pixels, channels) = (io.height * io.width, io.channels + self.code(io));
        // A layer norm over one channel is zero, whatever the pixel.
        let position = format!("{:?}", self.position).to_lowercase();
        let told = "must add to a grey pixel's one channel, or its norm is zero";
        rule(channels > 1, "position", position, told, "position = learned")?;
        let (mut cross, mut layer, mut tally) = (Tally::default(), Tally::default(), Tally::default());
        cross.norm(channels);
        self.attend_costs(&mut cross, pixels, channels, channels);
        self.attend_costs(&mut layer, self.latents, self.width, self.width);
        let (crosses, towers) = self.copies();
        if self.position == Position::Learned {
            tally.params(pixels * self.position_width);
        }
        tally.params(self.latents * self.width);
        tally.part(cross, crosses, self.blocks);
        tally.part(layer, towers * self.layers_per_block, self.blocks * self.layers_per_block);
        tally.linear(1, self.width, io.classes);
        Ok(tally.costs())
    }

    /// Half as many latents as they are wide, as in the paper; the rest as `levels`.
    fn ladder(&self, held: &Settings, io: Io) -> Vec<Self> {
        let has = |key: &str| held.contains_key(key);
        let heads = has("heads").then_some(self.heads);
        let widths = usual_widths(heads);
        let levels = self.levels(&widths, held, io);
        let rungs = match has("width") {
            // The code is as fine as the width asks for, blocks and layers are open.
            true => {
                let code = self.level(self.width, held, io).code;
                levels.into_iter().map(|(_, level)| (self.width, Level { code, ..level })).collect()
            }
            false => climb(&widths, &levels),
        };
        let rungs = rungs.into_iter().map(|(width, level)| Self {
            width,
            latents: if has("latents") { self.latents } else { (width / 2).max(1) },
            heads: heads.unwrap_or_else(|| usual_heads(width)),
            ..self.clone().at(level)
        });
        rungs.collect()
    }
}

/// What grows with the width beside the latents: bands of the Fourier code or width of the learned one, self-attention
/// layers of a block, blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Level {
    code: u64,
    layers: u64,
    blocks: u64,
}

impl Perceiver {
    /// In the paper's proportion at its width of 1024: 64 bands or a learned code of 128, as the width; 8 blocks of 6 layers,
    /// as the square root of the width, so that both depths together grow as it. More bands than half the side has
    /// frequencies tell no more.
    fn level(&self, width: u64, held: &Settings, io: Io) -> Level {
        let free = |key: &str, now: u64, usual: f64| if held.contains_key(key) { now } else { (usual as u64).max(1) };
        let scale = width as f64 / 1024.0;
        let nyquist = io.height.max(io.width).div_ceil(2) as f64;
        let code = match self.position {
            Position::Fourier => free("bands", self.bands, (64.0 * scale).max(2.0).min(nyquist)),
            Position::Learned => free("position_width", self.position_width, (128.0 * scale).clamp(4.0, 128.0)),
            Position::None => 0,
        };
        let layers = free("layers_per_block", self.layers_per_block, (6.0 * scale.sqrt()).min(6.0).round());
        Level { code, layers, blocks: free("blocks", self.blocks, (8.0 * scale.sqrt()).min(8.0).round()) }
    }

    /// Where several grow at once, one after the other.
    fn levels(&self, widths: &[u64], held: &Settings, io: Io) -> Levels<Level> {
        let mut levels: Levels<Level> = Vec::new();
        for &width in widths {
            let aim = self.level(width, held, io);
            let mut now = levels.last().map_or(aim, |(_, level)| *level);
            while now != aim || levels.is_empty() {
                match now {
                    _ if now.code < aim.code => now.code += 1,
                    _ if now.layers < aim.layers => now.layers += 1,
                    _ => now.blocks = aim.blocks.min(now.blocks + 1),
                }
                levels.push((width, now));
            }
        }
        levels
    }

    fn at(self, Level { code, layers, blocks }: Level) -> Self {
        let (bands, position_width) = match self.position {
            Position::Fourier => (code, self.position_width),
            Position::Learned => (self.bands, code),
            Position::None => (self.bands, self.position_width),
        };
        Self { bands, position_width, layers_per_block: layers, blocks, ..self }
    }

    /// Channels of the position code.
    fn code(&self, io: Io) -> u64 {
        match self.position {
            Position::Fourier => (u64::from(io.height > 1) + u64::from(io.width > 1)) * (1 + 2 * self.bands),
            Position::Learned => self.position_width,
            Position::None => 0,
        }
    }

    fn hidden(&self) -> u64 {
        (self.width as f64 * self.mlp_ratio) as u64
    }

    /// Sets of weights: of cross-attends, of a block's self-attention layers.
    fn copies(&self) -> (u64, u64) {
        if self.share { (self.blocks.min(2), 1) } else { (self.blocks, self.blocks) }
    }

    /// Latents attend to `tokens` of `channels`, with queries, keys and values of width `inner`; then their MLP.
    fn attend_costs(&self, tally: &mut Tally, tokens: u64, channels: u64, inner: u64) {
        let (n, d) = (self.latents, self.width);
        tally.norm(d);
        tally.linear(n, d, inner);
        tally.linear(tokens, channels, 2 * inner);
        tally.product(n, inner, tokens); // q k'
        tally.product(n, tokens, inner); // weights times v
        tally.linear(n, inner, d);
        tally.norm(d);
        tally.linear(n, d, self.hidden());
        tally.linear(n, self.hidden(), d);
    }
}

#[cfg(torch)]
pub use network::Net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::{Constant, LayerNorm, Linear, Mlp, attend, fourier};
    use crate::model::layout::{Builder, Init, Slot};
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use tch::Tensor;

    pub struct Net {
        latents: Slot,
        learned: Option<Slot>,
        /// `[1, 1, M, code]`.
        fixed: Option<Constant>,
        blocks: usize,
        /// One for each block; the last serves all further blocks.
        crosses: Vec<Attend>,
        /// The self-attention layers of each block; the last serves all further blocks.
        towers: Vec<Vec<Attend>>,
        head: Linear,
    }

    impl Net {
        /// Starts as the authors' later program (Perceiver IO): latents and learned codes normal of 0.02, linear layers
        /// as in haiku.
        pub fn new(b: &mut Builder, config: &Perceiver, io: Io) -> Self {
            let (width, small) = (config.width as i64, Init::Normal { std: 0.02 });
            let code = config.code(io) as i64;
            let channels = io.channels as i64 + code;
            let learned = (config.position == Position::Learned)
                .then(|| b.undecayed("pos_embed", &[1, (io.height * io.width) as i64, code], small));
            let fixed = (config.position == Position::Fourier).then(|| {
                let code = fourier(io.height as i64, io.width as i64, config.bands as i64);
                Constant::new(code.unsqueeze(0).unsqueeze(0))
            });
            let (crosses, towers) = config.copies();
            Self {
                latents: b.undecayed("latents", &[1, config.latents as i64, width], small),
                learned,
                fixed,
                blocks: config.blocks as usize,
                crosses: (0..crosses).map(|i| Attend::new(b, &format!("cross.{i}"), Some(channels), config)).collect(),
                towers: (0..towers)
                    .map(|block| {
                        let name = |layer: u64| format!("blocks.{block}.{layer}");
                        (0..config.layers_per_block).map(|layer| Attend::new(b, &name(layer), None, config)).collect()
                    })
                    .collect(),
                head: Linear::lecun(b, "head", width, io.classes as i64),
            }
        }

        /// `[R, B, C, H, W]` to `[R, B, M, C + code]`.
        fn tokens(&self, pass: &Pass, images: &Tensor) -> Tensor {
            let pixels = images.flatten(3, 4).transpose(2, 3); // [R, B, M, C]
            let size = pixels.size();
            let code = match (&self.fixed, self.learned) {
                (Some(fixed), _) => fixed.like(images),
                (None, Some(learned)) => pass.rows_of(learned), // [R, 1, M, code]
                (None, None) => return pixels,
            };
            let code = code.expand([size[0], size[1], size[2], -1], false);
            Tensor::cat(&[pixels, code], 3)
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let tokens = self.tokens(pass, images); // [R, B, M, C]
            let mut x = pass.rows_of(self.latents).expand([-1, tokens.size()[1], -1, -1], false); // [R, B, N, D]
            for block in 0..self.blocks {
                x = self.crosses[block.min(self.crosses.len() - 1)].forward(pass, &x, &tokens);
                for layer in &self.towers[block.min(self.towers.len() - 1)] {
                    x = layer.forward(pass, &x, &tokens);
                }
            }
            let pooled = x.mean_dim([2].as_slice(), false, None); // [R, B, D]
            self.head.forward(pass, &pooled) // [R, B, K]
        }
    }

    /// Pre-norm: latents attend to tokens or to each other, then an MLP, each added to its input.
    struct Attend {
        norm1: LayerNorm,
        /// Of the tokens attended to; none where latents attend to each other.
        norm_tokens: Option<LayerNorm>,
        q: Linear,
        kv: Linear,
        proj: Linear,
        norm2: LayerNorm,
        mlp: Mlp,
        heads: i64,
    }

    impl Attend {
        /// With `channels` of tokens to attend to, a cross-attend; else latents attend to each other.
        fn new(b: &mut Builder, name: &str, channels: Option<i64>, config: &Perceiver) -> Self {
            let width = config.width as i64;
            let inner = channels.unwrap_or(width);
            Self {
                norm1: LayerNorm::new(b, &format!("{name}.norm1"), width),
                norm_tokens: channels.map(|channels| LayerNorm::new(b, &format!("{name}.norm_tokens"), channels)),
                q: Linear::lecun(b, &format!("{name}.q"), width, inner),
                kv: Linear::lecun(b, &format!("{name}.kv"), inner, 2 * inner),
                proj: Linear::lecun(b, &format!("{name}.proj"), inner, width),
                norm2: LayerNorm::new(b, &format!("{name}.norm2"), width),
                mlp: Mlp::of(Linear::lecun, b, &format!("{name}.mlp"), width, config.hidden() as i64),
                heads: if channels.is_some() { 1 } else { config.heads as i64 },
            }
        }

        /// Latents `[R, B, N, D]` and tokens `[R, B, M, C]` to latents.
        fn forward(&self, pass: &mut Pass, x: &Tensor, tokens: &Tensor) -> Tensor {
            let queries = self.norm1.forward(pass, x);
            let x = x + match &self.norm_tokens {
                Some(norm) => self.attention(pass, &queries, &norm.forward(pass, tokens)),
                None => self.attention(pass, &queries, &queries),
            };
            let y = self.norm2.forward(pass, &x);
            x + self.mlp.forward(pass, &y)
        }

        /// `[R, B, N, D]` and `[R, B, M, C]` to `[R, B, N, D]`.
        fn attention(&self, pass: &Pass, x: &Tensor, tokens: &Tensor) -> Tensor {
            let (n, m) = (x.size()[2], tokens.size()[2]);
            let q = self.q.forward(pass, x); // [R, B, N, inner]
            let inner = q.size()[3];
            let q = q.view([-1, n, 1, self.heads, inner / self.heads]);
            let kv = self.kv.forward(pass, tokens).view([-1, m, 2, self.heads, inner / self.heads]);
            let mixed = attend(&[&q, &kv], None); // [R*B, N, inner]
            self.proj.forward(pass, &mixed.reshape([x.size()[0], x.size()[1], n, inner]))
        }
    }
}
