//! Puts sweeps and runs into the store: first their records into the folder, then the index. Registering again changes
//! nothing but a sweep's text and members; runs and their results stay.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Transaction;

use super::record::{self, RunRecord, SweepRecord};
use super::{Reader, State, Store, integer, schema};
use crate::error::{Context, Error, Result};
use crate::here::now;
use crate::plan::{Plan, Planned};

/// How a plan's runs stood when it was registered, and what was mended.
#[derive(Debug, Default)]
pub struct Registered {
    /// Runs whose folder or log was deleted: they are to do again.
    pub lost: Vec<String>,
    /// Records that were damaged or not there, of runs that had been taken up: they were written again.
    pub mended: Vec<String>,
    /// States and attempts of the runs that were known, by id; a lost one is to do.
    pub standing: HashMap<String, (State, u32)>,
}

impl Registered {
    /// A line for each that there is.
    pub fn told(&self) -> impl Iterator<Item = String> {
        let runs = |ids: &[String], what: &str| {
            let first = ids.first()?;
            Some(match ids.len() {
                1 => format!("run {first}: {what}"),
                all => format!("{all} runs ({first}, …): {what}"),
            })
        };
        let lost = runs(&self.lost, "its log was deleted, so it is to do again");
        let mended = runs(&self.mended, "run.json was damaged or not there; it is written again");
        lost.into_iter().chain(mended)
    }
}

impl Store {
    /// Makes the plan's runs known, and the plan their sweep.
    ///
    /// # Errors
    /// The store cannot be written; a name that cannot be a file's; a number beyond 63 bits.
    pub fn register(&mut self, plan: &Plan) -> Result<Registered> {
        self.reader().still_there()?;
        self.lock.introduce(Some(&plan.sweep)).context(|| "cannot write who trains")?;
        if self.reader().import(&plan.sweep)?.is_some() {
            return Err(Error::bad_input(format!(
                "'{}' is an import of this store, so no sweep can have that name",
                plan.sweep
            ))
            .hint("give the sweep another `name`"));
        }
        let mut standing = self.reader.standing(plan.runs.iter().map(|run| run.id.as_str()))?;
        let lost = self.reader.without_log(&standing)?;
        if lost.len() > 1 && !schema::has_runs(&self.reader.dir) {
            return Err(all_gone(&self.reader.dir, &lost));
        }
        if !lost.is_empty() {
            self.forget(lost.iter().map(String::as_str))?;
        }
        lost.iter().for_each(|id| drop(standing.insert(id.clone(), (State::ToDo, 0))));
        let dir = &self.reader.dir;
        // Those that have ended are not read: rebuilding looks at them.
        let left = plan.runs.iter().filter(|run| !standing.get(&run.id).is_some_and(|(state, _)| state.is_final()));
        let unwritten: Vec<&Planned> = left.filter(|run| !RunRecord::is_whole(dir, &run.id)).collect();
        if unwritten.is_empty() && self.reader.has(plan)? {
            return Ok(Registered { lost, mended: Vec::new(), standing });
        }
        let created = self.reader.created(&plan.sweep)?.unwrap_or_else(now);
        let sweep = SweepRecord::new(plan, created);
        unwritten.iter().try_for_each(|run| RunRecord::new(run).write(dir))?;
        sweep.write(dir)?;
        if !unwritten.is_empty() {
            // What the index knows of is on the disk: after a power cut there are no empty records.
            record::sync(dir)?;
        }
        let known = unwritten.into_iter().filter(|run| standing.contains_key(&run.id) && !lost.contains(&run.id));
        let mended = known.map(|run| run.id.clone()).collect();
        // On the disk too before anything is trained: a power cut does not leave runs that the index has forgotten.
        let runs: Vec<RunRecord> = plan.runs.iter().map(RunRecord::new).collect();
        self.reader.synchronous("FULL")?;
        let indexed = self.index(&runs, &[sweep]);
        self.reader.synchronous("NORMAL")?;
        indexed?;
        Ok(Registered { lost, mended, standing })
    }

    pub(super) fn index(&mut self, runs: &[RunRecord], sweeps: &[SweepRecord]) -> Result<()> {
        let dir = self.reader.dir.clone();
        let explain = |error| schema::explain(&dir, error);
        let transaction = self.transaction()?;
        for run in runs {
            insert_run(&transaction, "runs", run, &explain)?;
        }
        for sweep in sweeps {
            insert_sweep(&transaction, sweep).map_err(explain)?;
        }
        transaction.commit().map_err(explain)
    }
}

impl Reader {
    /// Whether the folder and the index have the plan as it is: its file was written together with what is in the index.
    pub(super) fn has(&self, plan: &Plan) -> Result<bool> {
        let query = "SELECT written FROM sweeps WHERE name = ? AND written IS NOT NULL";
        let written: Option<String> = self.rows(query, [&plan.sweep], |row| row.get(0))?.pop();
        Ok(written.is_some_and(|written| record::is_written(&self.dir, plan, &written)))
    }
}

/// An index without any folder is more likely a store of which a part was copied than one to be done again.
fn all_gone(dir: &Path, lost: &[String]) -> Error {
    let (dir, runs) = (dir.display(), lost.len());
    Error::failed(format!("{dir} has no folder of a run, and {} has the results of {runs} runs", schema::FILE)).hint(
        "bring the folders back; or 'crossover ingest --rebuild' makes an index of what is there and keeps this one, and \
         then the same command trains them again",
    )
}

/// Into `runs`, or a table with the same columns.
pub(super) fn insert_run(
    to: &Transaction,
    table: &str,
    run: &RunRecord,
    explain: &dyn Fn(rusqlite::Error) -> Error,
) -> Result<()> {
    let failed = || format!("cannot write run {}", run.id);
    let values = (
        &run.id,
        serde_json::to_string(&run.config).context(failed)?,
        serde_json::to_string(&run.io).context(failed)?,
        &run.config.model.name,
        &run.config.task.name,
        integer("params", run.costs.params)?,
        integer("active params", run.costs.active_params)?,
        integer("forward FLOPs", run.costs.forward_flops)?,
        run.train_flops.as_f64(),
        integer("examples", run.config.examples)?,
        integer("steps", run.config.steps)?,
        integer("seed", run.config.seed)?,
    );
    let mut insert = to
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO {table} (id, config, io, arch, task, params, active_params, forward_flops,
             train_flops, examples, steps, seed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))
        .map_err(explain)?;
    insert.execute(values).map(|_| ()).map_err(explain)
}

fn insert_sweep(to: &Transaction, sweep: &SweepRecord) -> rusqlite::Result<()> {
    let tuned = serde_json::Value::from(sweep.tuned.as_slice()).to_string();
    let key: i64 = to.query_row(
        "INSERT INTO sweeps (name, question, tuned, source, created, written) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (name) DO UPDATE SET question = ?2, tuned = ?3, source = ?4, written = ?6 RETURNING key",
        (&sweep.name, &sweep.question, tuned, &sweep.source, sweep.created, sweep.written()),
        |row| row.get(0),
    )?;
    to.execute("DELETE FROM sweep_runs WHERE sweep = ?", [key])?;
    // A member whose record is lost is left out; rebuilding says which.
    let mut insert = to.prepare_cached(
        "INSERT INTO sweep_runs (sweep, position, run, label, cell) SELECT ?, ?, key, ?, ? FROM runs WHERE id = ?",
    )?;
    for (position, member) in sweep.runs.iter().enumerate() {
        insert.execute((key, position as i64, &member.label, &member.cell, &member.id))?;
    }
    Ok(())
}
