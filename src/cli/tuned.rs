//! Laws of tuned values as a person reads them.

use super::answer::short;
use super::table::{paragraph, table};
use crate::fit::tuned::{TunedLaw, TunedLaws};
use crate::units::{brief, si};

/// A row a curve, then what the grid allows to be said. Ends with a line break.
pub fn text(laws: &TunedLaws) -> String {
    let mut text = String::new();
    let mut formulas: Vec<&str> = laws.fits.iter().map(|law| law.formula.as_str()).collect();
    formulas.dedup();
    for formula in formulas {
        let of: Vec<&TunedLaw> = laws.fits.iter().filter(|law| law.formula == formula).collect();
        let names: Vec<&str> = of[0].params.keys().copied().collect();
        let header = [&["curve", "cells"], &names[..], &["scatter"]].concat();
        let rows = of.iter().map(|law| {
            let mut row = vec![law.curve.clone(), law.cells.to_string()];
            row.extend(names.iter().map(|name| with_ends(law, name)));
            row.push(format!("x{:.2}", law.scatter.exp()));
            row
        });
        text += &format!("{formula}; {:.0}% intervals\n{}\n", 100.0 * of[0].level, table(&header, &["curve"], rows));
    }
    if let Some(first) = laws.fits.first() {
        text += &paragraph(&grid(first), "", "  ");
    }
    for law in &laws.fits {
        let verdicts = law.verdicts.iter().map(ToString::to_string);
        let bounded = law.bounded_by_grid.then(|| {
            "too few different values were chosen for their rounding to cancel: the interval is as wide as the grid \
             makes it at worst"
                .to_owned()
        });
        for note in verdicts.chain(bounded) {
            text += &paragraph(&format!("{}: {note}", law.curve), "", "  ");
        }
    }
    for refused in &laws.refused {
        text += &paragraph(&format!("{}: not fitted: {}", refused.curve, refused.summary), "", "  ");
    }
    text
}

/// What the values were chosen from.
fn grid(law: &TunedLaw) -> String {
    let values: Vec<String> = law.values.iter().map(|value| rounded(*value)).collect();
    format!(
        "{} was chosen from a grid whose values lie a factor of {} apart or more ({}): each choice is off by up to half \
         of that, which the intervals hold",
        law.key,
        si(law.grid_factor),
        values.join(", ")
    )
}

/// To four digits: values of a grid may have come from arithmetic.
fn rounded(value: f64) -> String {
    format!("{value:.3e}").parse::<f64>().map_or_else(|_| value.to_string(), |value| value.to_string())
}

fn with_ends(law: &TunedLaw, name: &str) -> String {
    let ends = law.intervals[name];
    format!("{} ({} to {})", brief(law.params[name]), short(ends.low), short(ends.high))
}
