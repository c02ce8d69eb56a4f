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
        let weight = b.decayed(format!("{name}.weight"), &[width, channels, patch[0], patch[1]], init);
        let bias = b.undecayed(format!("{name}.bias"), &[width], init);
        Self { weight, bias, patch, stride, width }
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
