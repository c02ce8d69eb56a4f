//! The logarithmic law, for what has no floor in sight: L = a - b ln x, the same gain for each doubling of the scale.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Log;

/// The line meets zero at a finite scale. From this share of a down it goes on as a hyperbola, so that a loss stays
/// positive: there the law says nothing.
const LOWEST: f64 = 1e-3;

impl Law for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn formula(&self) -> &'static str {
        "L = a - b ln x"
    }

    fn source(&self) -> &'static str {
        "Kaplan et al. 2020, arXiv:2001.08361, in the limit alpha ln x << 1 (x^-alpha = 1 - alpha ln x)"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[Param::amplitude("a"), Param::slope("b")];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let a = theta[0].exp();
        let (value, lowest) = (a - theta[1] * ln_x[0], LOWEST * a);
        if value >= lowest {
            gradient[0] = a / value;
            gradient[1] = -ln_x[0] / value;
            return value.ln();
        }
        let rest = 2.0 * lowest - value;
        gradient[0] = 2.0 - (2.0 * lowest - a) / rest;
        gradient[1] = -ln_x[0] / rest;
        2.0 * lowest.ln() - rest.ln()
    }

    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let points = (0..sample.len()).map(|i| (sample.ln_x[i][0], sample.ln_y[i].exp(), sample.weight[i]));
        let (intercept, slope) = line(points);
        let smallest = sample.smallest_loss();
        vec![theta_of(&[intercept.max(1e-3 * smallest).ln(), (-slope).max(1e-6 * smallest)])]
    }
}
