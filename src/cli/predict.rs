//! `--predict`: where predictions are asked for, and the table that answers.

use clap::Args as ClapArgs;

use super::answer::with_interval;
use super::table::table;
use crate::fit::predict::{At, Prediction};
use crate::study::file::filter::number;
use crate::units::si;

#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Predict {
    /// Predict the loss at a scale, with its interval: data=1e9, params=1B,data=20B. Surfaces and profiles say the
    /// best size at compute=1e22, repeated data the best size and epochs at data=1e9,compute=1e22; repeatable
    #[arg(long, value_name = "SCALE=NUMBER,…", value_parser = at)]
    pub predict: Vec<At>,
}

fn at(text: &str) -> Result<At, String> {
    At::parse(text, number)
}

/// A row a prediction; empty without any.
pub fn text(predictions: &[Prediction], level: f64) -> String {
    if predictions.is_empty() {
        return String::new();
    }
    let sized = predictions.iter().any(|found| found.params.is_some());
    let repeated = predictions.iter().any(|found| found.seen.is_some());
    let row = |found: &Prediction| {
        let of = |name: &str, value: Option<f64>| with_interval(value.as_ref(), found.intervals.get(name));
        let beyond: Vec<String> = found
            .beyond
            .iter()
            .map(|beyond| format!("{} times beyond in {}", times(beyond.times), beyond.scale))
            .collect();
        let beyond = if beyond.is_empty() { "inside the data".into() } else { beyond.join(", ") };
        let mut row = vec![found.curve.clone(), found.at.to_string(), of("loss", found.loss)];
        if sized {
            let examples = if repeated { of("seen", found.seen) } else { of("data", found.data) };
            row.extend([of("params", found.params), examples]);
        }
        row.push(beyond);
        row
    };
    let header: &[&str] = match (sized, repeated) {
        (true, true) => &["curve", "at", "loss", "best params", "best seen", "extrapolation"],
        (true, false) => &["curve", "at", "loss", "best params", "best data", "extrapolation"],
        (false, _) => &["curve", "at", "loss", "extrapolation"],
    };
    let heading = format!("predictions, {:.0}% intervals of the law's loss there (not of one run)", 100.0 * level);
    format!("\n{heading}\n{}\n", table(header, &["curve", "at", "extrapolation"], predictions.iter().map(row)))
}

/// 1.4, 37, 1.2k.
fn times(times: f64) -> String {
    if times < 10.0 { format!("{times:.1}") } else { si(times.round()) }
}
