//! `crossover simulate`: with which probability a sweep would find a crossover, if these were the laws.

use std::collections::BTreeSet;

use serde::Serialize;

use super::table::paragraph;
use super::{SweepFile, print_json};
use crate::error::{Error, Result, nearest};
use crate::fit::design::simulate::{Cell, Power, Simulation, Truth, simulate};
use crate::fit::{Settings, laws};
use crate::out;
use crate::plan::Plan;
use crate::point::Axis;
use crate::progress::Waiting;
use crate::units::{Flops, si};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover simulate sweeps/quickstart.toml --truth 'convnet: E=0.3 A=5 alpha=0.5' --truth 'vit: E=0.2 A=4 alpha=0.35'
  crossover simulate big.toml --x compute --noise 0.01 --trials 2000 --json --truth 'a: A=5 alpha=0.1' --truth 'b: A=9 alpha=0.12'
  crossover simulate big.toml --law power --truth 'a: E=0.3 A=5 alpha=0.5' --truth 'b: E=0.2 A=4 alpha=0.35'

The true law of a curve is the one that has the parameters named: E, A and alpha are L = E + A x^-alpha.")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepFile,

    /// What a curve is taken to follow; once for each curve
    #[arg(long, value_name = "CURVE: NAME=VALUE …", required_unless_present = "law")]
    truth: Vec<String>,

    /// Law to fit to what is drawn [default: that of the first --truth]
    // Until the first release a truth was called --law, and the law to fit --fit: both are still understood.
    #[arg(long, value_name = "NAME", alias = "fit")]
    law: Vec<String>,

    /// Standard deviation of log loss between runs that differ in nothing but the seed
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = share)]
    noise: f64,

    /// Scale that curves are drawn over
    #[arg(long, value_enum, default_value_t = Axis::Data)]
    x: Axis,

    /// Sweeps to draw
    #[arg(long, value_name = "T", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: u32,

    /// Resamples for the intervals of each trial
    #[arg(long, value_name = "B", default_value_t = 200)]
    bootstrap: usize,

    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Threads [default: RAYON_NUM_THREADS, or all cores]; the result does not depend on it
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=2.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 2, as 0.02 for two percent".into()),
    }
}

impl Args {
    /// The texts of the truths, and the law to fit where one is named.
    fn named(&self) -> Result<(Vec<&str>, Option<&str>)> {
        let (old, laws): (Vec<&str>, Vec<&str>) =
            self.law.iter().map(String::as_str).partition(|law| law.contains(':'));
        if let Some(first) = old.first() {
            out::say(format_args!("warning: --law '{first}' names what a curve follows, which is --truth now"));
        }
        if let [_, second, ..] = laws[..] {
            return Err(Error::bad_input(format!(
                "--law {second}: one law is fitted to all curves, and two were named"
            ))
            .hint("what a curve follows is --truth 'CURVE: NAME=VALUE …'"));
        }
        Ok((self.truth.iter().map(String::as_str).chain(old).collect(), laws.first().copied()))
    }
}

#[derive(Serialize)]
struct Report<'a> {
    sweep: &'a str,
    runs: usize,
    train_flops: Flops,
    x: Axis,
    truths: &'a [Truth],
    #[serde(flatten)]
    simulation: &'a Simulation,
}

pub fn run(args: &Args) -> Result<()> {
    if args.x == Axis::Seconds {
        return Err(Error::bad_input("--x seconds: how long runs take is measured, and these are not run")
            .hint("--x compute is what a plan knows"));
    }
    let plan = args.sweep.plan()?;
    let (truths, fitted) = args.named()?;
    let truths: Vec<Truth> = truths.into_iter().map(Truth::parse).collect::<Result<_>>()?;
    let curves: BTreeSet<&str> = plan.runs.iter().map(|run| run.label.as_str()).collect();
    check(&truths, &curves, &plan.sweep)?;
    let law = match fitted {
        Some(name) => laws::by_name(name)?,
        None => truths.first().map_or(Settings::default().law, |truth| truth.law),
    };
    if law.domain() != laws::Domain::Curve {
        return Err(Error::bad_input(format!("--law {}: what is drawn are curves over one scale", law.name()))
            .hint("fit a curve, as power-floor is"));
    }
    let settings = Settings {
        law,
        bootstrap: args.bootstrap,
        seed: args.seed,
        threads: args.threads.map(usize::from),
        ..Settings::default()
    };
    let cells = cells(&plan, args.x);
    let trials = args.trials as usize;
    let waiting = Waiting::counting("simulate", trials, "trials");
    let simulation = simulate(&cells, &truths, args.noise, trials, args.x, &settings, &|| waiting.tick())?;
    drop(waiting);
    let report = Report {
        sweep: &plan.sweep,
        runs: plan.runs.len(),
        train_flops: plan.train_flops(),
        x: args.x,
        truths: &truths,
        simulation: &simulation,
    };
    if args.json {
        return print_json(&report);
    }
    for curve in curves.iter().filter(|curve| !truths.iter().any(|truth| truth.curve == **curve)) {
        out::say(format_args!("{curve}: no --truth names it, so it is left out"));
    }
    out::text(text(&report, &cells))
}

fn check(truths: &[Truth], curves: &BTreeSet<&str>, sweep: &str) -> Result<()> {
    for (i, truth) in truths.iter().enumerate() {
        let name = truth.curve.as_str();
        if !curves.contains(name) {
            let error = Error::bad_input(format!("--truth '{name}: …': the sweep {sweep} has no curve '{name}'"));
            return Err(match nearest(name, curves.iter().copied()) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error.hint(format!("its curves are {}", curves.iter().copied().collect::<Vec<_>>().join(", "))),
            });
        }
        if truths[..i].iter().any(|other| other.curve == truth.curve) {
            return Err(Error::bad_input(format!("--truth '{name}: …' is given twice")).hint("give each curve one law"));
        }
    }
    if truths.len() < 2 {
        return Err(Error::bad_input("one curve crosses nothing").hint("give a --truth for each of two curves"));
    }
    Ok(())
}

/// One point for each curve, scale and seed, whatever was tuned to get it.
fn cells(plan: &Plan, axis: Axis) -> Vec<Cell> {
    let mut cells = Vec::new();
    for run in &plan.runs {
        let seed = i64::try_from(run.config.seed).unwrap_or(i64::MAX);
        let cell = Cell { curve: run.label.clone(), x: run.scale(axis), seed };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

fn text(report: &Report, cells: &[Cell]) -> String {
    let Report { sweep, runs, train_flops, simulation, .. } = report;
    let heading = format!(
        "{sweep}: {runs} runs, {train_flops} training FLOPs, {} points; {} trials with noise of {:.1}%, fitted by {}",
        cells.len(),
        simulation.trials,
        100.0 * simulation.noise,
        simulation.law.name()
    );
    let mut text = paragraph(&heading, "", "  ");
    if simulation.unfitted > 0 {
        text += &format!("{} trials could not be fitted\n", simulation.unfitted);
    }
    for power in &simulation.pairs {
        text += &paragraph(&format!("{} against {}: {}", power.a, power.b, in_words(power)), "", "  ");
    }
    text
}

fn in_words(power: &Power) -> String {
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    let truth: Vec<String> = power.truth.iter().map(|r| format!("{} leads from {}", r.leads_above, si(r.at))).collect();
    let mut words = match truth.as_slice() {
        [] => "no crossover inside the sweep's scales".to_owned(),
        crossings => crossings.join(", "),
    };
    words += &match (power.established, truth.is_empty()) {
        (Some(share), false) => format!("; established in {} of the trials", percent(share)),
        (Some(share), true) => format!("; none is established in {} of the trials", percent(share)),
        (None, _) => format!("; the fitted curves agree in {}", percent(power.found)),
    };
    words += &power.false_claims.map_or(String::new(), |share| format!("; a false claim in {}", percent(share)));
    let outcomes: Vec<String> =
        power.outcomes.iter().map(|(kind, share)| format!("{kind} {}", percent(*share))).collect();
    if power.established.is_some() {
        words += &format!(" ({})", outcomes.join(", "));
    }
    if let Some([low, middle, high]) = power.width {
        let factor = |width: f64| if width.is_finite() { format!("{width:.2}") } else { "no end".into() };
        words += &format!(
            "; its interval spans a factor of {} ({} to {} in the middle half)",
            factor(middle),
            factor(low),
            factor(high)
        );
    }
    if let Some(coverage) = power.coverage {
        words += &format!(" and holds the truth in {}", percent(coverage));
    }
    words + &format!("; the right leader at the largest scale in {}", percent(power.leader))
}
