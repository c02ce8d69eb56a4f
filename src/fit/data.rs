//! Points on their way to a fit: read, told apart by curve, and taken to logarithms.

pub mod curve;
pub mod origin;
pub mod sample;
pub mod scale;
