//! Convolutional networks: residual ones and their plain counterparts (He et al. 2016, arXiv 1512.03385), ConvNeXt (Liu
//! et al. 2022, arXiv 2201.03545). Images of one row are signals: their kernels are one pixel high.
//!
//! **Receptive field.** Between an image and the mean over the last map a value sees a window of the image: with the
//! small stem 3 pixels wide, and in the first stage 2 more with each 3x3 (a plain block has one, a bottleneck block
//! one, a basic block two), 6 more with each ConvNeXt block; `model info` prints it. With `padding = "circular"` and one
//! stage no value knows where it stands, so such a network is a bag of local features: exactly shift-invariant.

mod convnext;
mod ladder;
mod resnet;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size, rule};
use crate::model::convnet::convnext::ConvNext;
use crate::model::convnet::resnet::Resnet;
#[cfg(torch)]
use crate::model::layout::Builder;
#[cfg(torch)]
use crate::model::network::Forward;
use crate::model::tally::Tally;
use crate::model::window::{Window, Windows, receptive_field};
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
    /// What convolutions see beyond the border.
    pub padding: Padding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockKind {
    /// A 3x3 convolution, batch norm and ReLU, without residual, as in VGG (Simonyan and Zisserman 2015) and the plain
    /// networks of He et al. 2016: stages halve the map by a stride, not by pooling.
    Plain,
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1 down, 3x3, 1x1 up to four times the stage's width; the stride is in the 3x3.
    Bottleneck,
    /// 7x7 on each channel by itself, layer norm, 1x1 up to four times the stage's width, GELU, 1x1 down, layer scale.
    ConvNext,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// 3x3, stride 1, no pooling: for small images.
    Small,
    /// 7x7, stride 2, then 3x3 max pooling, stride 2; before ConvNeXt blocks 4x4, stride 4: for ImageNet's.
    Large,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// From zeros a network can tell how far the border is.
    Zeros,
    /// The opposite border, as if the image were tiled: there is no border to tell.
    Circular,
}

impl Default for Convnet {
    fn default() -> Self {
        let (block, stem, padding) = (BlockKind::Basic, Stem::Small, Padding::Zeros);
        Self { width: 64, depths: vec![2, 2, 2, 2], block, stem, padding }
    }
}

impl Config for Convnet {
    const NAME: &'static str = "convnet";
    const ABOUT: &'static str =
        "ResNet, plain stack (He et al. 2016) or ConvNeXt (Liu et al. 2022), as in torchvision and timm";
    const KEYS: Keys = &[&[
        ("width", "channels of the first stage; each further one has twice as many, at half the resolution"),
        ("depths", "blocks of each stage; as many stages as numbers"),
        ("block", "basic, bottleneck, plain or convnext"),
        ("stem", "small: 3x3; large: 7x7 and pooling, 4x4 before convnext blocks"),
        ("padding", "what convolutions see beyond the border: zeros, or circular (the opposite border)"),
    ]];
    const SIZES: &'static [Size<Self>] = &[
        size("resnet-18", "He et al. 2016, table 1; torchvision resnet18", || {
            published(64, [2, 2, 2, 2], BlockKind::Basic)
        }),
        size("resnet-34", "He et al. 2016, table 1; torchvision resnet34", || {
            published(64, [3, 4, 6, 3], BlockKind::Basic)
        }),
        size("resnet-50", "He et al. 2016, table 1, stride in the 3x3; torchvision resnet50", || {
            published(64, [3, 4, 6, 3], BlockKind::Bottleneck)
        }),
        size("plain-18", "He et al. 2016, table 2", || published(64, [4, 4, 4, 4], BlockKind::Plain)),
        size("plain-34", "He et al. 2016, figure 3 and table 2", || published(64, [6, 8, 12, 6], BlockKind::Plain)),
        size("convnext-tiny", "Liu et al. 2022, section 3; timm convnext_tiny", || {
            published(96, [3, 3, 9, 3], BlockKind::ConvNext)
        }),
        size("convnext-small", "Liu et al. 2022, section 3; timm convnext_small", || {
            published(96, [3, 3, 27, 3], BlockKind::ConvNext)
        }),
        size("convnext-base", "Liu et al. 2022, section 3; timm convnext_base", || {
            published(128, [3, 3, 27, 3], BlockKind::ConvNext)
        }),
    ];

    const SHAPE: &'static [&'static str] = &["width", "depths"];
    const USUAL: &'static str = "from LeNet-1's 4 channels on (LeCun et al. 1990), stages that bring the image nearest to 8 \
        pixels; n blocks in each, 1 below 32 channels, 2 below 48, 3 below 64, then 4, as WRN-10-1 to WRN-28-10 (Zagoruyko \
        and Komodakis 2016); of four stages ResNet-18's 2 below 64, then ResNet-34's 3,4,6,3 (He et al. 2016); plain twice \
        as many; ConvNeXt 1:3:1 from 1 to 3, four stages as A to B (Liu et al. 2022, Woo et al. 2023)";

    fn check(&self) -> Result<()> {
        rule(self.width >= 1, "width", self.width, "must be at least 1", "width = 64")?;
        let stages = self.depths.len();
        rule((1..=8).contains(&stages), "depths", list(&self.depths), "must name 1 to 8 stages", "depths = 2,2,2,2")?;
        let blocks = self.depths.iter().all(|depth| *depth >= 1);
        rule(blocks, "depths", list(&self.depths), "every stage must have a block", "depths = 2,2,2,2")
    }

    fn costs(&self, io: Io) -> Result<Costs> {
        Ok(self.body(io).tally([io.height, io.width])?.costs())
    }

    fn receptive_field(&self, io: Io) -> Option<[u64; 2]> {
        Some(receptive_field(&self.body(io).windows()))
    }

    fn ladder(&self, held: &Settings, io: Io) -> Vec<Self> {
        self.rungs(held, io)
    }
}

const fn size(name: &'static str, source: &'static str, config: fn() -> Convnet) -> Size<Convnet> {
    Size { name, source, config }
}

fn published(width: u64, depths: [u64; 4], block: BlockKind) -> Convnet {
    Convnet { width, depths: depths.to_vec(), block, stem: Stem::Large, ..Convnet::default() }
}

fn list(depths: &[u64]) -> String {
    depths.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// One way of stacking blocks, laid out for images of one shape.
trait Body {
    /// All windows between an image and the last map, in order.
    fn windows(&self) -> Vec<Window>;

    /// Refuses a window that does not fit its map.
    fn tally(&self, image: [u64; 2]) -> Result<Tally>;

    #[cfg(torch)]
    fn network(&self, b: &mut Builder) -> Box<dyn Forward>;
}

impl Convnet {
    fn body(&self, io: Io) -> Box<dyn Body> {
        match self.block {
            BlockKind::Plain => Box::new(Resnet::of(self, io, resnet::plain)),
            BlockKind::Basic => Box::new(Resnet::of(self, io, resnet::basic)),
            BlockKind::Bottleneck => Box::new(Resnet::of(self, io, resnet::bottleneck)),
            BlockKind::ConvNext => Box::new(ConvNext::of(self, io)),
        }
    }

    fn windows(&self, io: Io) -> Windows {
        Windows { signal: io.height == 1, circular: self.padding == Padding::Circular }
    }

    #[cfg(torch)]
    pub fn network(&self, b: &mut Builder, io: Io) -> Box<dyn Forward> {
        self.body(io).network(b)
    }
}
