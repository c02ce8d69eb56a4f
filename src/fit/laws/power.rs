//! The pure power law, a straight line in log-log: L = A x^-alpha.

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Power;

impl Law for Power {
    fn name(&self) -> &'static str {
        "power"
    }

    fn formula(&self) -> &'static str {
        "L = A x^-alpha"
    }

    fn source(&self) -> &'static str {
        "Hestness et al. 2017, arXiv:1712.00409, section 2"
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[Param::amplitude("A"), Param::exponent("alpha")];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        gradient[0] = 1.0;
        gradient[1] = -ln_x[0];
        theta[0] - theta[1] * ln_x[0]
    }

    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let (intercept, slope) = line((0..sample.len()).map(|i| (sample.ln_x[i][0], sample.ln_y[i], sample.weight[i])));
        vec![theta_of(&[intercept, (-slope).clamp(0.001, 5.0)])]
    }
}
