//! Curves beside one another.

pub mod backtest;
pub mod band;
pub mod conclusion;
pub mod crossover;
pub mod measured;
pub mod multiplier;
pub mod multiverse;
pub mod sentence;
pub mod shared;
pub mod tables;

use self::crossover::{Crossover, compare_all};
use self::multiplier::{Multiplier, multipliers};
use self::tables::Tables;
use crate::fit::data::origin::Origin;
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::settings::Settings;
use crate::fit::uncertainty::interval::IntervalKind;

/// Every pair of fits, whose resamples are paired, told in sentences; none of surfaces, or of one curve,
/// of which nothing is counted.
pub fn pairs(fits: &[Fit], kind: IntervalKind, settings: &Settings) -> (Vec<Crossover>, Vec<Multiplier>) {
    let [Fit { x: Scale::Curve(axis), .. }, _, ..] = fits else { return (Vec::new(), Vec::new()) };
    let tables = Tables::of(fits);
    let multipliers = multipliers(&tables, settings.level);
    let metric = settings.origin.as_ref().map_or("loss", Origin::falling);
    let crossovers = compare_all(&tables, kind, settings.level);
    (sentence::told(crossovers, *axis, &multipliers, metric), multipliers)
}
