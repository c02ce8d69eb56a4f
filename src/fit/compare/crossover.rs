//! Where two fitted curves meet, with what certainty, and who leads on either side.

use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use crate::fit::compare::band::{Band, bands, overlap};
use crate::fit::compare::conclusion::{Candidate, Conclusion, Kind, Sides, conclude};
use crate::fit::compare::measured::{self, crossings};
use crate::fit::compare::tables::{Row, STEPS, Tables, reach};
use crate::fit::diagnosis::fell_back;
use crate::fit::estimate::Fit;
use crate::fit::laws::law::Theta;
use crate::fit::solve::scalar;
use crate::fit::uncertainty::interval::{Interval, IntervalKind, interval};
use crate::fit::verdict::Verdict;
use crate::units::si;

/// One meeting of two curves.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    pub at: f64,
    /// Absent where the interval has no end: in the tail of the resamples the curves do not meet at all on that side.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Within the scales that both curves were measured at; else an extrapolation.
    pub inside_data: bool,
    /// Who has the lower loss just below it, and just above.
    pub leads_below: String,
    pub leads_above: String,
    /// The crossing of the measured means that is nearest and in the same direction; absent where they have none.
    pub measured: Option<measured::Crossing>,
    /// `identified` where both curves are and its interval has both ends, else what is missing; and `extrapolation`
    /// where it lies beyond the data, so that it holds only as far as the laws do.
    pub verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The curves cross within the data, once or more.
    Inside,
    /// They cross only where nobody has measured.
    BeyondTheData,
    /// They do not cross within a thousand times the data either.
    None,
    /// The two curves are the same.
    Identical,
    /// The curves share no scale, so nothing can be inside.
    NoOverlap,
}

/// The comparison of two fitted curves.
#[derive(Clone, Debug, Serialize)]
pub struct Crossover {
    pub a: String,
    pub b: String,
    pub roots: Vec<Root>,
    /// Share of the resamples in which they cross at least once within the data; absent without resamples.
    pub probability_inside: Option<f64>,
    /// Share of the resamples with as many crossings as the estimate, within a thousand times the data.
    pub same_count: Option<f64>,
    /// Who has the lower loss at the smallest and at the largest scale that both have.
    pub leads_low: String,
    pub leads_high: String,
    pub outcome: Outcome,
    /// What is established of the pair.
    pub conclusion: Conclusion,
    /// What the conclusion rests on and what speaks against it.
    pub weaknesses: Vec<Weakness>,
    /// The conclusion in one sentence, what was measured and on what it rests, and both.
    pub headline: String,
    pub details: String,
    pub summary: String,
}

/// Something that weakens a conclusion: a verdict on one of the curves, or on the pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weakness {
    pub curve: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A curve as a function of ln x.
type Curve<'a> = &'a dyn Fn(f64) -> f64;

impl Crossover {
    /// Why the law of a curve is not held by its data: not identified, a misfit, not searched to the end.
    pub fn weak<'a>(&'a self, curve: &'a str) -> impl Iterator<Item = &'a Verdict> {
        let weak = |weakness: &&Weakness| {
            matches!(
                weakness.verdict,
                Verdict::Unidentified { .. }
                    | Verdict::FewRuns { .. }
                    | Verdict::Untested { .. }
                    | Verdict::Serial { .. }
                    | Verdict::LackOfFit { .. }
                    | Verdict::NotConverged
            )
        };
        let own = self.weaknesses.iter().filter(move |weakness| weakness.curve.as_deref() == Some(curve));
        own.filter(weak).map(|weakness| &weakness.verdict)
    }
}

/// Every pair of fits on one axis, whose resamples are paired. Leads and crossovers hold for all of them at once.
pub fn compare_all(tables: &Tables, kind: IntervalKind, level: f64) -> Vec<Crossover> {
    let fits = tables.fits;
    let pairs: Vec<(usize, usize)> = (0..fits.len()).flat_map(|a| (a + 1..fits.len()).map(move |b| (a, b))).collect();
    let bands = bands(fits, &pairs, level);
    let one = |(pair, band): (&(usize, usize), &Option<Band>)| {
        compare(tables, *pair, band.as_ref(), kind, level, pairs.len())
    };
    pairs.par_iter().zip(&bands).map(one).collect()
}

fn compare(
    tables: &Tables,
    (first, second): (usize, usize),
    band: Option<&Band>,
    kind: IntervalKind,
    level: f64,
    pairs: usize,
) -> Crossover {
    let (a, b) = (&tables.fits[first], &tables.fits[second]);
    let inside = overlap(a, b);
    let gap = |t: f64| a.ln_loss(t) - b.ln_loss(t);
    let found = roots(&gap, reach(a, b));
    let is_inside = |t: f64| inside.0 <= t && t <= inside.1;
    let of = |fit, rows, draws| Drawn { fit, rows, draws };
    let resampled = meetings(
        tables,
        of(a, tables.resamples(first), &a.draws.resamples),
        of(b, tables.resamples(second), &b.draws.resamples),
    );
    let left_out = meetings(
        tables,
        of(a, tables.jackknife(first), &a.draws.jackknife),
        of(b, tables.jackknife(second), &b.draws.jackknife),
    );
    let share = |test: &dyn Fn(&[f64]) -> bool| {
        let hits = resampled.iter().filter(|meeting| test(&meeting.roots)).count();
        (!resampled.is_empty()).then(|| hits as f64 / resampled.len() as f64)
    };
    let leader = |t: f64| if gap(t) <= 0.0 { a.curve.clone() } else { b.curve.clone() };
    let measured = crossings(&a.means, &b.means, level);
    let described = |root: &f64| {
        let rising = gap(root + 1e-4) > gap(root - 1e-4);
        let draws: Vec<f64> = resampled.iter().map(|meeting| meeting.nearest(*root, rising)).collect();
        let jackknife: Vec<f64> = left_out.iter().map(|meeting| meeting.nearest(*root, rising)).collect();
        let tested = a.tested_at(*root) && b.tested_at(*root);
        let ends = interval(kind, level, *root, &draws, &jackknife).filter(|_| tested);
        let end = |t: Option<f64>| t.filter(|t| t.is_finite()).map(f64::exp);
        let (below, above) = if rising { (&a.curve, &b.curve) } else { (&b.curve, &a.curve) };
        let far = |crossing: &measured::Crossing| (crossing.at.ln() - root).abs();
        let same_direction = measured.iter().filter(|(_, other)| *other == rising).map(|(crossing, _)| *crossing);
        Root {
            at: root.exp(),
            low: end(ends.map(|ends| ends.low)),
            high: end(ends.map(|ends| ends.high)),
            inside_data: is_inside(*root),
            leads_below: below.clone(),
            leads_above: above.clone(),
            measured: same_direction.min_by(|s, t| far(s).total_cmp(&far(t))),
            verdicts: verdicts(a, b, is_inside(*root), ends)
                .into_iter()
                .chain(fell_back(kind, ends.iter().map(|ends| ("the crossover", ends))))
                .collect(),
        }
    };
    let roots: Vec<Root> = found.iter().map(described).collect();
    let of_root =
        |root: &Root| Candidate { at: root.at, low: root.low, high: root.high, leads_above: root.leads_above.clone() };
    let inner: Vec<Candidate> = roots.iter().filter(|root| root.inside_data).map(of_root).collect();
    let sides = Sides { a: (&a.curve, &a.means), b: (&b.curve, &b.means) };
    let scales = (a.range.0.max(b.range.0), a.range.1.min(b.range.1));
    let conclusion = conclude(&sides, scales, band, &inner, (level, pairs));
    Crossover {
        a: a.curve.clone(),
        b: b.curve.clone(),
        probability_inside: share(&|roots| roots.iter().any(|t| is_inside(*t))),
        same_count: share(&|roots| roots.len() == found.len()),
        leads_low: leader(inside.0),
        leads_high: leader(inside.1),
        outcome: outcome(&gap, &found, inside),
        weaknesses: weaknesses([a, b], &roots, &conclusion),
        roots,
        conclusion,
        headline: String::new(),
        details: String::new(),
        summary: String::new(),
    }
}

/// What a reader of the conclusion has to know: verdicts on the two curves that bear on it, and where law and means
/// part.
fn weaknesses(fits: [&Fit; 2], roots: &[Root], conclusion: &Conclusion) -> Vec<Weakness> {
    if conclusion.kind == Kind::NoOverlap {
        return Vec::new();
    }
    let mut found = Vec::new();
    for fit in fits {
        let bears = |verdict: &&Verdict| verdict.bears_on_comparison();
        let on = |verdict: &Verdict| Weakness { curve: Some(fit.curve.clone()), verdict: verdict.clone() };
        found.extend(fit.verdicts.iter().filter(bears).map(on));
        if fit.draws.resamples.is_empty() && fit.converged && !fit.untested() {
            found.push(on(&Verdict::NoResamples));
        }
    }
    for lead in &conclusion.contradicted {
        let verdict = Verdict::MeansContradict { from: lead.from, to: lead.to };
        found.push(Weakness { curve: lead.leads.clone(), verdict });
    }
    for told in &conclusion.established {
        let measured = roots.iter().find(|root| root.at == told.at).and_then(|root| root.measured);
        if measured.is_none_or(|crossing| crossing.parts_from(told.low, told.high)) {
            let at = measured.map(|crossing| crossing.at);
            found.push(Weakness { curve: None, verdict: Verdict::MeasuredElsewhere { fitted: told.at, at } });
        }
    }
    found
}

/// What weakens a root: where it lies, an interval without an end, a curve that is not identified.
fn verdicts(a: &Fit, b: &Fit, inside_data: bool, ends: Option<Interval>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if !inside_data {
        verdicts.push(Verdict::Extrapolation);
    }
    let Some(ends) = ends else { return verdicts };
    let shaky = [a, b].into_iter().filter(|fit| !fit.identified());
    let mut missing: Vec<Verdict> = shaky.map(|fit| Verdict::RestsOn { curve: fit.curve.clone() }).collect();
    if !(ends.low.is_finite() && ends.high.is_finite()) {
        missing.push(Verdict::OpenEnded);
    }
    if missing.is_empty() {
        missing.push(Verdict::Identified);
    }
    [missing, verdicts].concat()
}

/// Where the two curves of one resample meet.
struct Meeting {
    roots: Vec<f64>,
    /// Whether a leads at the smallest scale; at each root the lead changes.
    a_leads_first: bool,
}

/// A curve's draws and what they give on the grid.
struct Drawn<'a> {
    fit: &'a Fit,
    rows: &'a [Option<Row>],
    draws: &'a [Option<Theta>],
}

impl<'a> Drawn<'a> {
    fn each(&self) -> impl Iterator<Item = Option<(&'a Row, &'a Theta)>> {
        self.rows.iter().zip(self.draws).map(|(row, theta)| row.as_ref().zip(theta.as_ref()))
    }
}

fn meetings(tables: &Tables, a: Drawn, b: Drawn) -> Vec<Meeting> {
    let within = tables.within(reach(a.fit, b.fit));
    let at = |i: usize| tables.at(within.start() + i);
    let both = a.each().zip(b.each()).filter_map(|(of_a, of_b)| of_a.zip(of_b));
    both.map(|((row_a, theta_a), (row_b, theta_b))| {
        let losses = row_a.ln_loss[within.clone()].iter().zip(&row_b.ln_loss[within.clone()]);
        let values: Vec<f64> = losses.map(|(a, b)| a - b).collect();
        let gap = |t: f64| a.fit.ln_loss_of(theta_a, t) - b.fit.ln_loss_of(theta_b, t);
        Meeting { roots: changes(&values, &at, &gap), a_leads_first: values[0] < 0.0 }
    })
    .collect()
}

impl Meeting {
    /// The root that continues `near`, at which a loses the lead (`rising`) or wins it: the nearest one of that
    /// direction. Without one, infinity on the side where the leader of below still leads.
    fn nearest(&self, near: f64, rising: bool) -> f64 {
        let same_direction = |i: usize| (self.a_leads_first == i.is_multiple_of(2)) == rising;
        let candidates = self.roots.iter().enumerate().filter(|(i, _)| same_direction(*i)).map(|(_, t)| *t);
        candidates.min_by(|s, t| (s - near).abs().total_cmp(&(t - near).abs())).unwrap_or_else(|| {
            let passed = self.roots.iter().filter(|t| **t < near).count();
            let a_leads = self.a_leads_first == passed.is_multiple_of(2);
            if a_leads == rising { f64::INFINITY } else { f64::NEG_INFINITY }
        })
    }
}

fn outcome(gap: Curve, found: &[f64], inside: (f64, f64)) -> Outcome {
    let middle = 0.5 * (inside.0 + inside.1);
    if inside.0 > inside.1 {
        Outcome::NoOverlap
    } else if [inside.0, middle, inside.1].iter().all(|t| gap(*t).abs() < 1e-12) {
        Outcome::Identical
    } else if found.iter().any(|t| inside.0 <= *t && *t <= inside.1) {
        Outcome::Inside
    } else if found.is_empty() {
        Outcome::None
    } else {
        Outcome::BeyondTheData
    }
}

/// All t in `range` at which `gap` changes sign, in order. Two roots within one step of the scan are found by following
/// dips of |gap|.
pub fn roots(gap: Curve, range: (f64, f64)) -> Vec<f64> {
    let at = |i: usize| range.0 + (range.1 - range.0) * i as f64 / STEPS as f64;
    let values: Vec<f64> = (0..=STEPS).map(|i| gap(at(i))).collect();
    changes(&values, &at, gap)
}

/// The same from the gap's values at the scales `at`.
fn changes(values: &[f64], at: &dyn Fn(usize) -> f64, gap: Curve) -> Vec<f64> {
    let zero = |low: (f64, f64), high: (f64, f64)| scalar::zero(gap, low, high);
    let mut found = Vec::new();
    for i in 0..values.len().saturating_sub(1) {
        let (left, right) = (values[i], values[i + 1]);
        if left == 0.0 && right == 0.0 {
            continue; // the same curve
        }
        if (left > 0.0) != (right > 0.0) {
            found.push(zero((at(i), left), (at(i + 1), right)));
        } else if i + 2 < values.len()
            && right.abs() < left.abs()
            && right.abs() < values[i + 2].abs()
            && left * values[i + 2] > 0.0
        {
            let dip = scalar::lowest(&|t| gap(t) * right.signum(), at(i), at(i + 2));
            let lowest = (dip, gap(dip));
            if lowest.1 * right < 0.0 {
                found.extend([zero((at(i), left), lowest), zero(lowest, (at(i + 2), values[i + 2]))]);
            }
        }
    }
    found.retain(|t| t.is_finite());
    found
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: Option<f64>| end.map_or("no end".to_owned(), si);
        write!(f, "{} overtakes {} at {}", self.leads_above, self.leads_below, si(self.at))?;
        match (self.low, self.high) {
            (None, None) => Ok(()),
            (low, high) => write!(f, " ({} to {})", end(low), end(high)),
        }
    }
}

impl fmt::Display for Crossover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_roots_even_two_in_one_step() {
        let range = (0.0, 16.0); // steps of 0.1
        assert_eq!(roots(&|t| t + 1.0, range), Vec::<f64>::new());
        assert!((roots(&|t| t - 7.03, range)[0] - 7.03).abs() < 1e-12);
        let twice = roots(&|t| (t - 7.01) * (t - 7.03), range);
        assert_eq!(twice.len(), 2, "{twice:?}");
        assert!((twice[0] - 7.01).abs() < 1e-9 && (twice[1] - 7.03).abs() < 1e-9, "{twice:?}");
        assert_eq!(roots(&|t: f64| (t - 7.01).powi(2) + 1e-9, range).len(), 0);
        assert_eq!(roots(&|t: f64| (t / 3.0).sin(), (1.0, 24.0)).len(), 2);
    }
}
