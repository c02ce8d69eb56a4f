//! `crossover fit`: laws and crossovers of a sweep or of any CSV file, as tables or JSON.

use std::path::Path;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::answer::{self, dropped, percent, with_interval};
use super::fixed::Fixed;
use super::input::Input;
use super::predict::{self, Predict};
use super::sections::{self, Comparison, Sections};
use super::table::{paragraph, table};
use super::typed::typed;
use super::{points, print_json, tuned};
use crate::error::{Error, Result};
use crate::fit::compare::backtest::LawOfTrial;
use crate::fit::isoflop::{IsoFlop, Outcome, Profiles};
use crate::fit::predict::{Prediction, of_fits, of_profiles};
use crate::fit::tuned::TunedLaws;
use crate::fit::{self, Analysis, Dropped, IntervalKind, Method, Objective, Settings};
use crate::out;
use crate::point::Axis;
use crate::study::Study;
use crate::study::file::FLOPS_PER;
use crate::study::rows::Row;
use crate::units::si;

/// Scales that are hidden unless another number is asked for.
const HIDDEN: usize = 1;

#[derive(Clone, Debug, ClapArgs)]
#[group(skip)]
#[command(after_help = "Examples:
  crossover fit sweeps/quickstart.toml --x data
  crossover fit sweeps/quickstart.toml --x data --shared --backtest --multiverse
  crossover fit --file runs.csv --by arch --x compute --metric val_loss --json
  crossover fit --file chinchilla.csv --law chinchilla --exclude-top-loss 5 --bootstrap 4000
  crossover fit --file evals.jsonl.gz --metric accuracy --rising --where 'task=mmlu'
  crossover fit quickstart --x data --law auto
  crossover fit quickstart --law tuned:lr
  crossover fit --file runs.csv --law isoflop")]
pub struct Args {
    #[command(flatten)]
    pub input: Input,

    /// Scale that curves are drawn over; surface laws use params and data together
    #[arg(long, value_enum, default_value_t = Axis::Data)]
    pub x: Axis,

    /// What to fit
    ///
    /// Curves over --x: power, log, power-floor, shifted, m4, sigmoid, broken-1, broken-2; auto takes the one that
    /// extrapolates best. Surfaces over params and data: chinchilla, kaplan, joint; auto-surface; repeated, where
    /// examples are seen several times. Over compute: frontier (the lower envelope), isoflop and isoflop-akima (the best
    /// size at each budget). tuned:KEY, as tuned:lr: the chosen value over params and data (--x compute: over that)
    #[arg(long, default_value = "power-floor", hide_default_value = false)]
    pub law: String,

    #[command(flatten)]
    pub fixed: Fixed,

    /// What to minimise [default: squared-log for curves, huber for surfaces]
    #[arg(long, value_enum)]
    pub objective: Option<Objective>,

    /// Resamples for the intervals; 0 for none
    #[arg(long, value_name = "B", default_value_t = 2000)]
    pub bootstrap: usize,

    /// Resample residuals (few runs) or whole runs (many) [default: what suits their number]
    #[arg(long, value_enum)]
    pub resampling: Option<fit::uncertainty::bootstrap::Resampling>,

    /// Kind of interval
    #[arg(long, value_enum, default_value_t = IntervalKind::Percentile)]
    pub interval: IntervalKind,

    /// Coverage of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = level)]
    pub level: f64,

    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Threads [default: RAYON_NUM_THREADS, or all cores]; the result does not depend on it
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,

    /// Leave out the K largest losses of each curve
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub exclude_top_loss: usize,

    /// How many of the largest scales are hidden to see how well the law predicts them
    #[arg(long, value_name = "SCALES", default_value_t = HIDDEN)]
    pub holdout: usize,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The command's own arguments, beside those that `plot` shares.
#[derive(Clone, Debug, ClapArgs)]
pub struct Command {
    #[command(flatten)]
    pub fit: Args,
    #[command(flatten)]
    pub sections: Sections,
    #[command(flatten)]
    pub predict: Predict,
}

/// All that is known of curves and of pairs of them.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    analysis: &'a Analysis,
    #[serde(flatten)]
    comparison: Comparison,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    predictions: Vec<Prediction>,
    points: Vec<Row>,
    notes: &'a [String],
}

/// How the points came about, where they give no answer.
#[derive(Serialize)]
pub struct Known<'a> {
    left_out: Vec<Dropped>,
    notes: &'a [String],
}

impl<'a> Known<'a> {
    pub fn of(study: &'a Study) -> Self {
        Self { left_out: study.left_out(), notes: study.notes() }
    }
}

/// The same of tuned values.
#[derive(Serialize)]
struct TunedReport<'a> {
    #[serde(flatten)]
    laws: &'a TunedLaws,
    points: Vec<Row>,
    #[serde(flatten)]
    known: Known<'a>,
}

/// The same of profiles.
#[derive(Serialize)]
struct ProfileReport<'a> {
    #[serde(flatten)]
    profiles: &'a Profiles,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    predictions: Vec<Prediction>,
    points: Vec<Row>,
    #[serde(flatten)]
    known: Known<'a>,
}

fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("a coverage lies between 0 and 1, as 0.95 does".into()),
    }
}

pub fn run(command: &Command, store: &Path) -> Result<()> {
    let args = &command.fit;
    let (method, settings) = (Method::by_name(&args.law)?, settings(args)?);
    let study = study(args, store)?;
    // The answer comes first, and how its points came about also where there is none.
    let answered = print_answer(command, &study, method, settings);
    say_notes(&study, store);
    answered.map_err(|error| error.with(&Known::of(&study)))
}

fn print_answer(command: &Command, study: &Study, method: Method, settings: Settings) -> Result<()> {
    let Command { fit: args, sections, predict } = command;
    if let Method::IsoFlop(profile) = method {
        return print_profiles(command, study, &study.profiles(profile, &settings)?, &settings);
    }
    if let Method::Tuned(key) = &method {
        return print_tuned(command, study, &study.tuned(key, args.x, &settings)?);
    }
    let law_of_trial = match method {
        Method::Auto(_) => LawOfTrial::ChosenAnew,
        Method::Law(_) | Method::IsoFlop(_) | Method::Tuned(_) => LawOfTrial::AsSet,
    };
    let analysis = study.analyse(method, args.x, &settings)?;
    let law = analysis.fits.first().map_or(settings.law, |fit| fit.law);
    let flops_per = args.input.reading.flops_per.unwrap_or(FLOPS_PER);
    let predictions = of_fits(&analysis.fits, &predict.predict, flops_per, &settings)?;
    let level = settings.level;
    let comparison = sections.of(study, args.x, &analysis, &Settings { law, ..settings }, law_of_trial)?;
    let points = points::used(study, &analysis, args.x);
    if args.json {
        return print_json(&Report { analysis: &analysis, comparison, predictions, points, notes: study.notes() });
    }
    let points = points::text(&points, args.x, study.chose_budgets());
    let text = answer::text(&analysis)
        + &held_out(args.holdout, &analysis)
        + &predict::text(&predictions, level)
        + &points
        + &sections::multiplier_table(&analysis.multipliers, args.x)
        + &comparison.text();
    out::text(text)
}

/// Why a number of hidden scales that was asked for says nothing.
fn held_out(hidden: usize, analysis: &Analysis) -> String {
    let without = analysis.fits.iter().filter(|fit| fit.holdout_rmse.is_none());
    let curves: Vec<&str> = without.map(|fit| fit.curve.as_str()).collect();
    let Some(fit) = analysis.fits.first().filter(|_| hidden != HIDDEN && !curves.is_empty()) else {
        return String::new();
    };
    let why = match hidden {
        0 => "hides no scale".to_owned(),
        _ => format!("leaves fewer scales than the {} that {} takes", fit.law.params().len() + 1, fit.law.name()),
    };
    paragraph(&format!("held-out: --holdout {hidden} {why}: {}", curves.join(", ")), "", "  ")
}

/// What is to be said of how the points came about; after the answer, where there is one.
pub fn say_notes(study: &Study, store: &Path) {
    study.notes().iter().for_each(|note| out::say(typed(note, store)));
}

/// The points that the flags name.
pub fn study(args: &Args, store: &Path) -> Result<Study> {
    args.input.study(store, Method::by_name(&args.law)?, args.x)
}

fn print_profiles(command: &Command, study: &Study, profiles: &Profiles, settings: &Settings) -> Result<()> {
    let Command { fit: args, sections, predict } = command;
    if sections.shared || sections.backtest || sections.multiverse {
        return Err(Error::bad_input(format!("--law {}: profiles are not curves that could be compared", args.law))
            .hint("leave out --shared, --backtest and --multiverse"));
    }
    let predictions = of_profiles(&profiles.fits, &predict.predict, settings)?;
    if args.json {
        let dropped = profiles.fits.iter().map(|fit| (fit.curve.as_str(), fit.points_dropped.as_slice()));
        let points = study.rows(Axis::Compute, dropped);
        return print_json(&ProfileReport { profiles, predictions, points, known: Known::of(study) });
    }
    let text = profiles_text(profiles) + &predict::text(&predictions, settings.level);
    out::text(text)
}

fn print_tuned(command: &Command, study: &Study, laws: &TunedLaws) -> Result<()> {
    let Command { fit: args, sections, .. } = command;
    if sections.shared || sections.backtest || sections.multiverse {
        return Err(Error::bad_input(format!(
            "--law {}: tuned values are not curves that could be compared",
            args.law
        ))
        .hint("leave out --shared, --backtest and --multiverse"));
    }
    if args.json {
        return print_json(&TunedReport { laws, points: study.rows(args.x, []), known: Known::of(study) });
    }
    out::text(tuned::text(laws))
}

/// The settings that the flags ask for.
pub fn settings(args: &Args) -> Result<Settings> {
    let method = Method::by_name(&args.law)?;
    Ok(Settings {
        law: args.fixed.law(method, &args.law, Settings::default().law)?,
        fixed: args.fixed.fix.clone(),
        objective: args.objective,
        bootstrap: args.bootstrap,
        resampling: args.resampling,
        seed: args.seed,
        threads: args.threads.map(usize::from),
        interval: args.interval,
        level: args.level,
        exclude_top_loss: args.exclude_top_loss,
        holdout: args.holdout,
        origin: None,
    })
}

fn profiles_text(profiles: &Profiles) -> String {
    let mut text = String::new();
    let row = |fit: &IsoFlop| {
        let of = |name: &str| with_interval(fit.params.get(name), fit.intervals.get(name));
        vec![fit.curve.clone(), fit.points_used.to_string(), of("a"), of("k"), percent(fit.holdout_rmse)]
    };
    if let Some(first) = profiles.fits.first() {
        text += &format!("{}, {:.0}% intervals\n", first.formula, 100.0 * first.provenance.level);
    }
    let header = ["curve", "points", "a", "k", "held-out"];
    text += &format!("{}\n", table(&header, &["curve"], profiles.fits.iter().map(row)));
    text += &answer::notes(profiles.fits.iter().map(|fit| (fit.curve.as_str(), fit.verdicts.as_slice())));
    text.push('\n');
    let cells = profiles.fits.iter().flat_map(|fit| fit.cells.iter().map(move |cell| (&fit.curve, cell)));
    let cells = cells.map(|(curve, cell)| {
        let of = |name: &str, value: &f64| with_interval(Some(value), cell.intervals.get(name));
        let (params, data, loss, note) = match (&cell.outcome, &cell.data) {
            (Outcome::Interior { params, loss }, Some(data)) => {
                (of("params", params), of("data", data), format!("{loss:.4}"), String::new())
            }
            (other, _) => ("-".into(), "-".into(), "-".into(), other.to_string()),
        };
        vec![curve.clone(), si(cell.compute), cell.points.to_string(), params, data, loss, note]
    });
    let header = ["curve", "compute", "points", "best params", "best data", "loss", "note"];
    text += &format!("{}\n", table(&header, &["curve", "note"], cells));
    for fit in &profiles.fits {
        text += &dropped(&fit.curve, &fit.points_dropped);
    }
    for refused in &profiles.refused {
        text += &format!("{}: not fitted: {}\n", refused.curve, refused.summary);
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::study::file::{Asked, read};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    fn parsed(words: &[&str]) -> Args {
        Line::try_parse_from([&["fit"], words].concat()).map(|line| line.command.fit).unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn rows() -> String {
        let mut text = String::from("arch,examples,loss,seed\n");
        for (i, x) in [250.0f64, 1000.0, 4000.0, 16000.0, 64000.0].into_iter().enumerate() {
            for seed in 0..2 {
                let wiggle = 1.0 + 0.01 * f64::from((3 * i as i32 + 7 * seed) % 5 - 2);
                text += &format!("convnet,{x},{},{seed}\n", (0.5 + 30.0 * x.powf(-0.5)) * wiggle);
                text += &format!("vit,{x},{},{seed}\n", (0.3 + 15.0 * x.powf(-0.35)) / wiggle);
            }
        }
        text
    }

    #[test]
    fn prints_a_table_with_intervals_and_the_verdict() {
        let file = file(&rows());
        let asked = Asked { path: file.path().into(), ..Asked::default() };
        let points = read(&asked, fit::Scale::Curve(Axis::Data)).unwrap().points;
        let settings = settings(&parsed(&["--csv", "x.csv", "--bootstrap", "200"])).unwrap();
        let analysis = fit::fit_curves(&points, Axis::Data, &settings).unwrap();
        insta::assert_snapshot!(answer::text(&analysis));
    }

    #[test]
    fn needs_a_sweep_or_a_file_and_known_names() {
        assert!(Line::try_parse_from(["fit"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--csv", "b.csv"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--level", "95"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--threads", "0"]).is_err());
        let error = settings(&parsed(&["a.toml", "--law", "chinchila"])).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean --law chinchilla?"));
        let code = |words: &[&str]| {
            let command = Command { fit: parsed(words), sections: Sections::default(), predict: Predict::default() };
            run(&command, Path::new("nowhere")).unwrap_err().exit_code()
        };
        assert_eq!(code(&["--csv", "nowhere.csv"]), 2);
        assert_eq!(code(&["a.toml"]), 2);
    }
}
