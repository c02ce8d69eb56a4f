//! What a law is: a formula with named parameters, its exact gradient and where to start looking. One law is one file
//! beside this one and one line in the registry.

use serde::{Serialize, Serializer};

pub use crate::fit::data::sample::LnX;
use crate::fit::data::sample::Sample;

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
    /// Parameters N in `ln_x[0]`, unique examples in `ln_x[1]`, examples seen, repeats counted, in `ln_x[2]`.
    Repeated,
    /// Compute in `ln_x[0]`; only the points that nothing as cheap beats are fitted.
    Frontier,
}

/// What a parameter is to its law: decides how it is searched, within which box, and what may be said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// A loss (or an offset) that no scale removes, from zero up.
    Floor,
    /// Positive, of any size, in the units of the data.
    Amplitude,
    /// What a law is about, from zero (the curve is flat) to 10 (a cliff, steeper than any curve measured). It must be
    /// bounded away from both ends for a fit to count as identified.
    Exponent,
    /// An exponent of either sign.
    SignedExponent,
    /// How a curve bends: positive, searched in its logarithm between two bounds.
    Shape { low: f64, high: f64 },
    /// What a law without an exponent is about, from zero (the curve is flat) up, in the units of the loss.
    Slope,
    /// Of either sign, within a logistic function, where 10 is as good as infinity, and not what the law is about.
    Offset,
    /// An exponent that bends the curve, and is not the one that the law is about.
    ShapeExponent,
}

/// One parameter of a law.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub role: Role,
}

impl Param {
    pub const fn floor(name: &'static str) -> Self {
        Self { name, role: Role::Floor }
    }

    pub const fn amplitude(name: &'static str) -> Self {
        Self { name, role: Role::Amplitude }
    }

    pub const fn exponent(name: &'static str) -> Self {
        Self { name, role: Role::Exponent }
    }

    pub const fn signed_exponent(name: &'static str) -> Self {
        Self { name, role: Role::SignedExponent }
    }

    pub const fn shape(name: &'static str, low: f64, high: f64) -> Self {
        Self { name, role: Role::Shape { low, high } }
    }

    pub const fn shape_exponent(name: &'static str) -> Self {
        Self { name, role: Role::ShapeExponent }
    }

    pub const fn slope(name: &'static str) -> Self {
        Self { name, role: Role::Slope }
    }

    pub const fn offset(name: &'static str) -> Self {
        Self { name, role: Role::Offset }
    }

    /// Whether the law is about it.
    pub fn is_exponent(&self) -> bool {
        matches!(self.role, Role::Exponent | Role::SignedExponent | Role::Slope)
    }

    /// Searched in its logarithm.
    pub fn is_log(&self) -> bool {
        matches!(self.role, Role::Amplitude | Role::Shape { .. })
    }

    /// Box of the parameter itself. Ending up on it is a verdict.
    pub fn range(&self) -> (f64, f64) {
        match self.role {
            Role::Floor | Role::Slope => (0.0, f64::INFINITY),
            Role::Offset => (-10.0, 10.0),
            Role::Amplitude => (1e-280, 1e280),
            Role::Exponent | Role::ShapeExponent => (0.0, 10.0),
            Role::SignedExponent => (-10.0, 10.0),
            Role::Shape { low, high } => (low, high),
        }
    }

    /// From solver coordinates to the parameter.
    pub fn natural(&self, theta: f64) -> f64 {
        if self.is_log() { theta.exp() } else { theta }
    }

    /// From the parameter to solver coordinates.
    pub fn theta(&self, natural: f64) -> f64 {
        if self.is_log() { natural.ln() } else { natural }
    }

    /// The box in solver coordinates.
    pub fn bounds(&self) -> (f64, f64) {
        let (low, high) = self.range();
        (self.theta(low), self.theta(high))
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
    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64;

    /// Solver coordinates to start from, spread over what the data could mean.
    fn starts(&self, sample: &Sample) -> Vec<Theta>;

    /// All parameters, those of a restricted law that are not free too, and what follows from them, by name.
    fn named(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        let params = self.params().iter().zip(theta).map(|(param, value)| (param.name, param.natural(*value)));
        params.chain(self.derived(theta)).collect()
    }

    /// Names of parameters that were given a value and are not fitted.
    fn given(&self) -> Vec<&'static str> {
        Vec::new()
    }

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

/// Copies named values into solver coordinates.
pub fn theta_of(values: &[f64]) -> Theta {
    let mut theta = Theta::default();
    theta[..values.len()].copy_from_slice(values);
    theta
}
