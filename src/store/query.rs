//! What the store knows of sweeps, runs, attempts and metrics.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{OptionalExtension, Row, params_from_iter};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Reader;
use super::record::{Member, RunRecord};
use super::state::State;
use crate::error::{Context, Error, Result};
use crate::event::Outcome;
use crate::model::{Costs, Io};
use crate::run::RunConfig;
use crate::units::Flops;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    pub name: String,
    pub question: Option<String>,
    pub tuned: Vec<String>,
    /// The sweep file's text.
    #[serde(skip)]
    pub source: String,
    pub created: f64,
    pub runs: u64,
    /// Runs that are done or diverged.
    pub ended: u64,
}

/// A run as a member of a sweep, or alone: then `curve` is its arch and `cell` is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    pub id: String,
    #[serde(flatten, serialize_with = "both_names")]
    pub curve: String,
    pub cell: String,
    #[serde(flatten)]
    pub state: State,
    pub config: RunConfig,
    pub io: Io,
    pub costs: Costs,
    pub train_flops: f64,
    /// Attempts so far.
    pub attempts: u32,
}

/// Where a run stands in a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    pub sweep: String,
    pub curve: String,
    pub cell: String,
}

impl Run {
    /// The value of a config's key by its name in a sweep file: of the recipe, the model, the task or the run.
    pub fn setting(&self, key: &str) -> Option<serde_json::Value> {
        let recipe = self.config.train.keys();
        let of_run = || match key {
            "examples" => Some(self.config.examples.into()),
            "steps" => Some(self.config.steps.into()),
            "warmup_steps" => Some(self.config.train.warmup.into()),
            _ => None,
        };
        let model = || self.config.model.settings.get(key).cloned();
        let task = || self.config.task.settings.get(key).cloned();
        recipe.get(key).cloned().or_else(model).or_else(task).or_else(of_run)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    pub attempt: u32,
    pub started: Option<f64>,
    pub host: Option<String>,
    pub device: Option<String>,
    pub pid: Option<u32>,
    pub from_step: Option<u64>,
    pub ended: Option<f64>,
    pub seconds: Option<f64>,
    pub examples_per_second: Option<f64>,
    /// None while it runs, or when it was killed.
    pub outcome: Option<Outcome>,
}

/// Values of one run: for each metric, `(step, value)` in order of steps.
pub type Measured = BTreeMap<String, Vec<(u64, f64)>>;

const RUN: &str = "runs.id, runs.config, runs.io, runs.params, runs.active_params, runs.forward_flops,
    runs.train_flops, runs.state, runs.step, runs.reason,
    (SELECT coalesce(max(attempt), 0) FROM attempts WHERE run = runs.key)";

/// One parameter, from [`listed`]: thousands of ids are one query.
const LISTED: &str = "(SELECT value FROM json_each(?))";

fn listed<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    Value::from_iter(ids).to_string()
}

impl Reader {
    /// All sweeps, by name.
    pub fn sweeps(&self) -> Result<Vec<Sweep>> {
        self.sweeps_where_name(None)
    }

    pub fn find_sweep(&self, name: &str) -> Result<Option<Sweep>> {
        Ok(self.sweeps_where_name(Some(name))?.pop())
    }

    fn sweeps_where_name(&self, is: Option<&str>) -> Result<Vec<Sweep>> {
        self.rows(
            "SELECT name, question, tuned, source, created, count(runs.key),
             coalesce(sum(runs.state IN ('done', 'diverged')), 0)
             FROM sweeps LEFT JOIN sweep_runs ON sweep = sweeps.key LEFT JOIN runs ON runs.key = run
             WHERE ?1 IS NULL OR name = ?1 GROUP BY sweeps.key ORDER BY name",
            [is],
            |row| {
                let tuned: String = row.get(2)?;
                Ok(Sweep {
                    name: row.get(0)?,
                    question: row.get(1)?,
                    tuned: serde_json::from_str(&tuned).unwrap_or_default(),
                    source: row.get(3)?,
                    created: row.get(4)?,
                    runs: unsigned(row, 5)?,
                    ended: unsigned(row, 6)?,
                })
            },
        )
    }

    /// The names of all sweeps, in order.
    pub fn sweep_names(&self) -> Result<Vec<String>> {
        self.rows("SELECT name FROM sweeps ORDER BY name", [], |row| row.get(0))
    }

    /// # Errors
    /// No sweep of this name: the nearest is the hint.
    pub fn sweep(&self, name: &str) -> Result<Sweep> {
        self.sweep_key(name)?;
        self.find_sweep(name)?.ok_or_else(|| Error::failed(format!("sweep '{name}' has just been removed")))
    }

    pub(super) fn created(&self, sweep: &str) -> Result<Option<f64>> {
        self.connection
            .query_row("SELECT created FROM sweeps WHERE name = ?", [sweep], |row| row.get(0))
            .optional()
            .map_err(|error| self.explain(error))
    }

    /// The runs of a sweep, in the plan's order.
    pub fn runs(&self, sweep: &str) -> Result<Vec<Run>> {
        self.runs_where(self.sweep_key(sweep)?, "true", [])
    }

    /// Those of a sweep's runs that are listed.
    pub(super) fn runs_among<'a>(&self, sweep: &str, ids: impl IntoIterator<Item = &'a str>) -> Result<Vec<Run>> {
        self.runs_where(self.sweep_key(sweep)?, &format!("id IN {LISTED}"), [listed(ids)])
    }

    fn runs_where<const N: usize>(&self, sweep: i64, holds: &str, given: [String; N]) -> Result<Vec<Run>> {
        let query = format!(
            "SELECT {RUN}, label, cell FROM sweep_runs JOIN runs ON runs.key = run
             WHERE sweep = {sweep} AND {holds} ORDER BY position"
        );
        let rows = self.rows(&query, params_from_iter(given), |row| Ok((raw_run(row)?, row.get(11)?, row.get(12)?)))?;
        rows.into_iter().map(|(raw, curve, cell)| self.run_from(raw, Some((curve, cell)))).collect()
    }

    /// The records of all runs, but of those whose config is not that of their id.
    pub(super) fn records(&self) -> Result<Vec<RunRecord>> {
        let raw = self.rows(&format!("SELECT {RUN} FROM runs"), [], raw_run)?;
        let record = |raw: RawRun| {
            let config: RunConfig = serde_json::from_str(&raw.config).ok()?;
            let io = serde_json::from_str(&raw.io).ok()?;
            let train_flops = Flops(raw.train_flops as u128);
            (config.id() == raw.id).then(|| RunRecord::of(raw.id, config, io, raw.costs, train_flops))
        };
        Ok(raw.into_iter().filter_map(record).collect())
    }

    /// The run whose id starts with `prefix`.
    ///
    /// # Errors
    /// None does, or several do.
    pub fn run(&self, prefix: &str) -> Result<Run> {
        let query = format!("SELECT {RUN} FROM runs WHERE substr(id, 1, ?2) = ?1 ORDER BY id LIMIT 6");
        let mut found = self.rows(&query, (prefix, prefix.len() as i64), raw_run)?;
        match found.len() {
            1 => self.run_from(found.remove(0), None),
            0 => Err(Error::bad_input(format!("no run '{prefix}' in {}", self.dir.display()))
                .hint("'crossover status --json' lists the runs of every sweep with their ids")),
            _ => {
                let ids: Vec<_> = found.iter().map(|raw| raw.id.as_str()).collect();
                Err(Error::bad_input(format!("'{prefix}' is the beginning of several run ids"))
                    .hint(format!("type more digits; there are {}", ids.join(", "))))
            }
        }
    }

    /// How runs stand and, where they have not ended, how many attempts they had; runs that are not known are left out.
    pub fn standing<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<HashMap<String, (State, u32)>> {
        let ids: HashSet<&str> = ids.into_iter().collect();
        let all: i64 = self.rows("SELECT coalesce(max(key), 0) FROM runs", [], |row| row.get(0))?.pop().unwrap_or(0);
        // One after the other is quicker than one by one, where most are asked for.
        let given = (4 * ids.len() as i64 <= all).then(|| listed(ids.iter().copied()));
        let which = given.as_ref().map_or(String::new(), |_| format!("WHERE id IN {LISTED}"));
        let query = format!(
            "SELECT id, state, step, reason, CASE WHEN state IN ('done', 'diverged') THEN 0
                 ELSE (SELECT coalesce(max(attempt), 0) FROM attempts WHERE run = key) END
             FROM runs {which}"
        );
        let read = |row: &Row| {
            if !ids.contains(row.get_ref(0)?.as_str()?) {
                return Ok(None);
            }
            let state = State::from_columns(row.get_ref(1)?.as_str()?, row.get(2)?, row.get(3)?);
            Ok(Some((row.get(0)?, (state, row.get(4)?))))
        };
        Ok(self.rows(&query, params_from_iter(given), read)?.into_iter().flatten().collect())
    }

    /// Ids and curves of a sweep's runs, in the plan's order.
    pub(super) fn members(&self, sweep: &str) -> Result<Vec<Member>> {
        let query = "SELECT runs.id, label, cell FROM sweeps JOIN sweep_runs ON sweep = sweeps.key
             JOIN runs ON runs.key = run WHERE name = ? ORDER BY position";
        self.rows(query, [sweep], |row| Ok(Member { id: row.get(0)?, label: row.get(1)?, cell: row.get(2)? }))
    }

    /// Sweeps that a run belongs to, by name.
    pub fn sweeps_of(&self, run: &str) -> Result<Vec<String>> {
        self.rows(
            "SELECT DISTINCT name FROM runs JOIN sweep_runs ON run = runs.key JOIN sweeps ON sweeps.key = sweep
             WHERE id = ? ORDER BY name",
            [run],
            |row| row.get(0),
        )
    }

    /// The cells that a run stands in, by sweep.
    pub fn places_of(&self, run: &str) -> Result<Vec<Place>> {
        self.rows(
            "SELECT DISTINCT name, label, cell FROM runs JOIN sweep_runs ON run = runs.key
             JOIN sweeps ON sweeps.key = sweep WHERE id = ? ORDER BY name",
            [run],
            |row| Ok(Place { sweep: row.get(0)?, curve: row.get(1)?, cell: row.get(2)? }),
        )
    }

    pub fn attempts(&self, run: &str) -> Result<Vec<Attempt>> {
        self.rows(
            "SELECT attempt, started, host, device, pid, from_step, ended, seconds, examples_per_second, outcome
             FROM attempts JOIN runs ON runs.key = run WHERE id = ? ORDER BY attempt",
            [run],
            |row| {
                let outcome: Option<String> = row.get(9)?;
                Ok(Attempt {
                    attempt: row.get(0)?,
                    started: row.get(1)?,
                    host: row.get(2)?,
                    device: row.get(3)?,
                    pid: row.get(4)?,
                    from_step: row.get::<_, Option<i64>>(5)?.and_then(|step| step.try_into().ok()),
                    ended: row.get(6)?,
                    seconds: row.get(7)?,
                    examples_per_second: row.get(8)?,
                    outcome: outcome.and_then(|text| serde_json::from_str(&text).ok()),
                })
            },
        )
    }

    pub fn measured(&self, run: &str) -> Result<Measured> {
        let rows = self.rows(
            "SELECT name, metrics.step, value FROM runs JOIN metrics ON run = runs.key
             JOIN metric_names ON metric_names.key = metric WHERE id = ? ORDER BY metrics.step",
            [run],
            |row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?, row.get::<_, f64>(2)?)),
        )?;
        let mut measured = Measured::new();
        for (name, step, value) in rows {
            measured.entry(name).or_default().push((step, value));
        }
        Ok(measured)
    }

    /// Each metric after the last step of the run's budget.
    pub fn final_metrics(&self, run: &Run) -> Result<BTreeMap<String, f64>> {
        let last = |(metric, values): (String, Vec<(u64, f64)>)| {
            let (step, value) = values.last().copied()?;
            (step == run.config.steps).then_some((metric, value))
        };
        Ok(self.measured(&run.id)?.into_iter().filter_map(last).collect())
    }

    /// Lines of the run's log that are no good.
    pub fn bad_lines(&self, run: &str) -> Result<BadLines> {
        let query = "SELECT skipped, repeated FROM logs JOIN runs ON runs.key = run WHERE id = ?";
        let rows = self.rows(query, [run], BadLines::read)?;
        Ok(rows.first().copied().unwrap_or_default())
    }

    pub(super) fn rows<T>(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.connection
            .prepare_cached(query)
            .and_then(|mut query| query.query_map(parameters, read)?.collect())
            .map_err(|error| self.explain(error))
    }

    fn run_from(&self, raw: RawRun, place: Option<(String, String)>) -> Result<Run> {
        let damaged = || format!("{}: run {} has a config that this program cannot read", self.dir.display(), raw.id);
        let config: RunConfig = serde_json::from_str(&raw.config).context(damaged)?;
        let io = serde_json::from_str(&raw.io).context(damaged)?;
        let (curve, cell) = place.unwrap_or_else(|| (config.model.name.clone(), String::new()));
        Ok(Run {
            id: raw.id,
            curve,
            cell,
            state: raw.state,
            config,
            io,
            costs: raw.costs,
            train_flops: raw.train_flops,
            attempts: raw.attempts,
        })
    }
}

/// Lines of event logs that could not be read, and those that say nothing that was not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BadLines {
    #[serde(rename = "skipped_lines")]
    pub skipped: u64,
    #[serde(rename = "repeated_lines")]
    pub repeated: u64,
}

impl BadLines {
    pub(super) fn read(row: &Row) -> rusqlite::Result<BadLines> {
        Ok(BadLines { skipped: unsigned(row, 0)?, repeated: unsigned(row, 1)? })
    }

    /// In words, where there are any.
    pub fn told(&self) -> Option<String> {
        let lines = |count: u64, what: &str| (count > 0).then(|| format!("{count} lines {what}"));
        let parts = [
            lines(self.skipped, "of event logs could not be read"),
            lines(self.repeated, "of event logs repeat what was said before"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

struct RawRun {
    id: String,
    config: String,
    io: String,
    costs: Costs,
    train_flops: f64,
    state: State,
    attempts: u32,
}

fn raw_run(row: &Row) -> rusqlite::Result<RawRun> {
    let word: String = row.get(7)?;
    Ok(RawRun {
        id: row.get(0)?,
        config: row.get(1)?,
        io: row.get(2)?,
        costs: Costs { params: unsigned(row, 3)?, active_params: unsigned(row, 4)?, forward_flops: unsigned(row, 5)? },
        train_flops: row.get(6)?,
        state: State::from_columns(&word, row.get(8)?, row.get(9)?),
        attempts: row.get(10)?,
    })
}

/// A curve's name in JSON, as `curve` and as `label`, which the first release called it.
pub(super) fn both_names<S: Serializer>(curve: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names<'a> {
        curve: &'a str,
        label: &'a str,
    }
    Names { curve, label: curve }.serialize(serializer)
}

/// Counts are written from unsigned numbers.
pub(super) fn unsigned(row: &Row, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
