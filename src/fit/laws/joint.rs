//! The surface between Chinchilla's (k = 1) and Kaplan's (E = 0): L = E + A (N^-alpha + R D^-beta)^k.

use crate::fit::data::sample::Sample;
use crate::fit::laws::kaplan::ln_sum_exp;
use crate::fit::laws::law::{Domain, Law, LnX, Param, Theta, theta_of};

pub struct Joint;

const EXPONENTS: [f64; 3] = [0.2, 0.5, 1.0];
const FLOORS: [f64; 3] = [0.1, 0.6, 0.9];
const OUTER: [f64; 3] = [0.4, 1.0, 1.8];

impl Law for Joint {
    fn name(&self) -> &'static str {
        "joint"
    }

    fn formula(&self) -> &'static str {
        "L = E + A (N^-alpha + R D^-beta)^k"
    }

    fn source(&self) -> &'static str {
        "Rosenfeld et al. 2020, arXiv:1909.12673, and Kaplan et al. 2020, arXiv:2001.08361, as special cases"
    }

    fn domain(&self) -> Domain {
        Domain::Surface
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[
            Param::floor("E"),
            Param::amplitude("A"),
            Param::amplitude("R"),
            Param::exponent("alpha"),
            Param::exponent("beta"),
            Param::shape("k", 0.01, 100.0),
        ];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let k = theta[5].exp();
        let (sum, share) = ln_sum_exp(-theta[3] * ln_x[0], theta[2] - theta[4] * ln_x[1]);
        let term = (theta[1] + k * sum).exp();
        let loss = theta[0] + term;
        let part = term / loss;
        gradient[0] = 1.0 / loss;
        gradient[1] = part;
        gradient[2] = part * k * (1.0 - share);
        gradient[3] = -part * k * share * ln_x[0];
        gradient[4] = -part * k * (1.0 - share) * ln_x[1];
        gradient[5] = part * k * sum;
        loss.ln()
    }

    /// Both inner terms are as large as each other at the mean of the data, and reach the mean loss.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let [ln_n, ln_d, ln_y] = sample.means();
        let mut starts = Vec::new();
        for floor in FLOORS.map(|share| share * sample.smallest_loss()) {
            let rest = (ln_y.exp() - floor).max(1e-3 * ln_y.exp()).ln();
            for k in OUTER {
                for (alpha, beta) in EXPONENTS.iter().flat_map(|a| EXPONENTS.map(|b| (a / k, b / k))) {
                    let inner = -alpha * ln_n + std::f64::consts::LN_2;
                    starts.push(theta_of(&[floor, rest - k * inner, beta * ln_d - alpha * ln_n, alpha, beta, k.ln()]));
                }
            }
        }
        starts
    }

    fn derived(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        vec![("beta/(alpha+beta)", theta[4] / (theta[3] + theta[4]))]
    }
}
