//! How many runs a sweep asks for, counted before any of them is made: three lists of a thousand values are a billion.

use super::document::{Entry, Table};
use super::{MOST_RUNS, RawSweep};
use crate::error::{Error, Result};

/// A list of a sweep, all of which multiply; the models count together.
struct Extent {
    key: String,
    values: u64,
}

/// # Errors
/// More than `most` runs: says how many, and which lists make them.
pub(super) fn check(raw: &RawSweep, most: u64) -> Result<()> {
    let mut extents: Vec<Extent> = [&raw.axes, &raw.tuned, raw.budget.get_ref()].into_iter().flat_map(lists).collect();
    let models = raw.model.iter().map(|model| sizes(model.get_ref())).fold(0, u64::saturating_add);
    extents.push(Extent { key: "models and sizes".into(), values: models });
    let runs = extents.iter().fold(1u128, |runs, extent| runs.saturating_mul(extent.values.max(1).into()));
    if runs <= most.into() {
        return Ok(());
    }
    extents.retain(|extent| extent.values > 1);
    extents.sort_by_key(|extent| std::cmp::Reverse(extent.values));
    let factors: Vec<String> =
        extents.iter().map(|extent| format!("{} {}", grouped(extent.values.into()), extent.key)).collect();
    Err(Error::bad_input(format!("the sweep has {} runs: {}", grouped(runs), factors.join(" x ")))
        .hint(format!("give fewer values; beyond {} runs 'plan' and 'run' want --force", grouped(MOST_RUNS.into()))))
}

fn lists(table: &Table) -> impl Iterator<Item = Extent> {
    table.entries().map(|Entry { key, value, .. }| {
        let values = value.as_array().map_or(1, |values| values.len() as u64);
        Extent { key, values }
    })
}

/// The sizes of a `[[model]]` table. Lists of a script's own keys multiply.
fn sizes(model: &Table) -> u64 {
    if model.get("command").is_some() {
        let own = lists(model).filter(|extent| !["command", "files"].contains(&extent.key.as_str()));
        return own.fold(1, |sizes, extent| sizes.saturating_mul(extent.values.max(1)));
    }
    let counts = ["size", "params", "forward_flops"].iter().filter_map(|key| model.get(key));
    counts.map(|entry| entry.value.as_array().map_or(1, Vec::len) as u64).max().unwrap_or(1).max(1)
}

/// With a comma between thousands.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| String::from_utf8_lossy(group));
    let parts = (first > 0).then(|| digits[..first].into()).into_iter().chain(groups);
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        let shown = [0, 7, 999, 1000, 12_345, 10_000_000_000].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1,000", "12,345", "10,000,000,000"]);
    }
}
