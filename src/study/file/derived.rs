//! Scales that follow from others: C = 6 N D, what was seen from D, D from C and N.

use std::collections::BTreeMap;

use super::asked::{Asked, FLOPS_PER};
use super::layout::{Count, Layout};
use super::points::Read;
use super::table::Table;
use crate::error::{Error, Result};
use crate::fit::Scale;
use crate::point::Axis;

/// Fills in the scale that is asked for where no column has it and others tell it; the formula of each by the name of
/// its scale.
///
/// # Errors
/// `--flops-per` beside a column of FLOPs, or where nothing is counted by it.
pub fn scales(
    rows: &mut [Read],
    table: &Table,
    layout: &Layout,
    asked: &Asked,
    over: Scale,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, String>> {
    let mut formulas = BTreeMap::new();
    let factor = asked.flops_per.unwrap_or(FLOPS_PER);
    if let (Some(_), Some(compute)) = (asked.flops_per, &layout.compute) {
        let column = &table.header[compute.column];
        return Err(Error::bad_input(format!("--flops-per: {} counts its FLOPs in column {column}", table.name))
            .hint("leave the flag out"));
    }
    let name = |count: &Option<Count>| count.as_ref().map(|count| table.header[count.column].as_str());
    if let (None, Some(seen)) = (name(&layout.data), name(&layout.seen)) {
        rows.iter_mut().for_each(|read| read.point.data = read.point.seen);
        formulas.insert("data".into(), seen.into());
        notes.push(format!("no column counts unique examples: {seen} is taken for data, as if none was repeated"));
    }
    let wants = |axis: Axis| matches!(over, Scale::Curve(x) if x == axis);
    let has_data = layout.data.is_some() || layout.seen.is_some();
    let wants_compute = wants(Axis::Compute) || over == Scale::Profile;
    if wants_compute && layout.compute.is_none() && layout.params.is_some() && has_data {
        let by = if layout.seen.is_some() || layout.epochs.is_some() { "seen" } else { "D" };
        let formula = format!("{factor} N {by}");
        for read in rows.iter_mut() {
            let point = &mut read.point;
            point.compute = point.params.zip(point.seen.or(point.data)).map(|(n, d)| factor * n * d);
        }
        notes.push(format!("no column counts FLOPs: compute is {formula} (--flops-per changes the {factor})"));
        formulas.insert("compute".into(), formula);
    } else if asked.flops_per.is_some() && wants_compute {
        return Err(Error::bad_input(format!("--flops-per: {} has no columns of params and of examples", table.name))
            .hint("name them: --column params=COLUMN --column examples=COLUMN"));
    }
    if !has_data && layout.params.is_some() && layout.compute.is_some() && (wants(Axis::Data) || over == Scale::Surface)
    {
        let formula = format!("C / {factor} N");
        for read in rows.iter_mut() {
            let point = &mut read.point;
            point.data = point.compute.zip(point.params).map(|(c, n)| c / (factor * n));
        }
        notes.push(format!(
            "no column counts examples: data is {formula}, with C of column {}",
            name(&layout.compute).unwrap_or_default()
        ));
        formulas.insert("data".into(), formula);
    }
    Ok(formulas)
}
