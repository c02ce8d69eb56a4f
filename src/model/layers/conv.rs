//! Convolution over the replica axis: the rows are groups of channels, `[B, R*C, H, W]`.

use tch::Tensor;

use crate::model::kernel::depthwise;
use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::Pass;
use crate::model::window::Window;

pub struct Conv {
    weight: Slot,
    bias: Option<Slot>,
    window: Window,
    groups: i64,
}

impl Conv {
    /// Without bias; kaiming normal over the fan-out (He et al. 2015), as in torchvision's ResNet.
    pub fn kaiming(b: &mut Builder, name: &str, inputs: i64, outputs: i64, window: Window) -> Self {
        let [height, width] = window.kernel.map(|side| side as i64);
        let std = (2.0 / (height * width * outputs) as f64).sqrt();
        let weight = b.decayed(format!("{name}.weight"), &[outputs, inputs, height, width], Init::Normal { std });
        Self { weight, bias: None, window, groups: 1 }
    }

    /// With a bias; normal of 0.02, bias zero, as in timm's ConvNeXt. With as many groups as channels it is depthwise.
    pub fn normal(b: &mut Builder, name: &str, inputs: i64, outputs: i64, groups: i64, window: Window) -> Self {
        let [height, width] = window.kernel.map(|side| side as i64);
        let shape = [outputs, inputs / groups, height, width];
        let weight = b.decayed(format!("{name}.weight"), &shape, Init::Normal { std: 0.02 });
        let bias = Some(b.undecayed(format!("{name}.bias"), &[outputs], Init::Constant(0.0)));
        Self { weight, bias, window, groups }
    }

    /// `[B, R*inputs, H, W]` to `[B, R*outputs, H', W']`.
    pub fn forward(&self, pass: &Pass, x: &Tensor) -> Tensor {
        let weight = pass.folded(self.weight); // [R*outputs, inputs/groups, kh, kw]
        let bias = self.bias.map(|bias| pass.folded(bias));
        let (x, padding) = padded(x, self.window);
        let stride = self.window.stride.map(|step| step as i64);
        let groups = pass.rows * self.groups;
        let convolve = |x: &Tensor, weight: &Tensor| x.conv2d(weight, None::<&Tensor>, stride, padding, [1, 1], groups);
        let (inputs, outputs) = (weight.size()[1], weight.size()[0] / groups);
        let narrow = outputs < VECTOR || (IMAGE..VECTOR).contains(&inputs);
        if self.groups == 1 && narrow && x.device() == tch::Device::Cpu && narrow_ones_fail() {
            let filled = if inputs < IMAGE { inputs } else { inputs.max(VECTOR) };
            let x = widened(&x, 1, groups, filled);
            let weight = widened(&widened(&weight, 1, 1, filled), 0, groups, outputs.max(VECTOR));
            let y = cut(&convolve(&x, &weight), groups, outputs); // [B, R*outputs, H', W']
            return match bias {
                Some(bias) => y + bias.view([1, -1, 1, 1]),
                None => y,
            };
        }
        if self.groups > 1
            && (inputs, outputs, stride) == (1, 1, [1, 1])
            && let Some(y) = depthwise(&x, &weight, bias.as_ref(), padding)
        {
            return y;
        }
        x.conv2d(&weight, bias.as_ref(), stride, padding, [1, 1], groups)
    }
}

/// Channels that a vector of eight numbers holds.
const VECTOR: i64 = 8;

/// Inputs of fewer channels are images, for which there are kernels that do well.
const IMAGE: i64 = 4;

/// Whether libtorch 2.11's convolutions of fewer than eight channels go wrong here: on a CPU with AVX2 and without
/// AVX-512 their gradients are wrong and memory beyond them is written to (tests/model/independence.rs sees it at a width
/// of 4). There channels are filled up with zeros.
fn narrow_ones_fail() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The groups of one axis, each with zeros up to so many.
fn widened(x: &Tensor, axis: i64, groups: i64, to: i64) -> Tensor {
    let (at, mut sides) = (axis as usize, x.size());
    let each = sides[at] / groups;
    if each == to {
        return x.shallow_clone();
    }
    sides.splice(at..=at, [groups, each]);
    let split = x.reshape(&sides);
    sides[at + 1] = to - each;
    let zeros = Tensor::zeros(&sides, (x.kind(), x.device()));
    Tensor::cat(&[split, zeros], axis + 1).flatten(axis, axis + 1)
}

/// The first `each` channels of every group of `[B, groups*C, H, W]`.
fn cut(x: &Tensor, groups: i64, each: i64) -> Tensor {
    let size = x.size();
    if size[1] == groups * each {
        return x.shallow_clone();
    }
    x.reshape([size[0], groups, -1, size[2], size[3]]).narrow(2, 0, each).reshape([
        size[0],
        groups * each,
        size[2],
        size[3],
    ])
}

/// `[…, H, W]` to `[…, H', W']`.
pub fn max_pool(x: &Tensor, window: Window) -> Tensor {
    let (x, padding) = padded(x, window);
    let [kernel, stride] = [window.kernel, window.stride].map(|sides| sides.map(|side| side as i64));
    x.max_pool2d(kernel, stride, padding, [1, 1], false)
}

/// The map, with a circular window's padding around it, and the padding that is left to do. By concatenation: it keeps
/// channels innermost, torch's circular pad does not.
fn padded(x: &Tensor, window: Window) -> (Tensor, [i64; 2]) {
    let padding = window.padding.map(|side| side as i64);
    if !window.circular {
        return (x.shallow_clone(), padding);
    }
    let mut x = x.shallow_clone();
    for (axis, pad) in [2, 3].into_iter().zip(padding).filter(|(_, pad)| *pad > 0) {
        let (first, last) = (x.narrow(axis, 0, pad), x.narrow(axis, x.size()[axis as usize] - pad, pad));
        x = Tensor::cat(&[&last, &x, &first], axis);
    }
    (x, [0, 0])
}

/// The same images `[B, C, H, W]` with channels innermost in memory, which layers after it keep: on a CPU a step of a
/// narrow ResNet takes 160 ms so and 192 ms otherwise. Left alone in packs and on GPUs.
pub fn channels_last(pass: &Pass, x: &Tensor) -> Tensor {
    match pass.rows == 1 && x.device() == tch::Device::Cpu {
        true => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        false => x.shallow_clone(),
    }
}
