//! What a law is: a formula with named parameters, its exact gradient and where to start looking. One law is one file
//! beside this one and one line in `ALL`.

use serde::{Serialize, Serializer};

use super::sample::Sample;
use super::{broken, chinchilla, frontier, joint, kaplan, m4, power, power_floor, shifted};
use crate::error::{Error, Result, nearest};

/// Every law that can be fitted, in the order in which tables list them.
pub const ALL: &[&dyn Law] = &[
    &power::Power,
    &power_floor::PowerFloor,
    &shifted::Shifted,
    &m4::M4,
    &broken::Broken { breaks: 1 },
    &broken::Broken { breaks: 2 },
    &chinchilla::Chinchilla,
    &kaplan::Kaplan,
    &joint::Joint,
    &frontier::Frontier,
];

/// The most parameters a law may have.
pub const MAX_PARAMS: usize = 9;

/// A law's parameters in solver coordinates: `ln` of a parameter on a log scale, else the parameter itself. Entries
/// beyond the law's own count are zero.
pub type Theta = [f64; MAX_PARAMS];

/// What a law is a function of; `ln_x` holds the logarithms of these scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// One scale, in `ln_x[0]`.
    Curve,
    /// Parameters N in `ln_x[0]` and examples D in `ln_x[1]`.
    Surface,
    /// Compute in `ln_x[0]`; only the points that nothing as cheap beats are fitted.
    Frontier,
}

/// One parameter of a law.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    /// Searched in its logarithm.
    pub log: bool,
    /// Box of the parameter itself. Ending up on it is a verdict.
    pub low: f64,
    pub high: f64,
    /// An exponent must be bounded away from both ends of its box for the fit to count as identified.
    pub exponent: bool,
}

impl Param {
    /// E: a floor, from zero up.
    pub const fn floor(name: &'static str) -> Self {
        Self { name, log: false, low: 0.0, high: f64::INFINITY, exponent: false }
    }

    /// A: positive, of any size.
    pub const fn amplitude(name: &'static str) -> Self {
        Self { name, log: true, low: 1e-280, high: 1e280, exponent: false }
    }

    /// α: from zero (the curve is flat) to 10 (a cliff, steeper than any curve measured).
    pub const fn exponent(name: &'static str) -> Self {
        Self { name, log: false, low: 0.0, high: 10.0, exponent: true }
    }

    /// c: an exponent that may have either sign.
    pub const fn signed_exponent(name: &'static str) -> Self {
        Self { low: -10.0, ..Self::exponent(name) }
    }

    /// Positive, searched in its logarithm between two bounds; not one of the exponents that a law is about.
    pub const fn shape(name: &'static str, low: f64, high: f64) -> Self {
        Self { name, log: true, low, high, exponent: false }
    }

    /// From solver coordinates to the parameter.
    pub fn natural(&self, theta: f64) -> f64 {
        if self.log { theta.exp() } else { theta }
    }

    /// From the parameter to solver coordinates.
    pub fn theta(&self, natural: f64) -> f64 {
        if self.log { natural.ln() } else { natural }
    }

    /// The box in solver coordinates.
    pub fn bounds(&self) -> (f64, f64) {
        (self.theta(self.low), self.theta(self.high))
    }
}

pub trait Law: Sync {
    /// As `--law` takes it.
    fn name(&self) -> &'static str;

    fn formula(&self) -> &'static str;

    /// Who proposed it: paper, equation.
    fn source(&self) -> &'static str;

    fn domain(&self) -> Domain {
        Domain::Curve
    }

    fn params(&self) -> &'static [Param];

    /// ln L at `ln_x`, and its gradient by `theta` into `gradient`.
    fn ln_loss(&self, theta: &Theta, ln_x: &[f64; 2], gradient: &mut Theta) -> f64;

    /// Solver coordinates to start from, spread over what the data could mean.
    fn starts(&self, sample: &Sample) -> Vec<Theta>;

    /// Quantities that follow from the parameters, such as the exponent of the compute-optimal size.
    fn derived(&self, _theta: &Theta) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

impl std::fmt::Debug for dyn Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl Serialize for dyn Law {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The law of that name.
pub fn by_name(name: &str) -> Result<&'static dyn Law> {
    let found = ALL.iter().copied().find(|law| law.name() == name);
    found.ok_or_else(|| unknown(name, &ALL.iter().map(|law| law.name()).collect::<Vec<_>>()))
}

/// Nothing in `names` is called so.
pub fn unknown(name: &str, names: &[&str]) -> Error {
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean --law {near}?"),
        None => format!("the laws are {}", names.join(", ")),
    };
    Error::bad_input(format!("--law {name}: there is no law of that name")).hint(hint)
}

/// Copies named values into solver coordinates.
pub fn theta_of(values: &[f64]) -> Theta {
    let mut theta = Theta::default();
    theta[..values.len()].copy_from_slice(values);
    theta
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A law's gradient agrees with central differences wherever its starts lie.
    #[test]
    fn gradients_are_exact() {
        let ln_x: Vec<[f64; 2]> = (0..6).map(|i| [6.0 + f64::from(i), 8.0 + 1.7 * f64::from(i)]).collect();
        let ln_y: Vec<f64> = (0..6).map(|i| (1.1 + 3.0 * (-0.4 * f64::from(i)).exp()).ln()).collect();
        let sample = Sample { weight: vec![1.0; 6], ln_x: ln_x.clone(), ln_y };
        for law in ALL {
            let starts = law.starts(&sample);
            assert!(!starts.is_empty(), "{}", law.name());
            for theta in starts {
                for x in &ln_x {
                    check_gradient(*law, &theta, x);
                }
            }
        }
    }

    fn check_gradient(law: &dyn Law, theta: &Theta, ln_x: &[f64; 2]) {
        let mut exact = Theta::default();
        let mut ignored = Theta::default();
        law.ln_loss(theta, ln_x, &mut exact);
        for i in 0..law.params().len() {
            let step = 1e-6 * theta[i].abs().max(0.05);
            let (mut up, mut down) = (*theta, *theta);
            up[i] += step;
            down[i] -= step;
            let slope = (law.ln_loss(&up, ln_x, &mut ignored) - law.ln_loss(&down, ln_x, &mut ignored)) / (2.0 * step);
            assert!(
                (slope - exact[i]).abs() <= 1e-5 * slope.abs().max(1.0),
                "{} d/d{}: {} against {slope} at {theta:?}, {ln_x:?}",
                law.name(),
                law.params()[i].name,
                exact[i]
            );
        }
    }
}
