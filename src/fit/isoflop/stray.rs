//! Runs that lie far above their profile, as diverged ones do: one among thirty bends a parabola to a minimum below
//! every loss measured.
//!
//! Along the sizes of one budget loss falls and then rises. A run above one smaller size and one larger size breaks
//! that; and at the ends, where nothing lies beyond, a loss that rises faster than any power of the data that twice the
//! size costs is no scaling either. Steep or wild ends alone are not strays: no shape but this is assumed.

use crate::fit::isoflop::budget::Budget;
use crate::fit::uncertainty::distribution::t_tails;

/// Runs less likely than this are strays (t test, Bonferroni over the runs).
const UNLIKELY: f64 = 0.01;

/// No loss is a stray for less than this, as a difference of logarithms.
const LEAST: f64 = 0.005;

/// Of one budget no more than this share are strays: of more, the profile has another shape.
const FEW: f64 = 0.25;

/// Loss that rises faster than N to this power diverged. Twice the size at the same compute is half the data; the
/// steepest ends of the profiles of Porian et al. 2024 (arXiv:2406.19146) rise as N^0.6.
const STEEPEST: f64 = 1.5;

/// A run above its profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stray {
    /// Its place in the curve's sample.
    pub observation: usize,
    /// Its loss over that of the profile at its size.
    pub times: f64,
}

/// The strays of all budgets of one curve, which share the size of their noise.
pub fn strays(budgets: &[Budget]) -> Vec<Stray> {
    let Some(noise) = Scatter::of(budgets) else { return Vec::new() };
    budgets.iter().flat_map(|budget| noise.strays(budget)).collect()
}

/// How far log losses scatter about the line between their neighbours: the median, which a few wild runs do not move.
struct Scatter {
    sigma: f64,
    freedom: f64,
    runs: f64,
}

impl Scatter {
    fn of(budgets: &[Budget]) -> Option<Self> {
        let mut off: Vec<f64> =
            budgets.iter().flat_map(|budget| budget.points.windows(3).filter_map(off_line)).collect();
        off.sort_by(f64::total_cmp);
        let median = *off.get(off.len() / 2)?;
        let runs = budgets.iter().map(|budget| budget.points.len() as f64).sum();
        // Each run is in three of the differences.
        Some(Self { sigma: median / 0.6745, freedom: (off.len() as f64 / 3.0).max(1.0), runs })
    }

    fn is_far(&self, above: f64) -> bool {
        let t = above / (self.sigma.max(1e-9) * std::f64::consts::SQRT_2);
        above > LEAST && t_tails(t, self.freedom) * self.runs < UNLIKELY
    }

    fn strays(&self, budget: &Budget) -> Vec<Stray> {
        let runs: Vec<(f64, f64)> = budget.points.iter().map(|(ln_n, loss)| (*ln_n, loss.ln())).collect();
        let mut above: Vec<Option<f64>> =
            (0..runs.len()).map(|i| between(&runs, i).filter(|far| self.is_far(*far))).collect();
        self.mark_ends(&runs, &mut above);
        let found = above.iter().zip(&budget.observations);
        let found =
            found.filter_map(|(above, observation)| Some(Stray { observation: *observation, times: (*above)?.exp() }));
        let found: Vec<Stray> = found.collect();
        if found.len() as f64 <= FEW * runs.len() as f64 { found } else { Vec::new() }
    }

    /// Outwards from the lowest run, those that a loss could only reach by rising too fast.
    fn mark_ends(&self, runs: &[(f64, f64)], above: &mut [Option<f64>]) {
        let kept = (0..runs.len()).filter(|&i| above[i].is_none());
        let Some(lowest) = kept.min_by(|&a, &b| runs[a].1.total_cmp(&runs[b].1)) else { return };
        let outwards: [Vec<usize>; 2] = [(lowest + 1..runs.len()).collect(), (0..lowest).rev().collect()];
        for side in outwards {
            let mut last = lowest;
            for i in side {
                if above[i].is_some() {
                    continue;
                }
                let (run, rise) = ((runs[i].0 - runs[last].0).abs(), runs[i].1 - runs[last].1);
                if rise > STEEPEST * run && self.is_far(rise) {
                    above[i] = Some(rise);
                } else {
                    last = i;
                }
            }
        }
    }
}

/// How far the middle one of three runs lies off the line between the others, in deviations of one run's noise.
fn off_line(three: &[(f64, f64)]) -> Option<f64> {
    let [a, b, c] = three else { return None };
    let share = (b.0 - a.0) / (c.0 - a.0);
    let off = b.1.ln() - (1.0 - share) * a.1.ln() - share * c.1.ln();
    share.is_finite().then(|| off.abs() / (1.0 + share * share + (1.0 - share) * (1.0 - share)).sqrt())
}

/// How far a run lies above the higher of two losses: the lowest at smaller sizes and the lowest at larger ones, its own
/// size counting for both. None at an end.
fn between(runs: &[(f64, f64)], i: usize) -> Option<f64> {
    let lowest = |side: &dyn Fn(f64) -> bool| {
        let others = (0..runs.len()).filter(|&j| j != i && side(runs[j].0)).map(|j| runs[j].1);
        others.min_by(f64::total_cmp)
    };
    let (smaller, larger) = (lowest(&|ln_n| ln_n <= runs[i].0)?, lowest(&|ln_n| ln_n >= runs[i].0)?);
    Some(runs[i].1 - smaller.max(larger))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(losses: &[f64], step: f64) -> Budget {
        let points = losses.iter().enumerate().map(|(i, loss)| (18.0 + step * i as f64, *loss)).collect();
        Budget { ln_compute: 40.0, points, observations: (0..losses.len()).collect() }
    }

    const CLEAN: [f64; 12] = [3.30, 3.21, 3.146, 3.101, 3.072, 3.06, 3.063, 3.081, 3.112, 3.158, 3.22, 3.31];

    fn of(changed: &[(usize, f64)], step: f64) -> Vec<usize> {
        let mut losses = CLEAN;
        changed.iter().for_each(|(i, loss)| losses[*i] = *loss);
        strays(&[budget(&losses, step), budget(&CLEAN, step)]).iter().map(|stray| stray.observation).collect()
    }

    #[test]
    fn a_run_above_smaller_and_larger_sizes_is_a_stray() {
        assert_eq!(of(&[], 0.3), [0; 0]);
        assert_eq!(of(&[(4, 7.5), (10, 9.0)], 0.3), [4, 10]);
        assert_eq!(of(&[(8, 3.26)], 0.3), [8]);
        // What scatters as its neighbours do is none.
        assert_eq!(of(&[(8, 3.16)], 0.3), [0; 0]);
    }

    #[test]
    fn at_an_end_only_what_no_loss_could_reach_is_a_stray() {
        assert_eq!(of(&[(11, 10.8)], 0.3), [11]);
        assert_eq!(of(&[(10, 10.4), (11, 10.8)], 0.3), [10, 11]);
        // Steep, as large models that hardly trained are.
        assert_eq!(of(&[(9, 3.4), (10, 4.0), (11, 5.2)], 0.3), [0; 0]);
        assert_eq!(of(&[(0, 8.0)], 0.1), [0]);
    }

    #[test]
    fn a_profile_of_another_shape_has_no_strays() {
        let upside_down: Vec<f64> = CLEAN.iter().map(|loss| 7.0 - loss).collect();
        assert!(strays(&[budget(&upside_down, 0.3)]).is_empty());
        assert!(strays(&[budget(&CLEAN[..2], 0.3)]).is_empty());
    }
}
