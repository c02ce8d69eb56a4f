//! Puts sweeps and runs into the store: first their records into the folder, then the index. Registering again changes
//! nothing but a sweep's text and members; runs and their results stay.

use std::path::Path;

use rusqlite::Transaction;

use super::ingest::Ingested;
use super::record::{RunRecord, SweepRecord};
use super::{Store, integer, now, schema};
use crate::error::{Context, Error, Result};
use crate::plan::Plan;

/// What `ingest --rebuild` found.
#[derive(Debug)]
pub struct Rebuilt {
    pub sweeps: usize,
    pub runs: usize,
    pub ingested: Ingested,
    /// Records that cannot be read; their runs are not in the index.
    pub damaged: Vec<Error>,
}

impl Store {
    /// Makes the plan's runs known, and the plan their sweep.
    ///
    /// # Errors
    /// The store cannot be written; a name that cannot be a file's; a number beyond 63 bits.
    pub fn register(&mut self, plan: &Plan) -> Result<()> {
        if self.reader().import(&plan.sweep)?.is_some() {
            return Err(Error::bad_input(format!(
                "'{}' is an import of this store, so no sweep can have that name",
                plan.sweep
            ))
            .hint("give the sweep another `name`"));
        }
        let runs: Vec<RunRecord> = plan.runs.iter().map(RunRecord::new).collect();
        let created = self.reader().created(&plan.sweep)?.unwrap_or_else(now);
        let sweep = SweepRecord::new(plan, created);
        for run in &runs {
            run.write(&self.reader.dir)?;
        }
        sweep.write(&self.reader.dir)?;
        self.index(&runs, &[sweep])
    }

    /// Makes the database of the store in `dir` again, from the folders alone, whatever state it is in.
    ///
    /// # Errors
    /// Another process writes to the store; the old database cannot be removed, or the new one not be written.
    pub fn rebuild(dir: &Path) -> Result<(Store, Rebuilt)> {
        if !dir.is_dir() {
            return Err(Error::bad_input(format!("there is no folder {}", dir.display()))
                .hint("--store names the folder that holds the folders of runs"));
        }
        let (dir, lock) = Store::lock(dir)?;
        remove_database(&dir)?;
        let mut store = Store::locked(dir, lock)?;
        let (runs, mut damaged) = RunRecord::read_all(&store.reader.dir)?;
        let (sweeps, more) = SweepRecord::read_all(&store.reader.dir)?;
        damaged.extend(more);
        store.index(&runs, &sweeps)?;
        let ingested = store.ingest()?;
        Ok((store, Rebuilt { sweeps: sweeps.len(), runs: runs.len(), ingested, damaged }))
    }

    fn index(&mut self, runs: &[RunRecord], sweeps: &[SweepRecord]) -> Result<()> {
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

fn remove_database(dir: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = schema::file(dir).into_os_string();
        path.push(suffix);
        let path = Path::new(&path);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
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
    let tuned = serde_json::Value::from(sweep.tuned.clone()).to_string();
    let key: i64 = to.query_row(
        "INSERT INTO sweeps (name, question, tuned, source, created) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET question = ?2, tuned = ?3, source = ?4 RETURNING key",
        (&sweep.name, &sweep.question, tuned, &sweep.source, sweep.created),
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
