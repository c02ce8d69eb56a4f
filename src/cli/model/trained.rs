//! `crossover model forward` and `export`: the models that runs have left.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::files::write_atomically;
use crate::model::choice::ModelChoice;
use crate::model::forward::ForwardArgs;
use crate::out;
use crate::run::RunConfig;
use crate::store::{Reader, Run, State};
use crate::task::{self, examples::Moments, files};
use crate::worker::program::{Program, missing_library};

/// What a run leaves in its folder once it is done.
const WEIGHTS: &str = "weights.safetensors";

#[derive(clap::Args)]
pub struct Forward {
    /// Architecture: see 'crossover model list'
    #[arg(required_unless_present = "run")]
    arch: Option<String>,

    /// A run that is done, in place of architecture, keys and weights. Its images are as its task has them (bytes from 0
    /// to 255): they are normalised as its training examples were
    #[arg(long, value_name = "RUN", conflicts_with_all = ["arch", "size", "set", "input", "classes", "weights", "mean", "deviation"])]
    run: Option<String>,

    /// Published model to start from, such as resnet-18 or b16
    #[arg(long, value_name = "NAME")]
    size: Option<String>,

    /// Keys of the architecture, such as width=64 depths=2,2,2,2
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    set: Vec<String>,

    /// Image the model sees: channels x height x width
    #[arg(long, value_name = "CxHxW", default_value = "3x32x32")]
    input: String,

    /// Classes it tells apart
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    classes: u64,

    /// Weights, named as in torchvision's or timm's state dict
    #[arg(long, value_name = "FILE.safetensors", required_unless_present = "run")]
    weights: Option<PathBuf>,

    /// Images, float32 [B, C, H, W]
    #[arg(long, value_name = "FILE.npy")]
    images: PathBuf,

    /// Where the logits go, float32 [B, K]
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,

    /// Taken off each channel first
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Vec<f64>,

    /// What each channel is divided by then
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',')]
    deviation: Vec<f64>,
}

#[derive(clap::Args)]
pub struct Export {
    /// Run id, or as much of its beginning as is unique; it has to be done
    #[arg(value_name = "RUN")]
    run: String,
    /// File to write, its tensors named as in torchvision's and timm's state dicts
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

/// Hands over to the worker program: this one does not load libtorch.
pub fn forward(args: &Forward, store: &Path) -> Result<()> {
    let asked = match &args.run {
        Some(run) => of_run(run, args, store)?,
        None => as_given(args),
    };
    let worker = Program::find()?;
    let path = worker.path().display();
    let status = worker
        .command()
        .arg("forward")
        .args(asked.command_line())
        .status()
        .context(|| format!("cannot start {path}"))?;
    if let Some(error) = missing_library(status.code(), "") {
        return Err(error);
    }
    match status.code() {
        Some(0) => Ok(()),
        // The worker has said what was wrong.
        Some(code) => std::process::exit(code),
        None => Err(Error::failed(format!("{path} ended by a signal: {status}"))),
    }
}

/// Writes the weights of a run, and says how they are used.
pub fn export(args: &Export, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    let (run, weights) = trained(&reader, &args.run)?;
    let bytes = std::fs::read(&weights).context(|| format!("cannot read {}", weights.display()))?;
    write_atomically(&args.output, &bytes)?;
    let (model, output) = (choice(&run), args.output.display());
    let words: Vec<String> = model.command_line().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    out::line(format_args!(
        "{output}\ncrossover model forward {} --weights {output} --images IMAGES.npy -o LOGITS.npy",
        words.join(" ")
    ))
}

fn as_given(args: &Forward) -> ForwardArgs {
    let Forward { arch, size, set, input, classes, weights, images, output, mean, deviation, .. } = args;
    ForwardArgs {
        model: ModelChoice {
            arch: arch.clone().unwrap_or_default(),
            size: size.clone(),
            set: set.clone(),
            input: input.clone(),
            classes: *classes,
        },
        weights: weights.clone().unwrap_or_default(),
        images: images.clone(),
        output: output.clone(),
        mean: mean.clone(),
        deviation: deviation.clone(),
    }
}

fn of_run(prefix: &str, args: &Forward, store: &Path) -> Result<ForwardArgs> {
    let reader = Reader::open(store)?;
    let (run, weights) = trained(&reader, prefix)?;
    let normal = normal(&run.config)?;
    Ok(ForwardArgs {
        model: choice(&run),
        weights,
        images: args.images.clone(),
        output: args.output.clone(),
        mean: normal.iter().map(|(mean, _)| *mean).collect(),
        deviation: normal.iter().map(|(_, deviation)| *deviation).collect(),
    })
}

/// A run that is done, and its weights.
fn trained(reader: &Reader, prefix: &str) -> Result<(Run, PathBuf)> {
    let run = reader.run(prefix)?;
    if run.config.model.is_script() {
        return Err(Error::bad_input(format!("run {} is of a script: crossover has no network for it", run.id))
            .hint(format!("what the script left is in {}", reader.run_folder(&run.id).display())));
    }
    let weights = reader.run_folder(&run.id).join(WEIGHTS);
    match (&run.state, weights.exists()) {
        (State::Done, true) => Ok((run, weights)),
        (State::Done, false) => Err(Error::failed(format!("run {}: {} is not there", run.id, weights.display()))
            .hint("weights are left by runs that were trained in this store")),
        (state, _) => {
            Err(Error::bad_input(format!("run {} is {}, so it has no weights", run.id, state.word().replace('_', " ")))
                .hint("'crossover list --where state=done' lists those that have"))
        }
    }
}

/// The run's model as a command line names it.
fn choice(run: &Run) -> ModelChoice {
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::Array(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let model = &run.config.model;
    let io = run.io;
    ModelChoice {
        arch: model.name.clone(),
        size: None,
        set: model
            .settings
            .iter()
            .filter(|(_, own)| !own.is_null())
            .map(|(key, own)| format!("{key}={}", value(own)))
            .collect(),
        input: format!("{}x{}x{}", io.channels, io.height, io.width),
        classes: io.classes,
    }
}

/// Mean and deviation of each channel over the run's own training examples, as it was trained with.
fn normal(config: &RunConfig) -> Result<Vec<(f64, f64)>> {
    let io = task::io(&config.task)?;
    let examples = task::examples(&config.task, config.examples, &files::data_dir()?)?;
    let moments = Moments::of(&examples.train.images, io.channels as usize, (io.height * io.width) as usize)?;
    moments.first(config.examples)
}
