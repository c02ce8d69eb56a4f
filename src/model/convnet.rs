//! Residual convolutional networks (He et al. 2016, arXiv 1512.03385) as torchvision's ResNet builds them, names of
//! parameters included. Images of one row are signals: their kernels are one pixel high.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Size, rule};
use crate::model::tally::Tally;
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Convnet {
    /// Channels of the first stage; each further stage has twice as many, at half the resolution.
    pub width: u64,
    /// Blocks of each stage; as many stages as there are numbers.
    pub depths: Vec<u64>,
    pub block: BlockKind,
    pub stem: Stem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1 down, 3x3, 1x1 up to four times the stage's width; the stride is in the 3x3.
    Bottleneck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// 3x3, stride 1, no pooling: for small images.
    Small,
    /// 7x7, stride 2, then 3x3 max pooling, stride 2: for ImageNet's.
    Large,
}

impl Default for Convnet {
    fn default() -> Self {
        Self { width: 64, depths: vec![2, 2, 2, 2], block: BlockKind::Basic, stem: Stem::Small }
    }
}

impl Config for Convnet {
    const NAME: &'static str = "convnet";
    const ABOUT: &'static str = "ResNet with basic or bottleneck blocks (He et al. 2016), as in torchvision";
    const SIZES: &'static [Size<Self>] = &[
        Size {
            name: "resnet-18",
            source: "He et al. 2016, table 1; torchvision resnet18",
            config: || published([2, 2, 2, 2], BlockKind::Basic),
        },
        Size {
            name: "resnet-34",
            source: "He et al. 2016, table 1; torchvision resnet34",
            config: || published([3, 4, 6, 3], BlockKind::Basic),
        },
        Size {
            name: "resnet-50",
            source: "He et al. 2016, table 1, stride in the 3x3; torchvision resnet50",
            config: || published([3, 4, 6, 3], BlockKind::Bottleneck),
        },
    ];

    fn check(&self) -> Result<()> {
        rule(self.width >= 1, "width", self.width, "must be at least 1", "width = 64")?;
        let stages = self.depths.len();
        rule((1..=8).contains(&stages), "depths", list(&self.depths), "must name 1 to 8 stages", "depths = 2,2,2,2")?;
        let blocks = self.depths.iter().all(|depth| *depth >= 1);
        rule(blocks, "depths", list(&self.depths), "every stage must have a block", "depths = 2,2,2,2")
    }

    fn costs(&self, io: Io) -> Result<Costs> {
        let mut tally = Tally::default();
        let signal = Signal::of(io);
        let mut side = [io.height, io.width];
        if self.stem == Stem::Large {
            side = signal.halved(side);
        }
        tally.conv(io.channels, self.width, signal.kernel(self.stem.kernel()), side);
        tally.norm(self.width);
        if self.stem == Stem::Large {
            side = signal.halved(side);
        }
        let mut inputs = self.width;
        for plan in self.blocks() {
            let before = side;
            if plan.stride == 2 {
                side = signal.halved(side);
            }
            plan.costs(&mut tally, signal, before, side);
            inputs = plan.outputs;
        }
        tally.linear(1, inputs, io.classes);
        Ok(tally.costs())
    }

    /// As many stages as bring the longest side to 8 or less (three for 32x32, as in He et al. 2016, section 4.2; two to
    /// four); every stage as deep as the others, or one stage a block deeper.
    fn shapes(&self, held: &Settings, io: Io) -> Vec<Self> {
        if held.contains_key("depths") {
            return vec![self.clone()];
        }
        let mut longest = io.height.max(io.width);
        if self.stem == Stem::Large {
            longest = longest.div_ceil(4);
        }
        let mut stages = 1;
        while longest > 8 {
            longest = longest.div_ceil(2);
            stages += 1;
        }
        let stages = stages.clamp(2, 4);
        let mut shapes = Vec::new();
        for even in 1..=8 {
            let depths = vec![even; stages];
            shapes.extend((0..stages).map(|deeper| {
                let mut depths = depths.clone();
                depths[deeper] += 1;
                depths
            }));
            shapes.push(depths);
        }
        shapes.into_iter().map(|depths| Self { depths, ..self.clone() }).collect()
    }

    fn widened(&self, width: u64, _: &Settings) -> Self {
        Self { width, ..self.clone() }
    }

    /// Usual: 8 channels per block, so 64 for ResNet-18's eight; even depths; even widths.
    fn oddness(&self) -> f64 {
        let blocks: u64 = self.depths.iter().sum();
        let slim = (self.width as f64 / (8 * blocks) as f64).ln().abs();
        let uneven = if self.depths.iter().all(|depth| *depth == self.depths[0]) { 0.0 } else { 0.2 };
        slim + uneven + [0.0, 0.02, 0.05][2 - (self.width.trailing_zeros().min(2) as usize)]
    }
}

fn published(depths: [u64; 4], block: BlockKind) -> Convnet {
    Convnet { width: 64, depths: depths.to_vec(), block, stem: Stem::Large }
}

fn list(depths: &[u64]) -> String {
    depths.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

impl Stem {
    fn kernel(self) -> u64 {
        match self {
            Stem::Small => 3,
            Stem::Large => 7,
        }
    }
}

/// One-row images are signals: kernels and strides work along the row only.
#[derive(Clone, Copy)]
struct Signal {
    flat: bool,
}

impl Signal {
    fn of(io: Io) -> Self {
        Self { flat: io.height == 1 }
    }

    fn kernel(self, side: u64) -> [u64; 2] {
        if self.flat { [1, side] } else { [side, side] }
    }

    fn stride(self, stride: u64) -> [i64; 2] {
        if self.flat { [1, stride as i64] } else { [stride as i64, stride as i64] }
    }

    /// A side after a stride of 2 with half a kernel of padding.
    fn halved(self, side: [u64; 2]) -> [u64; 2] {
        side.map(|side| side.div_ceil(2))
    }
}

/// One block of the network, as numbers.
#[derive(Clone, Copy)]
struct BlockPlan {
    kind: BlockKind,
    stage: usize,
    index: u64,
    inputs: u64,
    inner: u64,
    outputs: u64,
    stride: u64,
}

impl Convnet {
    fn blocks(&self) -> Vec<BlockPlan> {
        let mut inputs = self.width;
        let mut plans = Vec::new();
        for (stage, depth) in self.depths.iter().enumerate() {
            let inner = self.width << stage;
            let outputs = if self.block == BlockKind::Bottleneck { 4 * inner } else { inner };
            for index in 0..*depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                plans.push(BlockPlan { kind: self.block, stage, index, inputs, inner, outputs, stride });
                inputs = outputs;
            }
        }
        plans
    }
}

impl BlockPlan {
    /// Whether the residual needs a 1x1 convolution to fit.
    fn projects(&self) -> bool {
        self.stride != 1 || self.inputs != self.outputs
    }

    /// The convolutions on the main path: (inputs, outputs, kernel, stride).
    fn path(&self) -> Vec<(u64, u64, u64, u64)> {
        match self.kind {
            BlockKind::Basic => vec![(self.inputs, self.inner, 3, self.stride), (self.inner, self.outputs, 3, 1)],
            BlockKind::Bottleneck => vec![
                (self.inputs, self.inner, 1, 1),
                (self.inner, self.inner, 3, self.stride),
                (self.inner, self.outputs, 1, 1),
            ],
        }
    }

    fn costs(&self, tally: &mut Tally, signal: Signal, before: [u64; 2], after: [u64; 2]) {
        let mut strided = self.stride == 1;
        for (inputs, outputs, kernel, stride) in self.path() {
            strided |= stride == 2;
            tally.conv(inputs, outputs, signal.kernel(kernel), if strided { after } else { before });
            tally.norm(outputs);
        }
        if self.projects() {
            tally.conv(self.inputs, self.outputs, [1, 1], after);
            tally.norm(self.outputs);
        }
    }
}

#[cfg(torch)]
pub use network::Net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::{BatchNorm, Conv, Linear, channels_last};
    use crate::model::layout::Builder;
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use tch::Tensor;

    pub struct Net {
        stem: ConvNorm,
        pooled: Option<Signal>,
        blocks: Vec<Block>,
        head: Linear,
    }

    impl Net {
        pub fn new(b: &mut Builder, config: &Convnet, io: Io) -> Self {
            let signal = Signal::of(io);
            let large = config.stem == Stem::Large;
            let shape = (io.channels, config.width, config.stem.kernel(), if large { 2 } else { 1 });
            let stem = ConvNorm::new(b, "conv1", "bn1", shape, signal);
            let plans = config.blocks();
            let width = plans.last().map_or(config.width, |plan| plan.outputs);
            let blocks = plans.iter().map(|plan| Block::new(b, plan, signal)).collect();
            let head = Linear::torch_default(b, "fc", width as i64, io.classes as i64);
            Self { stem, pooled: large.then_some(signal), blocks, head }
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let size = images.size(); // [R, B, C, H, W]
            let x = images.transpose(0, 1).reshape([size[1], -1, size[3], size[4]]); // [B, R*C, H, W]
            let x = self.stem.conv.forward(pass, &channels_last(pass, &x));
            // Again, for grey images: with one channel there is no telling.
            let mut x = self.stem.norm.forward(pass, &channels_last(pass, &x)).relu();
            if let Some(signal) = self.pooled {
                let kernel = signal.kernel(3).map(|side| side as i64);
                x = x.max_pool2d(kernel, signal.stride(2), kernel.map(|side| side / 2), [1, 1], false);
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
        conv: Conv,
        norm: BatchNorm,
    }

    impl ConvNorm {
        fn new(b: &mut Builder, conv: &str, norm: &str, shape: (u64, u64, u64, u64), signal: Signal) -> Self {
            let (inputs, outputs, kernel, stride) = shape;
            let kernel = signal.kernel(kernel).map(|side| side as i64);
            Self {
                conv: Conv::new(b, conv, inputs as i64, outputs as i64, kernel, signal.stride(stride)),
                norm: BatchNorm::new(b, norm, outputs as i64),
            }
        }

        fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
            self.norm.forward(pass, &self.conv.forward(pass, x))
        }
    }

    struct Block {
        path: Vec<ConvNorm>,
        projection: Option<ConvNorm>,
    }

    impl Block {
        fn new(b: &mut Builder, plan: &BlockPlan, signal: Signal) -> Self {
            let name = format!("layer{}.{}", plan.stage + 1, plan.index);
            let path = plan.path().into_iter().enumerate().map(|(i, shape)| {
                ConvNorm::new(b, &format!("{name}.conv{}", i + 1), &format!("{name}.bn{}", i + 1), shape, signal)
            });
            let path = path.collect();
            let projection = plan.projects().then(|| {
                let shape = (plan.inputs, plan.outputs, 1, plan.stride);
                ConvNorm::new(b, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"), shape, signal)
            });
            Self { path, projection }
        }

        fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
            let shortcut = self.projection.as_ref().map_or_else(|| x.shallow_clone(), |p| p.forward(pass, x));
            let mut y = x.shallow_clone();
            for (i, layer) in self.path.iter().enumerate() {
                y = layer.forward(pass, &y);
                if i + 1 < self.path.len() {
                    y = y.relu();
                }
            }
            (y + shortcut).relu()
        }
    }
}
