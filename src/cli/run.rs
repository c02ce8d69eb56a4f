//! `crossover run` and `crossover resume`: do what is not done yet.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::given::Given;
use super::typed::typed;
use super::{SweepFile, print_json, slurm as told};
use crate::error::{Error, Result};
use crate::executor::display::Display;
use crate::executor::slurm::{self, Profile, View};
use crate::executor::{self, Decision, Observer, Options, Tally};
use crate::out;
use crate::plan::Plan;
use crate::script::describe::Here;
use crate::shell::quoted;
use crate::spec;
use crate::store::{Difference, Reader, Store, Sweep, is_replaced};
use crate::task;
use crate::units::si;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover run sweeps/quickstart.toml
  crossover run sweeps/quickstart.toml --dry-run
  crossover run sweeps/quickstart.toml --devices cuda:0,cuda:1 --pack 16
  crossover run sweeps/quickstart.toml --executor slurm

A file may add runs to the sweep of its name; one that takes runs away is refused without --replace, which keeps both.
Ctrl-C once writes checkpoints and stops, twice kills. The same command goes on where it stopped.")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepFile,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover resume               every sweep of the store that is not finished
  crossover resume quickstart")]
pub struct ResumeArgs {
    /// A sweep's name or file [default: every unfinished sweep of the store]
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
struct How {
    #[command(flatten)]
    options: Options,
    /// Let the file have its name where the sweep of that name in the store has runs that the file has not: that sweep
    /// is kept as NAME@1, NAME@2, …
    #[arg(long)]
    replace: bool,
    /// Who trains: workers on this machine, or pilots that Slurm starts [default: local; of 'resume' what it was before]
    #[arg(long, value_enum)]
    executor: Option<Executor>,
    /// With Slurm: the file that says what the cluster is like [default: ~/.config/crossover/config.toml]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// With Slurm: stay and tell how it goes, until nothing is left to do
    #[arg(long)]
    wait: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: with --dry-run the decision, else how it went
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Executor {
    Local,
    Slurm,
}

/// Who trains, with all that it takes.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Backend {
    Local,
    Slurm(Box<Profile>),
}

/// How one sweep went.
#[derive(Serialize)]
struct Report<'a> {
    sweep: &'a str,
    runs: usize,
    #[serde(flatten)]
    tally: Tally,
    /// Batches of pilots of which something is left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slurm: Vec<View>,
}

/// A sweep to be run, and what it was typed as.
struct Asked {
    plan: Plan,
    typed: String,
}

/// How all of them went; the name where there is one.
#[derive(Serialize)]
struct Reports<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<&'a str>,
    runs: usize,
    #[serde(flatten)]
    tally: Tally,
    sweeps: &'a [Report<'a>],
}

impl<'a> Reports<'a> {
    fn of(sweeps: &'a [Report<'a>]) -> Self {
        let sweep = if let [one] = sweeps { Some(one.sweep) } else { None };
        let tally = sweeps.iter().fold(Tally::default(), |all, one| all.and(one.tally));
        Self { sweep, runs: sweeps.iter().map(|one| one.runs).sum(), tally, sweeps }
    }
}

/// What would be done for all of them, and for the one where there is one.
#[derive(Serialize)]
struct Decisions<'a> {
    #[serde(flatten)]
    one: Option<&'a AnyDecision>,
    sweeps: &'a [AnyDecision],
}

/// As its backend makes it.
#[derive(Serialize)]
#[serde(untagged)]
enum AnyDecision {
    Local(Decision),
    Slurm(slurm::Decision),
}

impl AnyDecision {
    /// Names of the tasks of the runs to do.
    fn tasks<'a>(&'a self, plan: &'a Plan) -> BTreeSet<&'a str> {
        match self {
            AnyDecision::Local(decision) => decision.tasks(),
            AnyDecision::Slurm(decision) if decision.jobs == 0 => BTreeSet::new(),
            AnyDecision::Slurm(_) => plan.runs.iter().map(|run| run.config.task.name.as_str()).collect(),
        }
    }
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let (plan, typed) = (args.sweep.plan()?, args.sweep.typed());
    for dropped in &plan.dropped {
        out::say(format_args!("dropped: {}: {}", dropped.what, dropped.reason));
    }
    execute(&[Asked { plan, typed }], false, &args.how, store)
}

pub fn resume(args: &ResumeArgs, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    let asked = match &args.sweep {
        Some(given) => {
            let given = Given::new(given, store)?;
            let (name, typed) = (given.name.clone(), given.typed.clone());
            let plan = match given.into_plan() {
                Some(plan) => plan,
                None => stored(&reader.sweep(&name)?)?,
            };
            vec![Asked { plan, typed }]
        }
        None => unfinished(&reader, store)?,
    };
    execute(&asked, true, &args.how, store)
}

/// Every sweep that is not finished; those that were replaced wait until they are named.
fn unfinished(reader: &Reader, store: &Path) -> Result<Vec<Asked>> {
    let sweeps = reader.sweeps()?.into_iter().filter(|sweep| sweep.ended < sweep.runs);
    let (replaced, sweeps): (Vec<Sweep>, Vec<Sweep>) = sweeps.partition(|sweep| is_replaced(&sweep.name));
    for Sweep { name, .. } in &replaced {
        out::say(typed(&format!("'{name}' was replaced; 'crossover resume {name}' goes on with it"), store));
    }
    if sweeps.is_empty() {
        let every = if replaced.is_empty() { "every" } else { "every other" };
        out::say(format_args!("{every} sweep in {} is finished", store.display()));
    }
    sweeps.iter().map(|sweep| Ok(Asked { plan: stored(sweep)?, typed: quoted(&sweep.name) })).collect()
}

/// The plan of a sweep as the store has it, under the name that it has there.
fn stored(sweep: &Sweep) -> Result<Plan> {
    let parsed = spec::parse_within(&sweep.source, &format!("{} (as stored)", sweep.name), u64::MAX)?;
    Ok(Plan { sweep: sweep.name.clone(), ..crate::plan::plan(&parsed, &Here::default())? })
}

/// Sweep after sweep, until one is interrupted. What is resumed is trained where it was before, unless that is said.
fn execute(asked: &[Asked], again: bool, how: &How, store: &Path) -> Result<()> {
    let backends = asked.iter().map(|asked| backend(asked, again, how, store)).collect::<Result<Vec<_>>>()?;
    if how.dry_run {
        return dry_run(asked, &backends, how, store);
    }
    let mut reports = Vec::new();
    let done = if asked.is_empty() { Ok(()) } else { each(asked, &backends, how, store, &mut reports) };
    let known = Reports::of(&reports);
    done.map_err(|error| error.with(&known))?;
    if how.json { print_json(&known) } else { Ok(()) }
}

/// # Errors
/// There is no profile, or it is none; a flag of Slurm's is given for this machine.
fn backend(asked: &Asked, again: bool, how: &How, store: &Path) -> Result<Backend> {
    let load = || Ok(Backend::Slurm(Box::new(Profile::load(how.profile.as_deref())?)));
    let before = match how.executor {
        Some(Executor::Slurm) => return load(),
        None if again => last(&asked.plan, &Reader::open(store)?)?,
        _ => Backend::Local,
    };
    match before {
        Backend::Slurm(_) if how.profile.is_some() => load(),
        Backend::Slurm(profile) => Ok(Backend::Slurm(profile)),
        Backend::Local if how.wait || how.profile.is_some() => {
            Err(Error::bad_input("--wait and --profile are for pilots of Slurm, and this machine was asked to train")
                .hint("add --executor slurm; a run on this machine is waited for anyway"))
        }
        Backend::Local => Ok(Backend::Local),
    }
}

/// Who trained a sweep of this name last. Where nobody has said it, it may have a batch of pilots.
fn last(plan: &Plan, reader: &Reader) -> Result<Backend> {
    if let Some(known) = reader.backend(&plan.sweep)? {
        return Ok(known);
    }
    let members = LazyCell::new(|| plan.runs.iter().map(|run| run.id.as_str()).collect::<BTreeSet<&str>>());
    let profile = slurm::last_profile(reader.folder(), &plan.sweep, &|run| members.contains(run));
    Ok(profile.map_or(Backend::Local, |profile| Backend::Slurm(Box::new(profile))))
}

/// # Errors
/// Pilots have runs of the plan, and it is to be trained here.
fn remember(store: &Store, plan: &Plan, backend: &Backend) -> Result<()> {
    if last(plan, store.reader()).is_ok_and(|last| last == *backend) {
        return Ok(());
    }
    if *backend == Backend::Local {
        slurm::refuse_taken(store.reader().folder(), plan.runs.iter().map(|run| run.id.as_str()))?;
    }
    store.remember_backend(&plan.sweep, backend)
}

/// # Errors
/// One was interrupted, or could not be run; or, once all are over, runs of one failed.
fn each<'a>(
    asked: &'a [Asked],
    backends: &[Backend],
    how: &How,
    store: &Path,
    reports: &mut Vec<Report<'a>>,
) -> Result<()> {
    if !Reader::exists(store) {
        out::say(format_args!("a new store: {}", store.display()));
    }
    let mut store = Store::open(store)?;
    let mut failure = None;
    for (Asked { plan, typed: name }, backend) in asked.iter().zip(backends) {
        if admit(store.reader(), plan, name, how.replace)? {
            let aside = store.put_aside(&plan.sweep)?;
            out::say(format_args!("the sweep that was '{}' is '{aside}' now", plan.sweep));
        }
        remember(&store, plan, backend)?;
        let mut display = Display::default();
        let done = match backend {
            Backend::Local => {
                executor::run(&mut store, plan, &how.options, &mut display).map(|tally| (tally, Vec::new()))
            }
            Backend::Slurm(profile) => with_slurm(&mut store, plan, how, profile, &mut display),
        };
        display.finish();
        let (tally, slurm) = done?;
        reports.push(Report { sweep: &plan.sweep, runs: plan.runs.len(), tally, slurm });
        if tally.interrupted {
            return Err(Error::interrupted().hint(format!("'crossover resume {name}' goes on from here")));
        }
        failure = failure.or(tally.into_result(&plan.sweep).err());
    }
    failure.map_or(Ok(()), Err)
}

fn with_slurm(
    store: &mut Store,
    plan: &Plan,
    how: &How,
    profile: &Profile,
    display: &mut Display,
) -> Result<(Tally, Vec<View>)> {
    let (tally, views) = slurm::run(store, plan, &how.options, profile, display)?;
    if how.wait && !views.is_empty() {
        return Ok((slurm::wait(store, plan, display)?, Vec::new()));
    }
    views.iter().for_each(|view| display.say(&format!("{}: {}", plan.sweep, view.told())));
    Ok((tally, views))
}

/// Says what is new to the sweep of this name; true where that one has to be put aside.
///
/// # Errors
/// It would lose runs, and `replace` is not set.
fn admit(store: &Reader, plan: &Plan, typed: &str, replace: bool) -> Result<bool> {
    let Some(difference) = store.difference(plan)? else { return Ok(false) };
    let name = &plan.sweep;
    if difference.loses() && (!replace || is_replaced(name)) {
        return Err(refusal(store, name, typed, &difference)?);
    }
    if !difference.is_none() {
        out::say(format_args!("{name}: {difference}"));
    }
    Ok(difference.loses())
}

fn refusal(store: &Reader, name: &str, typed: &str, difference: &Difference) -> Result<Error> {
    let keeps = match is_replaced(name) {
        true => String::new(),
        false => format!("; --replace keeps the old ones as {}", store.aside(name)?),
    };
    Ok(match typed == name {
        true => {
            Error::bad_input(format!("'{name}' gives other runs now than the store has: {difference}")).hint(format!(
                "the files of its task or of its scripts, or what this version makes of its text, are others{keeps}"
            ))
        }
        false => Error::bad_input(format!("'{name}' in the store has other runs than {typed}: {difference}"))
            .hint(format!("give the file another `name`, or the sweep: 'crossover rename {name} {name}-old'{keeps}")),
    })
}

fn dry_run(asked: &[Asked], backends: &[Backend], how: &How, store: &Path) -> Result<()> {
    let reader = if Reader::exists(store) { Some(Reader::open(store)?) } else { None };
    let mut decisions = Vec::new();
    for (Asked { plan, typed }, backend) in asked.iter().zip(backends) {
        if let Some(reader) = &reader
            && admit(reader, plan, typed, how.replace)?
        {
            out::say(format_args!("the sweep that is '{}' would be '{}'", plan.sweep, reader.aside(&plan.sweep)?));
        }
        let decision = match backend {
            Backend::Local => AnyDecision::Local(executor::decide(plan, reader.as_ref(), &how.options)?),
            Backend::Slurm(profile) => {
                AnyDecision::Slurm(slurm::decide(plan, reader.as_ref(), store, &how.options, profile)?)
            }
        };
        for task in decision.tasks(plan) {
            if let Err(error) = task::present::check(task) {
                out::say(format_args!("{}; {}", error.message, error.hint.unwrap_or_default()));
            }
        }
        decisions.push(decision);
    }
    if how.json {
        let one = if let [one] = decisions.as_slice() { Some(one) } else { None };
        return print_json(&Decisions { one, sweeps: &decisions });
    }
    decisions.iter().try_for_each(|decision| match decision {
        AnyDecision::Local(decision) => print_decision(decision),
        AnyDecision::Slurm(decision) => told::print_decision(decision),
    })
}

fn print_decision(decision: &Decision) -> Result<()> {
    let Decision { sweep, runs, ended, slots, jobs, notes, .. } = decision;
    notes.iter().for_each(out::say);
    let to_do = runs - ended;
    out::line(format_args!("{sweep}: {runs} runs, {ended} ended, {to_do} to do in {} jobs", jobs.len()))?;
    for (number, slot) in slots.iter().enumerate() {
        let cores = match slot.cores.as_slice() {
            [] => String::new(),
            cores => format!(" on cores {}", cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
        };
        out::line(format_args!("slot {number}: {}, {} threads{cores}", slot.device, slot.threads))?;
    }
    for (number, job) in jobs.iter().enumerate() {
        out::line(format_args!("job {number}: {} training FLOPs", si(job.train_flops())))?;
        for run in &job.runs {
            let config = &run.config;
            let branch = match run.shared_steps {
                0 => String::new(),
                steps => format!(", branches off after {steps}"),
            };
            out::line(format_args!(
                "  {} {}, {} examples, {} steps{branch}, lr {}, seed {}, attempt {}",
                run.id, run.label, config.examples, config.steps, config.train.lr, config.seed, run.attempt
            ))?;
        }
    }
    Ok(())
}
