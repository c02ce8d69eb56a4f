//! How the runs of a plan differ from those that the store has under its name, in a line that a person can act on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Reader;
use super::query::Run;
use crate::error::Result;
use crate::plan::{Plan, Planned};
use crate::progress::cut;
use crate::run::RunConfig;
use crate::spec::recipe;

/// Values and keys beyond which the others are counted.
const TOLD: usize = 3;
/// Columns of a value: hashes and lists have more than a person reads.
const LONGEST: usize = 32;

/// What becomes of a sweep's runs where a plan takes its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub added: Part,
    pub gone: Part,
    /// Gone and added in one place, which is a curve, a number of examples and a seed.
    pub changed: Part,
    /// The same runs, of a curve with another name.
    pub renamed: Part,
}

/// Some of the runs, and what they have that the others have not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    pub runs: usize,
    pub what: Vec<String>,
}

/// A run of either side.
#[derive(Clone, Copy)]
struct Side<'a> {
    id: &'a str,
    curve: &'a str,
    config: &'a RunConfig,
}

/// Keys as a sweep file calls them, with their values as text.
type Settings = Vec<(String, String)>;

impl Reader {
    /// How the plan's runs differ from those of the sweep of its name; none where there is no such sweep.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn difference(&self, plan: &Plan) -> Result<Option<Difference>> {
        if self.created(&plan.sweep)?.is_none() {
            return Ok(None);
        }
        // Mostly there is none, and to see that takes no look at the runs; or the text alone is another, and it takes no configs.
        if self.has(plan)? {
            return Ok(Some(Difference::default()));
        }
        let members = self.members(&plan.sweep)?;
        let known: HashMap<&str, &str> = members.iter().map(|run| (run.id.as_str(), run.label.as_str())).collect();
        let is_known = |run: &Planned| known.get(run.id.as_str()) == Some(&run.label.as_str());
        if known.len() == plan.runs.len() && plan.runs.iter().all(is_known) {
            return Ok(Some(Difference::default()));
        }
        Ok(Some(Difference::between(&self.runs(&plan.sweep)?, plan)))
    }
}

impl Difference {
    pub fn between(known: &[Run], plan: &Plan) -> Difference {
        let known: Vec<Side> =
            known.iter().map(|run| Side { id: &run.id, curve: &run.curve, config: &run.config }).collect();
        let planned: Vec<Side> =
            plan.runs.iter().map(|run| Side { id: &run.id, curve: &run.label, config: &run.config }).collect();
        let keys = Keys::of(known.iter().chain(&planned).map(|run| run.config));
        let (known_ids, planned_ids) = (by_id(&known), by_id(&planned));
        let gone: Vec<Side> = known.iter().filter(|run| !planned_ids.contains_key(run.id)).copied().collect();
        let added: Vec<Side> = planned.iter().filter(|run| !known_ids.contains_key(run.id)).copied().collect();
        let renamed: Vec<(Side, Side)> = (planned.iter())
            .filter_map(|run| Some((*known_ids.get(run.id)?, *run)))
            .filter(|(old, new)| old.curve != new.curve)
            .collect();
        let (changed, gone, added) = paired(gone, added);
        Difference {
            added: Part { runs: added.len(), what: news(&added, &known, &keys) },
            gone: Part { runs: gone.len(), what: news(&gone, &planned, &keys) },
            changed: Part { runs: changed.len(), what: changes(&changed, &keys) },
            renamed: Part { runs: renamed.len(), what: names(&renamed) },
        }
    }

    pub fn is_none(&self) -> bool {
        *self == Difference::default()
    }

    /// Whether the sweep would lose runs that it has.
    pub fn loses(&self) -> bool {
        self.gone.runs + self.changed.runs > 0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [(&self.added, "added"), (&self.gone, "gone"), (&self.changed, "changed"), (&self.renamed, "renamed")];
        let mut first = true;
        for (Part { runs, what }, became) in parts.into_iter().filter(|(part, _)| part.runs > 0) {
            let unit = match (first, runs) {
                (true, 1) => " run",
                (true, _) => " runs",
                (false, _) => "",
            };
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{runs}{unit} {became} ({})", what.join("; "))?;
        }
        Ok(())
    }
}

fn by_id<'a>(runs: &[Side<'a>]) -> HashMap<&'a str, Side<'a>> {
    runs.iter().map(|run| (run.id, *run)).collect()
}

/// The pairs that are in one place, and what is left of both, in order.
fn paired<'a>(gone: Vec<Side<'a>>, added: Vec<Side<'a>>) -> (Vec<(Side<'a>, Side<'a>)>, Vec<Side<'a>>, Vec<Side<'a>>) {
    let mut at: HashMap<(&str, u64, u64), VecDeque<Side>> = HashMap::new();
    let place = |run: &Side<'a>| (run.curve, run.config.examples, run.config.seed);
    gone.iter().for_each(|run| at.entry(place(run)).or_default().push_back(*run));
    let (mut pairs, mut new) = (Vec::new(), Vec::new());
    for run in added {
        match at.get_mut(&place(&run)).and_then(VecDeque::pop_front) {
            Some(old) => pairs.push((old, run)),
            None => new.push(run),
        }
    }
    let of_pairs: HashSet<&str> = pairs.iter().map(|(old, _)| old.id).collect();
    let left = gone.into_iter().filter(|run| !of_pairs.contains(run.id)).collect();
    (pairs, left, new)
}

/// What these runs have that none of the others has: their curves, else values, until each run is told of.
fn news(runs: &[Side], others: &[Side], keys: &Keys) -> Vec<String> {
    if runs.is_empty() {
        return Vec::new();
    }
    let curves: HashSet<&str> = others.iter().map(|run| run.curve).collect();
    let theirs: HashSet<(String, String)> = others.iter().flat_map(|run| keys.settings(run.config)).collect();
    let (of_known, of_new): (Vec<&Side>, Vec<&Side>) = runs.iter().partition(|run| curves.contains(run.curve));
    let mut told = Vec::new();
    let mut named: Vec<&str> = of_new.iter().map(|run| run.curve).collect();
    let mut rest: Vec<(&str, Settings)> =
        of_known.iter().rev().map(|run| (run.curve, keys.settings(run.config))).collect();
    while let Some((curve, first)) = rest.pop() {
        let Some((key, value)) = first.iter().find(|setting| !theirs.contains(setting)) else {
            // Its values are all there, in other combinations.
            named.push(curve);
            continue;
        };
        let own = |run: &Settings| run.iter().find(|setting| setting.0 == *key && !theirs.contains(setting)).cloned();
        let mut values = vec![value.clone()];
        values.extend(rest.iter().rev().filter_map(|(_, run)| own(run)).map(|(_, value)| value));
        rest.retain(|(_, run)| own(run).is_none());
        told.push(format!("{key} {}", listed(values.iter().map(|value| cut(value, LONGEST)))));
    }
    let curves = (!named.is_empty()).then(|| listed(named.into_iter().map(str::to_owned)));
    curves.into_iter().chain(told).collect()
}

/// The keys in which the pairs differ; with both values where they are the same in all pairs.
fn changes(pairs: &[(Side, Side)], all: &Keys) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut values: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for (old, new) in pairs {
        let old: HashMap<String, String> = all.settings(old.config).into_iter().collect();
        for (key, new) in all.settings(new.config) {
            let old = old.get(&key).cloned().unwrap_or_else(|| "none".into());
            if old == new {
                continue;
            }
            let known = values.entry(key.clone()).or_insert_with(|| {
                keys.push(key);
                Vec::new()
            });
            if known.len() < 2 && !known.contains(&(old.clone(), new.clone())) {
                known.push((old, new));
            }
        }
    }
    let more = keys.len().saturating_sub(TOLD);
    let told = keys.iter().take(TOLD).map(|key| match values[key].as_slice() {
        [(old, new)] => format!("{key} {} -> {}", cut(old, LONGEST), cut(new, LONGEST)),
        _ => key.clone(),
    });
    told.chain((more > 0).then(|| format!("{more} more keys"))).collect()
}

fn names(pairs: &[(Side, Side)]) -> Vec<String> {
    match pairs {
        [] => Vec::new(),
        pairs => vec![listed(pairs.iter().map(|(old, new)| format!("{} -> {}", old.curve, new.curve)))],
    }
}

/// Each once, in order; beyond a few they are counted.
fn listed(values: impl IntoIterator<Item = String>) -> String {
    let mut seen = HashSet::new();
    let mut values: Vec<String> = values.into_iter().filter(|value| seen.insert(value.clone())).collect();
    let more = values.len().saturating_sub(TOLD);
    values.truncate(TOLD);
    match more {
        0 => values.join(", "),
        more => format!("{} and {more} more", values.join(", ")),
    }
}

/// Keys that tasks and models have beside others of the same name: a task has a seed of its own, a run has one.
struct Keys(HashSet<String>);

impl Keys {
    fn of<'a>(configs: impl Iterator<Item = &'a RunConfig> + Clone) -> Keys {
        let mut of_runs: HashSet<&str> = ["examples", "steps", "seed", "task", "arch"].into();
        let (mut of_tasks, mut of_models) = (HashSet::<&str>::new(), HashSet::<&str>::new());
        for config in configs {
            of_tasks.extend(config.task.settings.keys().map(String::as_str));
            of_models.extend(config.model.settings.keys().map(String::as_str));
        }
        of_runs.extend(recipe::KEYS);
        let of_two = of_tasks.iter().filter(|key| of_models.contains(*key) || of_runs.contains(*key));
        let of_two = of_two.chain(of_models.iter().filter(|key| of_runs.contains(*key)));
        Keys(of_two.map(|key| (*key).to_owned()).collect())
    }

    /// What a person chose comes first, what follows from it later.
    fn settings(&self, config: &RunConfig) -> Settings {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let recipe = config.train.keys();
        let mut settings: Settings = vec![
            ("examples".into(), config.examples.to_string()),
            ("steps".into(), config.steps.to_string()),
            ("seed".into(), config.seed.to_string()),
        ];
        settings.extend(recipe.iter().map(|(key, value)| (key.clone(), text(value))));
        for (what, of, named) in [("task", "task", &config.task), ("arch", "model", &config.model)] {
            settings.push((what.into(), named.name.clone()));
            let called = |key: &String| if self.0.contains(key) { format!("{of}.{key}") } else { key.clone() };
            settings.extend(named.settings.iter().map(|(key, value)| (called(key), text(value))));
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Planned;
    use crate::store::{Store, sample};

    /// What is said where a store knows the one and the other is asked for.
    fn told(known: &Plan, asked: &Plan) -> String {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.register(known).unwrap();
        store.reader().difference(asked).unwrap().unwrap().to_string()
    }

    #[test]
    fn what_is_added_gone_and_changed_is_counted_and_named() {
        let old = sample::plan(&["convnet", "vit"], &[100, 200], &[1e-3], &[0, 1]);
        assert_eq!(told(&old, &old), "");
        let more = sample::plan(&["convnet", "vit", "mlp"], &[100, 200, 400], &[1e-3], &[0, 1]);
        assert_eq!(told(&old, &more), "10 runs added (mlp; examples 400)");
        assert_eq!(told(&more, &old), "10 runs gone (mlp; examples 400)");
        let other = sample::plan(&["mlp"], &[100], &[1e-3], &[0]);
        assert_eq!(told(&old, &other), "1 run added (mlp), 8 gone (convnet, vit)");
        let tuned = sample::plan(&["convnet", "vit"], &[100, 200], &[3e-3], &[0, 1]);
        assert_eq!(told(&old, &tuned), "8 runs changed (lr 0.001 -> 0.003)");
        let seeds = sample::plan(&["convnet", "vit"], &[100, 200], &[1e-3], &[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(told(&old, &seeds), "20 runs added (seed 2, 3, 4 and 2 more)");
        let corner = Plan { runs: old.runs[..7].to_vec(), ..old.clone() };
        assert_eq!(told(&corner, &old), "1 run added (vit)", "no value of it is new");
        assert!(
            Reader::difference(Store::open(tempfile::tempdir().unwrap().path()).unwrap().reader(), &old)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn whose_key_it_is_is_said_where_two_have_it() {
        let old = sample::plan(&["vit"], &[100], &[1e-3], &[0, 1]);
        let with = |change: &dyn Fn(&mut RunConfig)| {
            let runs = old.runs.iter().cloned().map(|mut run| {
                change(&mut run.config);
                Planned { id: run.config.id(), ..run }
            });
            Plan { runs: runs.collect(), ..old.clone() }
        };
        let seeded = |seed: u64| with(&|config| _ = config.task.settings.insert("seed".into(), seed.into()));
        assert_eq!(told(&seeded(3), &seeded(4)), "2 runs changed (task.seed 3 -> 4)", "and no run's seed");
        let wide = with(&|config| _ = config.model.settings.insert("width".into(), 16.into()));
        assert_eq!(told(&old, &wide), "2 runs changed (model.width 8 -> 16)", "and no task's width");
        let deep = with(&|config| _ = config.model.settings.insert("depth".into(), 3.into()));
        assert_eq!(told(&old, &deep), "2 runs changed (depth none -> 3)");
    }

    #[test]
    fn a_curve_with_another_name_loses_no_run() {
        let old = sample::plan(&["vit"], &[100], &[1e-3], &[0, 1]);
        let called = |run: &Planned| Planned { label: "ViT".into(), ..run.clone() };
        let new = Plan { runs: old.runs.iter().map(called).collect(), ..old.clone() };
        assert_eq!(told(&old, &new), "2 runs renamed (vit -> ViT)");
    }
}
