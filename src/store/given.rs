//! A sweep as a file says it, with the results that its runs have in the store, whatever the store has under its name.

use super::Reader;
use super::record::{Member, RunRecord, SweepRecord};
use super::register::insert_run;
use crate::error::Result;
use crate::here::now;
use crate::plan::Plan;

/// Views of this connection that stand before the tables of the store, so that every query sees the given sweep in
/// the place of the one of its name, and its runs that are not registered as runs to do.
const VIEWS: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE TEMP TABLE given_sweep (name TEXT, question TEXT, tuned TEXT, source TEXT, created REAL);
    CREATE TEMP TABLE given_members (position INTEGER PRIMARY KEY, run INTEGER, label TEXT, cell TEXT);
    CREATE TEMP TABLE given_runs (
        key INTEGER PRIMARY KEY, id TEXT UNIQUE, config TEXT, io TEXT, arch TEXT, task TEXT, params INTEGER,
        active_params INTEGER, forward_flops INTEGER, train_flops REAL, examples INTEGER, steps INTEGER, seed INTEGER
    );
    DROP VIEW IF EXISTS temp.sweeps;
    CREATE TEMP VIEW sweeps AS
        SELECT key, name, question, tuned, source, created, NULL AS written FROM main.sweeps
        WHERE name NOT IN (SELECT name FROM given_sweep)
        UNION ALL SELECT 0, name, question, tuned, source, created, NULL FROM given_sweep;
    CREATE TEMP VIEW sweep_runs AS
        SELECT sweep, position, run, label, cell FROM main.sweep_runs
        UNION ALL SELECT 0, position, run, label, cell FROM given_members;
";

/// Only where it is needed: it costs the planner of queries the index over all runs. Keys of the store are positive.
const VIEW_OF_RUNS: &str = "
    CREATE TEMP VIEW runs AS
        SELECT key, id, config, io, arch, task, params, active_params, forward_flops, train_flops, examples, steps,
            seed, state, step, reason FROM main.runs
        UNION ALL SELECT -key, id, config, io, arch, task, params, active_params, forward_flops, train_flops, examples,
            steps, seed, 'to_do', NULL, NULL FROM given_runs;
";

impl Reader {
    /// From here on this reader has the sweep of the plan's name as the plan says it. Nothing is written to the store.
    ///
    /// # Errors
    /// The store cannot be read; a number beyond 63 bits.
    pub fn read_as(&self, plan: &Plan) -> Result<()> {
        let explain = |error| self.explain(error);
        let created = self.created(&plan.sweep)?.unwrap_or_else(now);
        let known = self.standing(plan.runs.iter().map(|run| run.id.as_str()))?;
        let transaction = self.connection.unchecked_transaction().map_err(explain)?;
        transaction.execute_batch(VIEWS).map_err(explain)?;
        for run in plan.runs.iter().filter(|run| !known.contains_key(&run.id)) {
            insert_run(&transaction, "given_runs", &RunRecord::new(run), &explain)?;
        }
        if known.len() < plan.runs.len() {
            transaction.execute_batch(VIEW_OF_RUNS).map_err(explain)?;
        }
        let SweepRecord { name, question, tuned, source, runs, .. } = SweepRecord::new(plan, created);
        let tuned = serde_json::Value::from(tuned).to_string();
        transaction
            .execute("INSERT INTO given_sweep VALUES (?, ?, ?, ?, ?)", (name, question, tuned, source, created))
            .map_err(explain)?;
        let mut insert = transaction
            .prepare("INSERT INTO given_members SELECT ?, key, ?, ? FROM runs WHERE id = ?")
            .map_err(explain)?;
        for (position, Member { id, label, cell }) in runs.iter().enumerate() {
            insert.execute((position as i64, label, cell, id)).map_err(explain)?;
        }
        drop(insert);
        transaction.commit().map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventLog, Outcome};
    use crate::point::Axis;
    use crate::store::{Sizes, Store, sample};

    fn finish(store: &mut Store, plan: &Plan) {
        store.register(plan).unwrap();
        for run in &plan.runs {
            let mut log = EventLog::open(&store.reader().run_folder(&run.id)).unwrap();
            let values = [("val_loss", 0.5), ("test_loss", 0.6)].map(|(name, loss)| (name.to_string(), loss)).into();
            log.append(&Event::Metrics { step: 20, values }).unwrap();
            let outcome = Outcome::Done;
            log.append(&Event::End { attempt: 1, time: 2.0, seconds: 1.0, examples_per_second: 9.0, outcome }).unwrap();
        }
        store.ingest().unwrap();
    }

    /// The file of the first sweep still means its runs when another has taken the name, or has other runs.
    #[test]
    fn a_file_means_its_own_runs_whatever_the_name_is_in_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let first = sample::plan(&["convnet"], &[100, 200], &[1e-3], &[0]);
        finish(&mut store, &first);
        let second = sample::plan(&["vit"], &[100, 200], &[1e-3], &[0]);
        finish(&mut store, &second);
        let curves = |reader: &Reader| {
            let points = reader.points("small", "test_loss", Some(Axis::Data), Sizes::Best).unwrap().points;
            points.into_iter().map(|point| point.curve).collect::<Vec<_>>()
        };
        assert_eq!(curves(store.reader()), ["vit", "vit"]);
        let as_first = || {
            let reader = Reader::open(dir.path()).unwrap();
            reader.read_as(&first).unwrap();
            reader
        };
        assert_eq!(curves(&as_first()), ["convnet", "convnet"]);
        assert_eq!(as_first().summary("small").unwrap().counts.done, 2);
        assert_eq!(as_first().sweeps_of(&first.runs[0].id).unwrap(), ["small"]);
        assert!(as_first().sweeps_of(&second.runs[0].id).unwrap().is_empty());
        // A size of data that was never run is to do.
        let wider = sample::plan(&["convnet"], &[100, 200, 400], &[1e-3], &[0]);
        let reader = Reader::open(dir.path()).unwrap();
        reader.read_as(&wider).unwrap();
        let summary = reader.summary("small").unwrap();
        assert_eq!((summary.runs, summary.counts.done, summary.counts.to_do), (3, 2, 1));
        assert_eq!(reader.runs("small").unwrap()[2].id, wider.runs[2].id);
        assert_eq!(reader.run(&first.runs[0].id).unwrap().attempts, 1);
        // And the store is as it was.
        assert_eq!(curves(&Reader::open(dir.path()).unwrap()), ["vit", "vit"]);
    }
}
