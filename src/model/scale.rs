//! Size ladders (D9): the config of a wanted cost. Each family offers shapes (depths); the width is found by bisection;
//! among the configs within tolerance the one of the most usual proportions is taken.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::model::config::{Config, overlay, settings};
use crate::model::{Costs, Io, Target};
use crate::run::Settings;
use crate::units::si;

const WIDEST: u64 = 1 << 16;
/// Widths looked at in one shape: more are within tolerance only at widths of thousands, where any serves.
const WIDTHS: u64 = 256;

/// Widths tried before a shape is given up.
const PROBED: u64 = 1024;

struct Candidate<C> {
    config: C,
    cost: f64,
    /// |ln(cost / target)|.
    distance: f64,
}

impl Target {
    pub fn value(self) -> f64 {
        match self {
            Target::Params(value) | Target::ForwardFlops(value) => value,
        }
    }

    /// The cost that this target speaks of.
    pub fn of(self, costs: Costs) -> f64 {
        match self {
            Target::Params(_) => costs.params as f64,
            Target::ForwardFlops(_) => costs.forward_flops as f64,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Target::Params(_) => "params",
            Target::ForwardFlops(_) => "forward FLOPs",
        }
    }
}

/// Oddness of a width that is not a multiple of 8.
pub fn unround(width: u64) -> f64 {
    [0.0, 0.05, 0.1, 0.2][3 - width.trailing_zeros().min(3) as usize]
}

/// Oddness of the depth of a stack of token blocks. Usual is sqrt(width) / 2, that is 4 at 64, 7 at 192, 14 at 768:
/// ViT-B and Mixer-B are 12 deep, and small ones on small images are a few deep.
pub fn undeep(depth: u64, width: u64) -> f64 {
    (depth as f64 / ((width as f64).sqrt() / 2.0)).ln().abs()
}

/// The depths to look at: the one held, or all up to the deepest.
pub fn depths(depth: u64, deepest: u64, held: &Settings) -> RangeInclusive<u64> {
    if held.contains_key("depth") { depth..=depth } else { 1..=deepest }
}

pub fn nearest_config<C: Config>(given: &Settings, target: Target, tolerance: f64, io: Io) -> Result<C> {
    let wanted = target.value();
    if !(wanted.is_finite() && wanted >= 1.0 && tolerance > 0.0) {
        return Err(Error::bad_input(format!("{}: no config has {wanted} {}", C::NAME, target.unit())));
    }
    let base: C = overlay(C::default(), given)?;
    let (mut found, mut refused) = (Vec::new(), None);
    for shape in base.shapes(given, io) {
        match first_sound(&shape, given) {
            Ok(()) => candidates(&shape, given, target, tolerance, io, &mut found)?,
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if let (true, Some(error)) = (found.is_empty(), refused) {
        return Err(error.context(C::NAME));
    }
    let closest = found.iter().min_by(|a, b| a.distance.total_cmp(&b.distance));
    let limit = (1.0 + tolerance).ln();
    let within = found.iter().filter(|candidate| candidate.distance <= limit);
    // Usual proportions first; a cost that is off by the whole tolerance weighs as much as a tenth of a factor e.
    let score = |candidate: &Candidate<C>| candidate.config.oddness() + 0.1 * candidate.distance / limit;
    match within.min_by(|a, b| score(a).total_cmp(&score(b))) {
        Some(best) => Ok(best.config.clone()),
        None => Err(unreachable_target::<C>(closest, target, tolerance)),
    }
}

/// Refuses a shape that its keys make impossible at every width: its costs mean nothing.
fn first_sound<C: Config>(shape: &C, given: &Settings) -> Result<()> {
    if given.contains_key("width") {
        return shape.check();
    }
    let at = |width: u64| shape.widened(width, given).check();
    if (1..PROBED).any(|width| at(width).is_ok()) { Ok(()) } else { at(PROBED) }
}

/// Adds what is near the target in one shape: all widths within tolerance, and the first on either side of it.
fn candidates<C: Config>(
    shape: &C,
    given: &Settings,
    target: Target,
    tolerance: f64,
    io: Io,
    found: &mut Vec<Candidate<C>>,
) -> Result<()> {
    let wanted = target.value();
    let cost = |config: &C| config.costs(io).map(|costs| target.of(costs)).map_err(|error| error.context(C::NAME));
    let mut add = |config: C| -> Result<()> {
        if config.check().is_ok() {
            let cost = cost(&config)?;
            found.push(Candidate { config, cost, distance: (cost / wanted).ln().abs() });
        }
        Ok(())
    };
    if given.contains_key("width") {
        return add(shape.clone());
    }
    let (mut low, mut high) = (1, WIDEST);
    while low < high {
        let middle = (low + high) / 2;
        match cost(&shape.widened(middle, given))? < wanted / (1.0 + tolerance) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    // Two below, so that held keys which only some widths satisfy still leave a nearest config to name.
    for width in low.saturating_sub(2).max(1)..(low + WIDTHS).min(WIDEST) {
        let config = shape.widened(width, given);
        let beyond = cost(&config)? > wanted * (1.0 + tolerance);
        add(config)?;
        if beyond && width > low + 1 {
            break;
        }
    }
    Ok(())
}

/// The hint names the keys in which the nearest config differs from the defaults.
fn unreachable_target<C: Config>(closest: Option<&Candidate<C>>, target: Target, tolerance: f64) -> Error {
    let wanted = si(target.value());
    let unit = target.unit();
    let percent = tolerance * 100.0;
    let error = Error::bad_input(format!("{}: no config within {percent}% of {wanted} {unit}", C::NAME));
    match closest {
        Some(near) => {
            let [defaults, keys] = [&C::default(), &near.config].map(|config| settings(config).unwrap_or_default());
            let keys = keys.iter().filter(|(key, value)| defaults.get(*key) != Some(value));
            let keys: Vec<_> = keys.map(|(key, value)| format!("{key}={value}")).collect();
            error.hint(format!("the nearest has {} {unit}: {}", si(near.cost), keys.join(" ")))
        }
        None => error.hint("the keys you hold leave the scaling rule no config at all: hold fewer"),
    }
}
