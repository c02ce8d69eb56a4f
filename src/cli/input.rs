//! Where the points come from: the arguments that `fit` and `plot` share, and the study that they name.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::given::Given;
use crate::error::{Error, Result};
use crate::fit::Method;
use crate::point::Axis;
use crate::store::Sizes;
use crate::study::file::{Asked, Ceiling, Checkpoints, Filter};
use crate::study::{OfSweep, Study, check_sizes};

#[derive(Clone, Debug, ClapArgs)]
#[group(skip)]
pub struct Input {
    /// Sweeps and imports of the store, by name or by sweep file; several are analysed as one study
    #[arg(value_name = "SWEEP", required_unless_present = "file", conflicts_with = "file")]
    pub sweeps: Vec<String>,

    /// Fit the rows of a file instead, or of stdin (-): CSV, JSON lines, Parquet, W&B exports, also gzip or zstd; or the
    /// logs of TensorBoard or W&B in a folder
    ///
    /// Columns arch, params (N), examples (D, tokens), flops (C), seed, run, step, and the metric, by these and other
    /// names (docs/files.md). Several rows of one run are its checkpoints. --csv is the older name of this flag
    #[arg(long, visible_alias = "csv", value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub reading: Reading,

    /// Only curves whose name contains this, as in --only relational=1; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,

    /// Where a curve has several sizes at a scale: the one with the lowest validation loss stands for it, or each size
    /// is a curve of its own [default: best; the rows of a file are all fitted]
    #[arg(long, value_enum)]
    pub sizes: Option<Sizes>,
}

/// How a file is read; an import keeps it.
#[derive(Clone, Debug, ClapArgs)]
#[group(skip)]
pub struct Reading {
    /// What names the curves: a column of the file, or several, as in --by arch,optimizer [default: arch]
    #[arg(long, value_name = "COLUMN")]
    pub by: Vec<String>,

    /// Metric to fit [default: test_loss; in a file test_loss, val_loss, …, loss: the first there is]
    #[arg(long)]
    pub metric: Option<String>,

    /// Name another column of the file, as in --column examples=images; repeatable
    #[arg(long, value_name = "MEANING=COLUMN", value_parser = column)]
    pub column: Vec<(String, String)>,

    /// Only rows of the file whose column is this, as in --where 'eval_set=c4' or 'params>=1e8' (also !=, <, <=, >);
    /// repeatable
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub filter: Vec<Filter>,

    /// Columns of the file that were tuned, as in --tuned lr,batch: the best value of each stands for its curve
    #[arg(long, value_name = "COLUMN")]
    pub tuned: Vec<String>,

    /// Which rows of one run of the file are points [default: all along data or compute where each has a scale of its
    /// own, else last]
    #[arg(long, value_enum)]
    pub checkpoints: Option<Checkpoints>,

    /// The metric rises with scale, as accuracy does: fit 1 - the metric, 100 - it where it is in percent, or CEILING
    /// - it
    #[arg(long, value_name = "CEILING", num_args = 0..=1, require_equals = true, default_missing_value = "",
          value_parser = ceiling)]
    pub rising: Option<Ceiling>,

    /// FLOPs for each parameter and example, where the file has no column of FLOPs [default: 6]
    #[arg(long, value_name = "FLOPS", value_parser = positive)]
    pub flops_per: Option<f64>,
}

impl Input {
    /// The points that the flags name, for a method over a scale.
    pub fn study(&self, store: &Path, method: Method, axis: Axis) -> Result<Study> {
        let study = match &self.file {
            Some(path) => Study::of_file(self.reading.asked(path), method, axis, self.sizes)?,
            None => {
                self.reading.of_files_alone()?;
                // Before a store is complained of.
                check_sizes(self.sizes.unwrap_or(Sizes::Best), method.is_curve().then_some(axis))?;
                let of = |given: &String| {
                    let given = Given::new(given, store)?;
                    let study = self.of_store(store, &given, &method, axis)?;
                    Ok((given.name, study))
                };
                Study::joined(self.sweeps.iter().map(of).collect::<Result<_>>()?)?
            }
        };
        study.only(&self.only)
    }

    fn of_store(&self, store: &Path, given: &Given, method: &Method, axis: Axis) -> Result<Study> {
        let metric = self.reading.metric.as_deref();
        let each = self.sizes.filter(|sizes| *sizes == Sizes::Each);
        let (sizes, over) = (self.sizes.unwrap_or(Sizes::Best), method.is_curve().then_some(axis));
        let reader = given.reader(store)?;
        if !given.is_file {
            let import = Study::of_import(&reader, &given.name, metric, method.clone(), axis, each)?;
            if let Some(study) = import {
                return Ok(study);
            }
        }
        let Given { name, typed, .. } = given;
        Study::of_sweep(OfSweep { reader, name, typed, metric: metric.unwrap_or("test_loss"), over, sizes })
    }
}

impl Reading {
    /// Refuses what only the rows of a file have.
    fn of_files_alone(&self) -> Result<()> {
        let given = [
            ("--by", !self.by.is_empty()),
            ("--column", !self.column.is_empty()),
            ("--where", !self.filter.is_empty()),
            ("--tuned", !self.tuned.is_empty()),
            ("--checkpoints", self.checkpoints.is_some()),
            ("--flops-per", self.flops_per.is_some()),
            ("--rising", self.rising.is_some()),
        ];
        let hint = |flag: &str| match flag {
            "--rising" => "a sweep's runs log errors, which fall: --metric test_error is 1 - accuracy",
            "--tuned" => "a sweep's own [tuned] keys are minimised over as they are",
            _ => "--only TEXT picks curves of a sweep; an import is read as 'crossover import' was told",
        };
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Error::bad_input(format!("{flag} is about the rows of a file, and a sweep was given"))
                    .hint(hint(flag)))
            }
            None => Ok(()),
        }
    }

    /// What is asked of the file at `path`.
    pub fn asked(&self, path: &Path) -> Asked {
        Asked {
            path: path.into(),
            by: self.by.clone(),
            metric: self.metric.clone(),
            named: self.column.clone(),
            filters: self.filter.clone(),
            tuned: self.tuned.clone(),
            checkpoints: self.checkpoints,
            rising: self.rising,
            flops_per: self.flops_per,
        }
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((meaning, column)) if !meaning.is_empty() && !column.is_empty() => Ok((meaning.into(), column.into())),
        _ => Err("write MEANING=COLUMN, as in examples=images".into()),
    }
}

fn ceiling(text: &str) -> Result<Ceiling, String> {
    match text {
        "" => Ok(Ceiling::Found),
        _ => positive(text).map(Ceiling::Given),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a positive number, as 6 is".into()),
    }
}
