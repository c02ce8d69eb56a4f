//! ConvNeXt (Liu et al. 2022, arXiv 2201.03545) as timm builds it, names of parameters included.

use crate::error::Result;
use crate::model::Io;
use crate::model::convnet::{Body, Convnet, Stem};
use crate::model::tally::Tally;
use crate::model::window::Window;

/// Hidden width of a block's MLP, in widths.
const MLP_RATIO: u64 = 4;

pub(super) struct ConvNext {
    channels: u64,
    stem: Window,
    stages: Vec<Stage>,
    /// Over the channels of every stage but the first: 2x2, halving.
    halving: Window,
    /// Of every block: 7x7, each channel by itself.
    depthwise: Window,
    classes: u64,
}

#[derive(Clone, Copy)]
struct Stage {
    width: u64,
    depth: u64,
}

impl ConvNext {
    pub(super) fn of(config: &Convnet, io: Io) -> Self {
        let windows = config.windows(io);
        let stages = config.depths.iter().enumerate();
        Self {
            channels: io.channels,
            stem: match config.stem {
                Stem::Small => windows.centred(3, 1),
                Stem::Large => windows.tiles(4),
            },
            stages: stages.map(|(stage, &depth)| Stage { width: config.width << stage, depth }).collect(),
            halving: windows.tiles(2),
            depthwise: windows.centred(7, 1),
            classes: io.classes,
        }
    }
}

impl Body for ConvNext {
    fn windows(&self) -> Vec<Window> {
        let mut windows = Vec::new();
        for stage in &self.stages {
            windows.push(if windows.is_empty() { self.stem } else { self.halving });
            windows.extend((0..stage.depth).map(|_| self.depthwise));
        }
        windows
    }

    fn tally(&self, image: [u64; 2]) -> Result<Tally> {
        let mut tally = Tally::default();
        let (mut inputs, mut sides) = (self.channels, image);
        for (i, &Stage { width, depth }) in self.stages.iter().enumerate() {
            let window = if i == 0 { self.stem } else { self.halving };
            sides = window.over(sides)?;
            tally.conv(inputs, width, window.kernel, sides);
            tally.params(width); // bias
            tally.norm(if i == 0 { width } else { inputs }); // after the stem, before halving
            for _ in 0..depth {
                sides = self.depthwise.over(sides)?;
                tally.conv(1, width, self.depthwise.kernel, sides);
                tally.params(width); // bias
                tally.norm(width);
                tally.linear(sides[0] * sides[1], width, MLP_RATIO * width);
                tally.linear(sides[0] * sides[1], MLP_RATIO * width, width);
                tally.params(width); // layer scale
            }
            inputs = width;
        }
        tally.norm(inputs);
        tally.linear(1, inputs, self.classes);
        Ok(tally)
    }

    #[cfg(torch)]
    fn network(&self, b: &mut crate::model::layout::Builder) -> Box<dyn crate::model::network::Forward> {
        Box::new(network::Net::new(b, self))
    }
}

#[cfg(torch)]
mod network {
    use super::{ConvNext, MLP_RATIO, Stage};
    use crate::model::layers::{Conv, LayerNorm, Linear, Mlp, channels_last};
    use crate::model::layout::{Builder, Init, Slot};
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use tch::Tensor;

    pub struct Net {
        stem: Conv,
        stem_norm: LayerNorm,
        stages: Vec<StageNet>,
        norm: LayerNorm,
        head: Linear,
    }

    impl Net {
        pub fn new(b: &mut Builder, plan: &ConvNext) -> Self {
            let width = |stage: Option<&Stage>| stage.map_or(1, |stage| stage.width as i64);
            let (first, last) = (width(plan.stages.first()), width(plan.stages.last()));
            let stem = Conv::normal(b, "stem.0", plan.channels as i64, first, 1, plan.stem);
            let stem_norm = LayerNorm::new(b, "stem.1", first);
            let mut inputs = None;
            let stages = plan.stages.iter().enumerate().map(|(i, stage)| {
                let stage_net = StageNet::new(b, &format!("stages.{i}"), plan, inputs, *stage);
                inputs = Some(stage.width as i64);
                stage_net
            });
            let stages = stages.collect();
            let norm = LayerNorm::new(b, "head.norm", last);
            let head = Linear::normal(b, "head.fc", last, plan.classes as i64);
            Self { stem, stem_norm, stages, norm, head }
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let size = images.size(); // [R, B, C, H, W]
            let x = images.transpose(0, 1).reshape([size[1], -1, size[3], size[4]]); // [B, R*C, H, W]
            let x = self.stem.forward(pass, &channels_last(pass, &x));
            // Again, for grey images: with one channel there is no telling.
            let mut x = self.stem_norm.forward(pass, &channels_innermost(pass, &channels_last(pass, &x)));
            for stage in &self.stages {
                x = stage.forward(pass, &x); // [R, B, H, W, C]
            }
            let x = x.mean_dim([2, 3].as_slice(), false, None); // [R, B, C]
            self.head.forward(pass, &self.norm.forward(pass, &x)) // [R, B, K]
        }
    }

    /// `[B, R*C, H, W]` to `[R, B, H, W, C]`: a view where memory is so already.
    fn channels_innermost(pass: &Pass, x: &Tensor) -> Tensor {
        let size = x.size();
        x.view([size[0], pass.rows, -1, size[2], size[3]]).permute([1, 0, 3, 4, 2])
    }

    /// `[R, B, H, W, C]` to `[B, R*C, H, W]`: a view where R is 1.
    fn channels_grouped(x: &Tensor) -> Tensor {
        let size = x.size();
        x.permute([1, 0, 4, 2, 3]).reshape([size[1], -1, size[2], size[3]])
    }

    struct StageNet {
        halving: Option<(LayerNorm, Conv)>,
        blocks: Vec<Block>,
    }

    impl StageNet {
        /// The first stage has no `inputs` to halve.
        fn new(b: &mut Builder, name: &str, plan: &ConvNext, inputs: Option<i64>, stage: Stage) -> Self {
            let width = stage.width as i64;
            let halving = inputs.map(|inputs| {
                let norm = LayerNorm::new(b, &format!("{name}.downsample.0"), inputs);
                (norm, Conv::normal(b, &format!("{name}.downsample.1"), inputs, width, 1, plan.halving))
            });
            let blocks = (0..stage.depth).map(|i| Block::new(b, &format!("{name}.blocks.{i}"), plan, width)).collect();
            Self { halving, blocks }
        }

        /// `[R, B, H, W, C]` to `[R, B, H', W', C']`.
        fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
            let mut x = x.shallow_clone();
            if let Some((norm, conv)) = &self.halving {
                let normal = channels_grouped(&norm.forward(pass, &x));
                x = channels_innermost(pass, &conv.forward(pass, &normal));
            }
            for block in &self.blocks {
                x = block.forward(pass, &x);
            }
            x
        }
    }

    /// A depthwise convolution, then an MLP on every pixel, scaled and added to the input.
    struct Block {
        depthwise: Conv,
        norm: LayerNorm,
        mlp: Mlp,
        scale: Slot,
    }

    impl Block {
        fn new(b: &mut Builder, name: &str, plan: &ConvNext, width: i64) -> Self {
            Self {
                depthwise: Conv::normal(b, &format!("{name}.conv_dw"), width, width, width, plan.depthwise),
                norm: LayerNorm::new(b, &format!("{name}.norm"), width),
                mlp: Mlp::new(b, &format!("{name}.mlp"), width, MLP_RATIO as i64 * width),
                scale: b.undecayed(format!("{name}.gamma"), &[width], Init::Constant(1e-6)),
            }
        }

        fn forward(&self, pass: &mut Pass, x: &Tensor) -> Tensor {
            let y = channels_innermost(pass, &self.depthwise.forward(pass, &channels_grouped(x)));
            let y = self.norm.forward(pass, &y);
            x + self.mlp.scaled(pass, &y, &pass.rows_of(self.scale)) // [R, B, H, W, C]
        }
    }
}
