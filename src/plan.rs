//! From a sweep to its runs: axes expanded, sizes found, budgets resolved, costs added up. Nothing is written; what scripts
//! are is asked of whoever plans.

mod scripts;
mod sizes;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::model::{Costs, Io};
use crate::point;
use crate::run::{Named, Recipe, RunConfig, Settings, Shared};
use crate::script::describe::Scripts;
use crate::spec::variant::{Variant, variants, with_task_axes};
use crate::spec::{Axis, AxisOf, ModelEntry, Sweep};
use crate::task::{self, Splits};
use crate::trunk;
use crate::units::Flops;
use sizes::{Models, Sized};

/// A sweep, expanded.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub sweep: String,
    pub question: Option<String>,
    /// The sweep file's text, kept with the results.
    #[serde(skip)]
    pub source: String,
    /// Keys minimised over on the validation split, for example `lr`.
    pub tuned: Vec<String>,
    pub runs: Vec<Planned>,
    pub dropped: Vec<Dropped>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    pub id: String,
    /// The curve it belongs to: the `[[model]]` entry's `name` or arch, and the values of further axes.
    pub label: String,
    /// Equal for runs that differ in nothing but tuned keys and seed.
    pub cell: String,
    pub config: RunConfig,
    pub io: Io,
    /// The keys that say how large the model is; `config` has all of them.
    pub shape: Settings,
    pub costs: Costs,
    /// Of this run trained alone.
    pub train_flops: Flops,
    /// Steps that a longer run of the plan does for this one too, on a shared trunk.
    pub shared_steps: u64,
    /// How fast a script says that it trains here.
    #[serde(skip)]
    pub examples_per_second: Option<f64>,
}

impl Planned {
    /// Where its point will lie on an axis; how long it will take is known of none.
    pub fn scale(&self, axis: point::Axis) -> f64 {
        match axis {
            point::Axis::Params => self.costs.params as f64,
            point::Axis::Data => self.config.data() as f64,
            point::Axis::Compute => self.train_flops.as_f64(),
            point::Axis::Seconds => f64::NAN,
        }
    }
}

/// A cell of the grid that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Dropped {
    pub what: String,
    pub reason: String,
}

impl Plan {
    /// Of all runs, each trained alone.
    pub fn train_flops(&self) -> Flops {
        self.runs.iter().map(|run| run.train_flops).sum()
    }

    /// What is not done of it: the runs of which `step` says at which step they stand, without the steps before that;
    /// it says nothing of a run that has ended.
    pub fn left(&self, step: impl Fn(&Planned) -> Option<u64>) -> Plan {
        let standing = self.runs.iter().filter_map(|run| Some((run, step(run)?)));
        let (mut runs, steps): (Vec<Planned>, Vec<u64>) = standing.map(|(run, step)| (run.clone(), step)).unzip();
        let shared =
            trunk::shared_steps(&runs.iter().zip(&steps).map(|(run, step)| (&run.config, *step)).collect::<Vec<_>>());
        for ((run, shared), step) in runs.iter_mut().zip(shared).zip(steps) {
            run.shared_steps = shared.max(step).min(run.config.steps);
        }
        Plan {
            sweep: self.sweep.clone(),
            question: self.question.clone(),
            source: self.source.clone(),
            tuned: self.tuned.clone(),
            runs,
            dropped: Vec::new(),
        }
    }

    /// Of all runs, what they share done once.
    pub fn shared_flops(&self) -> Flops {
        let own = |run: &Planned| train_flops(&run.costs, &run.config.train, run.config.steps - run.shared_steps);
        self.runs.iter().map(own).sum()
    }
}

/// 3 x forward x batch x steps.
fn train_flops(costs: &Costs, recipe: &Recipe, steps: u64) -> Flops {
    Flops(costs.forward_flops.into()) * 3 * recipe.batch * steps
}

/// Reasons that are shown where no cell makes sense.
const REASONS: usize = 30;

/// What the plan has already.
#[derive(Default)]
struct Seen {
    /// Places of the runs.
    runs: HashMap<String, usize>,
    dropped: HashSet<Dropped>,
}

/// Expands every axis. Cells that make no sense are listed in `dropped`; a sweep without any run is refused.
pub fn plan(sweep: &Sweep, scripts: &dyn Scripts) -> Result<Plan> {
    let mut plan = Plan {
        sweep: sweep.name.clone(),
        question: sweep.question.clone(),
        source: sweep.source.clone(),
        tuned: sweep.tuned.iter().map(|axis| axis.key.clone()).collect(),
        runs: Vec::new(),
        dropped: Vec::new(),
    };
    let (mut seen, mut tasks, mut models) = (Seen::default(), Tasks::default(), Models::default());
    for variant in variants(&sweep.axes) {
        let task = match tasks.at(sweep, &variant)? {
            Ok(task) => task,
            Err(reason) => {
                let what = variant.iter().map(|(axis, value)| shown(axis, value)).collect::<Vec<_>>().join(" ");
                plan.dropped.push(Dropped { what, reason: reason.clone() });
                continue;
            }
        };
        for (place, entry) in sweep.models.iter().enumerate() {
            let label = label(entry, &variant);
            let found = models.of(place, entry, task, scripts);
            let found = found.map_err(|complaint| complaint.render(&sweep.file, &sweep.source))?;
            let missing = found.missing.iter().map(|Dropped { what, reason }| {
                let what = if what.is_empty() { label.clone() } else { format!("{label} {what}") };
                Dropped { what, reason: reason.clone() }
            });
            plan.dropped.extend(missing);
            for sized in &found.sized {
                let shared = Shared::new(&sized.model, &task.named);
                for &examples in &sweep.examples {
                    for &budget in &sweep.budgets {
                        let (variant, label, shared) = (&variant, &label, &shared);
                        let cell = Cell { sweep, variant, task, label, sized, shared, examples, budget };
                        expand(&cell, &mut plan, &mut seen)?;
                    }
                }
            }
        }
    }
    if plan.runs.is_empty() {
        let mut reasons: Vec<String> =
            plan.dropped.iter().take(REASONS).map(|d| format!("{}: {}", d.what, d.reason)).collect();
        if plan.dropped.len() > REASONS {
            reasons.push(format!("and {} more cells", plan.dropped.len() - REASONS));
        }
        return Err(Error::bad_input(format!("{} has no run that makes sense\n{}", sweep.name, reasons.join("\n"))));
    }
    let shared = trunk::shared_steps(&plan.runs.iter().map(|run| (&run.config, 0)).collect::<Vec<_>>());
    plan.runs.iter_mut().zip(shared).for_each(|(run, shared)| run.shared_steps = shared);
    Ok(plan)
}

/// Axes with several values are part of the label, so that their points are never mixed in one curve.
fn label(entry: &ModelEntry, variant: &Variant<'_>) -> String {
    let several = variant.iter().filter(|(axis, _)| axis.values.len() > 1);
    several.fold(entry.label.clone(), |label, (axis, value)| format!("{label} {}", shown(axis, value)))
}

fn shown(axis: &Axis, value: &Value) -> String {
    match value.as_str() {
        Some(text) => format!("{}={text}", axis.key),
        None => format!("{}={value}", axis.key),
    }
}

/// A task as it is at one combination of values of its axes.
struct TaskAt {
    named: Named,
    /// Its keys as JSON: a part of many cells' ids.
    keys: String,
    io: Io,
    splits: Splits,
}

/// The tasks of a sweep, or why there is none, by the values of its axes: axes of the recipe change nothing about them.
#[derive(Default)]
struct Tasks(HashMap<Vec<*const Value>, Result<TaskAt, String>>);

impl Tasks {
    fn at(&mut self, sweep: &Sweep, variant: &Variant<'_>) -> Result<&Result<TaskAt, String>> {
        let of_task = variant.iter().filter(|(axis, _)| axis.on == AxisOf::Task);
        Ok(match self.0.entry(of_task.map(|(_, value)| std::ptr::from_ref(*value)).collect()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(match with_task_axes(&sweep.task, variant) {
                Ok(named) => {
                    let (io, splits) = (task::io(&named)?, task::splits(&named)?);
                    Ok(TaskAt { keys: json(&named.settings), named, io, splits })
                }
                Err(error) => Err(error.message),
            }),
        })
    }
}

struct Cell<'a> {
    sweep: &'a Sweep,
    variant: &'a Variant<'a>,
    task: &'a TaskAt,
    label: &'a str,
    sized: &'a Sized,
    /// Of the ids of its runs.
    shared: &'a Shared,
    examples: u64,
    budget: Budget,
}

/// The runs of one cell: tuned values x seeds.
fn expand(cell: &Cell<'_>, plan: &mut Plan, seen: &mut Seen) -> Result<()> {
    let id = cell_id(cell);
    let mut draft = cell.sweep.train.clone();
    for (axis, value) in cell.variant.iter().filter(|(axis, _)| axis.on == AxisOf::Recipe) {
        draft.set(&axis.key, value)?;
    }
    for tuned in variants(&cell.sweep.tuned) {
        let mut draft = draft.clone();
        for (axis, value) in &tuned {
            draft.set(&axis.key, value)?;
        }
        let resolved = steps(cell, draft.batch()).and_then(|steps| Ok((steps, draft.resolve(steps)?)));
        let (steps, train) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                let what = format!("{}, {} examples, {}", cell.label, cell.examples, cell.budget);
                let dropped = Dropped { what, reason: error.message };
                if seen.dropped.insert(dropped.clone()) {
                    plan.dropped.push(dropped);
                }
                continue;
            }
        };
        let (model, task) = (cell.sized.model.clone(), cell.task.named.clone());
        let config = RunConfig { model, task, examples: cell.examples, steps, train, seed: 0 };
        let ids = cell.shared.with_any_seed(&config, steps);
        for &seed in &cell.sweep.seeds {
            push(cell, &id, ids.id(seed), RunConfig { seed, ..config.clone() }, plan, seen);
        }
    }
    Ok(())
}

/// Refuses what would be fewer data than the axis says: a task that has not as many examples, a budget that ends before
/// each was seen once. Where the axis says nothing, what a budget sees is the run's data.
fn steps(cell: &Cell<'_>, batch: u64) -> Result<u64> {
    if let Some(all) = cell.task.splits.train.filter(|all| *all < cell.examples) {
        return Err(Error::bad_input(format!("the task has {all} training examples")));
    }
    if let Some(all) = cell.sized.examples.filter(|all| *all < cell.examples) {
        return Err(Error::bad_input(format!("the script has {all} training examples")));
    }
    if matches!(cell.budget, Budget::Flops(_)) && cell.sized.costs.forward_flops == 0 {
        return Err(Error::bad_input("the script does not say its `forward_flops`, so FLOPs are no budget for it"));
    }
    let steps = cell.budget.steps(cell.examples, batch, cell.sized.costs.forward_flops)?;
    let seen = steps.saturating_mul(batch);
    if seen < cell.examples && !cell.sweep.whole_split {
        return Err(Error::bad_input(format!("the budget sees {seen} of the {} examples", cell.examples))
            .hint("without `examples` under [axes], what a budget sees is its data"));
    }
    Ok(steps)
}

fn push(cell: &Cell<'_>, id_of_cell: &str, id: String, config: RunConfig, plan: &mut Plan, seen: &mut Seen) {
    match seen.runs.entry(id.clone()) {
        Entry::Occupied(first) => {
            let first = &plan.runs[*first.get()].label;
            let what = format!("{}, {} examples, seed {}", cell.label, config.examples, config.seed);
            plan.dropped.push(Dropped { what, reason: format!("run {id} is already planned for {first}") });
            return;
        }
        Entry::Vacant(new) => new.insert(plan.runs.len()),
    };
    let Sized { shape, costs, examples_per_second, .. } = cell.sized;
    plan.runs.push(Planned {
        cell: id_of_cell.to_owned(),
        label: cell.label.to_owned(),
        io: cell.task.io,
        shape: shape.clone(),
        costs: *costs,
        train_flops: train_flops(costs, &config.train, config.steps),
        shared_steps: 0,
        examples_per_second: *examples_per_second,
        config,
        id,
    });
}

/// Hash of all that is the same within a cell.
fn cell_id(cell: &Cell<'_>) -> String {
    let Cell { label, sized, task, examples, budget, .. } = cell;
    let (label, arch, budget) = (json(label), json(&sized.model.name), json(budget));
    let text = format!("[{label},{arch},{},{},{examples},{budget}]", sized.keys, task.keys);
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn json(of: &impl Serialize) -> String {
    serde_json::to_string(of).unwrap_or_default()
}
