//! Results as data for other programs: what a run measured, what it was and, where it is asked for, how long it took.
//! Without times the same results are the same bytes, however often they were interrupted.

mod parquet;
mod table;

use std::collections::BTreeMap;
use std::io::Write;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Serialize, Serializer};

use super::choice::{Standing, standing};
use super::points::CHOSEN_BY;
use super::query::{Measured, Run, both_names};
use super::sizes::Shapes;
use super::timing::Timing;
use super::{Reader, Sweep};
use crate::error::{Context, Result};
use crate::model::{Costs, Io};
use crate::point::Axis;
use crate::run::{RunConfig, Settings};
use table::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One row a value; one row without step, metric and value for a run that has none.
    Csv,
    /// One document: the sweep, its runs with configs and costs, and `[step, value]` pairs for each metric.
    Json,
    /// The rows of csv, with the types of their columns.
    Parquet,
}

/// What to write of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    pub format: Format,
    /// Seconds, devices and speeds too, which differ each time the same is trained.
    pub times: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    sweep: &'a str,
    question: Option<&'a str>,
    tuned: &'a [String],
    runs: Entries<'a>,
}

/// Read one by one while they are written: all of them together may be larger than the memory.
struct Entries<'a> {
    reader: &'a Reader,
    runs: &'a [Run],
    among: &'a Among,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_seq(Some(self.runs.len()))?;
        for run in self.runs {
            let metrics = self.reader.measured(&run.id).map_err(S::Error::custom)?;
            entries.serialize_element(&entry(run, self.among, metrics))?;
        }
        entries.end()
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    #[serde(flatten, serialize_with = "both_names")]
    curve: &'a str,
    cell: &'a str,
    state: &'a str,
    config: &'a RunConfig,
    io: Io,
    costs: Costs,
    train_flops: f64,
    /// The keys of the model in which the sizes of its curve differ.
    size: Settings,
    /// Absent while a run of its cell has not ended.
    chosen: Option<bool>,
    chosen_over: &'a [Axis],
    #[serde(flatten)]
    times: Option<Times<'a>>,
    metrics: Measured,
}

/// Null where nothing was measured yet.
#[derive(Serialize)]
struct Times<'a> {
    seconds: Option<f64>,
    examples_per_second: Option<f64>,
    device: Option<&'a str>,
}

/// What the runs of a sweep are among one another, and how long they took.
struct Among {
    shapes: Shapes,
    standing: BTreeMap<String, Standing>,
    /// By run; none where no times are asked for.
    times: Option<BTreeMap<String, Timed>>,
}

struct Timed {
    timing: Timing,
    /// In one word each, those that it was trained on.
    device: String,
}

impl Reader {
    /// Writes all metrics of all runs of a sweep, in the plan's order.
    ///
    /// # Errors
    /// No such sweep; `out` cannot be written.
    pub fn export(&self, sweep: &str, asked: Export, out: &mut dyn Write) -> Result<()> {
        let sweep = self.sweep(sweep)?;
        let runs = self.runs(&sweep.name)?;
        let val_loss = self.final_values(&sweep.name, CHOSEN_BY)?;
        let times = if asked.times { Some(self.times(&runs)?) } else { None };
        let among = Among { shapes: Shapes::of(&runs), standing: standing(&runs, &sweep.tuned, &val_loss), times };
        match asked.format {
            Format::Json => self.export_json(&sweep, &runs, &among, out),
            Format::Csv => self.export_csv(&Table::of(&sweep, &runs, &among), &runs, out),
            Format::Parquet => {
                let table = Table::of(&sweep, &runs, &among);
                let rows = runs.iter().map(|run| Ok(table.rows(run, self.measured(&run.id)?).collect()));
                parquet::write(&table, rows, out)
            }
        }
    }

    fn times(&self, runs: &[Run]) -> Result<BTreeMap<String, Timed>> {
        let mut times = BTreeMap::new();
        for run in runs {
            if let Some(timing) = Timing::of(run, &self.attempts(&run.id)?) {
                times.insert(run.id.clone(), Timed { device: timing.devices.join(" "), timing });
            }
        }
        Ok(times)
    }

    fn export_json(&self, sweep: &Sweep, runs: &[Run], among: &Among, out: &mut dyn Write) -> Result<()> {
        let document = Document {
            sweep: &sweep.name,
            question: sweep.question.as_deref(),
            tuned: &sweep.tuned,
            runs: Entries { reader: self, runs, among },
        };
        serde_json::to_writer_pretty(&mut *out, &document).context(|| "cannot write the export")?;
        writeln!(out).context(|| "cannot write the export")
    }

    fn export_csv(&self, table: &Table, runs: &[Run], out: &mut dyn Write) -> Result<()> {
        let mut line =
            |fields: Vec<String>| writeln!(out, "{}", fields.join(",")).context(|| "cannot write the export");
        line(table.columns().iter().map(|column| table::field(&column.name)).collect())?;
        for run in runs {
            table
                .rows(run, self.measured(&run.id)?)
                .try_for_each(|row| line(row.iter().map(table::Cell::text).collect()))?;
        }
        Ok(())
    }
}

fn entry<'a>(run: &'a Run, among: &'a Among, metrics: Measured) -> Entry<'a> {
    let standing = among.standing.get(&run.id);
    Entry {
        id: &run.id,
        curve: &run.curve,
        cell: &run.cell,
        state: run.state.word(),
        config: &run.config,
        io: run.io,
        costs: run.costs,
        train_flops: run.train_flops,
        size: among.shapes.size(&run.curve, &run.config.model),
        chosen: standing.map(|standing| standing.chosen),
        chosen_over: standing.map_or(&[], |standing| &standing.over),
        times: among.times.as_ref().map(|times| {
            let timed = times.get(&run.id);
            Times {
                seconds: timed.map(|timed| timed.timing.seconds),
                examples_per_second: timed.map(|timed| timed.timing.examples_per_second),
                device: timed.map(|timed| timed.device.as_str()),
            }
        }),
        metrics,
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::RowAccessor;

    use super::*;
    use crate::event::{Event, EventLog, Outcome};
    use crate::run::Precision;
    use crate::store::{Store, sample};

    /// The first run went from 0 to 8 on a CPU, was killed after step 12, and went on from 8 on a GPU; the second has not
    /// begun.
    fn moved(dir: &std::path::Path) -> Reader {
        let plan = sample::plan(&["vit"], &[100], &[1e-3, 1e-2], &[0]);
        let mut store = Store::open(dir).unwrap();
        store.register(&plan).unwrap();
        let mut log = EventLog::open(&dir.join(&plan.runs[0].id)).unwrap();
        let start = |attempt: u32, device: &str, from_step: u64| Event::Start {
            attempt,
            time: 1.0,
            host: "here".into(),
            device: device.into(),
            pid: 7,
            from_step,
            precision: Some(Precision::Fp32),
        };
        let batch = plan.runs[0].config.train.batch as f64;
        let end = |attempt: u32, steps: f64, seconds: f64, outcome: Outcome| Event::End {
            attempt,
            time: 2.0,
            seconds,
            examples_per_second: batch * steps / seconds,
            outcome,
        };
        let values = [("val_loss", 0.25), ("test_loss", 0.5)].map(|(name, loss)| (name.to_string(), loss)).into();
        for event in [
            start(1, "cpu", 0),
            end(1, 8.0, 8.0, Outcome::Stopped { step: 8 }),
            start(2, "cpu", 8),
            start(3, "cuda:0", 8),
            Event::Metrics { step: 20, values },
            end(3, 12.0, 2.0, Outcome::Done),
        ] {
            log.append(&event).unwrap();
        }
        store.ingest().unwrap();
        drop(store);
        Reader::open(dir).unwrap()
    }

    fn export(reader: &Reader, format: Format, times: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.export("small", Export { format, times }, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn times_are_those_of_all_attempts_and_stand_behind_everything() {
        let dir = tempfile::tempdir().unwrap();
        let reader = moved(dir.path());
        let csv = String::from_utf8(export(&reader, Format::Csv, true)).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].ends_with(",seconds,examples_per_second,device"), "{csv}");
        // 20 steps in 10 s of training.
        assert!(lines[1].contains(",10.0,") && lines[1].ends_with(",cpu cuda:0"), "{csv}");
        assert!(lines[3].ends_with(",,,"), "{csv}");
        let json: serde_json::Value = serde_json::from_slice(&export(&reader, Format::Json, true)).unwrap();
        assert_eq!((&json["runs"][0]["seconds"], &json["runs"][0]["state"]), (&10.0.into(), &"done".into()));
        assert_eq!((&json["runs"][1]["seconds"], &json["runs"][1]["state"]), (&().into(), &"to_do".into()));
        let without = String::from_utf8(export(&reader, Format::Csv, false)).unwrap();
        assert!(!without.contains("seconds") && !without.contains("cuda"), "{without}");
    }

    /// The rows of the CSV file, with types.
    #[test]
    fn parquet_holds_what_csv_holds() {
        let dir = tempfile::tempdir().unwrap();
        let reader = moved(dir.path());
        let csv = String::from_utf8(export(&reader, Format::Csv, true)).unwrap();
        let file = SerializedFileReader::new(bytes::Bytes::from(export(&reader, Format::Parquet, true))).unwrap();
        assert_eq!(file.num_row_groups(), 2);
        let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let rows: Vec<_> = file.get_row_iter(None).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), csv.lines().count() - 1);
        for (row, line) in rows.iter().zip(csv.lines().skip(1)) {
            let names: Vec<&str> = row.get_column_iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, header);
            assert!(line.starts_with(row.get_string(0).unwrap()), "{line}");
        }
        let at = |name: &str| header.iter().position(|other| *other == name).unwrap();
        assert_eq!(rows[0].get_double(at("value")).unwrap(), 0.5);
        assert_eq!(rows[0].get_long(at("examples")).unwrap(), 100);
        assert_eq!(rows[0].get_double(at("seconds")).unwrap(), 10.0);
        assert!(rows[2].get_double(at("value")).is_err(), "the second run has no value");
    }
}
