//! The points of a study with their scale counted in other ways, to ask whether a conclusion depends on the count.

use std::collections::{HashMap, HashSet};

use super::{Source, Study, file, sizes};
use crate::error::{Error, Result};
use crate::fit::Origin;
use crate::fit::compare::multiverse::Convention;
use crate::point::{Axis, Point};
use crate::store::{self, Sizes};

impl Study {
    /// The points again: by other columns of the file, by 6 N D, by what the store knows of a run.
    ///
    /// # Errors
    /// Columns are named and the points come from a sweep, or the file has no such column.
    pub fn conventions(&self, axis: Axis, columns: &[String]) -> Result<Vec<Convention>> {
        match &self.source {
            Source::Several(_) => Err(Error::bad_input(
                "--multiverse counts the scale of one study in other ways, and several were given",
            )
            .hint("name one of them")),
            Source::Sweep { .. } if !columns.is_empty() => {
                Err(Error::bad_input("--count names columns of a CSV file, and a sweep was given")
                    .hint("--multiverse counts a sweep's compute in other ways by itself"))
            }
            Source::Sweep { reader, name, .. } => Ok(recounts(&reader.runs(name)?, axis)
                .into_iter()
                .map(|(name, counts)| recounted(&self.points, axis, name, &counts))
                .collect()),
            Source::File { table, sha256, asked, over, sizes } => {
                let meaning = match axis {
                    Axis::Params => "params",
                    Axis::Data => "examples",
                    Axis::Compute => "flops",
                    Axis::Seconds => "seconds",
                };
                let of_compute =
                    (axis == Axis::Compute && !self.counts_compute()).then(|| six_n_d(&self.points)).flatten();
                let mut found: Vec<Convention> = of_compute.into_iter().collect();
                let kept: HashSet<&str> = self.points.iter().map(|point| point.curve.as_str()).collect();
                for column in columns {
                    let mut asked = asked.clone();
                    asked.named.retain(|(named, _)| named != meaning);
                    asked.named.push((meaning.into(), column.clone()));
                    let mut points = file::found(table, sha256, &asked, *over)?.points;
                    if *sizes == Sizes::Each {
                        sizes::each(&mut points, &table.name)?;
                    }
                    points.retain(|point| kept.contains(point.curve.as_str()));
                    found.push(Convention { name: column.clone(), points });
                }
                Ok(found)
            }
        }
    }
}

impl Study {
    /// Whether a file's compute is 6 N D as it is.
    fn counts_compute(&self) -> bool {
        matches!(&self.origin, Origin::File(file) if file.formulas.contains_key("compute"))
    }
}

/// Other counts of the scale of a sweep's runs, by run id: 6 N D with every example counted as often as it is seen, and
/// the parameters that one example passes through where some models have more.
fn recounts(runs: &[store::Run], axis: Axis) -> Vec<(&'static str, HashMap<String, f64>)> {
    let count = |name, count: &dyn Fn(&store::Run) -> f64| {
        vec![(name, runs.iter().map(|run| (run.id.clone(), count(run))).collect())]
    };
    match axis {
        Axis::Data | Axis::Seconds => Vec::new(),
        Axis::Compute => {
            count("6 N D", &|run| 6.0 * run.costs.params as f64 * (run.config.steps * run.config.train.batch) as f64)
        }
        Axis::Params if runs.iter().all(|run| run.costs.active_params == run.costs.params) => Vec::new(),
        Axis::Params => count("active parameters", &|run| run.costs.active_params as f64),
    }
}

/// The points with each one's compute (or parameters) replaced by what `of_source` says.
fn recounted(points: &[Point], axis: Axis, name: &str, of_source: &HashMap<String, f64>) -> Convention {
    let recount = |point: &Point| {
        let mut point = point.clone();
        let count = of_source.get(&point.source).copied();
        match axis {
            Axis::Params => point.params = count,
            Axis::Data => point.data = count,
            Axis::Compute => point.compute = count,
            Axis::Seconds => point.seconds = count,
        }
        point
    };
    Convention { name: name.into(), points: points.iter().map(recount).collect() }
}

/// Compute by 6 N D (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), where every point knows N and D.
fn six_n_d(points: &[Point]) -> Option<Convention> {
    let counted = |point: &Point| Some(Point { compute: Some(6.0 * point.params? * point.data?), ..point.clone() });
    let points: Option<Vec<Point>> = points.iter().map(counted).collect();
    points.map(|points| Convention { name: "6 N D".into(), points })
}
