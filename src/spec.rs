//! A sweep file: read as written, then resolved to a [`Sweep`] in which every value has been checked. The schema is
//! documented in `sweeps/README.md`.

pub(crate) mod document;
pub mod extend;
mod extent;
pub mod recipe;
mod script;
mod sizes;
pub mod variant;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::budget::Budget;
use crate::error::Error;
use crate::model::{self, Io, Target};
use crate::run::{Named, Settings, whole};
use crate::task::{self, Splits};
use document::{Checked, Complaint, Entry, Table, blame};
use recipe::RecipeDraft;
pub use script::ScriptEntry;

/// A sweep whose every value is valid by itself; [`crate::plan`] expands it.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub name: String,
    pub question: Option<String>,
    /// What errors call the file, and its text.
    pub file: String,
    pub source: String,
    pub task: Named,
    pub io: Io,
    pub examples: Vec<u64>,
    /// Whether the file names no number of examples: then a run's data are what its budget sees of the split.
    pub whole_split: bool,
    pub seeds: Vec<u64>,
    pub budgets: Vec<Budget>,
    pub train: RecipeDraft,
    /// Axes of the recipe and of the task, reported over.
    pub axes: Vec<Axis>,
    /// Axes of the recipe minimised over on the validation split.
    pub tuned: Vec<Axis>,
    pub models: Vec<ModelEntry>,
}

/// A key and the values it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    pub key: String,
    pub on: AxisOf,
    pub values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisOf {
    Recipe,
    Task,
}

/// A `[[model]]` table.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// The curve's name: `name`, or the arch.
    pub label: String,
    pub arch: String,
    /// Keys of the arch or the script, as given.
    pub settings: Settings,
    pub sizes: Sizes,
    /// Where it is a user's own program; its arch is then called so.
    pub script: Option<ScriptEntry>,
}

/// Where the sizes of a model come from; exactly one.
#[derive(Clone, Debug)]
pub enum Sizes {
    /// The keys say it all.
    Explicit,
    /// Published models.
    Named(Vec<String>),
    /// Every combination of the values of a script's keys.
    Grid(Vec<(String, Vec<Value>)>),
    /// The nearest of the arch's usual shapes, within `tolerance`, a share.
    Ladder { targets: Vec<Target>, tolerance: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSweep {
    name: Spanned<String>,
    question: Option<String>,
    task: Spanned<Table>,
    #[serde(default)]
    axes: Table,
    #[serde(default)]
    tuned: Table,
    budget: Spanned<Table>,
    #[serde(default)]
    train: Table,
    #[serde(default)]
    model: Vec<Spanned<Table>>,
}

const TOP_KEYS: [&str; 8] = ["name", "question", "task", "axes", "tuned", "budget", "train", "model"];

/// Runs beyond which a sweep has to be asked for twice.
pub const MOST_RUNS: u64 = 1_000_000;

/// Reads and checks the text of a sweep file. `file` is what errors call it.
pub fn parse(text: &str, file: &str) -> Result<Sweep, Error> {
    parse_within(text, file, MOST_RUNS)
}

/// The same for a sweep of at most `most` runs.
pub fn parse_within(text: &str, file: &str, most: u64) -> Result<Sweep, Error> {
    let raw = toml::from_str::<RawSweep>(text).map_err(|error| syntax(&error, text).render(file, text))?;
    extent::check(&raw, most).map_err(|error| error.context(file))?;
    resolve(raw, file, text).map_err(|complaint| complaint.render(file, text))
}

/// What the TOML reader says, in our words where it is about a key.
fn syntax(error: &toml::de::Error, text: &str) -> Complaint {
    let span = error.span().unwrap_or(0..text.len().min(1));
    let quoted = |message: &str| message.split('`').nth(1).unwrap_or_default().to_owned();
    match error.message() {
        message if message.starts_with("unknown field") => {
            Complaint::unknown(span, "a sweep", &quoted(message), &TOP_KEYS)
        }
        message if message.starts_with("missing field") => {
            let key = quoted(message);
            let example = match key.as_str() {
                "name" => "add `name = \"my-sweep\"` at the top",
                "task" => "add `task = { name = \"fashion-mnist\" }`",
                _ => "add a table `[budget]` with one of epochs, steps, examples, flops",
            };
            Complaint::at(0..0, format!("the sweep has no `{key}`")).hint(example)
        }
        // A second [model], or one beside [[model]].
        message
            if message.starts_with("duplicate key")
                && text.get(span.clone()).is_some_and(|at| at.contains("model")) =>
        {
            Complaint::at(span, "`model` is a list of tables").hint("write [[model]] for each of them, in two brackets")
        }
        message if message.starts_with("invalid type: map, expected a sequence") => {
            Complaint::at(span, "`model` is a list of tables").hint("write [[model]] for each of them, in two brackets")
        }
        message => Complaint::at(span, message.trim_end().replace('\n', ", ")),
    }
}

fn resolve(raw: RawSweep, file: &str, text: &str) -> Checked<Sweep> {
    let name = checked_name(&raw.name)?;
    let (task, io, splits) = resolve_task(&raw.task)?;
    let budgets = resolve_budgets(&raw.budget)?;
    let mut train = RecipeDraft::default();
    for entry in raw.train.entries() {
        set(&mut train, &entry, &entry.value)?;
    }
    recipe::check_together(&|key| [&raw.train, &raw.axes, &raw.tuned].into_iter().find_map(|table| table.get(key)))?;
    let (mut seeds, mut axes) = (vec![0], Vec::new());
    for entry in raw.axes.entries() {
        match entry.key.as_str() {
            "examples" => (),
            "seed" => seeds = entry.list_of("whole numbers from 0", whole)?,
            _ => axes.push(resolve_axis(&entry, &task, &train)?),
        }
    }
    // Given, and no default.
    let fixed = |axis: &&Axis| axis.on == AxisOf::Task && raw.task.get_ref().get(&axis.key).is_some();
    if let Some(axis) = axes.iter().find(fixed) {
        let span = raw.task.get_ref().get(&axis.key).map_or(0..0, |entry| entry.key_span);
        return Err(Complaint::at(span, format!("`{}` is fixed here and an axis elsewhere", axis.key))
            .hint("remove it from the task, or from [axes]"));
    }
    let mut inputs = variant::inputs(&task, &axes);
    if inputs.is_empty() {
        inputs.push((io, splits));
    }
    let (mut ios, splits): (Vec<Io>, Vec<Splits>) = inputs.into_iter().unzip();
    ios.dedup();
    // None where any number can be had of one of them.
    let most =
        splits.iter().map(|splits| splits.train).collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max());
    let examples = match (raw.axes.get("examples"), most) {
        (Some(entry), _) => resolve_examples(&entry, &task, most)?,
        (None, Some(all)) => vec![all],
        (None, None) => {
            return Err(Complaint::at(raw.task.span(), format!("`{}` has any number of examples", task.name))
                .hint("say how many under [axes], for example `examples = [1000, 4000]`"));
        }
    };
    let tuned: Vec<Axis> =
        raw.tuned.entries().map(|entry| resolve_recipe_axis(&entry, &train, "[tuned]")).collect::<Checked<_>>()?;
    for axis in axes.iter().chain(&tuned) {
        if let Some(entry) = raw.train.get(&axis.key) {
            return Err(Complaint::at(entry.key_span, format!("`{}` is fixed here and an axis elsewhere", axis.key))
                .hint("remove it from [train]"));
        }
    }
    if let Some(both) = tuned.iter().find(|axis| axes.iter().any(|other| other.key == axis.key)) {
        let span = raw.tuned.get(&both.key).map_or(0..0, |entry| entry.key_span);
        return Err(Complaint::at(span, format!("`{}` is in [axes] and in [tuned]", both.key))
            .hint("an axis is either reported over or minimised over: remove one"));
    }
    let models = resolve_models(&raw.model, &ios)?;
    Ok(Sweep {
        name,
        question: raw.question,
        file: file.to_owned(),
        source: text.to_owned(),
        task,
        io,
        examples,
        whole_split: raw.axes.get("examples").is_none(),
        seeds,
        budgets,
        train,
        axes,
        tuned,
        models,
    })
}

/// Whether a sweep can be called so.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['.', '-']) && text.len() <= 100 && text.chars().all(fits_name)
}

/// The nearest name to a text: a hyphen for every character that no name has.
pub fn to_name(text: &str) -> String {
    let name: String = text.chars().map(|c| if fits_name(c) { c } else { '-' }).take(100).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "sweep".into() } else { name.into() }
}

fn fits_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn checked_name(name: &Spanned<String>) -> Checked<String> {
    let text = name.get_ref();
    if !is_name(text) {
        return Err(Complaint::at(
            name.span(),
            format!("{text:?} is no name for a sweep: it names files and is typed"),
        )
        .hint("use letters, digits, - and _, for example \"quickstart\""));
    }
    Ok(text.clone())
}

/// Settings of a table other than `taken` keys.
fn settings_of(table: &Table, taken: &[&str]) -> Settings {
    let rest = table.entries().filter(|entry| !taken.contains(&entry.key.as_str()));
    rest.map(|entry| (entry.key, entry.value)).collect()
}

fn resolve_task(raw: &Spanned<Table>) -> Checked<(Named, Io, Splits)> {
    let table = raw.get_ref();
    let Some(name) = table.get("name") else {
        return Err(Complaint::at(raw.span(), "the task has no `name`")
            .hint(format!("tasks: {}; 'crossover task list' describes them", task::names().join(", "))));
    };
    let complain = |error| blame(table, error, name.span.clone());
    let task = task::resolve(name.text()?, &settings_of(table, &["name"])).map_err(complain)?;
    let io = task::io(&task).map_err(complain)?;
    let splits = task::splits(&task).map_err(complain)?;
    Ok((task, io, splits))
}

/// At most `all` where that is known.
fn resolve_examples(entry: &Entry, task: &Named, all: Option<u64>) -> Checked<Vec<u64>> {
    let counts = entry.list_of("whole numbers from 1", |value| whole(value).filter(|count| *count > 0))?;
    let most = counts.iter().copied().max().unwrap_or(0);
    match all {
        Some(all) if most > all => Err(Complaint::at(
            entry.span.clone(),
            format!("`{}` has {all} training examples, fewer than {most}", task.name),
        )
        .hint(format!("the largest value of `examples` can be {all}; the other examples are held out"))),
        _ => Ok(counts),
    }
}

fn resolve_budgets(raw: &Spanned<Table>) -> Checked<Vec<Budget>> {
    let entries: Vec<Entry> = raw.get_ref().entries().collect();
    let one_of = format!("give exactly one of {}", Budget::UNITS.join(", "));
    for entry in &entries {
        if !Budget::UNITS.contains(&entry.key.as_str()) {
            return Err(Complaint::unknown(entry.key_span.clone(), "[budget]", &entry.key, &Budget::UNITS));
        }
    }
    match entries.as_slice() {
        [] => Err(Complaint::at(raw.span(), "the budget is empty").hint(one_of)),
        [entry] => {
            let amounts = entry.list_of("numbers", Value::as_f64)?;
            let budget = |amount| Budget::new(&entry.key, amount);
            let complain = |error| Complaint::from_error(entry.span.clone(), error);
            amounts.into_iter().map(|amount| budget(amount).map_err(complain)).collect()
        }
        [first, second, ..] => Err(Complaint::at(
            second.key_span.clone(),
            format!("the budget is given in `{}` and in `{}`", first.key, second.key),
        )
        .hint(one_of)),
    }
}

fn set(train: &mut RecipeDraft, entry: &Entry, value: &Value) -> Checked<()> {
    if !recipe::KEYS.contains(&entry.key.as_str()) {
        return Err(Complaint::unknown(entry.key_span.clone(), "[train]", &entry.key, &recipe::KEYS));
    }
    train.set(&entry.key, value).map_err(|error| Complaint::from_error(entry.span.clone(), error))
}

fn resolve_recipe_axis(entry: &Entry, train: &RecipeDraft, table: &str) -> Checked<Axis> {
    if !recipe::KEYS.contains(&entry.key.as_str()) {
        return Err(Complaint::unknown(entry.key_span.clone(), table, &entry.key, &recipe::KEYS));
    }
    let values = entry.list_of("values", |value| Some(value.clone()))?;
    for value in &values {
        set(&mut train.clone(), entry, value)?;
    }
    Ok(Axis { key: entry.key.clone(), on: AxisOf::Recipe, values })
}

fn resolve_axis(entry: &Entry, task: &Named, train: &RecipeDraft) -> Checked<Axis> {
    if !task.settings.contains_key(&entry.key) {
        let known: Vec<&str> = ["examples", "seed"]
            .into_iter()
            .chain(recipe::KEYS)
            .chain(task.settings.keys().map(String::as_str))
            .collect();
        if !known.contains(&entry.key.as_str()) {
            return Err(Complaint::unknown(entry.key_span.clone(), "[axes]", &entry.key, &known));
        }
        return resolve_recipe_axis(entry, train, "[axes]");
    }
    let values = entry.list_of("values", |value| Some(value.clone()))?;
    for value in &values {
        let mut settings = task.settings.clone();
        settings.insert(entry.key.clone(), value.clone());
        task::resolve(&task.name, &settings).map_err(|error| Complaint::from_error(entry.span.clone(), error))?;
    }
    Ok(Axis { key: entry.key.clone(), on: AxisOf::Task, values })
}

fn resolve_models(raw: &[Spanned<Table>], ios: &[Io]) -> Checked<Vec<ModelEntry>> {
    if raw.is_empty() {
        return Err(
            Complaint::at(0..0, "the sweep has no [[model]]").hint("add a table such as\n[[model]]\narch = \"vit\"")
        );
    }
    let mut models: Vec<ModelEntry> = Vec::new();
    for table in raw {
        let model = resolve_model(table, ios)?;
        if models.iter().any(|other| other.label == model.label) {
            let span = table.get_ref().get("name").or(table.get_ref().get("arch")).map_or(table.span(), |e| e.span);
            return Err(Complaint::at(
                span,
                format!("two models are called {:?}: their points would mix", model.label),
            )
            .hint("give each a `name` of its own"));
        }
        models.push(model);
    }
    Ok(models)
}

const MODEL_KEYS: [&str; 6] = ["name", "arch", "size", "params", "forward_flops", "tolerance"];

/// Refuses a key that neither the table nor the arch has; an unknown arch is refused later.
fn unknown_key(table: &Table, arch: &str) -> Checked<()> {
    let Ok(Ok(of_arch)) = model::arch(arch).map(|arch| (arch.defaults)()) else { return Ok(()) };
    let known: Vec<&str> = MODEL_KEYS.into_iter().chain(of_arch.keys().map(String::as_str)).collect();
    match table.entries().find(|entry| !known.contains(&entry.key.as_str())) {
        Some(entry) => Err(Complaint::unknown(entry.key_span, arch, &entry.key, &known)),
        None => Ok(()),
    }
}

/// It has to fit one of the inputs; `plan` drops the cells of the others.
fn resolve_model(raw: &Spanned<Table>, ios: &[Io]) -> Checked<ModelEntry> {
    let table = raw.get_ref();
    if let Some(command) = table.get("command") {
        return script::resolve(raw, &command);
    }
    let Some(arch) = table.get("arch") else {
        return Err(Complaint::at(raw.span(), "the model has no `arch`").hint(format!(
            "archs: {}; a program of yours is `command = [\"python\", \"train.py\"]`",
            model::names().join(", ")
        )));
    };
    let name = arch.text()?.to_owned();
    let settings = settings_of(table, &MODEL_KEYS);
    unknown_key(table, &name)?;
    let label = match table.get("name") {
        Some(entry) => entry.name()?.to_owned(),
        None => name.clone(),
    };
    let sizes = sizes::resolve(table)?;
    let complain = |error| blame(table, error, arch.span.clone());
    let fits = |size: Option<&str>, io: Io| {
        let model = model::resolve(&name, size, &settings)?;
        model::costs(&model, io).map(drop)
    };
    let fit = |io: &Io| match &sizes {
        Sizes::Named(names) => names.iter().try_for_each(|size| fits(Some(size), *io)),
        Sizes::Explicit | Sizes::Grid(_) => fits(None, *io),
        // Held keys may go with some width or depth, if not with the default ones. A size that no config has is dropped.
        Sizes::Ladder { targets, tolerance } => match model::resolve(&name, None, &settings) {
            Ok(_) => Ok(()),
            Err(_) => {
                let found = |target: &Target| model::scale_to(&name, &settings, *target, *tolerance, *io).map(drop);
                targets.iter().map(found).reduce(Result::or).unwrap_or(Ok(()))
            }
        },
    };
    ios.iter().map(fit).reduce(Result::or).unwrap_or(Ok(())).map_err(complain)?;
    Ok(ModelEntry { label, arch: name, settings, sizes, script: None })
}
