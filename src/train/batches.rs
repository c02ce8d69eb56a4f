//! Which examples are in which batch: a pure function of (seed, step, examples, batch), so that a resumed run sees what
//! it would have seen.

use crate::error::{Error, Result};
use crate::random::stream;
use crate::task::order::permutation;

/// The batches of one run. Epoch after epoch in a permutation of its own, end to end: a batch may take the last
/// examples of one epoch and the first of the next, and none is dropped.
#[derive(Debug)]
pub struct Batches {
    seed: u64,
    examples: u32,
    /// The epoch that is laid out, and its order.
    laid_out: Option<(u64, Vec<u32>)>,
}

impl Batches {
    pub fn new(seed: u64, examples: u64) -> Result<Self> {
        let examples =
            u32::try_from(examples).map_err(|_| Error::bad_input(format!("{examples} examples are more than 2^32")))?;
        Ok(Self { seed, examples, laid_out: None })
    }

    /// Appends the indices of batch number `step` (from 0) to `indices`.
    pub fn append(&mut self, step: u64, batch: u64, indices: &mut Vec<i64>) {
        let examples = u64::from(self.examples);
        let (mut place, end) = (step * batch, (step + 1) * batch);
        while place < end {
            let (epoch, from) = (place / examples, place % examples);
            let to = examples.min(from + (end - place));
            let order = self.order(epoch);
            indices.extend(order[from as usize..to as usize].iter().map(|&index| i64::from(index)));
            place += to - from;
        }
    }

    fn order(&mut self, epoch: u64) -> &[u32] {
        let (seed, examples) = (self.seed, self.examples);
        let laid_out = self.laid_out.take().filter(|(laid_out, _)| *laid_out == epoch);
        let order = move || (epoch, permutation(&mut stream(seed, "batch order", epoch), examples));
        &self.laid_out.insert(laid_out.unwrap_or_else(order)).1
    }
}

/// The batches of the lanes of a pack, one after the other.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Batches>,
    batch: u64,
    /// Of the last step that was looked ahead to.
    ahead: Option<(u64, Vec<i64>)>,
}

impl Lanes {
    pub fn new(lanes: Vec<Batches>, batch: u64) -> Self {
        Self { lanes, batch, ahead: None }
    }

    /// Indices of this step and, if there is one, of the next.
    pub fn at(&mut self, step: u64, steps: u64) -> [Vec<i64>; 2] {
        let known = self.ahead.take().filter(|(ahead, _)| *ahead == step);
        let now = known.map_or_else(|| self.indices(step), |(_, indices)| indices);
        if step + 1 >= steps {
            return [now, Vec::new()];
        }
        let then = self.indices(step + 1);
        self.ahead = Some((step + 1, then.clone()));
        [now, then]
    }

    fn indices(&mut self, step: u64) -> Vec<i64> {
        let mut indices = Vec::with_capacity(self.lanes.len() * self.batch as usize);
        self.lanes.iter_mut().for_each(|batches| batches.append(step, self.batch, &mut indices));
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(batches: &mut Batches, steps: impl Iterator<Item = u64>, batch: u64) -> Vec<i64> {
        let mut indices = Vec::new();
        steps.for_each(|step| batches.append(step, batch, &mut indices));
        indices
    }

    #[test]
    fn every_epoch_has_every_example_once() {
        let all = take(&mut Batches::new(7, 10).unwrap(), 0..10, 4);
        for epoch in all.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..20]);
        assert_ne!(all, take(&mut Batches::new(8, 10).unwrap(), 0..10, 4));
    }

    #[test]
    fn any_step_can_be_asked_for_alone() {
        let all = take(&mut Batches::new(7, 10).unwrap(), 0..10, 4);
        for step in (0..10).rev() {
            assert_eq!(take(&mut Batches::new(7, 10).unwrap(), step..step + 1, 4), all[step as usize * 4..][..4]);
        }
        // Fewer examples than a batch: it takes several epochs.
        let small = take(&mut Batches::new(7, 3).unwrap(), 0..1, 8);
        assert_eq!(small.len(), 8);
        assert!((0..3).all(|index| small.iter().filter(|&&i| i == index).count() >= 2));
    }

    #[test]
    fn lanes_know_what_comes_next() {
        let of = |seed: u64| Batches::new(seed, 10).unwrap();
        let plain = |step: u64| -> Vec<i64> {
            [take(&mut of(1), step..step + 1, 4), take(&mut of(2), step..step + 1, 4)].concat()
        };
        let mut lanes = Lanes::new(vec![of(1), of(2)], 4);
        // In turn, and from elsewhere, as after a checkpoint.
        for step in [0, 1, 2, 5, 6, 3] {
            assert_eq!(lanes.at(step, 7), [plain(step), if step < 6 { plain(step + 1) } else { Vec::new() }]);
        }
    }
}
