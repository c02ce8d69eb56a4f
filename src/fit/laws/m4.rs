//! M4, which bends at both ends: from the loss E0 of guessing to the floor E. The loss L at scale x solves
//! (L - E) / (E0 - L)^alpha = beta x^-c.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct M4;

/// Starts: floors as shares of the smallest loss, ceilings as multiples of the largest, and alpha.
const FLOORS: [f64; 5] = [0.0, 0.5, 0.8, 0.95, 0.99];
const CEILINGS: [f64; 4] = [1.01, 1.1, 1.5, 4.0];
const ALPHAS: [f64; 3] = [0.2, 1.0, 2.0];

impl Law for M4 {
    fn name(&self) -> &'static str {
        "m4"
    }

    fn formula(&self) -> &'static str {
        "(L - E) / (E0 - L)^alpha = beta x^-c"
    }

    fn source(&self) -> &'static str {
        "Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M4"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[
            Param::floor("E"),
            Param::amplitude("E0"),
            Param::shape_exponent("alpha"),
            Param::amplitude("beta"),
            Param::exponent("c"),
        ];
        PARAMS
    }

    /// With L = E + (E0 - E) s(u), s the logistic function, the equation is monotone in u; the gradient follows from
    /// the implicit function theorem.
    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let (floor, ceiling, alpha) = (theta[0], theta[1].exp(), theta[2]);
        let width = ceiling - floor;
        if width.is_nan() || width <= 0.0 {
            return f64::NAN;
        }
        let right = theta[3] - theta[4] * ln_x[0] - (1.0 - alpha) * width.ln();
        let u = solve(alpha, right);
        let ([up, down], [_, ln_down]) = logistic(u);
        let loss = floor + width * up;
        let by_u = width * up * down;
        let slope = by_u / (down + alpha * up);
        let by_width = (1.0 - alpha) / width;
        gradient[0] = (down + slope * by_width) / loss;
        gradient[1] = ceiling * (up - slope * by_width) / loss;
        gradient[2] = slope * (width.ln() + ln_down) / loss;
        gradient[3] = slope / loss;
        gradient[4] = -slope * ln_x[0] / loss;
        loss.ln()
    }

    /// Given both ends and alpha, the rest is a straight line.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let largest = sample.ln_y.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
        let start = |floor: f64, ceiling: f64, alpha: f64| {
            let points = (0..sample.len()).map(|i| {
                let loss = sample.ln_y[i].exp();
                (sample.ln_x[i][0], (loss - floor).ln() - alpha * (ceiling - loss).ln(), sample.weight[i])
            });
            let (intercept, slope) = line(points);
            theta_of(&[floor, ceiling.ln(), alpha, intercept, (-slope).clamp(0.001, 5.0)])
        };
        let mut starts = Vec::new();
        for floor in FLOORS {
            for ceiling in CEILINGS {
                starts.extend(ALPHAS.map(|alpha| start(floor * sample.smallest_loss(), ceiling * largest, alpha)));
            }
        }
        starts
    }
}

/// s(u) and s(-u), and ln of both, from one exponential.
fn logistic(u: f64) -> ([f64; 2], [f64; 2]) {
    let small = (-u.abs()).exp();
    let (large, ln_large) = (1.0 / (1.0 + small), -small.ln_1p());
    let (up, ln_up) = ([large, small * large], [ln_large, ln_large - u.abs()]);
    if u >= 0.0 { (up, ln_up) } else { ([up[1], up[0]], [ln_up[1], ln_up[0]]) }
}

/// u with ln s(u) - alpha ln s(-u) = right, by Newton inside a bracket. The left side rises, by at least 1 - s(u).
fn solve(alpha: f64, right: f64) -> f64 {
    // Below: ln s(u) <= u and the other term is at least 0 but at most alpha ln 2 for u <= 0.
    let (mut low, mut high) = (right.min(0.0) - alpha - 1.0, ((right + 1.0) / alpha.max(1e-3)).max(1.0));
    // The left side is near u far below zero and near alpha u far above.
    let near = if right > 0.0 { right / alpha.max(1e-3) } else { right };
    let mut u = near.clamp(low, high);
    for _ in 0..80 {
        let ([up, down], [ln_up, ln_down]) = logistic(u);
        let value = ln_up - alpha * ln_down - right;
        // Less than a few roundings of the left side is nothing that a step could mend.
        if value.abs() <= 1e-15 * (1.0 + right.abs()) {
            break;
        }
        if value > 0.0 {
            high = u
        } else {
            low = u
        }
        let newton = u - value / (down + alpha * up);
        let next = if low < newton && newton < high { newton } else { 0.5 * (low + high) };
        if (next - u).abs() <= 1e-14 * (1.0 + u.abs()) {
            return next;
        }
        u = next;
    }
    u
}
