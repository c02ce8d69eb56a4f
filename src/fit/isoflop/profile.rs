//! The lowest point of one budget's profile, if it has one inside.

use std::fmt;

use serde::Serialize;

use crate::fit::isoflop::akima::Akima;
use crate::fit::isoflop::budget::sizes;
use crate::fit::laws::law::{MAX_PARAMS, Theta};
use crate::fit::solve::search::{cholesky, solve_factored};
use crate::units::si;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Least squares of loss by ln N.
    Parabola,
    /// Akima 1970, doi:10.1145/321607.321609, through the mean log loss of each size, in ln N.
    Akima,
}

impl Profile {
    /// As `--law` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Parabola => "isoflop",
            Profile::Akima => "isoflop-akima",
        }
    }
}

/// What one budget says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    Interior {
        params: f64,
        loss: f64,
    },
    TooFewSizes {
        have: usize,
        need: usize,
    },
    /// The profile has no minimum: it is bent the other way.
    Concave,
    /// It falls towards the smallest (or the largest) size; its minimum, if any, is not among those measured.
    MinimumOutside {
        towards: &'static str,
    },
}

impl Outcome {
    /// ln of the best size.
    pub fn ln_params(&self) -> Option<f64> {
        match self {
            Outcome::Interior { params, .. } => Some(params.ln()),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Interior { params, loss } => write!(f, "lowest at {} parameters, {loss:.4}", si(*params)),
            Outcome::TooFewSizes { have, need } => write!(f, "{have} sizes, and {need} are needed"),
            Outcome::Concave => write!(f, "no minimum: the profile is bent downwards"),
            Outcome::MinimumOutside { towards } => write!(f, "no minimum inside: it falls towards {towards}"),
        }
    }
}

impl Profile {
    /// How many sizes it needs.
    fn need(self) -> usize {
        match self {
            Profile::Parabola => 3,
            Profile::Akima => 5,
        }
    }

    /// Loss at ln N, between the sizes of (ln N, loss); none where these are too few.
    pub fn curve(self, points: &[(f64, f64)]) -> Option<Box<dyn Fn(f64) -> f64>> {
        let sizes = sizes(points);
        if sizes.len() < self.need() {
            return None;
        }
        match self {
            Profile::Parabola => {
                let middle = middle(points);
                let [constant, slope, bend] = parabola(points)?;
                Some(Box::new(move |ln_n| constant + (ln_n - middle) * (slope + bend * (ln_n - middle))))
            }
            Profile::Akima => {
                let sizes: Vec<(f64, f64)> = sizes.iter().map(|(ln_n, ln_loss, _)| (*ln_n, *ln_loss)).collect();
                Some(Box::new(move |ln_n| Akima::through(&sizes).at(ln_n).exp()))
            }
        }
    }
}

/// The lowest point of a profile, if it has one inside.
pub fn minimum(points: &[(f64, f64)], profile: Profile) -> Outcome {
    let sizes = sizes(points);
    let need = profile.need();
    if sizes.len() < need {
        return Outcome::TooFewSizes { have: sizes.len(), need };
    }
    let (low, high) = (sizes[0].0, sizes[sizes.len() - 1].0);
    let (at, loss) = match profile {
        Profile::Akima => {
            let sizes: Vec<(f64, f64)> = sizes.iter().map(|(ln_n, ln_loss, _)| (*ln_n, *ln_loss)).collect();
            let (at, ln_loss) = Akima::through(&sizes).minimum();
            (at, ln_loss.exp())
        }
        Profile::Parabola => {
            let Some([constant, slope, bend]) = parabola(points) else { return Outcome::Concave };
            if bend <= 0.0 {
                return Outcome::Concave;
            }
            let vertex = -slope / (2.0 * bend);
            (vertex + middle(points), constant - slope * slope / (4.0 * bend))
        }
    };
    if at <= low {
        Outcome::MinimumOutside { towards: "smaller sizes" }
    } else if at >= high {
        Outcome::MinimumOutside { towards: "larger sizes" }
    } else {
        Outcome::Interior { params: at.exp(), loss }
    }
}

/// Of the sizes, in ln N.
fn middle(points: &[(f64, f64)]) -> f64 {
    points.first().zip(points.last()).map_or(0.0, |(first, last)| 0.5 * (first.0 + last.0))
}

/// How far each loss lies from the parabola, relative to the loss.
pub fn off_parabola(points: &[(f64, f64)]) -> Option<Vec<f64>> {
    let fitted = Profile::Parabola.curve(points)?;
    Some(points.iter().map(|(ln_n, loss)| 1.0 - fitted(*ln_n) / loss).collect())
}

/// Least-squares constant, slope and bend about the middle of the sizes.
fn parabola(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let middle = middle(points);
    let mut normal = [[0.0; MAX_PARAMS]; MAX_PARAMS];
    let mut right = Theta::default();
    for (ln_n, loss) in points {
        let t = ln_n - middle;
        let row = [1.0, t, t * t];
        for i in 0..3 {
            right[i] += row[i] * loss;
            (0..=i).for_each(|j| normal[i][j] += row[i] * row[j]);
        }
    }
    let factor = cholesky(&normal, 3)?;
    let solved = solve_factored(&factor, &right, 3);
    Some([solved[0], solved[1], solved[2]])
}
