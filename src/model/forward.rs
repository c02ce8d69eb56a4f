//! `model forward`: one model, given weights, on given images, in evaluation mode. Only the worker runs it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::model::choice::ModelChoice;

/// Run a model on images and write its logits
#[derive(Args, Clone, Debug)]
pub struct ForwardArgs {
    #[command(flatten)]
    pub model: ModelChoice,

    /// Weights, named as in torchvision's or timm's state dict
    #[arg(long, value_name = "FILE.safetensors")]
    pub weights: PathBuf,

    /// Images, float32 [B, C, H, W], normalised as the weights' were
    #[arg(long, value_name = "FILE.npy")]
    pub images: PathBuf,

    /// Where the logits go, float32 [B, K]
    #[arg(short, long, value_name = "FILE.npy")]
    pub output: PathBuf,

    /// Taken off each channel first
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f64>,

    /// What each channel is divided by then
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',')]
    pub deviation: Vec<f64>,
}

impl ForwardArgs {
    /// The arguments that say this again: what the program hands to its worker.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut words = self.model.command_line();
        for (flag, path) in [("--weights", &self.weights), ("--images", &self.images), ("--output", &self.output)] {
            words.extend([OsString::from(flag), path.clone().into_os_string()]);
        }
        for (flag, values) in [("--mean", &self.mean), ("--deviation", &self.deviation)] {
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(f64::to_string).collect();
                words.push(format!("{flag}={}", values.join(",")).into());
            }
        }
        words
    }
}

#[cfg(torch)]
pub use network::run;

#[cfg(torch)]
mod network {
    use tch::{Kind, Tensor, no_grad};

    use super::ForwardArgs;
    use crate::error::{Error, Result};
    use crate::model::network::{Mode, build};
    use crate::model::weights;
    use crate::out;

    /// Beyond what images that were divided by 255 and normalised by any usual mean and deviation reach.
    const UNUSUAL: f64 = 16.0;

    /// Mean and deviation of each channel, `[C, 1, 1]`, where they are given.
    fn normal(args: &ForwardArgs, channels: u64) -> Result<Option<(Tensor, Tensor)>> {
        let (mean, deviation) = (&args.mean, &args.deviation);
        if mean.is_empty() && deviation.is_empty() {
            return Ok(None);
        }
        if [mean.len(), deviation.len()] != [channels as usize; 2] || deviation.iter().any(|scale| *scale <= 0.0) {
            let message = format!("--mean {mean:?} --deviation {deviation:?}: the model sees {channels} channels");
            return Err(Error::bad_input(message).hint("give each channel a mean and a deviation above zero"));
        }
        let column = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::from_slice(&values).view([-1, 1, 1])
        };
        Ok(Some((column(mean), column(deviation))))
    }

    /// Refuses weights and images that are not the model's, naming both shapes.
    pub fn run(args: &ForwardArgs) -> Result<()> {
        let io = args.model.io()?;
        let network = build(&args.model.model()?, io)?;
        let (params, stats) = weights::load(network.layout(), &args.weights)?;
        let path = args.images.display();
        let images = Tensor::read_npy(&args.images).map_err(|error| {
            let error = Error::bad_input(format!("cannot read images from {path}: {error}"));
            match error.message.to_lowercase().contains("fortran") {
                true => error.hint("np.save('images.npy', np.ascontiguousarray(x))"),
                false => error.hint("np.save writes what is read: float32 or bytes, [B, C, H, W]"),
            }
        })?;
        let wanted = [io.channels, io.height, io.width].map(|side| side as i64);
        if images.dim() != 4 || images.size()[1..] != wanted || images.size()[0] == 0 {
            let message = format!("{path}: images are {:?}, the model takes [B, {wanted:?}]", images.size());
            return Err(Error::bad_input(message).hint(match images.size()[..] {
                [0, ..] => "the file has no image: np.save('images.npy', x) of one and more",
                _ => {
                    "channels come first, and a run's images are as its task has them; of a model that is named by its arch                      --input CxHxW is the shape"
                }
            }));
        }
        let normal = normal(args, io.channels)?;
        let is_float = matches!(images.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        if normal.is_none() && !is_float {
            let kind = format!("{:?}", images.kind()).to_lowercase();
            let message = format!(
                "{path}: images are {kind} from {} to {}, the model takes float32, normalised",
                images.min().double_value(&[]),
                images.max().double_value(&[])
            );
            return Err(Error::bad_input(message).hint(
                "np.save('images.npy', ((x / 255 - mean) / std).astype('float32')), with the mean and the standard deviation \
                 that the weights were trained with",
            ));
        }
        let images = images.to_kind(Kind::Float);
        let images = match normal {
            Some((mean, deviation)) => (images - mean) / deviation,
            None => images,
        };
        let images = images.unsqueeze(0); // [1, B, C, H, W]
        let most = images.abs().max().double_value(&[]);
        if most > UNUSUAL {
            out::say(format_args!(
                "note: {path}: values reach {most}: they go to the model as they are, scaled or normalised by nothing"
            ));
        }
        let logits = no_grad(|| network.forward(&params, &stats, &images, Mode::Eval).logits.squeeze_dim(0));
        let output = args.output.display();
        logits
            .contiguous()
            .write_npy(&args.output)
            .map_err(|error| Error::failed(format!("cannot write {output}: {error}")))
    }
}
