//! Several studies as one: our runs beside other people's, or two sweeps of one question.

use std::collections::HashSet;

use super::{Source, Study};
use crate::error::{Error, Result};
use crate::fit::Origin;
use crate::store::Contest;

impl Study {
    /// The studies in their order, each with its name; one is itself. A curve's name that several have is followed by
    /// that of its study.
    ///
    /// # Errors
    /// They do not measure the same: losses beside errors made of something that rises.
    pub fn joined(mut studies: Vec<(String, Study)>) -> Result<Study> {
        if studies.len() == 1 {
            return Ok(studies.remove(0).1);
        }
        let named = |(name, study): &(String, Study)| format!("{name} measures {}", study.metric());
        if studies.windows(2).any(|pair| pair[0].1.origin.falling() != pair[1].1.origin.falling()) {
            let metrics: Vec<String> = studies.iter().map(named).collect();
            return Err(Error::bad_input(format!("studies that measure different things: {}", metrics.join(", ")))
                .hint("choose one metric for all with --metric, or fit them one by one"));
        }
        let (mut seen, mut several) = (HashSet::new(), HashSet::new());
        for curve in studies.iter().flat_map(|(_, study)| &study.curves) {
            if !seen.insert(curve.clone()) {
                several.insert(curve.clone());
            }
        }
        let mut notes = Vec::new();
        let metrics: HashSet<&str> = studies.iter().map(|(_, study)| study.metric()).collect();
        if metrics.len() > 1 {
            let metrics: Vec<String> = studies.iter().map(named).collect();
            notes.push(format!("compared though their metrics have different names: {}", metrics.join(", ")));
        }
        for (name, study) in &mut studies {
            study.rename(|curve| match several.contains(curve) {
                true => format!("{curve} ({name})"),
                false => curve.to_owned(),
            });
            notes.extend(study.notes.iter().map(|note| format!("{name}: {note}")));
        }
        let parts: Vec<Study> = studies.into_iter().map(|(_, study)| study).collect();
        Ok(Study {
            points: parts.iter().flat_map(|part| part.points.iter().cloned()).collect(),
            curves: parts.iter().flat_map(|part| part.curves.iter().cloned()).collect(),
            origin: Origin::Several(parts.iter().map(|part| part.origin.clone()).collect()),
            contest: parts.iter().fold(Contest::default(), |all, part| all.with(&part.contest)),
            source: Source::Several(parts),
            notes,
        })
    }

    fn rename(&mut self, name: impl Fn(&str) -> String) {
        self.points.iter_mut().for_each(|point| point.curve = name(&point.curve));
        self.curves.iter_mut().for_each(|curve| *curve = name(curve));
        self.origin.rename(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Method;
    use crate::point::Axis;
    use crate::study::file::Asked;

    fn study(text: &str) -> Study {
        let csv = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(csv.path(), text).unwrap();
        let asked = Asked { path: csv.path().into(), ..Asked::default() };
        Study::of_file(asked, Method::by_name("power").unwrap(), Axis::Data, None).unwrap()
    }

    #[test]
    fn curves_of_one_name_are_told_apart_by_their_studies() {
        let ours = study("arch,examples,loss\nvit,100,1\nvit,200,0.8\nmlp,100,2\n");
        let theirs = study("arch,tokens,val_loss\nvit,100,1.5\n");
        let both = Study::joined(vec![("ours".into(), ours), ("theirs".into(), theirs)]).unwrap();
        assert_eq!(both.curves(), ["vit (ours)", "mlp", "vit (theirs)"]);
        let points: Vec<(&str, f64)> = both.points().iter().map(|point| (point.curve.as_str(), point.value)).collect();
        assert_eq!(points, [("vit (ours)", 1.0), ("vit (ours)", 0.8), ("mlp", 2.0), ("vit (theirs)", 1.5)]);
        assert!(both.notes().iter().any(|note| note.contains("different names")), "{:?}", both.notes());
        let one = Study::joined(vec![("ours".into(), study("arch,examples,loss\nvit,100,1\n"))]).unwrap();
        assert_eq!(one.curves(), ["vit"]);
    }
}
