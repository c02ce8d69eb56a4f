//! A sweep file with more of an axis: which values a sweep scales over, and its text with other ones.

use toml::{Table, Value};

use super::{Sizes, Sweep};
use crate::budget::Budget;
use crate::error::{Context, Error, Result};
use crate::model::Target;
use crate::point::Axis;

/// What of a sweep moves its runs along an axis of the analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// `[axes] examples`, along data.
    Examples,
    /// `[budget]`, along compute.
    Budget,
    /// The models' `params` or `forward_flops`, along parameters.
    Size(&'static str),
}

impl Knob {
    /// Errors: sizes that no ladder gives, or ladders of two kinds; seconds, which are measured.
    pub fn of(sweep: &Sweep, axis: Axis) -> Result<Knob> {
        match axis {
            Axis::Data => Ok(Knob::Examples),
            Axis::Compute => Ok(Knob::Budget),
            Axis::Seconds => Err(Error::bad_input("--x seconds: no key of a sweep says how long its runs take")
                .hint("--x compute extends its budgets")),
            Axis::Params => {
                let key = |target: &Target| match target {
                    Target::Params(_) => "params",
                    Target::ForwardFlops(_) => "forward_flops",
                };
                let keys = sweep.models.iter().map(|model| match &model.sizes {
                    Sizes::Ladder { targets, .. } => targets.first().map(key),
                    Sizes::Explicit | Sizes::Named(_) | Sizes::Grid(_) => None,
                });
                let keys: Option<Vec<&'static str>> = keys.collect();
                match keys.as_deref() {
                    Some([first, rest @ ..]) if rest.iter().all(|key| key == first) => Ok(Knob::Size(first)),
                    _ => Err(Error::bad_input(format!("the models of {} have sizes that no ladder gives", sweep.name))
                        .hint("give every [[model]] a list of `params`, or every one a list of `forward_flops`")),
                }
            }
        }
    }

    /// The values that the sweep has, in order, none twice.
    pub fn values(self, sweep: &Sweep) -> Vec<f64> {
        let mut values: Vec<f64> = match self {
            Knob::Examples => sweep.examples.iter().map(|count| *count as f64).collect(),
            Knob::Budget => sweep.budgets.iter().map(|budget| budget.amount()).collect(),
            Knob::Size(_) => {
                let ladders = sweep.models.iter().filter_map(|model| match &model.sizes {
                    Sizes::Ladder { targets, .. } => Some(targets),
                    Sizes::Explicit | Sizes::Named(_) | Sizes::Grid(_) => None,
                });
                ladders.flatten().map(|target| target.value()).collect()
            }
        };
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }

    /// Whether only whole numbers make sense.
    pub fn is_whole(self, sweep: &Sweep) -> bool {
        match self {
            Knob::Examples => true,
            Knob::Budget => sweep.budgets.iter().any(|budget| matches!(budget, Budget::Steps(_))),
            Knob::Size(_) => false,
        }
    }

    /// The sweep at this value alone.
    pub fn at(self, sweep: &Sweep, value: f64) -> Result<Sweep> {
        let mut alone = sweep.clone();
        match self {
            Knob::Examples => (alone.examples, alone.whole_split) = (vec![value as u64], false),
            Knob::Budget => alone.budgets = vec![Budget::new(sweep.budgets[0].unit(), value)?],
            Knob::Size(_) => {
                for model in &mut alone.models {
                    if let Sizes::Ladder { targets, .. } = &mut model.sizes {
                        *targets = vec![match targets[0] {
                            Target::Params(_) => Target::Params(value),
                            Target::ForwardFlops(_) => Target::ForwardFlops(value),
                        }];
                    }
                }
            }
        }
        Ok(alone)
    }

    /// The text of the sweep under another name, with these values and seeds and with `comments` on top.
    pub fn rewrite(
        self,
        sweep: &Sweep,
        name: &str,
        values: &[f64],
        seeds: &[u64],
        comments: &[String],
    ) -> Result<String> {
        let failed = || format!("cannot write {name} as a sweep");
        let mut table: Table = toml::from_str(&sweep.source).context(failed)?;
        table.insert("name".into(), name.into());
        let list = |values: &[f64]| Value::Array(values.iter().map(|value| number(*value)).collect());
        if let Value::Table(axes) = table.entry("axes").or_insert_with(|| Table::new().into()) {
            axes.insert("seed".into(), Value::Array(seeds.iter().map(|seed| number(*seed as f64)).collect()));
        }
        let (place, key) = match self {
            Knob::Examples => ("axes", "examples"),
            Knob::Budget => ("budget", sweep.budgets[0].unit()),
            Knob::Size(key) => ("model", key),
        };
        match table.get_mut(place) {
            Some(Value::Table(table)) => drop(table.insert(key.into(), list(values))),
            Some(Value::Array(tables)) => {
                tables
                    .iter_mut()
                    .filter_map(Value::as_table_mut)
                    .for_each(|table| drop(table.insert(key.into(), list(values))));
            }
            _ => {}
        }
        let mut text: String = comments.iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
        text.push('\n');
        text += &toml::to_string(&table).context(failed)?;
        Ok(text)
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { Value::Integer(value as i64) } else { Value::Float(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::script::describe::Nowhere;
    use crate::spec::parse;

    const SWEEP: &str = r#"
name = "small"
question = "Does it \"hold\"?"
task = { name = "mnist1d", shuffle = true }
[axes]
examples = [100, 1000]
seed = [0, 1]
batch = [16, 32]
[tuned]
lr = [1e-3, 3e-3]
[budget]
flops = [1e11, 1e12]
[[model]]
arch = "vit"
patch = 5
params = [1e4, 5e4]
[[model]]
name = "vit wide"
arch = "vit"
patch = 8
params = [1e4]
"#;

    #[test]
    fn every_axis_has_a_knob_and_the_old_grid_stays() {
        let sweep = parse(SWEEP, "small.toml").unwrap();
        let ids = |sweep: &Sweep| -> Vec<String> {
            plan(sweep, &Nowhere).unwrap().runs.into_iter().map(|run| run.id).collect()
        };
        let old = ids(&sweep);
        for (axis, more) in [(Axis::Data, 400.0), (Axis::Compute, 5e11), (Axis::Params, 3e4)] {
            let knob = Knob::of(&sweep, axis).unwrap();
            let values = [&knob.values(&sweep)[..], &[more]].concat();
            let text = knob.rewrite(&sweep, "more", &values, &[0, 1, 2], &["Why.".into()]).unwrap();
            assert!(text.starts_with("# Why.\n\n"), "{text}");
            let extended = parse(&text, "more.toml").unwrap();
            assert_eq!((extended.name.as_str(), extended.seeds.len()), ("more", 3));
            let sorted = {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                sorted
            };
            assert_eq!(knob.values(&extended), sorted);
            let new = ids(&extended);
            assert!(old.iter().all(|id| new.contains(id)), "{axis:?}: a run of the old grid is lost");
            let alone = ids(&knob.at(&sweep, more).unwrap());
            assert!(!alone.is_empty() && alone.iter().all(|id| new.contains(id) && !old.contains(id)), "{axis:?}");
        }
    }

    #[test]
    fn sizes_without_a_ladder_have_no_knob() {
        let sweep = parse(&SWEEP.replace("params = [1e4]\n", ""), "small.toml").unwrap();
        assert!(Knob::of(&sweep, Axis::Params).unwrap_err().message.contains("no ladder"));
        let mixed = parse(&SWEEP.replace("params = [1e4]\n", "forward_flops = [1e6]\n"), "small.toml").unwrap();
        assert!(Knob::of(&mixed, Axis::Params).is_err() && Knob::of(&mixed, Axis::Data).is_ok());
        let implicit = parse(&SWEEP.replace("examples = [100, 1000]\n", "examples = 500\n"), "small.toml").unwrap();
        assert_eq!(Knob::Examples.values(&implicit), [500.0]);
    }
}
