//! The power law with a floor, the loss that no amount of scale removes: L = E + A x^-alpha.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct PowerFloor;

/// Floors to start from, as shares of the smallest loss.
const FLOORS: [f64; 12] = [0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.96, 0.98, 0.99, 0.997, 0.999];

impl Law for PowerFloor {
    fn name(&self) -> &'static str {
        "power-floor"
    }

    fn formula(&self) -> &'static str {
        "L = E + A x^-alpha"
    }

    fn source(&self) -> &'static str {
        "Rosenfeld et al. 2020, arXiv:1909.12673, eq. 3, over one scale"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[Param::floor("E"), Param::amplitude("A"), Param::exponent("alpha")];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let term = (theta[1] - theta[2] * ln_x[0]).exp();
        let loss = theta[0] + term;
        gradient[0] = 1.0 / loss;
        gradient[1] = term / loss;
        gradient[2] = -ln_x[0] * term / loss;
        loss.ln()
    }

    /// Given the floor the rest is a straight line, so only floors need a grid.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let smallest = sample.smallest_loss();
        let start = |share: f64| {
            let floor = share * smallest;
            let rest =
                (0..sample.len()).map(|i| (sample.ln_x[i][0], (sample.ln_y[i].exp() - floor).ln(), sample.weight[i]));
            let (intercept, slope) = line(rest);
            theta_of(&[floor, intercept, (-slope).clamp(0.001, 5.0)])
        };
        FLOORS.map(start).to_vec()
    }
}
