//! Orders of things: permutations that depend on nothing but their generator, in every version of every dependency.

use rand_chacha::rand_core::Rng;

/// A uniform integer below `bound` (Lemire 2019, "Fast random integer generation in an interval").
pub fn below(rng: &mut impl Rng, bound: u32) -> u32 {
    let mut product = u64::from(rng.next_u32()) * u64::from(bound);
    if (product as u32) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u32) < threshold {
            product = u64::from(rng.next_u32()) * u64::from(bound);
        }
    }
    (product >> 32) as u32
}

/// A uniform number in [0, 1), with 53 bits.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A uniform permutation of 0..n (Fisher and Yates).
pub fn permutation(rng: &mut impl Rng, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, below(rng, last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn permutations_are_uniform() {
        let mut counts = std::collections::BTreeMap::new();
        let mut rng = stream(1, "test", 0);
        for _ in 0..24_000 {
            *counts.entry(permutation(&mut rng, 4)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        // Chi-squared with 23 degrees of freedom: its 99.9% quantile is 49.7.
        let chi: f64 = counts.values().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 49.7, "{chi}");
    }
}
