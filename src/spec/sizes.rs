//! Where the sizes of a model come from: at most one of a name, a number of parameters and a number of FLOPs.

use super::Sizes;
use super::document::{Checked, Complaint, Entry, Table};
use crate::model::{self, Target};

pub(super) fn resolve(table: &Table) -> Checked<Sizes> {
    let ladder = targets(table)?;
    Ok(match (table.get("size"), ladder) {
        (Some(size), Some(_)) => {
            let other = table.get("params").or(table.get("forward_flops")).unwrap_or(size.clone());
            return Err(given_twice(&size, &other));
        }
        (Some(size), None) => Sizes::Named(size.list_of("names in quotes", |v| v.as_str().map(str::to_owned))?),
        (None, Some((targets, tolerance))) => Sizes::Ladder { targets, tolerance },
        (None, None) => Sizes::Explicit,
    })
}

fn given_twice(first: &Entry, second: &Entry) -> Complaint {
    let message = format!("the model's size is given by `{}` and by `{}`", first.key, second.key);
    Complaint::at(second.key_span.clone(), message).hint("keep one of size, params, forward_flops")
}

/// What a ladder aims at, and how near it has to get; none where the table has none.
pub(super) fn targets(table: &Table) -> Checked<Option<(Vec<Target>, f64)>> {
    let tolerance = match table.get("tolerance") {
        None => model::TOLERANCE,
        Some(entry) => entry.value.as_f64().filter(|t| *t > 0.0 && *t < 1.0).ok_or_else(|| {
            Complaint::at(entry.span.clone(), format!("`tolerance` is a share between 0 and 1, not {}", entry.value))
        })?,
    };
    let (given, target): (Entry, fn(f64) -> Target) = match (table.get("params"), table.get("forward_flops")) {
        (None, None) => return Ok(None),
        (Some(params), Some(flops)) => return Err(given_twice(&params, &flops)),
        (Some(params), None) => (params, Target::Params),
        (None, Some(flops)) => (flops, Target::ForwardFlops),
    };
    let amounts = given.list_of("positive numbers", |value| value.as_f64().filter(|x| *x > 0.0))?;
    Ok(Some((amounts.into_iter().map(target).collect(), tolerance)))
}
