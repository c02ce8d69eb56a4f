//! Resampling by run, paired across curves, on all cores, the same at any number of threads.
//!
//! A unit is one run: a point of its own, or all checkpoints of one run together. Units of different curves that share
//! scale and seed are one unit, so what those runs have in common (data, order, initial noise) moves together.
//!
//! Three ways to resample, since a sweep of architectures has few seeds per scale, a survey has many runs, and a log has
//! a million rows:
//!
//! - `Residuals`, for few units. With two seeds per cell, drawing runs with replacement inside a cell understates the
//!   variance by half, and drawing over all cells loses whole scales. Here the scales stay, and each unit gets the
//!   residual of a unit drawn at random, in all curves that have it: y* = f · exp(s · ±e), e a residual of log loss over
//!   the root of the share of the noise's variance that it keeps (HC2; see `Residual::kept`), s = sqrt(ν / χ²_ν),
//!   ν = units - parameters, drawn once a resample: with few runs the size of the noise is itself uncertain, and s turns
//!   the normal quantiles of the resamples into Student's. In the linear case with normal noise that is the exact t
//!   interval. It takes the noise of log loss to be of one size; units with several checkpoints keep their own residuals
//!   and only change sign (wild cluster bootstrap), which asks for no such thing. For Huber's objective see
//!   `beside_exact`, for the asymmetric one `about_expectile`.
//! - `Runs`, for many: as many units are drawn with replacement as there are, over all curves at once.
//! - `OneStep`, for very many: no refits but the first Gauss-Newton step of one, θ* = θ - H⁻¹ Σ z_b g_b, with z_b normal and g_b the
//!   gradient of a block of units; its covariance is the sandwich estimator's.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

use crate::fit::data::sample::Sample;
use crate::fit::laws::law::{Domain, Theta};
use crate::fit::solve::objective::{Objective, expectile};
use crate::fit::solve::search::{Matrix, Residual, Solution, Solver, cholesky, solve_factored};
use crate::random;

/// `Runs` from this many units per curve on.
const MANY_UNITS: usize = 100;

/// The same for Huber's objective: its intervals from drawn runs hold the truth too often (96 to 99% of the time with 75
/// to 192 units, docs/coverage.md), as those of medians do.
const MANY_FOR_HUBER: usize = 200;

/// The fewest runs that `Runs` draws from. Of 100 pairs of equal laws with 15 checkpoints a run, 39 had a lead with two
/// runs a curve, 20 with three, 10 with five and 7 with ten: drawn with replacement, few runs look too much alike.
pub const FEWEST_DRAWN: usize = 10;

/// `OneStep` from this many observations in any curve on.
pub const VERY_MANY: usize = 20_000;

/// Blocks that the units are dealt into for `OneStep`: enough that the covariance is that of single units.
const BLOCKS: usize = 1000;

/// A residual is enlarged as if it kept this share of the noise's variance at least: a point that draws the curve through
/// itself says nothing about the noise.
const LEAST_KEPT: f64 = 0.1;

/// Curves with fewer runs of several checkpoints each are resampled apart from one another. Two runs that flip their signs
/// in both curves at once would leave the gap without noise where its two values meet: of three hundred pairs of equal laws 4
/// to 12% had a lead there, by the kind of noise, and 0 to 2% where the signs were drawn apart.
const PAIRED_FROM: usize = 3;

/// Gauss-Newton steps granted to one resample; it starts at the estimate.
const STEPS: usize = 100;

/// Of these, where the data have several minima, so many from each before those that are no longer rivals of the lowest
/// are left. Laws with many parameters have dozens of minima, most in a few valleys whose flat floors take hundreds of
/// steps.
const SCREENING_STEPS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    Residuals,
    Runs,
    OneStep,
}

/// A curve with its estimate, ready to be resampled.
#[derive(Clone)]
pub struct Fitted<'a> {
    pub solver: Solver,
    pub sample: &'a Sample,
    /// Which unit each observation belongs to.
    pub units: &'a [usize],
    pub best: Theta,
    /// Distinct minima of the whole sample; each resample starts at each.
    pub minima: Vec<Solution>,
}

/// The estimates of one curve on resampled data; absent where no finite fit was found.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    pub resamples: Vec<Option<Theta>>,
    /// With one unit left out at a time; empty where one of these has no fit, since what is missing matters most.
    pub jackknife: Vec<Option<Theta>>,
}

/// The way that suits the law, the smallest curve, or the machine's patience with the largest.
pub fn suited(curves: &[Fitted<'_>]) -> Resampling {
    if curves.iter().any(|curve| curve.solver.law.domain() == Domain::Frontier) {
        return Resampling::Runs;
    }
    if curves.iter().any(|curve| curve.sample.len() >= VERY_MANY) {
        return Resampling::OneStep;
    }
    let fewest = curves.iter().map(|curve| distinct(curve.units)).min().unwrap_or(0);
    let huber = curves.iter().any(|curve| curve.solver.objective == Objective::Huber);
    let many = if huber { MANY_FOR_HUBER } else { MANY_UNITS };
    if fewest >= many { Resampling::Runs } else { Resampling::Residuals }
}

pub fn distinct(units: &[usize]) -> usize {
    let mut sorted = units.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

/// `count` resamples of all curves; the result is indexed like `curves`. `jackknife` asks for those fits too.
pub fn draw(curves: &[Fitted<'_>], way: Resampling, count: usize, seed: u64, jackknife: bool) -> Vec<Draws> {
    let unit_count = unit_count(curves);
    let drawn: Vec<Vec<Option<Theta>>> = match way {
        Resampling::Residuals => redraw(curves, count, seed, |samples| {
            curves.iter().zip(&samples).map(|(curve, sample)| curve.refit(sample)).collect()
        }),
        Resampling::Runs => each(count, seed, |mut rng| {
            let counts = counts(unit_count, &mut rng);
            curves.iter().map(|curve| curve.refit(&reweighted(curve, |unit| counts[unit]))).collect()
        }),
        Resampling::OneStep => {
            let steps: Vec<OneStep> = curves.par_iter().enumerate().map(|(g, curve)| OneStep::of(curve, g)).collect();
            each(count, seed, |rng| curves.iter().zip(&steps).map(|(curve, step)| step.sample(curve, &rng)).collect())
        }
    };
    let left_out: Vec<Vec<Option<Theta>>> = if jackknife && way != Resampling::OneStep {
        let without = |curve: &Fitted<'_>, out: usize| reweighted(curve, |unit| f64::from(u8::from(unit != out)));
        let fits = |out: usize| curves.iter().map(|curve| curve.refit(&without(curve, out))).collect();
        (0..unit_count).into_par_iter().map(fits).collect()
    } else {
        Vec::new()
    };
    let column = |rows: &[Vec<Option<Theta>>], g: usize| rows.iter().map(|row| row[g]).collect::<Vec<_>>();
    let complete = |fits: Vec<Option<Theta>>| if fits.iter().all(Option::is_some) { fits } else { Vec::new() };
    (0..curves.len())
        .map(|g| Draws { resamples: column(&drawn, g), jackknife: complete(column(&left_out, g)) })
        .collect()
}

/// What `fit` makes of each of `count` data sets, drawn about the curves' estimates as `Residuals` draws them.
pub fn redraw<T: Send>(
    curves: &[Fitted<'_>],
    count: usize,
    seed: u64,
    fit: impl Fn(Vec<Sample>) -> T + Sync,
) -> Vec<T> {
    let units = unit_count(curves);
    let noise: Vec<Noise> = curves.iter().enumerate().map(|(g, curve)| Noise::of(curve, g)).collect();
    each(count, seed, |mut rng| {
        let donors = donors(units, &mut rng);
        fit(curves.iter().zip(&noise).map(|(curve, noise)| noise.sample(curve, &donors, &rng)).collect())
    })
}

fn unit_count(curves: &[Fitted<'_>]) -> usize {
    curves.iter().flat_map(|curve| curve.units).max().map_or(0, |last| last + 1)
}

/// `count` resamples, each from its own generator, so that threads cannot matter.
fn each<T: Send>(count: usize, seed: u64, resample: impl Fn(ChaCha8Rng) -> T + Sync) -> Vec<T> {
    (0..count).into_par_iter().map(|index| resample(random::stream(seed, "bootstrap", index as u64))).collect()
}

/// Which numbers of its own a curve draws; none where it shares those of the others.
fn apart(curve: &Fitted<'_>, g: usize) -> Option<u64> {
    let units = distinct(curve.units);
    (units < curve.units.len() && units < PAIRED_FROM).then_some(g as u64 + 1)
}

/// The generator of a resample, or a curve's own.
fn own(rng: &ChaCha8Rng, apart: Option<u64>) -> ChaCha8Rng {
    let mut own = rng.clone();
    if let Some(stream) = apart {
        own.set_stream(stream);
    }
    own
}

/// What a unit gets in a resample.
#[derive(Clone, Copy)]
struct Donor {
    /// The unit whose residual it gets, in the curves that have that one.
    unit: usize,
    /// Even over all 32-bit numbers: picks the residual in a curve that does not.
    other: u32,
    sign: f64,
}

fn donors(units: usize, rng: &mut impl Rng) -> Vec<Donor> {
    let donor = |_| {
        let (unit, bits) = (below(units, rng.next_u32()), rng.next_u32());
        // `below` picks by the high bits, so the lowest one is a sign of its own.
        Donor { unit, other: bits, sign: if bits & 1 == 0 { 1.0 } else { -1.0 } }
    };
    (0..units).map(donor).collect()
}

/// Uniform below `count`: the high half of a product, even to one part in 2^32 over the count.
fn below(count: usize, bits: u32) -> usize {
    ((u64::from(bits) * count as u64) >> 32) as usize
}

/// How often each unit comes up in as many draws with replacement as there are units.
fn counts(units: usize, rng: &mut impl Rng) -> Vec<f64> {
    let mut counts = vec![0.0; units];
    for _ in 0..units {
        counts[below(units, rng.next_u32())] += 1.0;
    }
    counts
}

/// The observations, each counted as often as its unit.
fn reweighted(curve: &Fitted<'_>, count: impl Fn(usize) -> f64) -> Sample {
    let sample = curve.sample;
    let mut kept = Sample::default();
    for i in 0..sample.len() {
        let weight = count(curve.units[i]) * sample.weight[i];
        if weight > 0.0 {
            kept.ln_x.push(sample.ln_x[i]);
            kept.ln_y.push(sample.ln_y[i]);
            kept.weight.push(weight);
        }
    }
    kept
}

impl Fitted<'_> {
    fn refit(&self, sample: &Sample) -> Option<Theta> {
        let solver = Solver { max_steps: STEPS, ..self.solver };
        let sample = &*solver.fitted(sample);
        if solver.law.domain() == Domain::Frontier && sample.distinct_scales() <= solver.law.params().len() {
            return None; // as the data themselves would be refused
        }
        let descend = |steps: usize, start: &Theta| Solver { max_steps: steps, ..solver }.descend(sample, start);
        let starts: Vec<Theta> = std::iter::once(self.best).chain(self.other_minima()).collect();
        let found: Vec<Solution> = match &starts[..] {
            [only] => vec![descend(STEPS, only)],
            several => {
                let screened = several.iter().map(|start| descend(SCREENING_STEPS, start)).collect();
                let follow = |rival: Solution| match rival.converged {
                    true => rival,
                    false => descend(STEPS - SCREENING_STEPS, &rival.theta),
                };
                rivals(screened, sample.len()).into_iter().map(follow).collect()
            }
        };
        found
            .into_iter()
            .filter(|solution| solution.objective.is_finite())
            .min_by(|a, b| a.objective.total_cmp(&b.objective))
            .map(|solution| solution.theta)
    }

    /// Those that a resample may fall into.
    fn other_minima(&self) -> impl Iterator<Item = Theta> {
        let most = self.minima.first().map_or(0.0, |best| best.objective * less_likely(10.0, self.sample.len()));
        self.minima.iter().skip(1).filter(move |minimum| minimum.objective <= most).map(|minimum| minimum.theta)
    }
}

/// Those that may still become the lowest, of several in one valley the lowest.
fn rivals(mut found: Vec<Solution>, points: usize) -> Vec<Solution> {
    found.retain(|solution| solution.objective.is_finite());
    found.sort_by(|a, b| a.objective.total_cmp(&b.objective));
    let most = found.first().map_or(0.0, |lowest| lowest.objective * less_likely(2.0, points));
    found.retain(|solution| solution.objective <= most);
    found.dedup_by(|later, first| later.objective <= first.objective * less_likely(0.005, points));
    found
}

/// By which factor an objective that is a sum of squares of normal noise grows where the log-likelihood falls by `by`.
fn less_likely(by: f64, points: usize) -> f64 {
    f64::exp(2.0 * by / points as f64)
}

/// What resampling residuals needs of a fit.
struct Noise {
    ln_f: Vec<f64>,
    /// Residuals of log loss, as large as the noise is.
    residual: Vec<f64>,
    /// The observation of each unit, where every unit is a single one.
    single: Option<HashMap<usize, usize>>,
    /// Whether a residual may come with either sign.
    signed: bool,
    apart: Option<u64>,
    freedom: f64,
    chi_squared: ChiSquared<f64>,
}

impl Noise {
    fn of(curve: &Fitted<'_>, g: usize) -> Self {
        let count = curve.solver.law.params().len();
        let found = curve.solver.residuals(curve.sample, &curve.best);
        let ln_f = found.iter().map(|found| found.ln_f).collect();
        let residual = match curve.solver.objective {
            Objective::Huber => beside_exact(found.iter().map(|found| found.above).collect(), count),
            Objective::SquaredLog | Objective::Squared => {
                found.iter().map(|found| found.above / found.kept.max(LEAST_KEPT).sqrt()).collect()
            }
            Objective::Asymmetric => about_expectile(&found),
        };
        let freedom = distinct(curve.units).saturating_sub(count).max(1) as f64;
        let chi_squared = ChiSquared::new(freedom).expect("at least one degree of freedom");
        let single: HashMap<usize, usize> = curve.units.iter().enumerate().map(|(i, unit)| (*unit, i)).collect();
        let single = (single.len() == curve.units.len()).then_some(single);
        let signed = curve.solver.objective != Objective::Asymmetric;
        Self { ln_f, residual, single, signed, apart: apart(curve, g), freedom, chi_squared }
    }

    /// `rng` is the same for all curves of a resample: the size of the noise is uncertain in one draw, as it is in the
    /// difference of two paired curves.
    fn sample(&self, curve: &Fitted<'_>, donors: &[Donor], rng: &ChaCha8Rng) -> Sample {
        if !self.signed && self.single.is_none() {
            return self.weighted(curve, donors.len(), rng);
        }
        let scale = (self.freedom / self.chi_squared.sample(&mut rng.clone())).sqrt();
        let first = curve.units.first();
        let own_signs = self.apart.map(|_| own(rng, self.apart).next_u32());
        let ln_y = (0..self.ln_f.len()).map(|i| {
            let donor = donors[curve.units[i]];
            let from = match &self.single {
                Some(single) => single.get(&donor.unit).copied().unwrap_or_else(|| below(self.ln_f.len(), donor.other)),
                None => i,
            };
            let sign = match own_signs {
                _ if !self.signed => 1.0,
                None => donor.sign,
                Some(bits) if bits >> u32::from(Some(&curve.units[i]) == first) & 1 == 0 => 1.0,
                Some(_) => -1.0,
            };
            self.ln_f[i] + scale * sign * self.residual[from]
        });
        Sample { ln_x: curve.sample.ln_x.clone(), ln_y: ln_y.collect(), weight: curve.sample.weight.clone() }
    }

    /// The observations as they are, each unit with a random weight: what is left where residuals may neither change
    /// sign nor go to another unit. The weights are log-normal about one; their variance is that of the units' gradients
    /// with Student's uncertainty, as in `OneStep`.
    fn weighted(&self, curve: &Fitted<'_>, units: usize, rng: &ChaCha8Rng) -> Sample {
        let mut rng = own(rng, self.apart);
        let normal: Vec<f64> = (0..units).map(|_| StandardNormal.sample(&mut rng)).collect();
        let own = distinct(curve.units) as f64;
        let variance = own / self.chi_squared.sample(&mut rng);
        let deviation = variance.ln_1p().sqrt();
        reweighted(curve, |unit| (deviation * normal[unit] - 0.5 * deviation * deviation).exp())
    }
}

/// Residuals of a fit by Huber's objective, as large as the noise is. Like a fit of least absolute residuals it runs
/// through about as many points as it has parameters, and so many residuals near zero would make the noise look more
/// certain in its middle, which is what such a fit goes by: the smallest ones are replaced by quantiles of the others.
/// Those need no correction for leverage h: of normal noise they keep (1 - 0.43 h) of the variance, where residuals of
/// least squares keep 1 - h.
fn beside_exact(mut residual: Vec<f64>, params: usize) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..residual.len()).collect();
    by_size.sort_by(|a, b| residual[*a].abs().total_cmp(&residual[*b].abs()));
    let (exact, others) = by_size.split_at(params.min(residual.len()));
    for (k, i) in exact.iter().enumerate() {
        let quantile = (2 * k + 1) * others.len() / (2 * params);
        residual[*i] = others.get(quantile).map_or(residual[*i], |other| residual[*other]);
    }
    residual
}

/// Residuals of a fit by the asymmetric objective, as large as the noise is, their own expectile zero: a refit of the
/// same objective to curve plus residuals is centred on the curve. They are not symmetric about it, so they keep their
/// sign. The few points below the curve have nine times the weight of those above, hence most of the leverage, and are
/// most of what the fit knows: a residual over sqrt(1 - leverage) (HC2) leaves intervals too short there, one over
/// 1 - leverage (HC3) does not. Measured in docs/coverage.md.
fn about_expectile(found: &[Residual]) -> Vec<f64> {
    let mut residual: Vec<f64> =
        found.iter().map(|found| found.above / (1.0 - found.leverage).max(LEAST_KEPT)).collect();
    let center = expectile(&residual);
    residual.iter_mut().for_each(|residual| *residual -= center);
    residual
}

/// The gradient by block of units, and the factored curvature.
struct OneStep {
    gradients: Vec<Theta>,
    factor: Option<Matrix>,
    /// Units beyond the parameters, and what makes up for these: as in `Noise`, few runs leave the size of their noise
    /// uncertain, however many checkpoints they have.
    freedom: f64,
    shrunk: f64,
    apart: Option<u64>,
}

impl OneStep {
    fn of(curve: &Fitted<'_>, g: usize) -> Self {
        let Fitted { solver, sample, best, .. } = curve;
        let count = solver.law.params().len();
        let mut gradients = vec![Theta::default(); BLOCKS];
        let mut curvature = Matrix::default();
        let mut slope = Theta::default();
        for ((ln_x, ln_y), unit) in sample.ln_x.iter().zip(&sample.ln_y).zip(curve.units) {
            let term = solver.objective.term(solver.law.ln_loss(best, ln_x, &mut slope), *ln_y);
            for i in 0..count {
                gradients[unit % BLOCKS][i] += term.slope * slope[i];
                (0..=i).for_each(|j| curvature[i][j] += term.curvature * slope[i] * slope[j]);
            }
        }
        (0..count).for_each(|i| curvature[i][i] *= 1.0 + 1e-12);
        let units = distinct(curve.units) as f64;
        let freedom = f64::max(units - count as f64, 1.0);
        let (factor, shrunk) = (cholesky(&curvature, count), (units / freedom).sqrt());
        Self { gradients, factor, freedom, shrunk, apart: apart(curve, g) }
    }

    /// `rng` is the same for all curves, as in `Noise`.
    fn sample(&self, curve: &Fitted<'_>, rng: &ChaCha8Rng) -> Option<Theta> {
        let normals = |rng: &mut ChaCha8Rng| (0..BLOCKS).map(|_| StandardNormal.sample(rng)).collect::<Vec<f64>>();
        let mut shared = rng.clone();
        let mut normal = normals(&mut shared);
        let chi_squared = ChiSquared::new(self.freedom).ok()?.sample(&mut shared);
        if self.apart.is_some() {
            normal = normals(&mut own(rng, self.apart));
        }
        let scale = self.shrunk * (self.freedom / chi_squared).sqrt();
        let count = curve.solver.law.params().len();
        let mut total = Theta::default();
        for (gradient, z) in self.gradients.iter().zip(normal) {
            (0..count).for_each(|i| total[i] += z * gradient[i]);
        }
        let mut theta = curve.best;
        let step = solve_factored(self.factor.as_ref()?, &total, count);
        (0..count).for_each(|i| theta[i] -= scale * step[i]);
        Some(curve.solver.boxed(&theta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::laws::law::theta_of;

    /// A curve on L = 20 x^-0.4 but for residuals that are all of another size.
    fn sample(count: usize, first: f64) -> Sample {
        let mut sample = Sample::default();
        for i in 0..count {
            let ln_x = 5.0 + i as f64;
            sample.push([ln_x, 0.0, 0.0], 20f64.ln() - 0.4 * ln_x + first * 1.3f64.powi(i as i32));
        }
        sample
    }

    fn fitted<'a>(sample: &'a Sample, units: &'a [usize], objective: Objective) -> Fitted<'a> {
        let law = crate::fit::laws::by_name("power").unwrap();
        let solver = Solver { law, objective, max_steps: STEPS };
        Fitted { solver, sample, units, best: theta_of(&[20f64.ln(), 0.4]), minima: Vec::new() }
    }

    /// The observation whose residual each observation got.
    fn got(noise: &Noise, curve: &Fitted, drawn: &Sample, rng: &ChaCha8Rng) -> Vec<usize> {
        let scale = (noise.freedom / noise.chi_squared.sample(&mut rng.clone())).sqrt();
        let size = |i: usize| (drawn.ln_y[i] - noise.ln_f[i]).abs() / scale;
        let from = |i: usize| (0..curve.sample.len()).find(|k| (size(i) / noise.residual[*k].abs() - 1.0).abs() < 1e-6);
        (0..curve.sample.len()).map(|i| from(i).expect("somebody's residual")).collect()
    }

    /// Units 0 to 9 and 5 to 14: where both curves have the drawn unit both get that unit's residual, and a curve that
    /// has it not gets any of its own, each as likely as the next and with either sign.
    #[test]
    fn curves_with_other_units_share_donors_where_they_can() {
        let (one, two) = (sample(10, 1e-3), sample(10, 2e-3));
        let (of_one, of_two): (Vec<usize>, Vec<usize>) = ((0..10).collect(), (5..15).collect());
        let curves = [fitted(&one, &of_one, Objective::SquaredLog), fitted(&two, &of_two, Objective::SquaredLog)];
        let noise: Vec<Noise> = curves.iter().enumerate().map(|(g, curve)| Noise::of(curve, g)).collect();
        let mut times = [[[0.0; 2]; 10]; 2];
        for index in 0..3000 {
            let mut rng = random::stream(1, "donors", index);
            let donors = donors(unit_count(&curves), &mut rng);
            for (g, (curve, noise)) in curves.iter().zip(&noise).enumerate() {
                let drawn = noise.sample(curve, &donors, &rng);
                for (i, from) in got(noise, curve, &drawn, &rng).into_iter().enumerate() {
                    let wanted = donors[curve.units[i]].unit;
                    if curve.units.contains(&wanted) {
                        assert_eq!(curve.units[from], wanted);
                    } else {
                        times[g][from][usize::from(donors[curve.units[i]].sign < 0.0)] += 1.0;
                    }
                }
            }
        }
        // About 500 of each sign, 22 the deviation. The sign was once that of the half of the rows that the residual is of.
        assert!(times.iter().flatten().flatten().all(|count: &f64| (count - 500.0).abs() < 110.0), "{times:?}");
        // A third of 30,000 draws each, over ten observations. scipy.stats.chi2.ppf(1 - 1e-4, 9) is 33.7.
        for times in times.map(|counts| counts.map(|[plus, minus]: [f64; 2]| plus + minus)) {
            let expected = times.iter().sum::<f64>() / 10.0;
            assert!((expected - 1000.0).abs() < 60.0, "{expected}");
            let chi_squared: f64 = times.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum();
            assert!(chi_squared < 33.7, "{times:?}");
        }
    }

    #[test]
    fn residuals_of_an_expectile_fit_keep_their_sign_and_have_expectile_zero() {
        let sample = sample(10, -1e-3);
        let units: Vec<usize> = (0..10).collect();
        let curve = fitted(&sample, &units, Objective::Asymmetric);
        let noise = Noise::of(&curve, 0);
        assert!(expectile(&noise.residual).abs() < 1e-12);
        let mut rng = random::stream(1, "signs", 0);
        let donors = donors(10, &mut rng);
        let drawn = noise.sample(&curve, &donors, &rng);
        for (i, from) in got(&noise, &curve, &drawn, &rng).into_iter().enumerate() {
            assert_eq!((drawn.ln_y[i] - noise.ln_f[i]).signum(), noise.residual[from].signum());
        }
    }

    // import numpy as np, scipy.stats as st
    // r = np.array([0.03, -0.01, 0.02, 0.05, -0.02]); h = np.array([0.1, 0.6, 0.05, 0.3, 0.95])
    // e = r / np.maximum(1 - h, 0.1); e - st.expectile(e, alpha=0.1)
    #[test]
    fn residuals_of_an_expectile_fit_equal_numpy() {
        let above = [0.03, -0.01, 0.02, 0.05, -0.02];
        let of = |(above, leverage): (f64, f64)| Residual { ln_f: 0.0, above, leverage, kept: 0.5 };
        let found = about_expectile(&above.into_iter().zip([0.1, 0.6, 0.05, 0.3, 0.95]).map(of).collect::<Vec<_>>());
        for (found, numpy) in found.iter().zip([0.16403991, 0.10570657, 0.15175921, 0.20213515, -0.06929343]) {
            assert!((found - numpy).abs() < 1e-8, "{found} {numpy}");
        }
    }

    // x, y, E, A, alpha, X and P as in fit::tests::objectives, with weights f ** 2; Q = np.eye(5) - P
    // (np.log(y) - np.log(f)) / np.sqrt(np.maximum(np.diag(Q @ Q.T), 0.1))
    #[test]
    fn residuals_of_squares_of_loss_equal_numpy() {
        let mut sample = Sample::default();
        for (x, y) in [(250f64, 1.95f64), (1000.0, 1.19), (4000.0, 0.82), (16000.0, 0.60), (64000.0, 0.505)] {
            sample.push([x.ln(), 0.0, 0.0], y.ln());
        }
        let law = crate::fit::laws::by_name("power-floor").unwrap();
        let solver = Solver { law, objective: Objective::Squared, max_steps: STEPS };
        let best = theta_of(&[0.39, 21f64.ln(), 0.47]);
        let noise =
            Noise::of(&Fitted { solver, sample: &sample, units: &[0, 1, 2, 3, 4], best, minima: Vec::new() }, 0);
        for (found, numpy) in
            noise.residual.iter().zip([-0.01202232, -0.02742771, 0.00556189, -0.02366255, -0.00171276])
        {
            assert!((found - numpy).abs() < 1e-8, "{found} {numpy}");
        }
    }

    // from scipy.integrate import quad; from scipy.stats import chi2
    // quad(lambda c: -0.5 * np.log1p(6 / c) * chi2.pdf(c, 4), 0, np.inf)  # mean of ln W: six units, two parameters
    /// The weights of units are the same for all curves, and one in the mean.
    #[test]
    fn checkpoints_of_an_expectile_fit_are_weighted_together() {
        let (one, two) = (sample(12, 1e-3), sample(12, 2e-3));
        let units: Vec<usize> = (0..12).map(|i| i / 2).collect();
        let curves = [fitted(&one, &units, Objective::Asymmetric), fitted(&two, &units, Objective::Asymmetric)];
        let noise: Vec<Noise> = curves.iter().enumerate().map(|(g, curve)| Noise::of(curve, g)).collect();
        let (mut sum, mut of_ln) = (0.0, 0.0);
        for index in 0..4000 {
            let mut rng = random::stream(2, "weights", index);
            let donors = donors(6, &mut rng);
            let [a, b] = [0, 1].map(|g| noise[g].sample(&curves[g], &donors, &rng));
            assert_eq!((a.weight.clone(), &a.ln_y), (b.weight, &one.ln_y));
            assert!(a.weight.chunks(2).all(|pair| pair[0] == pair[1]));
            sum += a.weight.iter().sum::<f64>() / 12.0;
            of_ln += a.weight.iter().map(|weight| weight.ln()).sum::<f64>() / 12.0;
        }
        // Mean 1; each mean of six has a deviation below one.
        assert!((sum / 4000.0 - 1.0).abs() < 0.08, "{}", sum / 4000.0);
        assert!((of_ln / 4000.0 + 0.575_830).abs() < 0.04, "{}", of_ln / 4000.0);
    }
}
