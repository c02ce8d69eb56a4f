//! Orders of things: permutations that depend on nothing but their generator, in every version of every dependency.

use rand_chacha::rand_core::Rng;

use crate::random::stream;

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

/// A keyed permutation of 0..n for any n, computed place by place: a Feistel network over the next power of four,
/// walked until it lands below n.
#[derive(Clone, Debug)]
pub struct Shuffled {
    n: u64,
    half_bits: u32,
    keys: [u64; 6],
}

impl Shuffled {
    pub fn new(seed: u64, purpose: &str, n: u64) -> Self {
        let mut rng = stream(seed, purpose, n);
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        Self { n, half_bits: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    /// The number at `place`, both below n.
    pub fn at(&self, place: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let mut number = place;
        loop {
            let (mut left, mut right) = (number >> self.half_bits, number & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            number = left << self.half_bits | right;
            if number < self.n {
                return number;
            }
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn shuffled_numbers_are_a_permutation_without_a_pattern() {
        for n in [1, 2, 5, 24, 1000] {
            let shuffled = Shuffled::new(3, "test", n);
            let mut all: Vec<u64> = (0..n).map(|place| shuffled.at(place)).collect();
            all.sort();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
        // Where each residue of 7 lands, over many keys: chi-squared with 36 degrees of freedom, 99.9% quantile 68.
        let mut counts = [[0u32; 7]; 7];
        for seed in 0..300 {
            let shuffled = Shuffled::new(seed, "test", 700);
            (0..700).for_each(|place| counts[place as usize % 7][shuffled.at(place) as usize % 7] += 1);
        }
        let expected = 300.0 * 700.0 / 49.0;
        let chi: f64 = counts.iter().flatten().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi < 68.0, "{chi}");
    }
}
