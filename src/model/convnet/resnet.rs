//! Residual networks as torchvision's ResNet builds them, names of parameters included, and their plain counterparts
//! (He et al. 2016, sections 3.3 and 3.4). Convolutions are without bias, each followed by a batch norm.

use crate::error::Result;
use crate::model::Io;
use crate::model::convnet::{Body, Convnet, Stem};
use crate::model::tally::Tally;
use crate::model::window::{Window, Windows};

pub(super) struct Resnet {
    stem: Conv,
    pool: Option<Window>,
    blocks: Vec<Block>,
    /// Channels that the head reads.
    outputs: u64,
    classes: u64,
}

/// What a stage asks of its blocks.
#[derive(Clone, Copy)]
pub(super) struct Place {
    stage: usize,
    /// In the stage.
    index: u64,
    windows: Windows,
    inputs: u64,
    /// Channels of the stage.
    width: u64,
    stride: u64,
}

pub(super) struct Block {
    stage: usize,
    index: u64,
    path: Vec<Conv>,
    shortcut: Shortcut<Conv>,
}

enum Shortcut<C> {
    None,
    Identity,
    /// A 1x1 convolution, where the block changes the map's shape.
    Projection(C),
}

/// A convolution and its batch norm.
#[derive(Clone, Copy)]
struct Conv {
    inputs: u64,
    outputs: u64,
    window: Window,
}

pub(super) fn plain(at: Place) -> Block {
    at.block(vec![at.conv(at.inputs, at.width, 3, at.stride)], Shortcut::None)
}

pub(super) fn basic(at: Place) -> Block {
    at.residual(vec![at.conv(at.inputs, at.width, 3, at.stride), at.conv(at.width, at.width, 3, 1)])
}

/// The stride is in the 3x3, as in torchvision.
pub(super) fn bottleneck(at: Place) -> Block {
    at.residual(vec![
        at.conv(at.inputs, at.width, 1, 1),
        at.conv(at.width, at.width, 3, at.stride),
        at.conv(at.width, 4 * at.width, 1, 1),
    ])
}

impl Place {
    fn conv(self, inputs: u64, outputs: u64, kernel: u64, stride: u64) -> Conv {
        Conv { inputs, outputs, window: self.windows.centred(kernel, stride) }
    }

    fn residual(self, path: Vec<Conv>) -> Block {
        let outputs = path.last().map_or(self.inputs, |conv| conv.outputs);
        let shortcut = match self.stride == 1 && self.inputs == outputs {
            true => Shortcut::Identity,
            false => Shortcut::Projection(self.conv(self.inputs, outputs, 1, self.stride)),
        };
        self.block(path, shortcut)
    }

    fn block(self, path: Vec<Conv>, shortcut: Shortcut<Conv>) -> Block {
        Block { stage: self.stage, index: self.index, path, shortcut }
    }
}

impl Resnet {
    pub(super) fn of(config: &Convnet, io: Io, block: fn(Place) -> Block) -> Self {
        let windows = config.windows(io);
        let (stem, pool) = match config.stem {
            Stem::Small => (windows.centred(3, 1), None),
            Stem::Large => (windows.centred(7, 2), Some(windows.centred(3, 2))),
        };
        let mut outputs = config.width;
        let mut blocks = Vec::new();
        for (stage, depth) in config.depths.iter().enumerate() {
            for index in 0..*depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let width = config.width << stage;
                let block = block(Place { stage, index, windows, inputs: outputs, width, stride });
                outputs = block.path.last().map_or(outputs, |conv| conv.outputs);
                blocks.push(block);
            }
        }
        let stem = Conv { inputs: io.channels, outputs: config.width, window: stem };
        Self { stem, pool, blocks, outputs, classes: io.classes }
    }
}

impl Conv {
    /// Gives the sides of the map that it leaves.
    fn tally(self, tally: &mut Tally, sides: [u64; 2]) -> Result<[u64; 2]> {
        let out = self.window.over(sides)?;
        tally.conv(self.inputs, self.outputs, self.window.kernel, out);
        tally.norm(self.outputs);
        Ok(out)
    }
}

impl Body for Resnet {
    /// Shortcuts see no more than the way past them.
    fn windows(&self) -> Vec<Window> {
        let blocks = self.blocks.iter().flat_map(|block| block.path.iter().map(|conv| conv.window));
        [self.stem.window].into_iter().chain(self.pool).chain(blocks).collect()
    }

    fn tally(&self, image: [u64; 2]) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut sides = self.stem.tally(&mut tally, image)?;
        if let Some(pool) = self.pool {
            sides = pool.over(sides)?;
        }
        for block in &self.blocks {
            if let Shortcut::Projection(conv) = block.shortcut {
                conv.tally(&mut tally, sides)?;
            }
            for conv in &block.path {
                sides = conv.tally(&mut tally, sides)?;
            }
        }
        tally.linear(1, self.outputs, self.classes);
        Ok(tally)
    }

    #[cfg(torch)]
    fn network(&self, b: &mut crate::model::layout::Builder) -> Box<dyn crate::model::network::Forward> {
        Box::new(network::Net::new(b, self))
    }
}

#[cfg(torch)]
mod network {
    use super::{Block, Conv, Resnet, Shortcut};
    use crate::model::layers::{self, BatchNorm, Linear, channels_last, max_pool};
    use crate::model::layout::Builder;
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use crate::model::window::Window;
    use tch::Tensor;

    pub struct Net {
        stem: ConvNorm,
        pool: Option<Window>,
        blocks: Vec<BlockNet>,
        head: Linear,
    }

    impl Net {
        pub fn new(b: &mut Builder, plan: &Resnet) -> Self {
            let stem = ConvNorm::new(b, "conv1", "bn1", plan.stem);
            let blocks = plan.blocks.iter().map(|block| BlockNet::new(b, block)).collect();
            let head = Linear::torch_default(b, "fc", plan.outputs as i64, plan.classes as i64);
            Self { stem, pool: plan.pool, blocks, head }
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let size = images.size(); // [R, B, C, H, W]
            let x = images.transpose(0, 1).reshape([size[1], -1, size[3], size[4]]); // [B, R*C, H, W]
            let x = self.stem.conv.forward(pass, &channels_last(pass, &x));
            // Again, for grey images: with one channel there is no telling.
            let mut x = self.stem.norm.forward(pass, &channels_last(pass, &x)).relu();
            if let Some(pool) = self.pool {
                x = max_pool(&x, pool);
            }
            for block in &self.blocks {
                x = block.forward(pass, &x);
            }
            let x = x.mean_dim([2, 3].as_slice(), false, None); // [B, R*C]
            let x = x.view([size[1], size[0], -1]).transpose(0, 1); // [R, B, C]
            self.head.forward(pass, &x) // [R, B, K]
        }
    }

    struct ConvNorm {
        conv: layers::Conv,
        norm: BatchNorm,
    }

    impl ConvNorm {
        fn new(b: &mut Builder, conv: &str, norm: &str, plan: Conv) -> Self {
            let (inputs, outputs) = (plan.inputs as i64, plan.outputs as i64);
            Self {
                conv: layers::Conv::kaiming(b, conv, inputs, outputs, plan.window),
                norm: BatchNorm::new(b, norm, outputs),
            }
        }

        fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
            self.norm.forward(pass, &self.conv.forward(pass, x))
        }
    }

    struct BlockNet {
        path: Vec<ConvNorm>,
        shortcut: Shortcut<ConvNorm>,
    }

    impl BlockNet {
        fn new(b: &mut Builder, plan: &Block) -> Self {
            let name = format!("layer{}.{}", plan.stage + 1, plan.index);
            let path = plan.path.iter().enumerate().map(|(i, conv)| {
                ConvNorm::new(b, &format!("{name}.conv{}", i + 1), &format!("{name}.bn{}", i + 1), *conv)
            });
            let path = path.collect();
            let shortcut = match plan.shortcut {
                Shortcut::None => Shortcut::None,
                Shortcut::Identity => Shortcut::Identity,
                Shortcut::Projection(plan) => {
                    let [conv, norm] = [0, 1].map(|part| format!("{name}.downsample.{part}"));
                    Shortcut::Projection(ConvNorm::new(b, &conv, &norm, plan))
                }
            };
            Self { path, shortcut }
        }

        fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
            let mut y = x.shallow_clone();
            for (i, layer) in self.path.iter().enumerate() {
                y = layer.forward(pass, &y);
                if i + 1 < self.path.len() {
                    y = y.relu();
                }
            }
            match &self.shortcut {
                Shortcut::None => y,
                Shortcut::Identity => y + x,
                Shortcut::Projection(projection) => y + projection.forward(pass, x),
            }
            .relu()
        }
    }
}
