//! The smoothly broken power law, whose slope changes at one or two scales:
//! L = E + A x^-c0 · Π (1 + (x/d)^(1/f))^(-c f).

use crate::fit::data::sample::{Sample, line};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Broken {
    pub breaks: usize,
}

/// Floors to start from, as shares of the smallest loss.
const FLOORS: [f64; 4] = [0.0, 0.5, 0.9, 0.99];

/// Where breaks may be at the start, as shares of the way through the data (in ln x).
const BREAKS: [f64; 5] = [0.15, 0.3, 0.5, 0.7, 0.85];

/// Sharpness of a break at the start; small is sharp.
const SHARPNESS: [f64; 2] = [0.2, 0.8];

/// E, A, c0, then c, d, f of each break.
const PARAMS: &[Param] = &[
    Param::floor("E"),
    Param::amplitude("A"),
    Param::signed_exponent("c0"),
    Param::signed_exponent("c1"),
    Param::amplitude("d1"),
    Param::shape("f1", 0.01, 20.0),
    Param::signed_exponent("c2"),
    Param::amplitude("d2"),
    Param::shape("f2", 0.01, 20.0),
];

impl Law for Broken {
    fn name(&self) -> &'static str {
        if self.breaks == 1 { "broken-1" } else { "broken-2" }
    }

    fn formula(&self) -> &'static str {
        if self.breaks == 1 {
            "L = E + A x^-c0 (1 + (x/d1)^(1/f1))^(-c1 f1)"
        } else {
            "L = E + A x^-c0 (1 + (x/d1)^(1/f1))^(-c1 f1) (1 + (x/d2)^(1/f2))^(-c2 f2)"
        }
    }

    fn source(&self) -> &'static str {
        "Caballero et al. 2023, arXiv:2210.14891, eq. 1"
    }

    fn params(&self) -> &'static [Param] {
        &PARAMS[..3 + 3 * self.breaks]
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let mut ln_term = theta[1] - theta[2] * ln_x[0];
        for start in (0..self.breaks).map(|i| 3 + 3 * i) {
            let (c, f) = (theta[start], theta[start + 2].exp());
            let z = (ln_x[0] - theta[start + 1]) / f;
            let softplus = z.max(0.0) + (-z.abs()).exp().ln_1p();
            let sigmoid = 1.0 / (1.0 + (-z).exp());
            ln_term -= c * f * softplus;
            gradient[start] = -f * softplus;
            gradient[start + 1] = c * sigmoid;
            gradient[start + 2] = -c * f * (softplus - z * sigmoid);
        }
        let term = ln_term.exp();
        let loss = theta[0] + term;
        let share = term / loss;
        gradient[0] = 1.0 / loss;
        gradient[1] = share;
        gradient[2] = -ln_x[0] * share;
        gradient[3..3 + 3 * self.breaks].iter_mut().for_each(|slope| *slope *= share);
        loss.ln()
    }

    /// Given floor and breaks, straight lines through the pieces give the slopes.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let mut starts = Vec::new();
        for share in FLOORS {
            for (i, first) in BREAKS.iter().enumerate() {
                let seconds = if self.breaks == 1 { vec![1.0] } else { BREAKS[i + 1..].to_vec() };
                for second in seconds {
                    starts.extend(SHARPNESS.map(|f| self.start(sample, share, [*first, second], f)));
                }
            }
        }
        starts
    }
}

impl Broken {
    fn start(&self, sample: &Sample, floor_share: f64, breaks: [f64; 2], sharpness: f64) -> Theta {
        let floor = floor_share * sample.smallest_loss();
        let (low, high) = sample.ln_range(0);
        let at = breaks.map(|share| low + share * (high - low));
        let piece = |from: f64, to: f64| {
            let inside = (0..sample.len()).filter(move |i| from <= sample.ln_x[*i][0] && sample.ln_x[*i][0] <= to);
            let points = inside.map(|i| (sample.ln_x[i][0], (sample.ln_y[i].exp() - floor).ln(), sample.weight[i]));
            let (intercept, slope) = line(points);
            if slope.is_finite() { (intercept, -slope) } else { (0.0, 0.3) }
        };
        let (intercept, c0) = piece(low, at[0]);
        let (_, c1) = piece(at[0], at[1]);
        let (_, c2) = piece(at[1], high);
        let ln_f = sharpness.ln();
        theta_of(&[floor, intercept, c0, c1 - c0, at[0], ln_f, c2 - c1, at[1], ln_f][..3 + 3 * self.breaks])
    }
}
