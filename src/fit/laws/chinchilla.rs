//! The Chinchilla surface, loss over parameters and data: L = E + A N^-alpha + B D^-beta.

use crate::fit::data::sample::Sample;
use crate::fit::laws::law::{Domain, Law, LnX, Param, Theta, theta_of};

pub struct Chinchilla;

/// Starts: exponents, and floors as shares of the smallest loss. The amplitudes follow from them.
const EXPONENTS: [f64; 4] = [0.15, 0.35, 0.6, 1.0];
const FLOORS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];

impl Law for Chinchilla {
    fn name(&self) -> &'static str {
        "chinchilla"
    }

    fn formula(&self) -> &'static str {
        "L = E + A N^-alpha + B D^-beta"
    }

    fn source(&self) -> &'static str {
        "Hoffmann et al. 2022, arXiv:2203.15556, eq. 2; estimation as in Besiroglu et al. 2024, arXiv:2404.10102"
    }

    fn domain(&self) -> Domain {
        Domain::Surface
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[
            Param::floor("E"),
            Param::amplitude("A"),
            Param::amplitude("B"),
            Param::exponent("alpha"),
            Param::exponent("beta"),
        ];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let by_params = (theta[1] - theta[3] * ln_x[0]).exp();
        let by_data = (theta[2] - theta[4] * ln_x[1]).exp();
        let loss = theta[0] + by_params + by_data;
        gradient[0] = 1.0 / loss;
        gradient[1] = by_params / loss;
        gradient[2] = by_data / loss;
        gradient[3] = -ln_x[0] * gradient[1];
        gradient[4] = -ln_x[1] * gradient[2];
        loss.ln()
    }

    /// Each term takes half of what the floor leaves of the mean log loss.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let [ln_n, ln_d, ln_y] = sample.means();
        let typical = ln_y.exp();
        let mut starts = Vec::new();
        for share in FLOORS {
            let floor = share * sample.smallest_loss();
            let half = ((typical - floor) / 2.0).max(1e-3 * typical).ln();
            for alpha in EXPONENTS {
                for beta in EXPONENTS {
                    starts.push(theta_of(&[floor, half + alpha * ln_n, half + beta * ln_d, alpha, beta]));
                }
            }
        }
        starts
    }

    /// The compute-optimal size grows as C to this power, by C = 6 N D.
    fn derived(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        vec![("beta/(alpha+beta)", theta[4] / (theta[3] + theta[4]))]
    }
}
