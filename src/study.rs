//! A study: points from a sweep of the store or from a file, with where they came from and what was left out, and the
//! analysis of them. What `fit`, `plot` and `next` share, so that they hold arguments and text alone.

mod counting;
mod every_size;
pub mod file;
pub mod import;
mod joined;
pub mod labels;
mod notes;
pub mod rows;
mod sizes;

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::fit::isoflop::{self, Profile, Profiles};
use crate::fit::tuned::{self, TunedLaws};
use crate::fit::{self, Analysis, AtEdge, Dropped, Method, Origin, Scale, Settings, SweepOrigin};
use crate::plan::Planned;
use crate::point::{Axis, Point};
use crate::store::{self, Contest, Reader, Shapes, Sizes};

pub use every_size::SizeLine;
pub use sizes::check as check_sizes;

#[derive(Debug)]
pub struct Study {
    points: Vec<Point>,
    /// All that there are, whatever the filter leaves.
    curves: Vec<String>,
    origin: Origin,
    source: Source,
    contest: Contest,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Sweep {
        reader: Box<Reader>,
        name: String,
        shapes: Shapes,
        sizes: Sizes,
    },
    File {
        table: Box<file::Table>,
        sha256: String,
        asked: Box<file::Asked>,
        over: Scale,
        sizes: Sizes,
    },
    /// Each with its curves named as in the whole.
    Several(Vec<Study>),
}

/// A sweep of the store as a person asks for its points.
#[derive(Debug)]
pub struct OfSweep<'a> {
    pub reader: Reader,
    pub name: &'a str,
    /// What a person types for it.
    pub typed: &'a str,
    pub metric: &'a str,
    /// The scale of which each curve has one point for each seed; absent: all cells are points.
    pub over: Option<Axis>,
    pub sizes: Sizes,
}

impl Study {
    /// The points of a sweep's runs that have ended, tuned values chosen on the validation split.
    ///
    /// # Errors
    /// No such sweep, or no run of it has this metric.
    pub fn of_sweep(asked: OfSweep) -> Result<Study> {
        let OfSweep { reader, name, typed, metric, over, sizes } = asked;
        sizes::check(sizes, over)?;
        file::falls(metric)?;
        let found = reader.points(name, metric, over, sizes)?;
        let notes = notes::notes(&found, typed, over, sizes);
        let verdicts = over.map(|axis| sizes::flips(&found.points, axis)).unwrap_or_default();
        let at_edge: AtEdge = (found.choices.into_iter().filter(|choice| !choice.at_edge.is_empty()))
            .flat_map(|choice| choice.runs.into_iter().map(move |run| (run, choice.at_edge.clone())))
            .collect();
        let left_out = found.left_out.into_iter().chain(found.outshone);
        let left_out = left_out.map(|left| Dropped { point: left.what, reason: left.why.to_string() });
        Ok(Study {
            points: found.points,
            // In the order of the sweep, so that a curve has its place before its first run has ended.
            curves: found.curves,
            origin: Origin::Sweep(SweepOrigin {
                name: name.into(),
                metric: metric.into(),
                left_out: left_out.collect(),
                at_edge,
                verdicts,
            }),
            source: Source::Sweep { reader: Box::new(reader), name: name.into(), shapes: found.shapes, sizes },
            contest: found.contest,
            notes,
        })
    }

    /// The rows of a file as points of a method over a scale; `sizes` as for a sweep, where they are asked for.
    ///
    /// # Errors
    /// See [`file::open`] and [`file::found`]; the best size is asked for, which a file does not tell.
    pub fn of_file(asked: file::Asked, method: Method, axis: Axis, sizes: Option<Sizes>) -> Result<Study> {
        if sizes == Some(Sizes::Best) {
            return Err(Error::bad_input("--sizes best: a file has no validation loss to choose a size by")
                .hint("leave it out, and all rows are fitted; --sizes each makes every size a curve"));
        }
        let file::Opened { table, sha256, notes, .. } = file::open(&asked.path)?;
        let mut study = Study::of_table(table, sha256, asked, method, axis, sizes)?;
        study.notes.splice(0..0, notes);
        Ok(study)
    }

    fn of_table(
        table: file::Table,
        sha256: String,
        asked: file::Asked,
        method: Method,
        axis: Axis,
        sizes: Option<Sizes>,
    ) -> Result<Study> {
        if method.is_curve() && axis == Axis::Seconds {
            return Err(Error::bad_input(format!(
                "--x seconds: {} is a file, and seconds are those of our own runs",
                table.name
            ))
            .hint("a column of seconds as the scale: --column examples=COLUMN --x data"));
        }
        let sizes = sizes.unwrap_or(Sizes::Best);
        sizes::check(sizes, method.is_curve().then_some(axis))?;
        let over = method.scale(axis);
        let file::Found { mut points, origin, notes } = file::found(&table, &sha256, &asked, over)?;
        if sizes == Sizes::Each {
            sizes::each(&mut points, &origin.path)?;
        }
        Ok(Study {
            curves: in_order(points.iter().map(|point| point.curve.as_str())),
            points,
            origin: Origin::File(origin),
            source: Source::File { table: Box::new(table), sha256, asked: Box::new(asked), over, sizes },
            contest: Contest::default(),
            notes,
        })
    }

    /// Only the curves whose name contains one of the texts; all of them where there is none.
    ///
    /// # Errors
    /// No curve's name does.
    pub fn only(mut self, texts: &[String]) -> Result<Study> {
        if texts.is_empty() || self.points.is_empty() {
            return Ok(self);
        }
        let mut curves = in_order(self.points.iter().map(|point| point.curve.as_str()));
        self.retain(|curve| texts.iter().any(|text| curve.contains(text.as_str())));
        if self.points.is_empty() {
            curves.sort();
            return Err(Error::bad_input(format!("no curve has '{}' in its name", texts.join("' or '")))
                .hint(format!("the curves are {}", curves.join(", "))));
        }
        Ok(self)
    }

    /// Leaves out the points of other curves.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.points.retain(|point| keep(&point.curve));
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Every curve in the order of the sweep or of the file, also those that a filter left out: a curve's place, and
    /// so its colour, does not depend on the filter.
    pub fn curves(&self) -> &[String] {
        &self.curves
    }

    /// The curve that a run of a plan belongs to.
    pub fn curve_of(&self, run: &Planned) -> String {
        match &self.source {
            Source::Sweep { shapes, sizes, .. } => shapes.curve(&run.label, &run.config.model, *sizes),
            Source::File { .. } | Source::Several(_) => run.label.clone(),
        }
    }

    /// What is analysed, as its column or the store calls it.
    pub fn metric(&self) -> &str {
        self.origin.metric()
    }

    /// What a person should know of how the points came about; one line for each subject.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Runs, cells and rows that gave no point, with the reason.
    pub fn left_out(&self) -> Vec<Dropped> {
        self.origin.left_out()
    }

    /// The settings with where the points come from, for provenance.
    pub fn settings(&self, settings: &Settings) -> Settings {
        Settings { origin: Some(self.origin.clone()), ..settings.clone() }
    }

    /// The fits and crossovers of a law, or of the one that predicts best.
    ///
    /// # Errors
    /// No curve can be fitted, or the method fits none.
    pub fn analyse(&self, method: Method, axis: Axis, settings: &Settings) -> Result<Analysis> {
        self.nothing_is_left()?;
        let settings = self.settings(settings);
        match method {
            // What is fixed of a law makes it another one.
            Method::Law(_) if !settings.fixed.is_empty() => fit::fit_curves(&self.points, axis, &settings),
            Method::Law(law) => fit::fit_curves(&self.points, axis, &Settings { law, ..settings }),
            Method::Auto(domain) => fit::auto::fit_auto(&self.points, axis, domain, &settings),
            Method::Tuned(key) => {
                Err(Error::bad_input(format!("--law tuned:{key}: a tuned value is not a curve of loss over scale"))
                    .hint(format!("'crossover fit SWEEP --law tuned:{key}' prints its law")))
            }
            Method::IsoFlop(profile) => {
                Err(Error::bad_input(format!("--law {}: a profile is not a curve of loss over scale", profile.name()))
                    .hint(format!("'crossover fit SWEEP --law {}' prints it", profile.name())))
            }
        }
    }

    /// Refuses a study of which everything that was measured is left out.
    fn nothing_is_left(&self) -> Result<()> {
        let left_out = self.left_out();
        // What has not ended may still give points.
        let waits = |left: &Dropped| left.reason.ends_with("not ended");
        if !self.points.is_empty() || left_out.iter().all(waits) {
            return Ok(());
        }
        let (first, count) = (&left_out[0], left_out.len());
        Err(Error::failed(format!("there are no points to fit: {} ({count} left out)", first.reason))
            .hint(format!("the first is {}; --json lists them in left_out", first.point)))
    }

    /// The best size at each budget.
    ///
    /// # Errors
    /// No curve has profiles.
    pub fn profiles(&self, profile: Profile, settings: &Settings) -> Result<Profiles> {
        self.nothing_is_left()?;
        isoflop::profiles(&self.points, profile, &self.settings(settings))
    }

    /// How the chosen values of a tuned key grow with scale.
    ///
    /// # Errors
    /// The key was not tuned, or no curve has cells enough.
    pub fn tuned(&self, key: &str, axis: Axis, settings: &Settings) -> Result<TunedLaws> {
        tuned::fit_tuned(&self.points, key, axis, &self.settings(settings))
    }

    /// The positive losses below which no model of local, position-free features gets on the tasks of the curves that
    /// are left; none for a file.
    ///
    /// # Errors
    /// The store cannot be read, or a task's floor cannot be computed.
    pub fn floors(&self) -> Result<Vec<f64>> {
        let drawn: HashSet<&str> = self.points.iter().map(|point| point.source.as_str()).collect();
        let mut floors = self.floors_of(&drawn)?;
        floors.retain(|floor| *floor > 0.0);
        floors.sort_by(f64::total_cmp);
        floors.dedup();
        Ok(floors)
    }

    fn floors_of(&self, drawn: &HashSet<&str>) -> Result<Vec<f64>> {
        match &self.source {
            Source::Sweep { reader, name, .. } => {
                let runs = reader.runs(name)?;
                let drawn = runs.iter().filter(|run| drawn.contains(run.id.as_str()));
                drawn.filter_map(|run| crate::task::floor(&run.config.task).transpose()).collect()
            }
            Source::File { .. } => Ok(Vec::new()),
            Source::Several(parts) => {
                let floors: Vec<Vec<f64>> = parts.iter().map(|part| part.floors_of(drawn)).collect::<Result<_>>()?;
                Ok(floors.concat())
            }
        }
    }
}

/// A sweep as it was registered, and the ids of its runs that are done or diverged.
///
/// # Errors
/// No such sweep.
pub fn stored(reader: &Reader, name: &str) -> Result<(store::Sweep, HashSet<String>)> {
    let sweep = reader.sweep(name)?;
    let ended = reader.runs(name)?.into_iter().filter(|run| run.state.is_final()).map(|run| run.id).collect();
    Ok((sweep, ended))
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn study(text: &str, sizes: Option<Sizes>) -> Result<Study> {
        let csv = csv(text);
        let asked = file::Asked { path: csv.path().into(), ..file::Asked::default() };
        Study::of_file(asked, Method::by_name("power").unwrap(), Axis::Data, sizes)
    }

    const ROWS: &str = "arch,examples,loss,params\nvit,100,1,1e3\nconvnet,100,2,1e3\nmlp,100,3,1e3\nvit,200,0.5,2e3\n";

    #[test]
    fn a_filter_leaves_the_order_of_all_curves() {
        let all = study(ROWS, None).unwrap();
        assert_eq!(all.curves(), ["vit", "convnet", "mlp"]);
        let some = all.only(&["mlp".into(), "conv".into()]).unwrap();
        assert_eq!(some.curves(), ["vit", "convnet", "mlp"]);
        assert_eq!(some.points().iter().map(|point| point.curve.as_str()).collect::<Vec<_>>(), ["convnet", "mlp"]);
        let none = some.only(&["perceiver".into()]).unwrap_err();
        assert_eq!(none.hint.as_deref(), Some("the curves are convnet, mlp"));
    }

    #[test]
    fn each_size_of_a_file_is_a_curve_by_its_parameters() {
        let each = study(ROWS, Some(Sizes::Each)).unwrap();
        assert_eq!(each.curves(), ["vit 1.00k", "convnet", "mlp", "vit 2.00k"]);
        let alike = study("arch,examples,loss,params\nvit,1,1,10001\nvit,1,1,10002\n", Some(Sizes::Each)).unwrap();
        assert_eq!(alike.curves(), ["vit 10001", "vit 10002"]);
        let refused = study("arch,examples,loss\nvit,1,1\n", Some(Sizes::Each)).unwrap_err();
        assert!(refused.message.contains("no number of parameters"), "{refused}");
        assert!(study(ROWS, Some(Sizes::Best)).unwrap_err().message.contains("no validation loss"));
    }

    #[test]
    fn a_file_of_very_many_rows_is_not_listed_again() {
        let rows = |count: usize| (0..count).map(|i| format!("vit,{},1,1e3\n", i + 1)).collect::<String>();
        let listed = |count: usize| {
            let text = format!("arch,examples,loss,params\n{}", rows(count));
            study(&text, None).unwrap().rows(Axis::Data, []).len()
        };
        assert_eq!((listed(2000), listed(2001)), (2000, 0));
    }
}
