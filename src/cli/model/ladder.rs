//! `crossover model ladder`: which shapes a size ladder takes, for targets given on the command line.

use serde::Serialize;

use crate::cli::print_json;
use crate::cli::table::table;
use crate::error::{Error, Result};
use crate::model::choice::{input, parse_settings};
use crate::model::{Costs, Io, TOLERANCE, Target, arch, costs, names, resolve, scale_to, shape, shape_text};
use crate::out;
use crate::run::Settings;
use crate::units::si;

#[derive(clap::Args)]
pub struct Args {
    /// Architecture: see 'crossover model list' [default: each]
    arch: Option<String>,

    /// Keys to hold, such as patch=7
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., requires = "arch")]
    set: Vec<String>,

    /// Parameters to aim at
    #[arg(long, value_name = "N", value_delimiter = ',', required_unless_present = "forward_flops")]
    params: Vec<f64>,

    /// FLOPs of a forward pass of one example to aim at
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with = "params")]
    forward_flops: Vec<f64>,

    /// How near a config has to be, as a share of the target
    #[arg(long, value_name = "SHARE", default_value_t = TOLERANCE)]
    tolerance: f64,

    /// Image the model sees: channels x height x width
    #[arg(long, value_name = "CxHxW", default_value = "3x32x32")]
    input: String,

    /// Classes it tells apart
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    classes: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one target comes to.
#[derive(Serialize)]
struct Rung {
    arch: String,
    target: Target,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", untagged)]
enum Found {
    Model {
        shape: Settings,
        settings: Settings,
        costs: Costs,
        #[serde(skip)]
        text: String,
    },
    None {
        refused: String,
    },
}

pub fn run(args: &Args) -> Result<()> {
    let io = input(&args.input, args.classes)?;
    let held = parse_settings(&args.set)?;
    let archs = match &args.arch {
        Some(name) => vec![arch(name)?.name],
        None => names(),
    };
    let targets = args.params.iter().copied().map(Target::Params);
    let targets: Vec<_> = targets.chain(args.forward_flops.iter().copied().map(Target::ForwardFlops)).collect();
    if !(args.tolerance > 0.0 && args.tolerance < 1.0) {
        return Err(Error::bad_input(format!("--tolerance {}: must be a share between 0 and 1", args.tolerance))
            .hint(format!("--tolerance {TOLERANCE}")));
    }
    let mut rungs = Vec::new();
    for name in archs {
        let found = targets.iter().map(|target| rung(name, &held, *target, args.tolerance, io));
        let found = found.collect::<Result<Vec<_>>>()?;
        // Held keys may go with some width or depth, if not with the default ones; else they are what is wrong.
        if found.iter().all(|rung| matches!(rung.found, Found::None { .. })) {
            resolve(name, None, &held).and_then(|model| costs(&model, io))?;
        }
        rungs.extend(found);
    }
    if args.json { print_json(&rungs) } else { print(&rungs) }
}

fn rung(name: &str, held: &Settings, target: Target, tolerance: f64, io: Io) -> Result<Rung> {
    let found = match scale_to(name, held, target, tolerance, io) {
        Ok(model) => {
            let (text, costs) = (shape_text(&model)?, costs(&model, io)?);
            Found::Model { shape: shape(&model)?, text, costs, settings: model.settings }
        }
        Err(Error { message, hint, .. }) => {
            Found::None { refused: hint.iter().fold(message, |message, hint| format!("{message}; {hint}")) }
        }
    };
    Ok(Rung { arch: name.to_owned(), target, found })
}

fn print(rungs: &[Rung]) -> Result<()> {
    let mut rows = Vec::new();
    let mut refusals = Vec::new();
    for Rung { arch, target, found } in rungs {
        let mut row = vec![arch.clone(), format!("{} {}", si(target.value()), target.unit())];
        match found {
            Found::Model { text, costs, .. } => {
                let off = 100.0 * (target.of(*costs) / target.value() - 1.0);
                let [params, flops] = [costs.params, costs.forward_flops].map(|cost| si(cost as f64));
                row.extend([text.clone(), params, flops, format!("{off:+.1}%")]);
            }
            Found::None { refused } => {
                row.extend(["none", "", "", ""].map(str::to_owned));
                refusals.push(refused);
            }
        }
        rows.push(row);
    }
    let header = ["arch", "target", "shape", "params", "FLOPs/example", "off"];
    out::line(table(&header, &["arch", "shape"], rows))?;
    if !refusals.is_empty() {
        out::line("\nnone:")?;
    }
    refusals.iter().try_for_each(|refusal| out::line(format_args!("  {refusal}")))
}
