//! MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601) as timm's MlpMixer builds it, names of parameters included: MLPs
//! over tokens and MLPs over channels take turns.

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
pub struct Mixer {
    /// D, the width of a token; the token MLPs are D/2 wide inside, the channel MLPs 4D.
    pub width: u64,
    /// Blocks.
    pub depth: u64,
    /// Patches are `patch x patch` pixels, cut to the image where it is smaller; they tile the image.
    pub patch: u64,
}

impl Default for Mixer {
    fn default() -> Self {
        Self { width: 64, depth: 4, patch: 4 }
    }
}

const fn size(name: &'static str, config: fn() -> Mixer) -> Size<Mixer> {
    Size { name, source: "Tolstikhin et al. 2021, table 1", config }
}

impl Config for Mixer {
    const NAME: &'static str = "mixer";
    const ABOUT: &'static str = "MLP-Mixer (Tolstikhin et al. 2021), as in timm";
    const KEYS: Keys = &[&[
        ("width", "of a token"),
        ("depth", "blocks"),
        ("patch", "pixels of a patch's side; patches tile the image"),
    ]];
    const SIZES: &'static [Size<Self>] = &[
        size("s32", || Mixer { width: 512, depth: 8, patch: 32 }),
        size("s16", || Mixer { width: 512, depth: 8, patch: 16 }),
        size("b32", || Mixer { width: 768, depth: 12, patch: 32 }),
        size("b16", || Mixer { width: 768, depth: 12, patch: 16 }),
        size("l32", || Mixer { width: 1024, depth: 24, patch: 32 }),
        size("l16", || Mixer { width: 1024, depth: 24, patch: 16 }),
        size("h14", || Mixer { width: 1280, depth: 32, patch: 14 }),
    ];

    const SHAPE: &'static [&'static str] = &["width", "depth"];
    const USUAL: &'static str = "2 deep from width 8, 3 from 16, 4 from 24 to 64, 8 at Mixer-S's 512, 12 at B's 768, 24 at L's 1024, 32 at H's \
        1280 (Tolstikhin et al. 2021, table 1)";

    fn check(&self) -> Result<()> {
        rule(self.width >= 2, "width", self.width, "must be at least 2", "width = 64")?;
        rule(self.depth >= 1, "depth", self.depth, "must be at least 1", "depth = 4")?;
        rule(self.patch >= 1, "patch", self.patch, "must be at least 1", "patch = 4")
    }

    /// A block of even width: params 4d + (Nd + d/2 + N) + 8d² + 5d, MACs 9Nd².
    fn costs(&self, io: Io) -> Result<Costs> {
        let grid = Grid::tiling(self.patch, io)?;
        let (d, n) = (self.width, grid.tokens());
        let mut block = Tally::default();
        block.norm(d);
        block.linear(d, n, d / 2);
        block.linear(d, d / 2, n);
        block.norm(d);
        block.linear(n, d, 4 * d);
        block.linear(n, 4 * d, d);
        let mut tally = Tally::default();
        tally.linear(n, io.channels * grid.patch[0] * grid.patch[1], d);
        tally.part(block, self.depth, self.depth);
        tally.norm(d);
        tally.linear(1, d, io.classes);
        Ok(tally.costs())
    }

    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        let rungs = stack((self.width, self.depth), widths(2, 8, 4096), &USUAL_SIZES, 32, held).into_iter();
        rungs.map(|(width, depth)| Self { width, depth, ..self.clone() }).collect()
    }
}

/// `(width, depth)`: S, B, L and H, and below as a ViT.
const USUAL_SIZES: [(u64, u64); 8] = [(12, 2), (16, 3), (24, 4), (64, 4), (512, 8), (768, 12), (1024, 24), (1280, 32)];

#[cfg(torch)]
pub use network::net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::{Layer, LayerNorm, Linear, Mlp, PatchEmbed, Stack};
    use crate::model::layout::{Builder, Init};
    use crate::model::pass::Pass;
    use tch::Tensor;

    pub fn net(b: &mut Builder, config: &Mixer, io: Io) -> Result<Stack> {
        let grid = Grid::tiling(config.patch, io)?;
        let (tokens, width) = (grid.tokens() as i64, config.width as i64);
        let patch = grid.patch.map(|side| side as i64);
        let embed = PatchEmbed::lecun(b, "stem.proj", io.channels as i64, patch, width);
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for i in 0..config.depth {
            layers.push(Box::new(Block::new(b, &format!("blocks.{i}"), tokens, width)));
        }
        layers.push(Box::new(LayerNorm::new(b, "norm", width)));
        let zero = Init::Constant(0.0);
        Ok(Stack { embed, layers, head: Linear::new(b, "head", width, io.classes as i64, zero, zero) })
    }

    struct Block {
        norm1: LayerNorm,
        mlp_tokens: Mlp,
        norm2: LayerNorm,
        mlp_channels: Mlp,
    }

    impl Block {
        fn new(b: &mut Builder, name: &str, tokens: i64, width: i64) -> Self {
            Self {
                norm1: LayerNorm::new(b, &format!("{name}.norm1"), width),
                mlp_tokens: Mlp::of(Linear::xavier, b, &format!("{name}.mlp_tokens"), tokens, width / 2),
                norm2: LayerNorm::new(b, &format!("{name}.norm2"), width),
                mlp_channels: Mlp::of(Linear::xavier, b, &format!("{name}.mlp_channels"), width, 4 * width),
            }
        }
    }

    impl Layer for Block {
        fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
            let y = self.norm1.forward(pass, x).transpose(2, 3); // [R, B, D, T]
            let x = x + self.mlp_tokens.forward(pass, &y).transpose(2, 3); // [R, B, T, D]
            let y = self.norm2.forward(pass, &x);
            x + self.mlp_channels.forward(pass, &y)
        }
    }
}
