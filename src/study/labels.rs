//! What the axes of a study are called, with a unit only where somebody said it: our own sweeps know theirs, a file's
//! columns tell by their names.

use super::Study;
use crate::fit::{FileOrigin, Origin};
use crate::point::Axis;

/// A label and its unit.
pub type Label = (String, Option<String>);

impl Study {
    pub fn x_label(&self, axis: Axis) -> Label {
        let (label, unit) = match axis {
            Axis::Params => ("model size", "parameters"),
            Axis::Data => ("training set size", "examples"),
            Axis::Compute => ("training compute", "FLOPs"),
            Axis::Seconds => ("training time", "seconds"),
        };
        let of = |origin: &Origin| match origin {
            Origin::Sweep(_) => (label.into(), Some(unit.into())),
            Origin::File(file) => of_file(file, axis, label),
            Origin::Several(_) => (label.into(), None),
        };
        agreed(&self.origin, of, label)
    }

    /// Of our own sweeps losses are in nats per example and errors are shares (`task`, `train`).
    pub fn y_label(&self) -> Label {
        let of = |origin: &Origin| {
            let metric = origin.metric();
            let unit = match origin {
                Origin::File(file) => file.percent.then_some("%"),
                Origin::Sweep(_) if metric.ends_with("loss") => Some("nats per example"),
                Origin::Sweep(_) if metric.ends_with("error") => Some("share of examples"),
                Origin::Sweep(_) | Origin::Several(_) => None,
            };
            (metric.replace('_', " "), unit.map(str::to_owned))
        };
        agreed(&self.origin, of, self.origin.falling())
    }
}

/// Of several studies what they agree on: else the plain label without a unit.
fn agreed(origin: &Origin, of: impl Fn(&Origin) -> Label, label: &str) -> Label {
    match origin {
        Origin::Several(origins) => {
            let mut labels = origins.iter().map(of);
            let first = labels.next();
            first.filter(|first| labels.all(|other| other == *first)).unwrap_or_else(|| (label.into(), None))
        }
        one => of(one),
    }
}

fn of_file(file: &FileOrigin, axis: Axis, label: &str) -> Label {
    let (meaning, units): (&str, &[(&str, &str)]) = match axis {
        Axis::Params => ("params", &[("param", "parameters")]),
        Axis::Data => {
            ("examples", &[("token", "tokens"), ("example", "examples"), ("sample", "samples"), ("image", "images")])
        }
        Axis::Compute => ("flops", &[("flop", "FLOPs"), ("pf-day", "FLOPs")]),
        Axis::Seconds => ("seconds", &[]),
    };
    let column = file.columns.get(meaning).or_else(|| file.columns.get("seen").filter(|_| axis == Axis::Data));
    match (file.formulas.get(&axis.to_string()), column) {
        (Some(formula), _) if axis == Axis::Compute => (format!("{label} ({formula})"), Some("FLOPs".into())),
        (_, Some(column)) => {
            let small = column.to_lowercase();
            match units.iter().find(|(word, _)| small.contains(word)) {
                Some((_, unit)) => (label.into(), Some((*unit).into())),
                None => (column.clone(), None),
            }
        }
        _ => (label.into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_said_where_the_file_says_them() {
        let columns = |columns: &[(&str, &str)]| FileOrigin {
            columns: columns.iter().map(|(meaning, column)| ((*meaning).into(), (*column).into())).collect(),
            ..FileOrigin::default()
        };
        let label = |file: &FileOrigin, axis| {
            let (label, unit) = of_file(file, axis, "known");
            format!("{label} [{}]", unit.unwrap_or_default())
        };
        let file = columns(&[("params", "N"), ("examples", "data.tokens"), ("flops", "C")]);
        assert_eq!(label(&file, Axis::Params), "N []");
        assert_eq!(label(&file, Axis::Data), "known [tokens]");
        assert_eq!(label(&file, Axis::Compute), "C []");
        let file = columns(&[("params", "n_params"), ("examples", "Step"), ("flops", "train FLOPs")]);
        assert_eq!(label(&file, Axis::Params), "known [parameters]");
        assert_eq!(label(&file, Axis::Data), "Step []");
        assert_eq!(label(&file, Axis::Compute), "known [FLOPs]");
        let formulas = [("compute".to_owned(), "6 N D".to_owned())].into();
        assert_eq!(label(&FileOrigin { formulas, ..file }, Axis::Compute), "known (6 N D) [FLOPs]");
    }
}
