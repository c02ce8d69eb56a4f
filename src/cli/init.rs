//! `crossover init`: a first sweep for a task, with what each key means beside it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::task::parse_settings;
use super::{load_plan, print_json};
use crate::error::{Context, Error, Result};
use crate::files::{refuse_to_replace, signed, write_new};
use crate::model::{self, Io, TOLERANCE, Target};
use crate::out;
use crate::run::Settings;
use crate::spec;
use crate::task;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover init fashion-mnist
  crossover init images:photos -o photos.toml && crossover plan photos.toml
  crossover init images:photos --set size=64 --name photos64

The sweep compares a convnet to a vision transformer of the same size over growing training sets.")]
pub struct Args {
    /// Task, as 'crossover task list' has it; images:DIR for a folder of your own
    #[arg(value_name = "TASK")]
    task: String,
    /// A setting of the task, as in a sweep's task table; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Name of the sweep [default: the task's]
    #[arg(long)]
    name: Option<String>,
    /// File to write [default: NAME.toml]
    #[arg(short, long, value_name = "SWEEP.toml")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    output: &'a Path,
    sweep: &'a str,
    runs: usize,
}

/// Parameters that both models are asked for: the first that both have a usual shape near to.
const PARAMS: [f64; 5] = [5e4, 1e5, 2e4, 2e5, 1e6];
/// Training examples that a first sweep goes up to: hours, not days, on a few cores.
const MOST: u64 = 8000;
/// Patches that a first transformer looks at, about.
const PATCHES: f64 = 36.0;

pub fn run(args: &Args) -> Result<()> {
    let name = args.name.clone().unwrap_or_else(|| sweep_name(&args.task));
    let path = args.output.clone().unwrap_or_else(|| format!("{name}.toml").into());
    // Before a task is imported for nothing.
    refuse_to_replace(&path, args.force)?;
    let given = parse_settings(&args.set)?;
    let task = task::resolve(&args.task, &given)?;
    if task::entry(&task.name)?.any_keys {
        return Err(Error::bad_input(format!(
            "'{}' is a task of your scripts: there are no models of ours for it",
            task.name
        ))
        .hint("docs/protocol.md has a sweep to start from; 'crossover script new' prints a script"));
    }
    let (io, train) = (task::io(&task)?, task::splits(&task)?.train);
    let text = signed(&sweep(&name, &args.task, &given, io, train)?);
    let plan = load_plan(&text, &path.display().to_string())?;
    write_new(&path, text.as_bytes(), args.force)?;
    let report = Report { output: &path, sweep: &plan.sweep, runs: plan.runs.len() };
    if args.json {
        return print_json(&report);
    }
    let shown = path.display();
    out::line(format_args!("{shown}\n{} runs; 'crossover plan {shown}' says what they cost", report.runs))
}

/// A task's name as a sweep's: `images:my photos/` is `my-photos`.
fn sweep_name(task: &str) -> String {
    spec::to_name(task.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(task))
}

fn sweep(name: &str, task: &str, given: &Settings, io: Io, train: Option<u64>) -> Result<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let settings = given.iter().map(|(key, value)| {
        let value = toml::Value::try_from(value).context(|| format!("--set {key}={value}"))?;
        Ok(format!(", {key} = {value}"))
    });
    let settings = settings.collect::<Result<String>>()?;
    let examples = examples(train, io.classes);
    let budget = 4 * examples.last().copied().unwrap_or(MOST).max(1000);
    let there_are =
        train.map_or("the task makes as many as are asked for".into(), |train| format!("there are {train}"));
    let patch = patch(io);
    let params = params(io, patch)?;
    Ok(format!(
        r#"# A first sweep: over how many training examples does a transformer need to overtake a convnet?
#
# 'crossover plan FILE' says what it would train and what that costs, 'crossover run FILE' trains it and goes on where
# it was interrupted. Change what you like: runs that are done stay done. sweeps/README.md has every key.

name     = {name}
question = "Where does attention overtake convolution as data grows?"
task     = {{ name = {task}{settings} }}  # 'crossover task show NAME' says what its keys mean

[axes]                      # what curves are drawn over
examples = {examples:?}  # training-set sizes, each among the next; {there_are}
seed     = [0, 1]           # repeats: without them noise cannot be told from a lead

[tuned]                     # of these the best by validation loss stands for each point
lr = [1e-3, 3e-3, 1e-2]

[budget]                    # of each run, in one unit: epochs, steps, examples or flops
examples = {budget}

[train]
batch = 64                  # examples of a step

[[model]]                   # a curve each; 'crossover model list' has the other architectures
arch   = "convnet"
params = [{params}]           # the usual shape of about so many parameters; more values make more sizes

[[model]]
arch   = "vit"
patch  = {patch}                  # divides the {height}x{width} image
params = [{params}]
"#,
        name = quoted(name),
        task = quoted(task),
        height = io.height,
        width = io.width,
    ))
}

/// Four sizes, each four times the one before, or twice where there are few.
fn examples(train: Option<u64>, classes: u64) -> Vec<u64> {
    let most = train.map_or(MOST, |train| train.min(MOST)).max(1);
    let factor = if most >= 1000 { 4 } else { 2 };
    let enough = |count: &u64| *count >= (2 * classes).max(16);
    let mut sizes: Vec<u64> = (0..4).map(|step| most / u64::pow(factor, step)).filter(enough).collect();
    if sizes.is_empty() {
        sizes.push(most);
    }
    sizes.reverse();
    sizes
}

/// The side of a patch that tiles the image into about `PATCHES`.
fn patch(io: Io) -> u64 {
    let tiles = |side: u64, patch: u64| side.is_multiple_of(patch.min(side)).then(|| side / patch.min(side));
    let off = |patch: &u64| {
        let count = tiles(io.height, *patch)? * tiles(io.width, *patch)?;
        Some((count as f64 / PATCHES).ln().abs())
    };
    let fits = (1..=io.height.max(io.width)).filter_map(|patch| Some((patch, off(&patch)?)));
    fits.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1, |(patch, _)| patch)
}

fn params(io: Io, patch: u64) -> Result<f64> {
    let held = Settings::from([("patch".to_owned(), patch.into())]);
    let has =
        |arch: &str, held: &Settings, params: f64| model::scale_to(arch, held, Target::Params(params), TOLERANCE, io);
    let both = |params: &f64| has("convnet", &Settings::new(), *params).is_ok() && has("vit", &held, *params).is_ok();
    match PARAMS.into_iter().find(both) {
        Some(params) => Ok(params),
        None => {
            has("convnet", &Settings::new(), PARAMS[0]).and_then(|_| has("vit", &held, PARAMS[0])).map(|_| PARAMS[0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_that_needs_no_files_of_ones_own_gets_a_sweep_that_plans() {
        for name in ["fashion-mnist", "mnist", "cifar10", "cifar100", "mnist1d", "rhm", "relations"] {
            let task = task::resolve(name, &Settings::new()).unwrap();
            let (io, train) = (task::io(&task).unwrap(), task::splits(&task).unwrap().train);
            let text = sweep(&sweep_name(name), name, &Settings::new(), io, train).unwrap();
            let plan = load_plan(&text, name).map_err(|error| format!("{name}: {error}\n{text}")).unwrap();
            assert!(plan.dropped.is_empty() && plan.runs.len() >= 24, "{name}: {} runs\n{text}", plan.runs.len());
        }
    }

    #[test]
    fn names_of_folders_become_names_of_sweeps() {
        assert_eq!(sweep_name("images:/data/my photos/"), "my-photos");
        assert_eq!((sweep_name("cifar10").as_str(), sweep_name("images:..").as_str()), ("cifar10", "sweep"));
    }

    #[test]
    fn sizes_grow_up_to_what_there_is() {
        assert_eq!(examples(Some(48_000), 10), [125, 500, 2000, 8000]);
        assert_eq!(examples(Some(300), 3), [37, 75, 150, 300]);
        assert_eq!(examples(Some(10), 3), [10]);
    }
}
