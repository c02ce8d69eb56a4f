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
}

impl ForwardArgs {
    /// The arguments that say this again: what the program hands to its worker.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut words = self.model.command_line();
        for (flag, path) in [("--weights", &self.weights), ("--images", &self.images), ("--output", &self.output)] {
            words.extend([OsString::from(flag), path.clone().into_os_string()]);
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

    /// Beyond what images that were divided by 255 and normalised by any usual mean and deviation reach.
    const UNUSUAL: f64 = 16.0;

    /// Refuses weights and images that are not the model's, naming both shapes.
    pub fn run(args: &ForwardArgs) -> Result<()> {
        let io = args.model.io()?;
        let network = build(&args.model.model()?, io)?;
        let (params, stats) = weights::load(network.layout(), &args.weights)?;
        let path = args.images.display();
        let images = Tensor::read_npy(&args.images)
            .map_err(|error| Error::bad_input(format!("cannot read images from {path}: {error}")))?;
        let wanted = [io.channels, io.height, io.width].map(|side| side as i64);
        if images.dim() != 4 || images.size()[1..] != wanted || images.size()[0] == 0 {
            let message = format!("{path}: images are {:?}, the model takes [B, {wanted:?}]", images.size());
            return Err(Error::bad_input(message).hint("give the images' shape by --input CxHxW"));
        }
        if !matches!(images.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
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
        let images = images.to_kind(Kind::Float).unsqueeze(0); // [1, B, C, H, W]
        let most = images.abs().max().double_value(&[]);
        if most > UNUSUAL {
            eprintln!(
                "note: {path}: values reach {most}: they go to the model as they are, scaled or normalised by nothing"
            );
        }
        let logits = no_grad(|| network.forward(&params, &stats, &images, Mode::Eval).logits.squeeze_dim(0));
        let output = args.output.display();
        logits
            .contiguous()
            .write_npy(&args.output)
            .map_err(|error| Error::failed(format!("cannot write {output}: {error}")))
    }
}
