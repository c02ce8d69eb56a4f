//! `crossover fit`: laws and crossovers of a sweep or of any CSV file, as tables or JSON.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::compare::{self, Comparison, Sections};
use super::print_json;
use super::table::table;
use crate::error::{Context, Error, Result};
use crate::fit::analysis::Tried;
use crate::fit::compare::backtest::LawOfTrial;
use crate::fit::compare::multiverse::Convention;
use crate::fit::isoflop::{self, IsoFlop, Outcome, Profiles};
use crate::fit::uncertainty::interval::Interval;
use crate::fit::{self, Analysis, Dropped, Fit, IntervalKind, Method, Objective, Origin, Settings, SweepOrigin, csv};
use crate::point::{Axis, Point};
use crate::units::{brief, si};

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "Examples:
  crossover fit sweeps/quickstart.toml --x data
  crossover fit sweeps/quickstart.toml --x data --shared --backtest --multiverse
  crossover fit --csv runs.csv --by arch --x compute --metric val_loss --json
  crossover fit --csv chinchilla.csv --law chinchilla --exclude-top-loss 5 --bootstrap 4000
  crossover fit quickstart --x data --law auto
  crossover fit --csv runs.csv --law isoflop")]
pub struct Args {
    /// Sweep file whose runs are fitted
    #[arg(value_name = "SWEEP", required_unless_present = "csv", conflicts_with = "csv")]
    pub sweep: Option<String>,

    /// Fit the rows of a CSV file instead: columns arch, params (N), examples (D, tokens), flops (C), seed, run, and
    /// the metric. Rows of one run are its checkpoints; without a column run each row is a run
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Scale that curves are drawn over; surface laws use params and data together
    #[arg(long, value_enum, default_value_t = Axis::Data)]
    pub x: Axis,

    /// What names the curves: a column of the CSV file [default: arch]
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,

    /// Metric to fit [default: test_loss; in a CSV file test_loss, val_loss, …, loss: the first there is]
    #[arg(long)]
    pub metric: Option<String>,

    /// Name another column of the CSV file, as in --column examples=images; repeatable
    #[arg(long, value_name = "MEANING=COLUMN", value_parser = column)]
    pub column: Vec<(String, String)>,

    /// Only curves whose name contains this, as in --only relational=1; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,

    /// What to fit
    ///
    /// Curves over --x: power, power-floor, shifted, m4, broken-1, broken-2; auto takes the one that predicts the
    /// largest scales best. Surfaces over params and data: chinchilla, kaplan, joint; auto-surface. Over compute:
    /// frontier (the lower envelope), isoflop and isoflop-akima (the best size at each budget)
    #[arg(long, default_value = "power-floor", hide_default_value = false)]
    pub law: String,

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
    #[arg(long, value_name = "SCALES", default_value_t = 1)]
    pub holdout: usize,

    /// Print JSON instead of tables
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
}

/// All that is known of curves and of pairs of them.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    analysis: &'a Analysis,
    #[serde(flatten)]
    comparison: Comparison,
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((meaning, column)) if !meaning.is_empty() && !column.is_empty() => Ok((meaning.into(), column.into())),
        _ => Err("write MEANING=COLUMN, as in examples=images".into()),
    }
}

fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("a coverage lies between 0 and 1, as 0.95 does".into()),
    }
}

impl Args {
    /// Whether one curve over one scale is fitted to each curve.
    pub fn is_curve(&self) -> Result<bool> {
        Ok(Method::by_name(&self.law)?.is_curve())
    }
}

/// Runs the command. `points_of_sweep` gives the points of a sweep's runs for a metric, `recounts` other counts of its
/// runs' scale, by name and run id.
pub fn run(
    command: &Command,
    points_of_sweep: impl FnOnce(&str, &str) -> Result<(Vec<Point>, SweepOrigin)>,
    recounts: impl FnOnce(&str, Axis) -> Result<Vec<(String, HashMap<String, f64>)>>,
) -> Result<()> {
    let Command { fit: args, sections } = command;
    let (points, settings) = points(args, settings(args)?, points_of_sweep)?;
    if let Method::IsoFlop(profile) = Method::by_name(&args.law)? {
        return print_profiles(command, &isoflop::profiles(&points, profile, &settings)?);
    }
    let analysis = analyse(args, &points, &settings)?;
    let law = analysis.fits.first().map_or(settings.law, |fit| fit.law);
    let settings = Settings { law, ..settings };
    let conventions = || conventions(command, &points, recounts);
    let law_of_trial = match Method::by_name(&args.law)? {
        Method::Auto(_) => LawOfTrial::ChosenAnew,
        Method::Law(_) | Method::IsoFlop(_) => LawOfTrial::AsSet,
    };
    let comparison = sections.of(&points, args.x, &analysis, (&settings, law_of_trial), conventions)?;
    if args.json {
        return print_json(&Report { analysis: &analysis, comparison });
    }
    let text = tables(&analysis) + &compare::multiplier_table(&analysis.multipliers, args.x) + &comparison.text();
    write!(io::stdout(), "{text}").context(|| "cannot write to stdout")
}

/// The points again, their scale counted otherwise: by other columns, by 6 N D, by what the store knows of a run.
fn conventions(
    command: &Command,
    points: &[Point],
    recounts: impl FnOnce(&str, Axis) -> Result<Vec<(String, HashMap<String, f64>)>>,
) -> Result<Vec<Convention>> {
    let Command { fit: args, sections } = command;
    if let Some(sweep) = &args.sweep {
        if !sections.count.is_empty() {
            return Err(Error::bad_input("--count names columns of a CSV file, and a sweep was given")
                .hint("--multiverse counts a sweep's compute in other ways by itself"));
        }
        let recounts = recounts(sweep, args.x)?;
        return Ok(recounts.iter().map(|(name, counts)| compare::recounted(points, args.x, name, counts)).collect());
    }
    let Some(path) = &args.csv else { return Ok(Vec::new()) };
    let meaning = match args.x {
        Axis::Params => "params",
        Axis::Data => "examples",
        Axis::Compute => "flops",
    };
    let mut found: Vec<Convention> =
        (args.x == Axis::Compute).then(|| compare::six_n_d(points)).flatten().into_iter().collect();
    for column in &sections.count {
        let mut columns = columns(args);
        columns.named.retain(|(named, _)| named != meaning);
        columns.named.push((meaning.into(), column.clone()));
        found.push(Convention { name: column.clone(), points: csv::read(path, &columns)?.0 });
    }
    Ok(found)
}

fn columns(args: &Args) -> csv::Columns {
    csv::Columns { by: args.by.clone(), metric: args.metric.clone(), named: args.column.clone() }
}

fn print_profiles(command: &Command, profiles: &Profiles) -> Result<()> {
    let Command { fit: args, sections } = command;
    if sections.shared || sections.backtest || sections.multiverse {
        return Err(Error::bad_input(format!("--law {}: profiles are not curves that could be compared", args.law))
            .hint("leave out --shared, --backtest and --multiverse"));
    }
    if args.json {
        return print_json(profiles);
    }
    write!(io::stdout(), "{}", profiles_text(profiles)).context(|| "cannot write to stdout")
}

/// The fits and crossovers that `--law` asks for.
pub fn analyse(args: &Args, points: &[Point], settings: &Settings) -> Result<Analysis> {
    match Method::by_name(&args.law)? {
        Method::Law(_) => fit::fit_curves(points, args.x, settings),
        Method::Auto(domain) => fit::auto::fit_auto(points, args.x, domain, settings),
        Method::IsoFlop(_) => {
            Err(Error::bad_input(format!("--law {}: a profile is not a curve of loss over scale", args.law))
                .hint("'crossover fit' prints it"))
        }
    }
}

/// The points that the flags name, and the settings with where they came from.
pub fn points(
    args: &Args,
    settings: Settings,
    points_of_sweep: impl FnOnce(&str, &str) -> Result<(Vec<Point>, SweepOrigin)>,
) -> Result<(Vec<Point>, Settings)> {
    let (mut points, origin) = match (&args.csv, &args.sweep) {
        (Some(path), _) => {
            let (points, file) = csv::read(path, &columns(args))?;
            (points, Origin::File(file))
        }
        (None, Some(_)) if args.by.is_some() || !args.column.is_empty() => {
            return Err(Error::bad_input("--by and --column name columns of a CSV file, and a sweep was given")
                .hint("--only TEXT picks curves of a sweep"));
        }
        (None, Some(sweep)) => {
            let (points, sweep) = points_of_sweep(sweep, args.metric.as_deref().unwrap_or("test_loss"))?;
            (points, Origin::Sweep(sweep))
        }
        (None, None) => return Err(Error::bad_input("neither a sweep nor --csv was given")),
    };
    if !args.only.is_empty() {
        let curves: BTreeSet<String> = points.iter().map(|point| point.curve.clone()).collect();
        points.retain(|point| args.only.iter().any(|text| point.curve.contains(text.as_str())));
        if points.is_empty() && !curves.is_empty() {
            let named = Vec::from_iter(curves).join(", ");
            return Err(Error::bad_input(format!("no curve has '{}' in its name", args.only.join("' or '")))
                .hint(format!("the curves are {named}")));
        }
    }
    Ok((points, Settings { origin: Some(origin), ..settings }))
}

/// The settings that the flags ask for.
pub fn settings(args: &Args) -> Result<Settings> {
    Ok(Settings {
        law: match Method::by_name(&args.law)? {
            Method::Law(law) => law,
            Method::Auto(_) | Method::IsoFlop(_) => Settings::default().law,
        },
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

/// The laws tried, the fits, the crossovers, then what was refused, as a person reads them. Ends with a line break.
pub fn tables(analysis: &Analysis) -> String {
    let mut text = String::new();
    if !analysis.laws_tried.is_empty() {
        text += &format!("{}\n\n", tried_table(&analysis.laws_tried));
    }
    if let Some(first) = analysis.fits.first() {
        text += &format!("{}\n{}\n", heading(first), fit_table(&analysis.fits));
    }
    for fit in &analysis.fits {
        text += &dropped_text(&fit.curve, &fit.points_dropped);
    }
    for refused in &analysis.refused {
        text += &format!("{}: not fitted: {}\n", refused.curve, refused.summary);
    }
    for crossover in &analysis.crossovers {
        text += &format!("{} against {}: {crossover}\n", crossover.a, crossover.b);
    }
    text
}

fn dropped_text(curve: &str, dropped: &[Dropped]) -> String {
    const SHOWN: usize = 5;
    let lines = dropped.iter().take(SHOWN);
    let mut text: String = lines.map(|one| format!("{curve}: {} was dropped: {}\n", one.point, one.reason)).collect();
    if dropped.len() > SHOWN {
        text += &format!("{curve}: {} more were dropped; --json lists them\n", dropped.len() - SHOWN);
    }
    text
}

fn tried_table(tried: &[Tried]) -> String {
    let row = |tried: &Tried| {
        let objective = tried.objective.map_or("-".into(), |objective| format!("{objective:.3e}"));
        let note = match (&tried.refused, tried.holdout_rmse) {
            (Some(reason), _) => reason.clone(),
            (None, None) => "too few scales once the largest are hidden".into(),
            (None, Some(_)) => String::new(),
        };
        vec![tried.law.name().into(), tried.params.to_string(), percent(tried.holdout_rmse), objective, note]
    };
    table(&["law", "params", "held-out", "objective", "note"], &["law", "note"], tried.iter().map(row))
}

fn profiles_text(profiles: &Profiles) -> String {
    let mut text = String::new();
    let row = |fit: &IsoFlop| {
        let of = |name: &str| with_interval(fit.params.get(name), fit.intervals.get(name));
        let verdicts: Vec<String> = fit.verdicts.iter().map(ToString::to_string).collect();
        let row = [fit.curve.clone(), fit.points_used.to_string(), of("a"), of("k"), percent(fit.holdout_rmse)];
        [&row[..], &[verdicts.join("; ")]].concat()
    };
    if let Some(first) = profiles.fits.first() {
        text += &format!("{}, {:.0}% intervals\n", first.formula, 100.0 * first.provenance.level);
    }
    let header = ["curve", "points", "a", "k", "held-out", "verdict"];
    text += &format!("{}\n\n", table(&header, &["curve", "verdict"], profiles.fits.iter().map(row)));
    let cells = profiles.fits.iter().flat_map(|fit| fit.cells.iter().map(move |cell| (&fit.curve, cell)));
    let cells = cells.map(|(curve, cell)| {
        let (params, loss, note) = match &cell.outcome {
            Outcome::Interior { params, loss } => (si(*params), format!("{loss:.4}"), String::new()),
            other => ("-".into(), "-".into(), other.to_string()),
        };
        vec![curve.clone(), si(cell.compute), cell.points.to_string(), params, loss, note]
    });
    let header = ["curve", "compute", "points", "best params", "loss", "note"];
    text += &format!("{}\n", table(&header, &["curve", "note"], cells));
    for fit in &profiles.fits {
        text += &dropped_text(&fit.curve, &fit.points_dropped);
    }
    for refused in &profiles.refused {
        text += &format!("{}: not fitted: {}\n", refused.curve, refused.summary);
    }
    text
}

fn heading(fit: &Fit) -> String {
    let scale = match fit.x {
        fit::Scale::Curve(axis) => format!(", x = {axis}"),
        fit::Scale::Surface => ", N = params, D = data".into(),
        fit::Scale::Profile => String::new(),
    };
    let metric = fit.provenance.origin.as_ref().map_or("", |origin| origin.metric());
    let metric = if metric.is_empty() { String::new() } else { format!(", L = {metric}") };
    format!("{}{scale}{metric}; {:.0}% intervals", fit.formula, 100.0 * fit.provenance.level)
}

fn fit_table(fits: &[Fit]) -> String {
    let names: Vec<&str> = fits.first().map_or(Vec::new(), |fit| fit.names().collect());
    let header = [&["curve", "points"], &names[..], &["objective", "held-out", "verdict"]].concat();
    let row = |fit: &Fit| {
        let verdicts: Vec<String> = fit.verdicts.iter().map(ToString::to_string).collect();
        let mut row = vec![fit.curve.clone(), fit.points_used.to_string()];
        row.extend(names.iter().map(|name| with_interval(fit.params.get(name), fit.intervals.get(name))));
        row.push(format!("{:.3e}", fit.objective));
        row.push(percent(fit.holdout_rmse));
        row.push(verdicts.join("; "));
        row
    };
    table(&header, &["curve", "verdict"], fits.iter().map(row))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.2}%", 100.0 * share))
}

fn with_interval(value: Option<&f64>, interval: Option<&Interval>) -> String {
    let Some(value) = value else { return "-".into() };
    match interval {
        Some(interval) => format!("{} ({} to {})", brief(*value), brief(interval.low), brief(interval.high)),
        None => brief(*value),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

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
        let columns = csv::Columns::default();
        let (points, _) = csv::read(file.path(), &columns).unwrap();
        let settings = settings(&parsed(&["--csv", "x.csv", "--bootstrap", "200"])).unwrap();
        let analysis = fit::fit_curves(&points, Axis::Data, &settings).unwrap();
        insta::assert_snapshot!(tables(&analysis));
    }

    #[test]
    fn needs_a_sweep_or_a_file_and_known_names() {
        assert!(Line::try_parse_from(["fit"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--csv", "b.csv"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--level", "95"]).is_err());
        assert!(Line::try_parse_from(["fit", "a.toml", "--threads", "0"]).is_err());
        let error = settings(&parsed(&["a.toml", "--law", "chinchila"])).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean --law chinchilla?"));
        let none = |_: &str, _: &str| Ok((Vec::new(), SweepOrigin::default()));
        let code = |words: &[&str]| {
            let command = Command { fit: parsed(words), sections: Sections::default() };
            run(&command, none, |_, _| Ok(Vec::new())).unwrap_err().exit_code()
        };
        assert_eq!(code(&["--csv", "nowhere.csv"]), 2);
        assert_eq!(code(&["a.toml"]), 1);
    }
}
