//! Every combination of values of a sweep's axes, and what the task is at each.

use serde_json::Value;

use crate::error::Result;
use crate::model::Io;
use crate::run::Named;
use crate::spec::{Axis, AxisOf};
use crate::task::{self, Splits};

pub type Variant<'a> = Vec<(&'a Axis, &'a Value)>;

/// Every combination of values of the axes.
pub fn variants<'a>(axes: impl IntoIterator<Item = &'a Axis>) -> Vec<Variant<'a>> {
    axes.into_iter().fold(vec![Vec::new()], |variants, axis| {
        let mut longer = Vec::with_capacity(variants.len() * axis.values.len());
        for variant in &variants {
            longer.extend(axis.values.iter().map(|value| [variant.as_slice(), &[(axis, value)]].concat()));
        }
        longer
    })
}

/// The task with the variant's values of its axes.
pub fn with_task_axes(task: &Named, variant: &Variant<'_>) -> Result<Named> {
    let mut settings = task.settings.clone();
    for (axis, value) in variant.iter().filter(|(axis, _)| axis.on == AxisOf::Task) {
        settings.insert(axis.key.clone(), (*value).clone());
    }
    task::resolve(&task.name, &settings)
}

/// Input and splits of the task in each variant that makes sense.
pub fn inputs(task: &Named, axes: &[Axis]) -> Vec<(Io, Splits)> {
    let of = |variant: &Variant<'_>| {
        let task = with_task_axes(task, variant).ok()?;
        Some((task::io(&task).ok()?, task::splits(&task).ok()?))
    };
    variants(axes.iter().filter(|axis| axis.on == AxisOf::Task)).iter().filter_map(of).collect()
}
