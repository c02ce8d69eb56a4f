//! The shifted power law, which levels off at beta gamma^c: L = beta (1/x + gamma)^c.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Shifted;

/// Where the curve levels off, to start from: 1/gamma as a share of the way through the data (in ln x) and beyond.
const BENDS: [f64; 6] = [0.0, 0.3, 0.6, 0.9, 1.2, 1.6];

impl Law for Shifted {
    fn name(&self) -> &'static str {
        "shifted"
    }

    fn formula(&self) -> &'static str {
        "L = beta (1/x + gamma)^c"
    }

    fn source(&self) -> &'static str {
        "Bansal et al. 2022, arXiv:2202.01994, eq. 2"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[Param::amplitude("beta"), Param::floor("gamma"), Param::exponent("c")];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let base = (-ln_x[0]).exp() + theta[1];
        gradient[0] = 1.0;
        gradient[1] = theta[2] / base;
        gradient[2] = base.ln();
        theta[0] + theta[2] * gradient[2]
    }

    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let (low, high) = sample.ln_range(0);
        let start = |gamma: f64| {
            let points = (0..sample.len())
                .map(|i| (((-sample.ln_x[i][0]).exp() + gamma).ln(), sample.ln_y[i], sample.weight[i]));
            let (intercept, slope) = line(points);
            theta_of(&[intercept, gamma, slope.clamp(0.001, 5.0)])
        };
        BENDS.iter().map(|share| (-(low + share * (high - low))).exp()).chain([0.0]).map(start).collect()
    }
}
