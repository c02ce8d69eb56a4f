//! What a fit minimises: a sum over observations of a penalty of the residual.

use serde::Serialize;

/// Half-width of Huber's quadratic zone, in log loss (Hoffmann et al. 2022, arXiv:2203.15556, section 3.3).
const HUBER_DELTA: f64 = 1e-3;

/// Weight of a point below the curve in `asymmetric`, against one minus it for a point above.
const BELOW: f64 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Sum of Huber's penalty (delta 1e-3) of residuals of log loss: outliers pull with bounded force.
    Huber,
    /// Sum of squared residuals of log loss.
    SquaredLog,
    /// Sum of squared residuals of loss: large losses count most.
    Squared,
    /// Sum of squared residuals of log loss, 0.9 for points below the curve and 0.1 above (an expectile, Newey and
    /// Powell 1987): a badly tuned run can only raise a loss.
    Asymmetric,
}

/// One observation's share of the objective.
pub struct Term {
    pub penalty: f64,
    /// Derivative of the penalty by ln f.
    pub slope: f64,
    /// Second derivative by ln f, leaving out what vanishes with the residual and the law's own curvature (Gauss and
    /// Newton's); zero in Huber's linear zone.
    pub curvature: f64,
    /// Slope over residual: the curvature of the parabola that bounds the penalty from above.
    pub bound: f64,
}

impl Objective {
    /// As `--objective` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Objective::Huber => "huber",
            Objective::SquaredLog => "squared-log",
            Objective::Squared => "squared",
            Objective::Asymmetric => "asymmetric",
        }
    }

    /// How much a squared residual of log loss near the fit counts: of squares of loss (f - y)² ≈ f² (ln f - ln y)². One
    /// for Huber's objective, which has no such weights.
    pub fn weight(self, ln_f: f64, ln_y: f64) -> f64 {
        match self {
            Objective::Huber | Objective::SquaredLog => 1.0,
            Objective::Squared => (2.0 * ln_f).exp(),
            Objective::Asymmetric => asymmetric_weight(ln_f - ln_y),
        }
    }

    /// The penalty of predicting `ln_f` where `ln_y` was measured.
    pub fn term(self, ln_f: f64, ln_y: f64) -> Term {
        let r = ln_f - ln_y;
        let square = |r: f64, scale: f64, weight: f64| {
            let curvature = 2.0 * weight * scale * scale;
            Term { penalty: weight * r * r, slope: 2.0 * weight * r * scale, curvature, bound: curvature }
        };
        match self {
            Objective::SquaredLog => square(r, 1.0, 1.0),
            Objective::Asymmetric => square(r, 1.0, asymmetric_weight(r)),
            Objective::Squared => {
                let f = ln_f.exp();
                square(f - ln_y.exp(), f, 1.0)
            }
            Objective::Huber if r.abs() <= HUBER_DELTA => {
                Term { penalty: 0.5 * r * r, slope: r, curvature: 1.0, bound: 1.0 }
            }
            Objective::Huber => Term {
                penalty: HUBER_DELTA * (r.abs() - 0.5 * HUBER_DELTA),
                slope: HUBER_DELTA * r.signum(),
                curvature: 0.0,
                bound: HUBER_DELTA / r.abs(),
            },
        }
    }
}

/// By how far the curve lies above the point.
fn asymmetric_weight(above_point: f64) -> f64 {
    if above_point > 0.0 { BELOW } else { 1.0 - BELOW }
}

/// The number that `asymmetric` fits to values that follow no law: their expectile.
pub fn expectile(values: &[f64]) -> f64 {
    let mut center = values.iter().sum::<f64>() / values.len() as f64;
    // Newton's steps on a convex function of finitely many parabolas end in its minimum.
    for _ in 0..100 {
        let (mut weights, mut sum) = (0.0, 0.0);
        for value in values {
            let weight = asymmetric_weight(center - value);
            weights += weight;
            sum += weight * value;
        }
        let next = sum / weights;
        if next == center || next.is_nan() {
            break;
        }
        center = next;
    }
    center
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy.stats.expectile([1.0, 2.0, 4.0, 8.0, -3.0, 0.5], alpha=0.1)
    #[test]
    fn an_expectile_equals_scipy() {
        let found = expectile(&[1.0, 2.0, 4.0, 8.0, -3.0, 0.5]);
        assert!((found - EXPECTILE).abs() < 1e-12, "{found}");
        assert_eq!(expectile(&[0.25; 7]), 0.25);
    }

    const EXPECTILE: f64 = -0.821_428_571_428_571_3;

    #[test]
    fn the_weight_is_half_the_curvature_of_a_sum_of_squares() {
        for objective in [Objective::SquaredLog, Objective::Squared, Objective::Asymmetric] {
            for (ln_f, ln_y) in [(0.3, 0.1), (0.1, 0.3), (-1.2, -1.0)] {
                let (weight, term) = (objective.weight(ln_f, ln_y), objective.term(ln_f, ln_y));
                assert!((2.0 * weight / term.curvature - 1.0).abs() < 1e-14, "{objective:?}");
            }
        }
    }
}
