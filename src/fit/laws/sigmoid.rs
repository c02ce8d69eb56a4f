//! From loss to accuracy: the error rate of a task whose loss follows a power law, E + (E0 - E) s(B x^-alpha - m), with s
//! the logistic function: from the error E0 of guessing, at small scales, down to the error E that no scale removes.
//!
//! A task's loss is l = l0 + A x^-alpha, and its accuracy a logistic function of it, lower + (upper - lower) s(-k (l -
//! l1)). So the error rate is the law above with B = k A and m = k (l1 - l0): the two laws share a scale and an offset,
//! and five parameters are left of seven.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Sigmoid;

/// Starts: floors as shares of the smallest error, errors of guessing as multiples of the largest, and exponents.
const FLOORS: [f64; 4] = [0.0, 0.5, 0.85, 0.97];
const CEILINGS: [f64; 4] = [1.01, 1.1, 1.5, 4.0];
const EXPONENTS: [f64; 5] = [0.05, 0.1, 0.3, 0.6, 1.2];

impl Law for Sigmoid {
    fn name(&self) -> &'static str {
        "sigmoid"
    }

    fn formula(&self) -> &'static str {
        "L = E + (E0 - E) / (1 + exp(m - B x^-alpha))"
    }

    fn source(&self) -> &'static str {
        "Bhagia et al. 2024, arXiv:2412.04403, eqs. 1 and 2 over one scale; Llama 3, arXiv:2407.21783, section 3.2.1"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[
            Param::floor("E"),
            Param::amplitude("E0"),
            Param::amplitude("B"),
            Param::exponent("alpha"),
            Param::offset("m"),
        ];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let (floor, ceiling) = (theta[0], theta[1].exp());
        let width = ceiling - floor;
        if width.is_nan() || width <= 0.0 {
            return f64::NAN;
        }
        let term = (theta[2] - theta[3] * ln_x[0]).exp();
        let u = term - theta[4];
        let (up, down) = (1.0 / (1.0 + (-u).exp()), 1.0 / (1.0 + u.exp()));
        let loss = floor + width * up;
        let slope = width * up * down / loss;
        // Where the term is infinite the error is that of guessing, and nothing changes it.
        let by_term = if slope > 0.0 { slope * term } else { 0.0 };
        gradient[0] = down / loss;
        gradient[1] = ceiling * up / loss;
        gradient[2] = by_term;
        gradient[3] = -ln_x[0] * by_term;
        gradient[4] = -slope;
        loss.ln()
    }

    /// Given both ends and the exponent, the rest is a straight line.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let largest = sample.ln_y.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
        let (low, _) = sample.ln_range(0);
        let start = |floor: f64, ceiling: f64, alpha: f64| {
            let points = (0..sample.len()).map(|i| {
                let loss = sample.ln_y[i].exp();
                let x = (-alpha * (sample.ln_x[i][0] - low)).exp();
                (x, ((loss - floor) / (ceiling - loss)).ln(), sample.weight[i])
            });
            let (intercept, slope) = line(points);
            theta_of(&[floor, ceiling.ln(), slope.max(1e-6).ln() + alpha * low, alpha, -intercept])
        };
        let mut starts = Vec::new();
        for floor in FLOORS {
            for ceiling in CEILINGS {
                starts.extend(EXPONENTS.map(|alpha| start(floor * sample.smallest_loss(), ceiling * largest, alpha)));
            }
        }
        starts
    }
}
