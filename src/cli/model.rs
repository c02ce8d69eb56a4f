//! `crossover model`: the architectures, what a config of one costs, and a forward pass with given weights.

mod ladder;
mod trained;

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::print_json;
use crate::cli::table::{folded, paragraph, table, width};
use crate::error::Result;
use crate::model::choice::ModelChoice;
use crate::model::{Io, arch, costs, names, receptive_field};
use crate::out;
use crate::run::{Named, Settings};
use crate::units::si;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Model,
}

#[derive(Subcommand)]
enum Model {
    /// List the architectures and their published sizes
    #[command(after_help = "Examples:
  crossover model list
  crossover model list --json | jq '.[].keys'")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a config's parameters and FLOPs
    #[command(after_help = "Examples:
  crossover model info vit
  crossover model info convnet --size resnet-50 --input 3x224x224 --classes 1000
  crossover model info vit --set width=96 depth=6 heads=3 pool=mean --input 1x28x28 --json

A multiply-add is two FLOPs; matrix products, convolutions and attention count, element-wise work does not. Training
takes three times the forward pass.")]
    Info {
        #[command(flatten)]
        model: ModelChoice,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which of its usual shapes an architecture takes for a wanted cost
    #[command(after_help = "Examples:
  crossover model ladder --params 1e4,1e5,1e6 --input 1x28x28
  crossover model ladder vit --set patch=7 --forward-flops 1e6,4e6 --input 1x28x28 --json

These are the models of 'params' and 'forward_flops' in a sweep.")]
    Ladder(ladder::Args),
    /// Run a model with given weights on images and write its logits
    #[command(after_help = "Examples:
  crossover model forward vit --size b16 --input 3x224x224 --classes 1000 \\
    --weights vit_b16.safetensors --images images.npy -o logits.npy
  crossover model forward --run 52bc05cd --images images.npy -o logits.npy")]
    Forward(trained::Forward),
    /// Write the weights of a run that is done
    #[command(after_help = "Example:
  crossover model export 52bc05cd -o vit.safetensors")]
    Export(trained::Export),
}

#[derive(Serialize)]
struct Listed {
    arch: &'static str,
    about: &'static str,
    sizes: Vec<&'static str>,
    /// With their defaults.
    keys: Settings,
}

/// What `model info` prints.
#[derive(Serialize)]
struct Info<'a> {
    arch: &'a str,
    settings: &'a Settings,
    input: [u64; 3],
    classes: u64,
    params: u64,
    active_params: u64,
    forward_flops: u64,
    train_flops: u64,
    /// `[height, width]`, where the arch sets a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    receptive_field: Option<[u64; 2]>,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    match &args.command {
        Model::List { json } => list(*json),
        Model::Info { model, json } => info(&model.model()?, model.io()?, *json),
        Model::Ladder(args) => ladder::run(args),
        Model::Forward(args) => trained::forward(args, store),
        Model::Export(args) => trained::export(args, store),
    }
}

fn list(json: bool) -> Result<()> {
    let listed = names().into_iter().map(|name| {
        let arch = arch(name)?;
        let sizes = (arch.sizes)().into_iter().map(|(size, _)| size).collect();
        Ok(Listed { arch: name, about: arch.about, sizes, keys: (arch.defaults)()? })
    });
    let listed = listed.collect::<Result<Vec<_>>>()?;
    if json {
        return print_json(&listed);
    }
    let columns = ["arch", "what", "sizes"];
    let rows = listed.iter().map(|arch| vec![arch.arch.into(), arch.about.into(), arch.sizes.join(" ")]);
    let next = "'crossover model info ARCH' shows the keys of one, what they mean and what it costs; 'crossover model \
                ladder ARCH --params N' which shape it has at N parameters.";
    out::text(format_args!("{}\n\n{}", table(&columns, &columns, rows), paragraph(next, "", "")))
}

fn info(model: &Named, io: Io, json: bool) -> Result<()> {
    let costs = costs(model, io)?;
    let info = Info {
        arch: &model.name,
        settings: &model.settings,
        input: [io.channels, io.height, io.width],
        classes: io.classes,
        params: costs.params,
        active_params: costs.active_params,
        forward_flops: costs.forward_flops,
        train_flops: costs.train_flops(),
        receptive_field: receptive_field(model, io)?,
    };
    if json {
        return print_json(&info);
    }
    let shown = |value: u64| format!("{value} ({})", si(value as f64));
    let mut rows = vec![vec!["arch".into(), model.name.clone()]];
    let arch = arch(&model.name)?;
    let meaning = |key: &str| arch.meaning(key).unwrap_or_default().to_owned();
    rows.extend(model.settings.iter().map(|(key, value)| vec![key.clone(), value.to_string(), meaning(key)]));
    rows.push(vec!["input".into(), info.input.map(|side| side.to_string()).join("x")]);
    rows.push(vec!["classes".into(), io.classes.to_string()]);
    rows.push(vec!["params".into(), shown(info.params)]);
    if info.active_params != info.params {
        rows.push(vec!["active_params".into(), shown(info.active_params)]);
    }
    rows.push(vec!["forward_flops".into(), shown(info.forward_flops)]);
    rows.push(vec!["train_flops".into(), shown(info.train_flops)]);
    if let Some([height, width]) = info.receptive_field {
        rows.push(vec!["receptive_field".into(), format!("{height}x{width}")]);
    }
    rows.iter_mut().for_each(|row| row.resize(3, String::new()));
    let columns = ["key", "value", "meaning"];
    let usual = folded(&format!("Usual shapes: {}.", arch.usual), width());
    out::line(format_args!("{}\n\n{usual}", table(&columns, &columns, rows)))
}
