//! ResMLP (Touvron et al. 2021, arXiv 2105.03404) as timm's MlpMixer builds it of ResBlocks, names of parameters
//! included: one linear map over tokens and an MLP over channels take turns; nothing is normalised.

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
pub struct Resmlp {
    /// D, the width of a token; the channel MLPs are 4D wide inside.
    pub width: u64,
    /// Blocks. By their number go the first values of the layer scales.
    pub depth: u64,
    /// Patches are `patch x patch` pixels, cut to the image where it is smaller; they tile the image.
    pub patch: u64,
}

impl Default for Resmlp {
    fn default() -> Self {
        Self { width: 64, depth: 4, patch: 4 }
    }
}

const fn size(name: &'static str, source: &'static str, config: fn() -> Resmlp) -> Size<Resmlp> {
    Size { name, source, config }
}

impl Config for Resmlp {
    const NAME: &'static str = "resmlp";
    const ABOUT: &'static str = "ResMLP (Touvron et al. 2021), as in timm";
    const KEYS: Keys = &[&[
        ("width", "of a token"),
        ("depth", "blocks"),
        ("patch", "pixels of a patch's side; patches tile the image"),
    ]];
    const SIZES: &'static [Size<Self>] = &[
        size("12", "Touvron et al. 2021, ResMLP-S12; timm resmlp_12_224", || Resmlp {
            width: 384,
            depth: 12,
            patch: 16,
        }),
        size("24", "Touvron et al. 2021, ResMLP-S24; timm resmlp_24_224", || Resmlp {
            width: 384,
            depth: 24,
            patch: 16,
        }),
        size("36", "Touvron et al. 2021, ResMLP-S36; timm resmlp_36_224", || Resmlp {
            width: 384,
            depth: 36,
            patch: 16,
        }),
        size("big-24", "Touvron et al. 2021, ResMLP-B24/8; timm resmlp_big_24_224", || Resmlp {
            width: 768,
            depth: 24,
            patch: 8,
        }),
    ];

    const SHAPE: &'static [&'static str] = &["width", "depth"];
    const USUAL: &'static str = "2 deep from width 8, 3 from 16, 4 from 24 to 64, 12 at ResMLP-S12's 384, 24 at B24's 768 (Touvron et al. 2021)";

    fn check(&self) -> Result<()> {
        rule(self.width >= 1, "width", self.width, "must be at least 1", "width = 64")?;
        rule(self.depth >= 1, "depth", self.depth, "must be at least 1", "depth = 4")?;
        rule(self.patch >= 1, "patch", self.patch, "must be at least 1", "patch = 4")
    }

    /// A block: params 6d + N² + N + 8d² + 5d, MACs N²d + 8Nd².
    fn costs(&self, io: Io) -> Result<Costs> {
        let grid = Grid::tiling(self.patch, io)?;
        let (d, n) = (self.width, grid.tokens());
        let mut block = Tally::default();
        block.norm(d);
        block.linear(d, n, n);
        block.norm(d);
        block.linear(n, d, 4 * d);
        block.linear(n, 4 * d, d);
        block.params(2 * d); // layer scales
        let mut tally = Tally::default();
        tally.linear(n, io.channels * grid.patch[0] * grid.patch[1], d);
        tally.part(block, self.depth, self.depth);
        tally.norm(d);
        tally.linear(1, d, io.classes);
        Ok(tally.costs())
    }

    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        let rungs = stack((self.width, self.depth), widths(2, 8, 4096), &USUAL_SIZES, 36, held).into_iter();
        rungs.map(|(width, depth)| Self { width, depth, ..self.clone() }).collect()
    }
}

/// `(width, depth)`: S12 and B24, and below as a ViT. (S24 and S36 are deeper at S12's width.)
const USUAL_SIZES: [(u64, u64); 6] = [(12, 2), (16, 3), (24, 4), (64, 4), (384, 12), (768, 24)];

#[cfg(torch)]
pub use network::net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::{Affine, Layer, Linear, Mlp, PatchEmbed, Stack};
    use crate::model::layout::{Builder, Init, Slot};
    use crate::model::pass::Pass;
    use tch::Tensor;

    /// Starts as the authors' program, not as timm's: normal of 0.02, patches as torch.nn.Conv2d.
    pub fn net(b: &mut Builder, config: &Resmlp, io: Io) -> Result<Stack> {
        let grid = Grid::tiling(config.patch, io)?;
        let width = config.width as i64;
        let patch = grid.patch.map(|side| side as i64);
        let embed = PatchEmbed::new(b, "stem.proj", io.channels as i64, patch, patch, width);
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for i in 0..config.depth {
            layers.push(Box::new(Block::new(b, &format!("blocks.{i}"), grid.tokens() as i64, config)));
        }
        layers.push(Box::new(Affine::new(b, "norm", width)));
        Ok(Stack { embed, layers, head: Linear::normal(b, "head", width, io.classes as i64) })
    }

    /// First value of the layer scales: 0.1, 1e-5 for more than 18 blocks, 1e-6 for more than 24 (Touvron et al. 2021,
    /// arXiv 2103.17239, section 2). So do the authors' models, but for B24's 1e-6.
    fn first_scale(depth: u64) -> f64 {
        match depth {
            ..=18 => 0.1,
            19..=24 => 1e-5,
            _ => 1e-6,
        }
    }

    struct Block {
        norm1: Affine,
        linear_tokens: Linear,
        norm2: Affine,
        mlp_channels: Mlp,
        ls1: Slot,
        ls2: Slot,
        width: i64,
    }

    impl Block {
        fn new(b: &mut Builder, name: &str, tokens: i64, config: &Resmlp) -> Self {
            let (width, scale) = (config.width as i64, Init::Constant(first_scale(config.depth)));
            Self {
                norm1: Affine::new(b, &format!("{name}.norm1"), width),
                linear_tokens: Linear::normal(b, &format!("{name}.linear_tokens"), tokens, tokens),
                norm2: Affine::new(b, &format!("{name}.norm2"), width),
                mlp_channels: Mlp::new(b, &format!("{name}.mlp_channels"), width, 4 * width),
                ls1: b.undecayed(format!("{name}.ls1"), &[width], scale),
                ls2: b.undecayed(format!("{name}.ls2"), &[width], scale),
                width,
            }
        }
    }

    impl Layer for Block {
        fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
            let scale = |pass: &Pass, slot: Slot| pass.rows_of(slot).view([pass.rows, 1, 1, self.width]);
            let y = self.norm1.forward(pass, x).transpose(2, 3); // [R, B, D, T]
            let y = self.linear_tokens.forward(pass, &y).transpose(2, 3); // [R, B, T, D]
            let x = x.addcmul(&y, &scale(pass, self.ls1));
            let y = self.norm2.forward(pass, &x);
            let y = self.mlp_channels.forward(pass, &y);
            x.addcmul(&y, &scale(pass, self.ls2))
        }
    }
}
