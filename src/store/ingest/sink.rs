//! What lines of event logs say, put into the tables.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use rusqlite::Transaction;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::{Position, Run};
use crate::event::{Event, Outcome, essential, line};
use crate::run::RunConfig;
use crate::store::state::State;

/// Attempts of one run beyond which a line is garbled.
const MOST_ATTEMPTS: u32 = 1_000_000;
/// How the writer begins a line of metrics, which nearly all are.
const METRICS: &[u8] = br#"{"event":"metrics","#;

/// The prepared statements of one transaction.
pub(super) struct Sink<'t> {
    transaction: &'t Transaction<'t>,
    insert: rusqlite::CachedStatement<'t>,
    /// Keys of metric names; few, so they are read anew for each transaction and a rollback cannot make them wrong.
    metrics: HashMap<String, i64>,
}

/// What a line held: its values, and whether anything of it was not known.
pub(super) struct Line {
    pub rows: u64,
    pub new: bool,
}

/// Or why it is no event of its run.
pub(super) type Taken = std::result::Result<Line, String>;

impl<'t> Sink<'t> {
    pub(super) fn new(transaction: &'t Transaction<'t>) -> rusqlite::Result<Sink<'t>> {
        let insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO metrics (run, step, metric, value) VALUES (?, ?, ?, ?)")?;
        let mut names = transaction.prepare_cached("SELECT name, key FROM metric_names")?;
        let metrics = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        Ok(Sink { transaction, insert, metrics })
    }

    pub(super) fn take(&mut self, run: Run, line: &[u8]) -> Result<Taken, rusqlite::Error> {
        if !line::is_whole(line) {
            return Ok(Err("its checksum is not that of its content".into()));
        }
        if line.starts_with(METRICS) {
            return match serde_json::from_slice::<MetricsLine>(line) {
                Ok(line) => self.metrics(run, line.step, line.values.0),
                Err(error) => Ok(Err(error.to_string())),
            };
        }
        match serde_json::from_slice(line) {
            Ok(Event::Metrics { step, values }) => {
                self.metrics(run, step, values.into_iter().map(|(name, value)| (name.into(), value)).collect())
            }
            Ok(event) => match refusal(run, &event) {
                Some(reason) => Ok(Err(reason)),
                None => self.attempt(run.key, &event).map(|new| Ok(Line { rows: 0, new })),
            },
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn metrics(&mut self, run: Run, step: u64, values: Vec<(Cow<str>, f64)>) -> Result<Taken, rusqlite::Error> {
        if let Some(reason) = beyond(run, step) {
            return Ok(Err(reason));
        }
        let mut new = 0;
        for (name, value) in &values {
            let metric = match self.metrics.get(name.as_ref()) {
                Some(key) => *key,
                None => self.add_metric(name)?,
            };
            // Steps of a run are numbers of the index, which has 63 bits for them.
            new += self.insert.execute((run.key, step as i64, metric, value))?;
        }
        Ok(Ok(Line { rows: values.len() as u64, new: new > 0 || values.is_empty() }))
    }

    fn add_metric(&mut self, name: &str) -> rusqlite::Result<i64> {
        self.transaction.execute("INSERT INTO metric_names (name) VALUES (?)", [name])?;
        let key = self.transaction.last_insert_rowid();
        self.metrics.insert(name.to_string(), key);
        Ok(key)
    }

    /// False where it was known: what was said first stays.
    fn attempt(&mut self, run: i64, event: &Event) -> rusqlite::Result<bool> {
        let (state, new) = match event {
            Event::Start { attempt, time, host, device, pid, from_step, .. } => {
                let new = self
                    .transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO attempts (run, attempt, started, host, device, pid, from_step)
                         VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute((run, attempt, time, host, device, pid, *from_step as i64))?;
                (State::Running, new)
            }
            Event::End { attempt, time, seconds, examples_per_second, outcome } => {
                let missing = if *outcome == Outcome::Done { self.missing(run)? } else { None };
                let outcome = &missing.map_or_else(|| outcome.clone(), |reason| Outcome::Failed { reason });
                let text = serde_json::to_string(outcome).unwrap_or_default();
                let new = self
                    .transaction
                    .prepare_cached(
                        "INSERT INTO attempts (run, attempt, ended, seconds, examples_per_second, outcome)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run, attempt) DO UPDATE
                         SET ended = ?3, seconds = ?4, examples_per_second = ?5, outcome = ?6 WHERE outcome IS NULL",
                    )?
                    .execute((run, attempt, time, seconds, examples_per_second, text))?;
                (State::from(outcome), new)
            }
            Event::Metrics { .. } => return Ok(true),
        };
        if new == 0 {
            return Ok(false);
        }
        let (step, reason) = match &state {
            State::Stopped { step } | State::Diverged { step } => (Some(*step as i64), None),
            State::Failed { reason } => (None, Some(reason)),
            _ => (None, None),
        };
        self.transaction
            .prepare_cached(
                "UPDATE runs SET state = ?2, step = ?3, reason = ?4
                 WHERE key = ?1 AND state NOT IN ('done', 'diverged')",
            )?
            .execute((run, state.word(), step, reason))?;
        Ok(true)
    }

    /// Why a run that says it is done is not: the log lost lines, and with them what it measured.
    fn missing(&self, run: i64) -> rusqlite::Result<Option<String>> {
        let config = "SELECT config FROM runs WHERE key = ?";
        let config: String = self.transaction.prepare_cached(config)?.query_row([run], |row| row.get(0))?;
        let Ok(config) = serde_json::from_str::<RunConfig>(&config) else { return Ok(None) };
        let steps = config.measured_at();
        let measured = self.measured(run, &steps)?;
        let has = |step: &u64, name: &&str| measured.get(step).is_some_and(|names| names.iter().any(|own| own == name));
        let is_there = |step: &u64| essential(*step, &config).iter().all(|name| has(step, name));
        let mut missing = steps.iter().filter(|step| !is_there(step));
        let Some(step) = missing.next() else { return Ok(None) };
        let others = match missing.count() {
            0 => String::new(),
            others => format!(" and of {others} more evaluations"),
        };
        Ok(Some(format!("the metrics of step {step}{others} are missing: its log lost lines")))
    }

    /// Names of what is known of the run after these steps.
    fn measured(&self, run: i64, steps: &[u64]) -> rusqlite::Result<HashMap<u64, Vec<String>>> {
        let query =
            "SELECT step, name FROM json_each(?2) AS listed CROSS JOIN metrics ON step = listed.value AND run = ?1
             JOIN metric_names ON metric_names.key = metric";
        let mut query = self.transaction.prepare_cached(query)?;
        let mut rows = query.query((run, serde_json::Value::from(steps).to_string()))?;
        let mut measured: HashMap<u64, Vec<String>> = HashMap::new();
        while let Some(row) = rows.next()? {
            measured.entry(row.get::<_, i64>(0)? as u64).or_default().push(row.get(1)?);
        }
        Ok(measured)
    }

    pub(super) fn remember(&self, run: i64, position: Position) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO logs (run, consumed, lines, skipped, repeated) VALUES (?, ?, ?, ?, ?)",
            )?
            .execute((
                run,
                position.consumed as i64,
                position.lines as i64,
                position.skipped as i64,
                position.repeated as i64,
            ))?;
        Ok(())
    }
}

/// Why an event cannot be one of this run's.
fn refusal(run: Run, event: &Event) -> Option<String> {
    let (attempt, step) = match event {
        Event::Start { attempt, from_step, .. } => (*attempt, *from_step),
        Event::End { attempt, outcome: Outcome::Stopped { step } | Outcome::Diverged { step }, .. } => {
            (*attempt, *step)
        }
        Event::End { attempt, .. } => (*attempt, 0),
        Event::Metrics { step, .. } => (0, *step),
    };
    let many = (attempt > MOST_ATTEMPTS).then(|| format!("attempt {attempt} is beyond {MOST_ATTEMPTS}"));
    many.or_else(|| beyond(run, step))
}

fn beyond(run: Run, step: u64) -> Option<String> {
    (step > run.steps).then(|| format!("step {step} is beyond the {} of the run", run.steps))
}

/// `Event::Metrics` without serde's buffering of tagged enums and without an allocation per name: 3 times as fast.
#[derive(Deserialize)]
struct MetricsLine<'a> {
    step: u64,
    #[serde(borrow)]
    values: Values<'a>,
}

struct Values<'a>(Vec<(Cow<'a, str>, f64)>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of metric names and numbers")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Values<'de>, M::Error> {
                let mut values = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry()? {
                    values.push((name, value));
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
