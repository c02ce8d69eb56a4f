//! The multi-layer perceptron on flattened pixels: the baseline that knows nothing of images, as torchvision.ops.MLP
//! builds it, names of parameters included.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::config::{Config, Keys, Size, rule};
use crate::model::scale::{stack, widths};
use crate::model::tally::Tally;
use crate::model::{Costs, Io};
use crate::run::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// Width of each hidden layer.
    pub width: u64,
    /// Hidden layers.
    pub depth: u64,
    pub activation: Activation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    Relu,
    /// Exact, not its tanh form.
    Gelu,
}

impl Default for Mlp {
    fn default() -> Self {
        Self { width: 256, depth: 3, activation: Activation::Relu }
    }
}

impl Config for Mlp {
    const NAME: &'static str = "mlp";
    const ABOUT: &'static str = "multi-layer perceptron on flattened pixels, as torchvision.ops.MLP: the baseline";
    const KEYS: Keys = &[&[("width", "of a hidden layer"), ("depth", "hidden layers"), ("activation", "relu or gelu")]];
    const SIZES: &'static [Size<Self>] = &[];

    const SHAPE: &'static [&'static str] = &["width", "depth"];
    const USUAL: &'static str =
        "3 hidden layers of one width, from 8 on (Zhang et al. 2017, arXiv 1611.03530: MLP 3x512)";

    fn check(&self) -> Result<()> {
        rule(self.width >= 1, "width", self.width, "must be at least 1", "width = 256")?;
        rule(self.depth >= 1, "depth", self.depth, "must be at least 1", "depth = 3")
    }

    /// params (P+1)d + (L-1)(d+1)d + (d+1)K, MACs Pd + (L-1)d² + dK, with P = pixels x channels.
    fn costs(&self, io: Io) -> Result<Costs> {
        let (mut tally, mut hidden) = (Tally::default(), Tally::default());
        hidden.linear(1, self.width, self.width);
        tally.linear(1, io.channels * io.height * io.width, self.width);
        tally.part(hidden, self.depth - 1, self.depth - 1);
        tally.linear(1, self.width, io.classes);
        Ok(tally.costs())
    }

    fn ladder(&self, held: &Settings, _: Io) -> Vec<Self> {
        let rungs = stack((self.width, self.depth), widths(2, 8, 1 << 15), &[(512, 3)], 8, held).into_iter();
        rungs.map(|(width, depth)| Self { width, depth, ..self.clone() }).collect()
    }
}

#[cfg(torch)]
pub use network::Net;

#[cfg(torch)]
mod network {
    use super::*;
    use crate::model::layers::Linear;
    use crate::model::layout::{Builder, Init};
    use crate::model::network::Forward;
    use crate::model::pass::Pass;
    use tch::Tensor;

    pub struct Net {
        hidden: Vec<Linear>,
        head: Linear,
        activation: Activation,
    }

    impl Net {
        /// He et al. 2015 for hidden layers, without which deep ones hardly train; the head as torch.nn.Linear.
        pub fn new(b: &mut Builder, config: &Mlp, io: Io) -> Self {
            let mut inputs = (io.channels * io.height * io.width) as i64;
            let width = config.width as i64;
            // torchvision counts activation and dropout as layers.
            let name = |layer: u64| (3 * layer).to_string();
            let hidden = (0..config.depth).map(|layer| {
                let linear = Linear::new(b, &name(layer), inputs, width, Init::he(inputs), Init::Constant(0.0));
                inputs = width;
                linear
            });
            let hidden = hidden.collect();
            let head = Linear::torch_default(b, &name(config.depth), width, io.classes as i64);
            Self { hidden, head, activation: config.activation }
        }
    }

    impl Forward for Net {
        fn forward(&self, pass: &mut Pass, images: &Tensor) -> Tensor {
            let mut x = images.flatten(2, -1); // [R, B, C*H*W]
            for layer in &self.hidden {
                x = layer.forward(pass, &x); // [R, B, D]
                x = match self.activation {
                    Activation::Relu => x.relu(),
                    Activation::Gelu => x.gelu("none"),
                };
            }
            self.head.forward(pass, &x) // [R, B, K]
        }
    }
}
