//! How a law extrapolates one curve: fitted to the scales up to a cut, at several cuts, it predicts all scales beyond
//! (rolling origin: Tashman 2000, Int. J. Forecasting 16:437).

use crate::fit::data::sample::{LnX, Sample};
use crate::fit::laws::law::{Domain, Theta};
use crate::fit::solve::search::{Solution, Solver, same_minimum};

/// Cuts lie so many times below the largest scale.
const BELOW: [f64; 8] = [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];

/// What is left below a cut spans at least this share of the whole in ln x: from less nobody would extrapolate.
const LEAST_LEFT: f64 = 0.5;

/// Ends of the horizons, as multiples of the largest scale seen; the last is open.
const HORIZONS: [f64; 2] = [2.0, 4.0];

/// Starts that are followed, those with the lowest objective first; minima that the next cut starts from.
const FOLLOWED: usize = 8;
const FOLLOWED_AT_CUT: usize = 2;
const KEPT: usize = 3;

/// Errors of log loss below and above which no difference is made: of rounding, and where a law predicts nothing.
const LEAST: f64 = 1e-6;
const MOST: f64 = 20.0;

/// Steps granted to one start: a law is judged by what it predicts, to less than the noise.
const STEPS: usize = 60;

/// A law on one curve.
pub struct Rolled {
    /// The fit to all scales.
    pub all: Solution,
    /// Whether the search for it ended, and it does not run away beyond the data.
    pub sound: bool,
    /// Root mean squared residual of log loss on the largest scales, fitted without them.
    pub holdout: Option<f64>,
    /// For each of `cuts` the errors beyond it; absent where too few scales are left for the law.
    pub beyond: Vec<Option<Beyond>>,
}

/// Root mean squared residuals of log loss beyond a cut, up to 2 and 4 times the largest scale seen and further; absent
/// where there are no points.
#[derive(Clone, Copy, Debug)]
pub struct Beyond(pub [Option<f64>; 3]);

impl Beyond {
    /// The mean of ln of the errors, over the horizons that hold points: a factor counts alike whether the curve is noisy
    /// or smooth, so that no single curve decides.
    pub fn mean_ln(&self) -> f64 {
        let count = self.0.iter().flatten().count();
        self.0.iter().flatten().map(|error| error.clamp(LEAST, MOST).ln()).sum::<f64>() / count as f64
    }
}

/// Where the curve is cut: the largest sizes seen, the largest cut first. As many for every law.
pub fn cuts(sample: &Sample, domain: Domain) -> Vec<f64> {
    let mut sizes: Vec<f64> = sample.ln_x.iter().map(|ln_x| size(ln_x, domain)).collect();
    sizes.sort_by(f64::total_cmp);
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else { return Vec::new() };
    let below = |times: &f64| sizes.iter().copied().rfind(|size| *size <= last - times.ln() + 1e-9);
    let mut cuts: Vec<f64> = BELOW.iter().filter_map(below).collect();
    cuts.retain(|cut| cut - first >= LEAST_LEFT * (last - first));
    cuts.dedup();
    cuts
}

/// What is cut along: the scale, or of a surface N D, with what was seen for D.
fn size(ln_x: &LnX, domain: Domain) -> f64 {
    match domain {
        Domain::Curve | Domain::Frontier => ln_x[0],
        Domain::Surface => ln_x[0] + ln_x[1],
        Domain::Repeated => ln_x[0] + ln_x[2],
    }
}

/// Fits the law to all of the curve and below each cut, each fit starting where the one before it ended. None where no
/// start has a finite objective.
pub fn roll(solver: &Solver, sample: &Sample, cuts: &[f64], hidden: usize) -> Option<Rolled> {
    let domain = solver.law.domain();
    let patient = solver;
    let solver = Solver { max_steps: STEPS, ..*solver };
    let mut minima = descend(&solver, sample, followed(&solver, sample, FOLLOWED));
    let first = minima.first_mut()?;
    *first = patient.descend(sample, &first.theta);
    let all = *first;
    let sound = all.converged && !runs_away(patient, sample, &all.theta);
    let holdout = sample.split_at_largest(hidden).and_then(|(seen, unseen)| {
        let best = refit(&solver, &seen, &minima)?.first()?.theta;
        rmse(&solver, &best, &unseen, |_| true)
    });
    let mut beyond = Vec::new();
    for cut in cuts {
        let (seen, unseen) = split(sample, domain, *cut);
        let Some(found) = refit(&solver, &seen, &minima) else {
            beyond.push(None);
            continue;
        };
        beyond.push(found.first().and_then(|best| errors(&solver, &best.theta, &unseen, *cut)));
        minima = found;
    }
    Some(Rolled { all, sound, holdout, beyond })
}

/// Whether loss changes more from the largest scale to four times it than the measured losses differ: such as a line
/// that is about to meet zero. Of a surface, with both scales twice as large.
fn runs_away(solver: &Solver, sample: &Sample, theta: &Theta) -> bool {
    let domain = solver.law.domain();
    let along = |a: &&LnX, b: &&LnX| size(a, domain).total_cmp(&size(b, domain));
    let Some(last) = sample.ln_x.iter().max_by(along) else { return false };
    let step = match domain {
        Domain::Curve | Domain::Frontier => [4.0, 1.0, 1.0],
        Domain::Surface | Domain::Repeated => [2.0, 2.0, 2.0],
    };
    let next: LnX = std::array::from_fn(|i| last[i] + f64::ln(step[i]));
    let ln_loss = |at: &LnX| solver.law.ln_loss(theta, at, &mut Theta::default());
    let change = (ln_loss(&next) - ln_loss(last)).abs();
    let range =
        sample.ln_y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(*y), high.max(*y)));
    change.is_nan() || change > range.1 - range.0
}

/// The minima below a cut, best first; none where as many parameters as scales are left.
fn refit(solver: &Solver, seen: &Sample, from: &[Solution]) -> Option<Vec<Solution>> {
    if seen.distinct_scales() <= solver.law.params().len() {
        return None;
    }
    let fresh = followed(solver, seen, FOLLOWED_AT_CUT);
    let starts = from.iter().map(|solution| solution.theta).chain(fresh).collect();
    Some(descend(solver, seen, starts))
}

/// The starts of the lowest objective.
fn followed(solver: &Solver, sample: &Sample, count: usize) -> Vec<Theta> {
    let mut starts: Vec<(f64, Theta)> = (solver.law.starts(sample).into_iter())
        .map(|start| solver.boxed(&start))
        .map(|start| (solver.local(sample, &start).objective, start))
        .filter(|(objective, _)| objective.is_finite())
        .collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts.into_iter().take(count).map(|(_, start)| start).collect()
}

fn descend(solver: &Solver, sample: &Sample, starts: Vec<Theta>) -> Vec<Solution> {
    let mut minima: Vec<Solution> = starts.iter().map(|start| solver.descend(sample, start)).collect();
    minima.retain(|solution| solution.objective.is_finite());
    minima.sort_by(|a, b| a.objective.total_cmp(&b.objective));
    minima.dedup_by(|later, earlier| same_minimum(later.objective, earlier.objective, sample.len()));
    minima.truncate(KEPT);
    minima
}

fn split(sample: &Sample, domain: Domain, cut: f64) -> (Sample, Sample) {
    let below = |i: &usize| size(&sample.ln_x[*i], domain) <= cut;
    let (seen, unseen): (Vec<usize>, Vec<usize>) = (0..sample.len()).partition(below);
    (sample.only(&seen), sample.only(&unseen))
}

/// The errors beyond a cut; none where nothing lies there.
fn errors(solver: &Solver, theta: &Theta, unseen: &Sample, cut: f64) -> Option<Beyond> {
    let domain = solver.law.domain();
    let [near, far] = HORIZONS.map(|times| cut + f64::ln(times) + 1e-9);
    let of = |(from, to): (f64, f64)| {
        rmse(solver, theta, unseen, |ln_x| {
            let at = size(ln_x, domain);
            from < at && at <= to
        })
    };
    let beyond = [(f64::NEG_INFINITY, near), (near, far), (far, f64::INFINITY)].map(of);
    beyond.iter().any(Option::is_some).then_some(Beyond(beyond))
}

/// Root mean squared residual of log loss over the observations that are `within`; none where there is none, and
/// infinite where the law predicts no number.
fn rmse(solver: &Solver, theta: &Theta, sample: &Sample, within: impl Fn(&LnX) -> bool) -> Option<f64> {
    let mut ignored = Theta::default();
    let (mut squares, mut count) = (0.0, 0.0);
    for (ln_x, ln_y) in sample.ln_x.iter().zip(&sample.ln_y).filter(|(ln_x, _)| within(ln_x)) {
        squares += (solver.law.ln_loss(theta, ln_x, &mut ignored) - ln_y).powi(2);
        count += 1.0;
    }
    let rmse = (squares / count).sqrt();
    (count > 0.0).then_some(if rmse.is_finite() { rmse } else { f64::INFINITY })
}
