//! Stateless random numbers: every draw comes from a generator keyed by what it is for, so that resuming needs no
//! generator state and the order of work does not matter.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The generator for one `purpose` ("init", "batch order", …) of one seed at one index (a step, an epoch, an example).
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(index.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}
