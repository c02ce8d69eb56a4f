//! Kaplan's joint law over parameters and data: L = ((Nc/N)^(alphaN/alphaD) + Dc/D)^alphaD.

use crate::fit::data::sample::Sample;
use crate::fit::laws::law::{Domain, Law, LnX, Param, Theta, theta_of};

pub struct Kaplan;

const EXPONENTS: [f64; 5] = [0.05, 0.1, 0.25, 0.5, 1.0];

impl Law for Kaplan {
    fn name(&self) -> &'static str {
        "kaplan"
    }

    fn formula(&self) -> &'static str {
        "L = ((Nc/N)^(alphaN/alphaD) + Dc/D)^alphaD"
    }

    fn source(&self) -> &'static str {
        "Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5"
    }

    fn domain(&self) -> Domain {
        Domain::Surface
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] =
            &[Param::amplitude("Nc"), Param::amplitude("Dc"), Param::exponent("alphaN"), Param::exponent("alphaD")];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let by_params = theta[2] / theta[3] * (theta[0] - ln_x[0]);
        let by_data = theta[1] - ln_x[1];
        let (sum, share) = ln_sum_exp(by_params, by_data);
        gradient[0] = theta[2] * share;
        gradient[1] = theta[3] * (1.0 - share);
        gradient[2] = share * (theta[0] - ln_x[0]);
        gradient[3] = sum - share * by_params;
        theta[3] * sum
    }

    /// Both terms are as large as each other at the mean of the data.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let [ln_n, ln_d, ln_y] = sample.means();
        let start = |alpha_n: f64, alpha_d: f64| {
            let term = ln_y / alpha_d - std::f64::consts::LN_2;
            theta_of(&[ln_n + term * alpha_d / alpha_n, ln_d + term, alpha_n, alpha_d])
        };
        EXPONENTS.iter().flat_map(|n| EXPONENTS.iter().map(move |d| start(*n, *d))).collect()
    }
}

/// ln(e^a + e^b), and the share of e^a in the sum.
pub fn ln_sum_exp(a: f64, b: f64) -> (f64, f64) {
    let largest = a.max(b);
    let (a, b) = ((a - largest).exp(), (b - largest).exp());
    (largest + (a + b).ln(), a / (a + b))
}
