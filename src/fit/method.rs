//! What `--law` can name: a law, the choice among laws, or profiles of size at equal compute.

use crate::error::Result;
use crate::fit::analysis::scale_of;
use crate::fit::data::scale::Scale;
use crate::fit::isoflop::Profile;
use crate::fit::laws::{self, ALL, Domain, Law};
use crate::point::Axis;

#[derive(Clone, Debug)]
pub enum Method {
    Law(&'static dyn Law),
    /// The law of this domain that predicts the largest scales best.
    Auto(Domain),
    IsoFlop(Profile),
    /// The chosen values of a tuned key as a power law of scale.
    Tuned(String),
}

/// What comes before the key, as in tuned:lr.
const TUNED: &str = "tuned:";

/// Beside the laws of `ALL`.
const OTHERS: [(&str, Method); 4] = [
    ("auto", Method::Auto(Domain::Curve)),
    ("auto-surface", Method::Auto(Domain::Surface)),
    ("isoflop", Method::IsoFlop(Profile::Parabola)),
    ("isoflop-akima", Method::IsoFlop(Profile::Akima)),
];

impl Method {
    /// `tuned:KEY` for any key; whether it was tuned, the points tell.
    ///
    /// # Errors
    /// No such name; the hint says which is near.
    pub fn by_name(name: &str) -> Result<Self> {
        if let Some(key) = name.strip_prefix(TUNED).filter(|key| !key.is_empty()) {
            return Ok(Method::Tuned(key.into()));
        }
        match OTHERS.iter().find(|(other, _)| *other == name) {
            Some((_, method)) => Ok(method.clone()),
            None => laws::by_name(name).map(Method::Law).map_err(|_| laws::unknown(name, &names())),
        }
    }

    /// Whether it fits one curve over one scale per curve, so that architectures with several sizes at a scale are
    /// represented by their best there.
    pub fn is_curve(&self) -> bool {
        match self {
            Method::Law(law) => law.domain() == Domain::Curve,
            Method::Auto(domain) => *domain == Domain::Curve,
            Method::IsoFlop(_) | Method::Tuned(_) => false,
        }
    }

    /// What it is fitted over where curves are drawn over `axis`.
    pub fn scale(&self, axis: Axis) -> Scale {
        match self {
            Method::Law(law) => scale_of(*law, axis),
            Method::Auto(Domain::Surface) | Method::Tuned(_) => Scale::Surface,
            Method::Auto(_) => Scale::Curve(axis),
            Method::IsoFlop(_) => Scale::Profile,
        }
    }
}

/// All that `--law` takes.
fn names() -> Vec<&'static str> {
    ALL.iter().map(|law| law.name()).chain(OTHERS.iter().map(|(name, _)| *name)).chain(["tuned:lr"]).collect()
}
