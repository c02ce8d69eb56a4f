//! Laws are of losses, which fall with scale. A metric that rises is refused, or fitted as what it lacks of its ceiling.

use std::collections::HashMap;

use super::asked::Ceiling;
use super::names::{self, Direction};
use super::points::Read;
use crate::error::{Error, Result};
use crate::units::brief;

/// Rank correlation of a metric with the scale from which on it rises, and in how many of its standard deviations that has
/// to show: a metric that goes nowhere is taken for one that rises in one file of twenty.
const RISES: f64 = 0.5;
const SHOWN: f64 = 1.645;

/// Turns a metric that rises into what it lacks of its ceiling, where that was asked for, and says what is fitted then:
/// `1 - accuracy`.
///
/// # Errors
/// The metric rises by its name or by its values and that was not said; values beyond the ceiling; values of which only
/// some are in percent.
pub fn settle(rows: &mut [Read], metric: &str, rising: Option<Ceiling>) -> Result<Option<String>> {
    let measured = || rows.iter().filter(|read| read.measured);
    let percent = measured().filter(|read| read.percent).count();
    if let (true, Some(odd)) = (percent > 0, measured().find(|read| !read.percent && read.point.value.is_finite())) {
        return Err(Error::bad_input(format!(
            "{}: {metric} is in percent in some rows, and not in this",
            odd.point.source
        ))
        .hint("write all of them with %, or none"));
    }
    let (low, high) = measured()
        .map(|read| read.point.value)
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let within = |ceiling: f64| low >= 0.0 && high <= ceiling;
    let Some(rising) = rising else {
        let direction = names::direction(metric);
        let rises = match direction {
            Direction::Rising => true,
            Direction::Falling => false,
            Direction::Unsaid => within(1.0) && high > low && rises(rows),
        };
        return match rises {
            true => Err(refusal(metric, direction, within(1.0) && percent == 0, within(100.0))),
            false => Ok(None),
        };
    };
    let ceiling = match rising {
        Ceiling::Given(ceiling) => ceiling,
        Ceiling::Found if percent == 0 && within(1.0) => 1.0,
        Ceiling::Found => 100.0,
    };
    if !within(ceiling) {
        let beyond = if low < 0.0 { low } else { high };
        return Err(Error::bad_input(format!(
            "--rising: {metric} holds {}, beyond a ceiling of {ceiling}",
            brief(beyond)
        ))
        .hint("name what it rises to, as --rising=1000 for counts of 1000"));
    }
    for read in rows.iter_mut() {
        read.point.value = ceiling - read.point.value;
    }
    Ok(Some(format!("{ceiling}{} - {metric}", if percent > 0 { "%" } else { "" })))
}

fn refusal(metric: &str, direction: Direction, share: bool, percent: bool) -> Error {
    let why = match direction {
        Direction::Rising => "by its name",
        _ => "within 0 and 1, and larger at larger scales",
    };
    let fits = match (share, percent) {
        (true, _) => format!("--rising fits 1 - {metric}, as an error"),
        (_, true) => format!("--rising fits 100 - {metric}, as an error in percent"),
        _ => "--rising=CEILING fits CEILING - the metric".to_owned(),
    };
    let other = match direction {
        Direction::Rising => "; --metric names another column",
        _ => "; a column with 'loss' or 'error' in its name is taken as it is",
    };
    Error::bad_input(format!("{metric} rises with scale ({why}): the laws are of losses, which fall"))
        .hint(format!("{fits}{other}"))
}

/// By the rank correlation of the metric with the first scale that there is, the mean over curves. Under no trend that of
/// n points has variance 1 / (n - 1).
fn rises(rows: &[Read]) -> bool {
    let mut curves: HashMap<&str, Vec<(f64, f64)>> = HashMap::new();
    for read in rows.iter().filter(|read| read.point.value.is_finite()) {
        let point = &read.point;
        if let Some(x) = point.compute.or(point.data).or(point.params) {
            curves.entry(&point.curve).or_default().push((x, point.value));
        }
    }
    let told = || curves.values().filter(|pairs| pairs.len() >= 3);
    let count = told().count() as f64;
    let mean = told().map(|pairs| spearman(pairs)).sum::<f64>() / count;
    let deviation = told().map(|pairs| 1.0 / (pairs.len() as f64 - 1.0)).sum::<f64>().sqrt() / count;
    mean > RISES && mean > SHOWN * deviation
}

fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let (x, y) = (ranks(pairs.iter().map(|pair| pair.0)), ranks(pairs.iter().map(|pair| pair.1)));
    let mean = (pairs.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let spread = (product(&x, &x) * product(&y, &y)).sqrt();
    if spread > 0.0 { product(&x, &y) / spread } else { 0.0 }
}

/// Equal values share the mean of their ranks.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let first = order.partition_point(|other| values[*other] < values[run[0]]);
        run.iter().for_each(|at| ranks[*at] = first as f64 + (run.len() as f64 - 1.0) / 2.0);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties_and_correlate() {
        // scipy.stats.spearmanr([1, 2, 2, 4, 5], [0.1, 0.3, 0.2, 0.2, 0.9]).statistic
        let pairs = [(1.0, 0.1), (2.0, 0.3), (2.0, 0.2), (4.0, 0.2), (5.0, 0.9)];
        assert!((spearman(&pairs) - 0.763_157_894_736_842_1).abs() < 1e-12, "{}", spearman(&pairs));
        assert_eq!(ranks([3.0, 1.0, 3.0].into_iter()), [1.5, 0.0, 1.5]);
    }
}
