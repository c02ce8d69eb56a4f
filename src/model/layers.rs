//! Layers over the replica axis. Each reads as it does for one model; with one row (R = 1) each takes the plain
//! path of libtorch without a copy.

mod attention;
mod constant;
mod conv;
mod experts;
mod linear;
mod norm;
mod patches;
mod soft;
pub mod sparse;
mod stack;

pub use attention::{Attention, attend};
pub use constant::Constant;
pub use conv::{Conv, channels_last, max_pool};
pub use linear::{Linear, Mlp};
pub use norm::{Affine, BatchNorm, LayerNorm};
pub use patches::{PatchEmbed, fourier, neighbours, sincos_2d};
pub use soft::SoftExperts;
pub use sparse::{Routing, SparseExperts};
pub use stack::{Layer, Stack};
