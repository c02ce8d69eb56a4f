//! From images to tokens, and the fixed position code.

use tch::{Device, Kind, Tensor};

use crate::model::layout::{Builder, Init, Slot};
use crate::model::pass::Pass;

/// Patches through one linear map; the weight is kept as a convolution's, `[D, C, ph, pw]`, as in timm.
pub struct PatchEmbed {
    weight: Slot,
    bias: Slot,
    patch: [i64; 2],
    stride: [i64; 2],
    width: i64,
}

impl PatchEmbed {
    /// Patches of `[height, width]`, `stride` apart; torch.nn.Conv2d's own initialisation, as in timm.
    pub fn new(b: &mut Builder, name: &str, channels: i64, patch: [i64; 2], stride: [i64; 2], width: i64) -> Self {
        let init = Init::torch_default(channels * patch[0] * patch[1]);
        Self::with(b, name, [width, channels, patch[0], patch[1]], stride, init, init)
    }

    /// Patches of `[height, width]` side by side; flax's initialisation, as in timm's Mixer.
    pub fn lecun(b: &mut Builder, name: &str, channels: i64, patch: [i64; 2], width: i64) -> Self {
        let init = Init::lecun(channels * patch[0] * patch[1]);
        Self::with(b, name, [width, channels, patch[0], patch[1]], patch, init, Init::Constant(0.0))
    }

    fn with(b: &mut Builder, name: &str, shape: [i64; 4], stride: [i64; 2], weight: Init, bias: Init) -> Self {
        let [width, _, height, columns] = shape;
        let weight = b.decayed(format!("{name}.weight"), &shape, weight);
        let bias = b.undecayed(format!("{name}.bias"), &[width], bias);
        Self { weight, bias, patch: [height, columns], stride, width }
    }

    /// `[R, B, C, H, W]` to `[R, B, N, D]`, patches in reading order.
    pub fn forward(&self, pass: &Pass, images: &Tensor) -> Tensor {
        let [ph, pw] = self.patch;
        // [R, B, C, gh, gw, ph, pw], a view
        let patches = images.unfold(3, ph, self.stride[0]).unfold(4, pw, self.stride[1]);
        let size = patches.size();
        let (batch, tokens, inputs) = (size[1], size[3] * size[4], size[2] * ph * pw);
        let patches = patches.permute([0, 1, 3, 4, 2, 5, 6]).reshape([pass.rows, batch * tokens, inputs]);
        let weight = pass.rows_of(self.weight).view([pass.rows, self.width, inputs]);
        let bias = pass.rows_of(self.bias);
        let embedded = match pass.rows {
            1 => patches.linear(&weight.squeeze_dim(0), Some(&bias.squeeze_dim(0))),
            _ => bias.unsqueeze(1).baddbmm(&patches, &weight.transpose(1, 2), 1, 1),
        };
        embedded.view([pass.rows, batch, tokens, self.width])
    }
}

/// Which tokens of a `height x columns` grid attend to which (rows to columns): those at most `radius` rows and columns
/// away, `[T, T]`. Class tokens come first, read all tokens and are read by none but themselves.
pub fn neighbours(height: i64, columns: i64, radius: i64, class_tokens: i64) -> Tensor {
    let side = |length: i64| {
        let at = Tensor::arange(length, (Kind::Int64, Device::Cpu));
        (at.unsqueeze(1) - at).abs().le(radius) // [length, length]
    };
    let near = side(height).view([height, 1, height, 1]).logical_and(&side(columns).view([1, columns, 1, columns]));
    let near = near.reshape([height * columns, height * columns]); // [N, N]
    let unread = near.constant_pad_nd([class_tokens, 0, 0, 0]); // [N, T]
    let all = Tensor::ones([class_tokens, class_tokens + height * columns], (Kind::Bool, Device::Cpu));
    Tensor::cat(&[all, unread], 0)
}

/// The Perceiver's code (Jaegle et al. 2021, section 3.2; Perceiver IO's program): along each side of more than one
/// pixel its position in [-1, 1], then all sines, then all cosines, at `bands` frequencies from 1 to half the side:
/// `[height * columns, sides * (1 + 2 bands)]`.
pub fn fourier(height: i64, columns: i64, bands: i64) -> Tensor {
    let sides = [height, columns].map(|side| side as f64);
    let mut code = Vec::new();
    for (row, column) in (0..height).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let at = [row, column].into_iter().zip(sides).filter(|(_, side)| *side > 1.0);
        let at: Vec<_> = at.map(|(at, side)| (2.0 * at as f64 / (side - 1.0) - 1.0, side)).collect();
        let angles = at.iter().flat_map(|(at, side)| {
            let step = (side / 2.0 - 1.0) / (bands - 1).max(1) as f64;
            (0..bands).map(move |band| std::f64::consts::PI * at * (1.0 + step * band as f64))
        });
        code.extend(at.iter().map(|(at, _)| *at as f32));
        code.extend(angles.clone().map(|angle| angle.sin() as f32));
        code.extend(angles.map(|angle| angle.cos() as f32));
    }
    Tensor::from_slice(&code).reshape([height * columns, -1]).to_device(Device::Cpu)
}

/// Sines and cosines of the row and the column at width / 4 frequencies from 1 to 1e-4 (MoCo v3; Beyer et al. 2022,
/// "Better plain ViT baselines"): `[height * width, D]`, columns first. `width` is a multiple of 4.
pub fn sincos_2d(height: i64, columns: i64, width: i64) -> Tensor {
    let bands = width / 4;
    let mut code = Vec::with_capacity((height * columns * width) as usize);
    for row in 0..height {
        for column in 0..columns {
            let angles =
                |at: i64| (0..bands).map(move |band| at as f64 / 1e4f64.powf(band as f64 / (bands - 1).max(1) as f64));
            code.extend(angles(column).map(|angle| angle.sin() as f32));
            code.extend(angles(column).map(|angle| angle.cos() as f32));
            code.extend(angles(row).map(|angle| angle.sin() as f32));
            code.extend(angles(row).map(|angle| angle.cos() as f32));
        }
    }
    Tensor::from_slice(&code).reshape([height * columns, width]).to_device(Device::Cpu)
}
