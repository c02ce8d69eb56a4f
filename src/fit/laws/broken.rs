//! The smoothly broken power law, whose slope changes at one or two scales:
//! L = E + A x^-c0 · Π (1 + (x/d)^(1/f))^(-c f).

use crate::fit::data::sample::{Sample, linear};
use crate::fit::laws::law::{Law, LnX, Param, Theta, theta_of};

pub struct Broken {
    pub breaks: usize,
}

/// Floors to start from, as shares of the smallest loss.
const FLOORS: [f64; 6] = [0.0, 0.5, 0.8, 0.93, 0.98, 0.995];

/// Where breaks may be at the start, as shares of the way through the data (in ln x).
const BREAKS: [f64; 7] = [0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92];

/// Sharpness of a break at the start, as shares of the whole range in ln x; small is sharp.
const SHARPNESS: [f64; 4] = [0.01, 0.04, 0.12, 0.4];

/// Of the starts with the same breaks so many are searched from, those that fit best as they are: with one break, two.
const STARTS: [usize; 2] = [6, 3];

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
            let (softplus, sigmoid) = softplus(z);
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

    /// Given floor, breaks and their sharpness, ln (L - E) is linear in all else. The starts that fit best are taken.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let (low, high) = sample.ln_range(0);
        let breaks = BREAKS.map(|share| low + share * (high - low));
        let sharpness = SHARPNESS.map(|share| (share * (high - low)).clamp(0.01, 20.0));
        let mut starts = Vec::new();
        for (i, first) in breaks.iter().enumerate() {
            let seconds = if self.breaks == 1 { &breaks[..1] } else { &breaks[i + 1..] };
            for second in seconds {
                let mut of: Vec<(f64, Theta)> = FLOORS
                    .iter()
                    .flat_map(|share| {
                        sharpness.map(|f| self.start(sample, share * sample.smallest_loss(), [*first, *second], f))
                    })
                    .flatten()
                    .collect();
                of.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                starts.extend(of.into_iter().take(STARTS[self.breaks - 1]).map(|(_, start)| start));
            }
        }
        starts
    }
}

impl Broken {
    /// The best fit of ln (L - E) with these breaks, and its sum of squared residuals of ln L.
    fn start(&self, sample: &Sample, floor: f64, breaks: [f64; 2], f: f64) -> Option<(f64, Theta)> {
        match self.breaks {
            1 => start_with::<3>(sample, floor, &breaks[..1], f),
            _ => start_with::<4>(sample, floor, &breaks, f),
        }
    }
}

/// The same, with K columns: one, ln x, and one for each break.
fn start_with<const K: usize>(sample: &Sample, floor: f64, breaks: &[f64], f: f64) -> Option<(f64, Theta)> {
    let row = |i: usize| {
        let (x, loss) = (sample.ln_x[i][0], sample.ln_y[i].exp());
        let mut columns = [1.0; K];
        columns[1] = -x;
        for (column, at) in columns[2..].iter_mut().zip(breaks) {
            *column = -f * softplus((x - at) / f).0;
        }
        // A residual of ln (L - E) is one of ln L by the share that L - E has in L.
        (columns, (loss - floor).ln(), sample.weight[i] * (1.0 - floor / loss).powi(2))
    };
    let found = linear((0..sample.len()).map(row))?;
    let squares = (0..sample.len()).map(row).map(|(columns, y, weight)| {
        let fitted: f64 = columns.iter().zip(found).map(|(column, coefficient)| column * coefficient).sum();
        weight * (y - fitted).powi(2)
    });
    let mut theta = theta_of(&[floor, found[0], found[1]]);
    for (i, at) in breaks.iter().enumerate() {
        theta[3 + 3 * i..6 + 3 * i].copy_from_slice(&[found[2 + i], *at, f.ln()]);
    }
    Some((squares.sum(), theta))
}

/// And its slope, the logistic function.
fn softplus(z: f64) -> (f64, f64) {
    let small = (-z.abs()).exp();
    (z.max(0.0) + small.ln_1p(), if z >= 0.0 { 1.0 } else { small } / (1.0 + small))
}
