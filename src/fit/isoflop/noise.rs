//! How much losses scatter about a profile, and profiles with fresh noise.
//!
//! Of a parabola that fits it is the scatter about the parabola, as uncertain in size as the number of runs leaves it.
//! Where the parabola misses the losses (an F test against what follows), and always under Akima's spline, which runs
//! through them, a parabola's misfit would count as noise. There it is what neighbouring sizes differ by beyond a cubic:
//! five sizes in a row, the weights of their fourth divided difference scaled to length one (Gasser, Sroka and
//! Jennen-Steinmetz 1986, doi:10.1093/biomet/73.3.625, one order higher). Only sizes about the optimum count, since
//! losses far from it scatter more and move nothing. That the minima choose them biases the size of the noise by at most a
//! few percent, upwards (docs/coverage.md).

use rand_chacha::rand_core::Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use crate::fit::isoflop::budget::Budget;
use crate::fit::isoflop::profile::{Profile, off_parabola};
use crate::fit::uncertainty::distribution::f_tail;

/// Sizes that a difference is taken over.
const WINDOW: usize = 5;

/// From so many differences on the size of the noise counts as known: redrawn noise lies on top of the noise of the
/// losses, which already widens the intervals of a curve through all points (docs/coverage.md).
const ENOUGH: usize = 12;

/// A misfit less likely than this is one.
const UNLIKELY: f64 = 0.01;

/// Residuals of rounding size are no noise to judge by.
const NOTHING: f64 = 1e-8;

/// The noise of losses, relative to them.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    pub sigma: f64,
    /// Degrees of freedom that tell its size.
    freedom: f64,
    /// Whether resamples draw the size too.
    uncertain: bool,
    /// How unlikely it is that parabolas miss so far by chance; none unless it is unlikely.
    pub misfit: Option<f64>,
}

impl Noise {
    /// None where curves run through all points and nothing tells the noise. `best` are ln N of the budgets' minima.
    pub fn of(budgets: &[Budget], profile: Profile, best: &[Option<f64>]) -> Option<Self> {
        let (parabola, local) = (Self::about_parabolas(budgets), Self::of_neighbours(budgets, best));
        match (profile, parabola, local) {
            (Profile::Akima, _, local) => local.or(parabola),
            (Profile::Parabola, Some(parabola), Some(local)) => {
                let ratio = (parabola.sigma / local.sigma).powi(2);
                let p_value = f_tail(ratio, parabola.freedom, local.freedom);
                let misses = parabola.sigma > NOTHING && p_value < UNLIKELY;
                Some(if misses { Self { misfit: Some(p_value), uncertain: true, ..local } } else { parabola })
            }
            (Profile::Parabola, parabola, _) => parabola,
        }
    }

    fn about_parabolas(budgets: &[Budget]) -> Option<Self> {
        let (mut squares, mut freedom) = (0.0, 0.0);
        for points in budgets.iter().map(|budget| &budget.points) {
            let (Some(off), true) = (off_parabola(points), points.len() > 3) else { continue };
            squares += off.iter().map(|off| off.powi(2)).sum::<f64>();
            freedom += points.len() as f64 - 3.0;
        }
        (freedom >= 1.0).then(|| Self { sigma: (squares / freedom).sqrt(), freedom, uncertain: true, misfit: None })
    }

    fn of_neighbours(budgets: &[Budget], best: &[Option<f64>]) -> Option<Self> {
        let wide = budgets.iter().filter(|budget| budget.sizes().len() >= WINDOW).count();
        let each = ENOUGH.div_ceil(wide.max(1));
        let near: Vec<Vec<Difference>> =
            budgets.iter().zip(best).map(|(budget, best)| differences(budget, *best, each)).collect();
        let all = || near.iter().flatten();
        let count = all().count() as f64;
        let squares: f64 = all().map(|difference| difference.value.powi(2)).sum();
        // Differences that share sizes tell the noise less well than as many apart: the degrees of freedom that the
        // variance of their mean square has (Satterthwaite).
        let pairs = near.iter().flat_map(|own| own.iter().flat_map(|a| own.iter().map(|b| a.shared(b).powi(2))));
        let freedom = count * count / pairs.sum::<f64>();
        let uncertain = count < ENOUGH as f64;
        (count > 0.0).then(|| Self { sigma: (squares / count).sqrt(), freedom, uncertain, misfit: None })
    }

    /// The budgets with noise on top of their losses.
    pub fn redrawn(&self, budgets: &[Budget], rng: &mut impl Rng) -> Option<Vec<Budget>> {
        let sigma = if self.uncertain {
            self.sigma * (self.freedom / ChiSquared::new(self.freedom).ok()?.sample(rng)).sqrt()
        } else {
            self.sigma
        };
        let redrawn = budgets.iter().map(|budget| {
            let points = budget.points.iter().map(|(ln_n, loss)| {
                let normal: f64 = StandardNormal.sample(rng);
                (*ln_n, loss * (1.0 + sigma * normal))
            });
            Budget { points: points.collect(), ..budget.clone() }
        });
        Some(redrawn.collect())
    }
}

/// What five sizes in a row differ by beyond a cubic, in deviations of one run's noise of log loss.
struct Difference {
    value: f64,
    /// Of each size's runs, from the first size of the window on; the sum of squares over the runs is one.
    weights: [f64; WINDOW],
    runs: [f64; WINDOW],
    from: usize,
}

impl Difference {
    fn of(sizes: &[(f64, f64, f64)], from: usize) -> Self {
        let window: [(f64, f64, f64); WINDOW] = std::array::from_fn(|i| sizes[from + i]);
        let divided = |i: usize| {
            let others = (0..WINDOW).filter(|&j| j != i).map(|j| window[i].0 - window[j].0);
            1.0 / others.product::<f64>()
        };
        let runs = window.map(|size| size.2);
        let weights: [f64; WINDOW] = std::array::from_fn(divided);
        let length = weights.iter().zip(&runs).map(|(weight, runs)| weight * weight / runs).sum::<f64>().sqrt();
        let weights = weights.map(|weight| weight / length);
        Self { value: weights.iter().zip(&window).map(|(weight, size)| weight * size.1).sum(), weights, runs, from }
    }

    /// Correlation with another of the same budget.
    fn shared(&self, other: &Difference) -> f64 {
        let own = |i: usize| {
            Some(self.weights[i] * other.weights.get((self.from + i).checked_sub(other.from)?)? / self.runs[i])
        };
        (0..WINDOW).filter_map(own).sum()
    }
}

/// The `count` windows nearest to the best size, or to the lowest loss where there is none.
fn differences(budget: &Budget, best: Option<f64>, count: usize) -> Vec<Difference> {
    let sizes = budget.sizes();
    let lowest = || sizes.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.0, |size| size.0);
    let best = best.unwrap_or_else(lowest);
    let middle = |from: &usize| sizes[*from..from + WINDOW].iter().map(|size| size.0).sum::<f64>() / WINDOW as f64;
    let mut from: Vec<usize> = (0..(sizes.len() + 1).saturating_sub(WINDOW)).collect();
    from.sort_by(|a, b| (middle(a) - best).abs().total_cmp(&(middle(b) - best).abs()));
    from.into_iter().take(count).map(|from| Difference::of(&sizes, from)).collect()
}
