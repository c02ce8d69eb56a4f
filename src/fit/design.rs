//! Before the next run: what it would tell, and what a whole sweep would.

pub mod extend;
pub mod simulate;
