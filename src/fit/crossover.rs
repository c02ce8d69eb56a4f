//! Where two fitted curves meet, with what certainty, and who leads on either side.

use std::fmt;

use serde::Serialize;

use super::estimate::Fit;
use super::interval::{Interval, IntervalKind, interval};
use super::law::Theta;
use super::verdict::Verdict;
use crate::units::si;

/// How far beyond the data roots are looked for, as a factor of scale on either side.
const REACH: f64 = 1e3;

/// Steps of the scan for sign changes.
const STEPS: usize = 160;

/// One meeting of two curves.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    pub at: f64,
    /// Absent where the interval has no end: in the tail of the resamples the curves do not meet at all on that side.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Within the scales that both groups were measured at; else an extrapolation.
    pub inside_data: bool,
    /// Who has the lower loss just below it, and just above.
    pub leads_below: String,
    pub leads_above: String,
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
    /// The groups share no scale, so nothing can be inside.
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
    /// The outcome in words, as the table prints it.
    pub summary: String,
}

/// A curve as a function of ln x.
type Curve<'a> = &'a dyn Fn(f64) -> f64;

/// Compares two fits on the same axis, whose resamples are paired.
pub fn compare(a: &Fit, b: &Fit, kind: IntervalKind, level: f64) -> Crossover {
    let inside = (a.range.0.max(b.range.0).ln(), a.range.1.min(b.range.1).ln());
    let reach = (a.range.0.min(b.range.0).ln() - REACH.ln(), a.range.1.max(b.range.1).ln() + REACH.ln());
    let gap = |t: f64| a.ln_loss(t) - b.ln_loss(t);
    let found = roots(&gap, reach);
    let is_inside = |t: f64| inside.0 <= t && t <= inside.1;
    let resampled = meetings(a, b, &a.draws.resamples, &b.draws.resamples, reach);
    let left_out = meetings(a, b, &a.draws.jackknife, &b.draws.jackknife, reach);
    let share = |test: &dyn Fn(&[f64]) -> bool| {
        let hits = resampled.iter().filter(|meeting| test(&meeting.roots)).count();
        (!resampled.is_empty()).then(|| hits as f64 / resampled.len() as f64)
    };
    let leader = |t: f64| if gap(t) <= 0.0 { a.group.clone() } else { b.group.clone() };
    let described = |root: &f64| {
        let rising = gap(root + 1e-4) > gap(root - 1e-4);
        let draws: Vec<f64> = resampled.iter().map(|meeting| meeting.nearest(*root, rising)).collect();
        let jackknife: Vec<f64> = left_out.iter().map(|meeting| meeting.nearest(*root, rising)).collect();
        let ends = interval(kind, level, *root, &draws, &jackknife);
        let end = |t: Option<f64>| t.filter(|t| t.is_finite()).map(f64::exp);
        let (below, above) = if rising { (&a.group, &b.group) } else { (&b.group, &a.group) };
        Root {
            at: root.exp(),
            low: end(ends.map(|ends| ends.low)),
            high: end(ends.map(|ends| ends.high)),
            inside_data: is_inside(*root),
            leads_below: below.clone(),
            leads_above: above.clone(),
            verdicts: verdicts(a, b, is_inside(*root), ends),
        }
    };
    let mut crossover = Crossover {
        a: a.group.clone(),
        b: b.group.clone(),
        roots: found.iter().map(described).collect(),
        probability_inside: share(&|roots| roots.iter().any(|t| is_inside(*t))),
        same_count: share(&|roots| roots.len() == found.len()),
        leads_low: leader(inside.0),
        leads_high: leader(inside.1),
        outcome: outcome(&gap, &found, inside),
        summary: String::new(),
    };
    crossover.summary = crossover.to_string();
    crossover
}

/// What weakens a root: where it lies, an interval without an end, a curve that is not identified.
fn verdicts(a: &Fit, b: &Fit, inside_data: bool, ends: Option<Interval>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if !inside_data {
        verdicts.push(Verdict::Extrapolation);
    }
    let Some(ends) = ends else { return verdicts };
    let shaky = [a, b].into_iter().filter(|fit| !fit.identified());
    let mut missing: Vec<Verdict> = shaky.map(|fit| Verdict::RestsOn { group: fit.group.clone() }).collect();
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

fn meetings(a: &Fit, b: &Fit, of_a: &[Option<Theta>], of_b: &[Option<Theta>], reach: (f64, f64)) -> Vec<Meeting> {
    let both = of_a.iter().zip(of_b).filter_map(|(ta, tb)| Some(((*ta)?, (*tb)?)));
    both.map(|(ta, tb)| {
        let gap = |t: f64| a.ln_loss_of(&ta, t) - b.ln_loss_of(&tb, t);
        Meeting { roots: roots(&gap, reach), a_leads_first: gap(reach.0) < 0.0 }
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
    let mut found = Vec::new();
    for i in 0..STEPS {
        let (left, right) = (values[i], values[i + 1]);
        if left == 0.0 && right == 0.0 {
            continue; // the same curve
        }
        if (left > 0.0) != (right > 0.0) {
            found.push(bisect(gap, at(i), at(i + 1)));
        } else if i + 2 <= STEPS
            && right.abs() < left.abs()
            && right.abs() < values[i + 2].abs()
            && left * values[i + 2] > 0.0
        {
            let dip = lowest(&|t| gap(t) * right.signum(), at(i), at(i + 2));
            if gap(dip) * right < 0.0 {
                found.extend([bisect(gap, at(i), dip), bisect(gap, dip, at(i + 2))]);
            }
        }
    }
    found.retain(|t| t.is_finite());
    found
}

fn bisect(gap: Curve, mut low: f64, mut high: f64) -> f64 {
    let positive = gap(low) > 0.0;
    for _ in 0..48 {
        let middle = 0.5 * (low + high);
        if (gap(middle) > 0.0) == positive { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Where a function with one dip in the interval is lowest, by golden section.
fn lowest(function: Curve, mut low: f64, mut high: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    for _ in 0..50 {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if function(left) < function(right) { high = right } else { low = left }
    }
    0.5 * (low + high)
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
        let list = |inside: bool| {
            let shown: Vec<_> =
                self.roots.iter().filter(|root| root.inside_data == inside).map(Root::to_string).collect();
            shown.join("; ")
        };
        let leads = || {
            if self.leads_low == self.leads_high {
                format!("{} leads throughout", self.leads_low)
            } else {
                format!("{} leads below, {} above", self.leads_low, self.leads_high)
            }
        };
        match self.outcome {
            Outcome::Identical => write!(f, "the two curves are the same")?,
            Outcome::NoOverlap => write!(f, "no scale in common")?,
            Outcome::None => write!(f, "no crossover inside the data; {}", leads())?,
            Outcome::BeyondTheData => {
                write!(f, "no crossover inside the data; {}; extrapolated: {}", leads(), list(false))?
            }
            Outcome::Inside => write!(f, "{}", list(true))?,
        }
        match self.probability_inside {
            Some(p) if matches!(self.outcome, Outcome::None | Outcome::BeyondTheData | Outcome::Inside) => {
                write!(f, "; probability of a crossover inside the data {:.0}%", 100.0 * p)
            }
            _ => Ok(()),
        }
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
