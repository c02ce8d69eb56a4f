//! What losses are fitted over, and points that have no place there.

use serde::{Serialize, Serializer};

use crate::point::Axis;

/// What a fitted loss is a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Curve(Axis),
    /// Parameters and data together.
    Surface,
    /// Parameters, unique examples, and examples seen.
    Repeated,
    /// Compute, with profiles of loss over parameters at each.
    Profile,
}

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scale::Curve(axis) => axis.serialize(serializer),
            Scale::Surface => serializer.serialize_str("params,data"),
            Scale::Repeated => serializer.serialize_str("params,data,seen"),
            Scale::Profile => serializer.serialize_str("compute"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// The point's source.
    pub point: String,
    pub reason: String,
}
