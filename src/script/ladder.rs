//! Sizes of a script by what they cost: the value of one of its keys whose cost is nearest to a target, found by bisection
//! over what the script says of itself.

use crate::error::{Error, Result};
use crate::model::Target;
use crate::units::si;

/// Which key makes a script larger.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub key: String,
    /// It takes multiples of this.
    pub unit: u64,
    /// Where the search begins.
    pub from: u64,
}

/// No script is asked for more.
const LARGEST: u64 = 1 << 24;

/// A value of the key, and what it costs.
type Rung = (u64, f64);

/// The value nearest to `target`, within `tolerance`; `cost` asks the script.
///
/// # Errors
/// There is none, with its neighbours; the key does not make the script larger; those of `cost`.
pub fn nearest(scale: &Scale, target: Target, tolerance: f64, cost: &mut dyn FnMut(u64) -> Result<f64>) -> Result<u64> {
    let Scale { key, unit, .. } = scale;
    let wanted = target.value();
    let sides = around(scale, wanted, cost)?;
    let off = |rung: &Rung| (rung.1 / wanted - 1.0).abs();
    let best = sides.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    match best {
        Some(rung) if off(rung) <= tolerance => Ok(rung.0),
        _ => {
            let told: Vec<String> =
                sides.iter().map(|(value, cost)| format!("{key} = {value} has {}", si(*cost))).collect();
            let what = target.unit();
            let message = format!("no {key} is within {}% of {} {what}", 100.0 * tolerance, si(wanted));
            let units = if *unit > 1 { format!(" among multiples of {unit}") } else { String::new() };
            Err(Error::bad_input(format!("{message}{units}"))
                .hint(format!("{}: ask for one of these", told.join(", "))))
        }
    }
}

/// The neighbours of what is wanted: the last value below, and the first that is not.
fn around(scale: &Scale, wanted: f64, cost: &mut dyn FnMut(u64) -> Result<f64>) -> Result<Vec<Rung>> {
    let Scale { key, unit, from } = scale;
    let mut at = |rungs: u64| Ok::<Rung, Error>((rungs, cost(rungs * unit)?));
    let most = (LARGEST / unit).max(1);
    let first = at((from / unit).clamp(1, most))?;
    let (mut low, mut high) = if first.1 < wanted { (Some(first), None) } else { (None, Some(first)) };
    // Doubled or halved until it lies between.
    while low.is_none() || high.is_none() {
        match (low, high) {
            (Some((rungs, _)), None) if rungs < most => {
                let next = at((2 * rungs).min(most))?;
                if next.1 < wanted { low = Some(next) } else { high = Some(next) }
            }
            (None, Some((rungs, _))) if rungs > 1 => {
                let next = at(rungs / 2)?;
                if next.1 < wanted { low = Some(next) } else { high = Some(next) }
            }
            _ => break,
        }
    }
    let mut halve = false;
    while let (Some(below), Some(above)) = (low, high)
        && above.0 - below.0 > 1
    {
        if below.1 >= above.1 {
            let (small, large) = (below.0 * unit, above.0 * unit);
            return Err(Error::bad_input(format!("{key} = {large} costs no more than {key} = {small}"))
                .hint("`scale` names a key that makes the script larger"));
        }
        // Costs are powers of a width, nearly: the line through both ends in logs, and every other time the middle.
        let share = if halve { 0.5 } else { (wanted / below.1.max(1.0)).ln() / (above.1 / below.1.max(1.0)).ln() };
        let guess = (below.0 as f64 * (above.0 as f64 / below.0 as f64).powf(share)).round();
        let next = at((guess as u64).clamp(below.0 + 1, above.0 - 1))?;
        if next.1 < wanted {
            low = Some(next)
        } else {
            high = Some(next)
        }
        halve = !halve;
    }
    Ok([low, high].into_iter().flatten().map(|(rungs, cost)| (rungs * unit, cost)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(unit: u64, from: u64) -> Scale {
        Scale { key: "width".into(), unit, from }
    }

    /// Of a network whose params are 3 w^2 + 50 w + 10.
    fn params(width: u64) -> f64 {
        let width = width as f64;
        3.0 * width * width + 50.0 * width + 10.0
    }

    #[test]
    fn the_nearest_value_is_found_from_wherever_it_begins_and_few_are_asked() {
        for (unit, from) in [(1, 1), (1, 64), (8, 64), (8, 5000)] {
            for wanted in [1e3, 1e5, 1e6, 3.3e8] {
                let mut asked = 0;
                let found = nearest(&scale(unit, from), Target::Params(wanted), 0.5, &mut |width| {
                    asked += 1;
                    Ok(params(width))
                });
                let found = found.unwrap();
                let off = |width: u64| (params(width) / wanted - 1.0).abs();
                assert!(
                    found.is_multiple_of(unit) && off(found) <= off(found + unit),
                    "{unit} {from} {wanted}: {found}"
                );
                assert!(found == unit || off(found) <= off(found - unit), "{unit} {from} {wanted}: {found}");
                assert!(asked < 30, "{unit} {from} {wanted}: {asked}");
            }
        }
    }

    #[test]
    fn what_is_not_near_is_refused_with_its_neighbours() {
        let refused = |unit, wanted, tolerance| {
            let error = nearest(&scale(unit, 64), Target::Params(wanted), tolerance, &mut |width| Ok(params(width)));
            let error = error.unwrap_err();
            format!("{}; {}", error.message, error.hint.unwrap_or_default())
        };
        assert_eq!(
            refused(32, 1e4, 0.1),
            "no width is within 10% of 10.0k params among multiples of 32; width = 32 has 4.68k, width = 64 has 15.5k: \
             ask for one of these"
        );
        assert_eq!(
            refused(1, 10.0, 0.1),
            "no width is within 10% of 10 params; width = 1 has 63: ask for one of these"
        );
        let flat = nearest(&scale(1, 4), Target::Params(1e6), 0.1, &mut |width| Ok(if width < 8 { 10.0 } else { 2e7 }));
        assert!(flat.unwrap_err().message.starts_with("no width is within 10% of 1.00M params"));
        let failing = nearest(&scale(1, 4), Target::Params(1e6), 0.1, &mut |_| Err(Error::failed("it fails")));
        assert_eq!(failing.unwrap_err().message, "it fails");
    }
}
