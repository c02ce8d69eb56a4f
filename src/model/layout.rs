//! Where each parameter lives in a run's flat row, under which name, and how it starts.

use rand_distr::{Distribution, StandardNormal, Uniform};
use tch::{Device, Tensor};

use crate::random::stream;

/// A parameter's (or a running statistic's) place in the order of declaration; layers keep it, a pass looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub(super) usize);

/// How a parameter starts, per element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Constant(f64),
    Normal {
        std: f64,
    },
    /// In [-bound, bound).
    Uniform {
        bound: f64,
    },
}

impl Init {
    /// torch.nn's default for linear and convolution layers, weight and bias (kaiming_uniform_ with a = sqrt 5).
    pub fn torch_default(fan_in: i64) -> Self {
        Init::Uniform { bound: 1.0 / (fan_in.max(1) as f64).sqrt() }
    }

    /// LeCun et al. 1998: outputs as large as inputs. flax's and haiku's default for linear layers, but for their cut at
    /// two standard deviations.
    pub fn lecun(fan_in: i64) -> Self {
        Init::Normal { std: 1.0 / (fan_in.max(1) as f64).sqrt() }
    }

    /// He et al. 2015: the same after a ReLU.
    pub fn he(fan_in: i64) -> Self {
        Init::Normal { std: (2.0 / fan_in.max(1) as f64).sqrt() }
    }

    /// Glorot and Bengio 2010: torch's xavier_uniform_.
    pub fn xavier(inputs: i64, outputs: i64) -> Self {
        Init::Uniform { bound: (6.0 / (inputs + outputs).max(1) as f64).sqrt() }
    }

    fn fill(self, seed: u64, name: &str, row: &mut [f32]) {
        let mut random = stream(seed, &format!("init {name}"), 0);
        match self {
            Init::Constant(value) => row.fill(value as f32),
            Init::Normal { std } => row.iter_mut().for_each(|x| {
                let unit: f64 = StandardNormal.sample(&mut random);
                *x = (unit * std) as f32;
            }),
            Init::Uniform { bound } => match Uniform::new(-bound, bound) {
                Ok(uniform) => row.iter_mut().for_each(|x| *x = uniform.sample(&mut random) as f32),
                Err(_) => row.fill(0.0),
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in the state dict of the program it is from (timm, torchvision).
    pub name: String,
    pub shape: Vec<i64>,
    pub init: Init,
    /// Whether weight decay applies.
    pub decayed: bool,
    /// First element in the flat row.
    pub offset: i64,
}

impl Parameter {
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All parameters and running statistics of a network.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// In the order of the flat row: the decayed ones first.
    pub parameters: Vec<Parameter>,
    /// The first `decayed` elements of a row are decayed.
    pub decayed: i64,
    /// P, the length of a row.
    pub params: i64,
    /// Running statistics (of batch norms), a second flat row.
    pub statistics: Vec<Parameter>,
    /// S, the length of that row.
    pub stats: i64,
    /// Place in `parameters` by order of declaration.
    order: Vec<usize>,
}

/// Collects what layers declare.
#[derive(Default)]
pub struct Builder {
    parameters: Vec<Parameter>,
    statistics: Vec<Parameter>,
}

impl Builder {
    /// A parameter that weight decay applies to: the matrices and kernels.
    pub fn decayed(&mut self, name: impl Into<String>, shape: &[i64], init: Init) -> Slot {
        self.declare(name.into(), shape, init, true)
    }

    /// Biases, norms, tokens, position codes.
    pub fn undecayed(&mut self, name: impl Into<String>, shape: &[i64], init: Init) -> Slot {
        self.declare(name.into(), shape, init, false)
    }

    fn declare(&mut self, name: String, shape: &[i64], init: Init, decayed: bool) -> Slot {
        self.parameters.push(Parameter { name, shape: shape.to_vec(), init, decayed, offset: 0 });
        Slot(self.parameters.len() - 1)
    }

    pub fn statistic(&mut self, name: impl Into<String>, shape: &[i64], init: Init) -> Slot {
        let (name, shape) = (name.into(), shape.to_vec());
        self.statistics.push(Parameter { name, shape, init, decayed: false, offset: 0 });
        Slot(self.statistics.len() - 1)
    }

    pub fn finish(self) -> Layout {
        let (decayed, undecayed): (Vec<_>, Vec<_>) =
            self.parameters.into_iter().enumerate().partition(|(_, parameter)| parameter.decayed);
        let mut layout = Layout {
            order: vec![0; decayed.len() + undecayed.len()],
            statistics: self.statistics,
            ..Layout::default()
        };
        for (place, (slot, mut parameter)) in decayed.into_iter().chain(undecayed).enumerate() {
            parameter.offset = layout.params;
            layout.params += parameter.len();
            layout.decayed += if parameter.decayed { parameter.len() } else { 0 };
            layout.order[slot] = place;
            layout.parameters.push(parameter);
        }
        for statistic in &mut layout.statistics {
            statistic.offset = layout.stats;
            layout.stats += statistic.len();
        }
        layout
    }
}

impl Layout {
    pub(super) fn place(&self, slot: Slot) -> usize {
        self.order[slot.0]
    }

    /// One row per seed: parameters `[R, P]` and running statistics `[R, S]`, float32 on the CPU. A row depends on its
    /// seed alone, whatever the others are.
    pub fn init(&self, seeds: &[u64]) -> (Tensor, Tensor) {
        (fill(&self.parameters, self.params, seeds), fill(&self.statistics, self.stats, seeds))
    }
}

fn fill(parameters: &[Parameter], length: i64, seeds: &[u64]) -> Tensor {
    let mut rows = vec![0f32; length as usize * seeds.len()];
    for (seed, row) in seeds.iter().zip(rows.chunks_mut((length as usize).max(1))) {
        for parameter in parameters {
            let start = parameter.offset as usize;
            parameter.init.fill(*seed, &parameter.name, &mut row[start..start + parameter.len() as usize]);
        }
    }
    Tensor::from_slice(&rows).reshape([seeds.len() as i64, length]).to_device(Device::Cpu)
}
