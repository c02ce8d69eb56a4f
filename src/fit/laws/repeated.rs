//! The data-constrained surface: examples seen again are worth less each time, and so are parameters beyond what the
//! unique examples can use. L = E + A N'^-alpha + B D'^-beta, with D' = U (1 + RD (1 - exp(-(S/U - 1) / RD))) for S
//! examples seen of U unique ones, and N' the same of N and UN, the size that is compute-optimal for U.

use crate::fit::data::sample::Sample;
use crate::fit::laws::chinchilla::Chinchilla;
use crate::fit::laws::law::{Domain, Law, LnX, Param, Theta};

pub struct Repeated;

/// Where RD and RN start: how many repeats are worth something.
const REPEATS: [f64; 3] = [3.0, 15.0, 100.0];

impl Law for Repeated {
    fn name(&self) -> &'static str {
        "repeated"
    }

    fn formula(&self) -> &'static str {
        "L = E + A N'^-alpha + B D'^-beta, D' = U + U RD (1 - exp(-(S/U - 1)/RD)), N' likewise of UN, RN"
    }

    fn source(&self) -> &'static str {
        "Muennighoff et al. 2023, arXiv:2305.16264, eqs. 5 and 6"
    }

    fn domain(&self) -> Domain {
        Domain::Repeated
    }

    fn params(&self) -> &'static [Param] {
        const PARAMS: &[Param] = &[
            Param::floor("E"),
            Param::amplitude("A"),
            Param::amplitude("B"),
            Param::exponent("alpha"),
            Param::exponent("beta"),
            Param::shape("RD", 1e-3, 1e5),
            Param::shape("RN", 1e-3, 1e5),
        ];
        PARAMS
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let [ln_n, ln_unique, ln_seen] = *ln_x;
        let (alpha, beta) = (theta[3], theta[4]);
        // Of a run that ends within its first epoch, what it has seen is what is unique.
        let ln_u = ln_unique.min(ln_seen);
        let data = worth(ln_u, ln_seen, theta[5]);
        let optimal = OptimalSize::of(theta, ln_u);
        // NaN, where an exponent is zero, stays NaN.
        let used = if ln_n <= optimal.ln_n { ln_n } else { optimal.ln_n };
        let size = worth(used, ln_n, theta[6]);
        let by_params = (theta[1] - alpha * size.ln_worth).exp();
        let by_data = (theta[2] - beta * data.ln_worth).exp();
        let loss = theta[0] + by_params + by_data;
        let by_size = -alpha * by_params / loss;
        let followed = if ln_n <= optimal.ln_n { 0.0 } else { by_size * size.by_base };
        gradient[0] = 1.0 / loss;
        gradient[1] = by_params / loss + followed * optimal.gradient[0];
        gradient[2] = by_data / loss + followed * optimal.gradient[1];
        gradient[3] = -size.ln_worth * by_params / loss + followed * optimal.gradient[2];
        gradient[4] = -data.ln_worth * by_data / loss + followed * optimal.gradient[3];
        gradient[5] = -beta * by_data / loss * data.by_repeats;
        gradient[6] = by_size * size.by_repeats;
        loss.ln()
    }

    /// Those of the surface over what was seen, as if all of it were new.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let mut seen = sample.clone();
        seen.ln_x.iter_mut().for_each(|x| x[1] = x[2]);
        let with = |start: Theta, repeats: f64| {
            let mut theta = start;
            theta[5] = repeats.ln();
            theta[6] = repeats.ln();
            theta
        };
        let surface = Chinchilla.starts(&seen);
        REPEATS.iter().flat_map(|repeats| surface.iter().map(move |start| with(*start, *repeats))).collect()
    }

    fn derived(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        Chinchilla.derived(theta)
    }
}

/// What repeated things are worth in new ones, as a logarithm, with its derivatives.
struct Worth {
    ln_worth: f64,
    /// By ln of how many repeats are worth something.
    by_repeats: f64,
    /// By ln of what there is of unique things, what was used of them staying.
    by_base: f64,
}

/// ln of base (1 + R (1 - exp(-r / R))) with r = used / base - 1 repeats and ln R = `ln_repeats`.
fn worth(ln_base: f64, ln_used: f64, ln_repeats: f64) -> Worth {
    let scale = ln_repeats.exp();
    let repeats = (ln_used - ln_base).min(600.0).exp_m1();
    let z = repeats / scale;
    let left = (-z).exp();
    let times = 1.0 - scale * (-z).exp_m1();
    Worth {
        ln_worth: ln_base + times.ln(),
        by_repeats: scale * (-(-z).exp_m1() - z * left) / times,
        by_base: 1.0 - left * (repeats + 1.0) / times,
    }
}

/// The size whose training on U examples, each once, is compute-optimal: N = G (G U)^(beta/alpha), G^(alpha+beta) = alpha
/// A / (beta B).
struct OptimalSize {
    ln_n: f64,
    /// By ln A, ln B, alpha and beta.
    gradient: [f64; 4],
}

impl OptimalSize {
    fn of(theta: &Theta, ln_u: f64) -> Self {
        let (alpha, beta) = (theta[3], theta[4]);
        let sum = alpha + beta;
        let ln_g = (alpha.ln() + theta[1] - beta.ln() - theta[2]) / sum;
        let power = beta / alpha;
        let by_g = 1.0 + power;
        Self {
            ln_n: ln_g + power * (ln_u + ln_g),
            gradient: [
                by_g / sum,
                -by_g / sum,
                by_g * (1.0 / alpha - ln_g) / sum - power / alpha * (ln_u + ln_g),
                by_g * (-1.0 / beta - ln_g) / sum + (ln_u + ln_g) / alpha,
            ],
        }
    }
}
