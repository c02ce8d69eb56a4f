//! Published image sets come as a training and a test part; validation is held out of the training part.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::random;
use crate::task::Splits;
use crate::task::examples::{Examples, Images, Split};
use crate::task::idx;
use crate::task::order::permutation;

/// How much of the training part is held out, and by which permutation. The permuted rest is the training order, so
/// subsets are random draws: classes are balanced on average, not exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// Examples of the validation split.
    pub validation: u64,
    /// Of the permutation.
    pub seed: u64,
}

impl Default for Holdout {
    fn default() -> Self {
        Self { validation: 10_000, seed: 0 }
    }
}

impl Holdout {
    /// What its keys mean.
    pub const KEYS: [(&str, &str); 2] =
        [("validation", "held out of the training images"), ("seed", "of what is held out and of the training order")];

    /// Of a training part of `train` examples: something must be left on both sides.
    pub fn check(&self, train: u64) -> Result<()> {
        if (1..train).contains(&self.validation) {
            return Ok(());
        }
        Err(Error::bad_input(format!("validation must be 1 to {}, and is {}", train - 1, self.validation)))
    }

    pub fn splits(&self, train: u64, test: u64) -> Splits {
        Splits { train: Some(train.saturating_sub(self.validation)), validation: self.validation, test }
    }

    /// Validation is the head of the permuted training part, training its tail in that order; `size` values an image.
    pub fn apply(&self, train: Split, test: Split, size: usize) -> Result<Examples> {
        let count = u32::try_from(train.len()).map_err(|_| Error::failed("more than 2^32 training images"))?;
        self.check(count.into())?;
        let order = permutation(&mut random::stream(self.seed, "holdout", 0), count);
        let (validation, rest) = order.split_at(self.validation as usize);
        Ok(Examples { train: train.select(rest, size)?, validation: train.select(validation, size)?, test })
    }
}

/// A split from an idx file of images `[n, H, W]` and one of labels `[n]`, both unpacked.
pub fn split_from_idx(images: (&str, &[u8]), labels: (&str, &[u8]), (height, width): (u64, u64)) -> Result<Split> {
    let array = idx::parse(images.0, images.1, 3..=3)?;
    let classes = idx::parse(labels.0, labels.1, 1..=1)?;
    if array.shape[0] != classes.shape[0] {
        let counts = (array.shape[0], classes.shape[0]);
        return Err(Error::failed(format!(
            "{} has {} images, and {} has {} labels",
            images.0, counts.0, labels.0, counts.1
        )));
    }
    if array.shape[1..] != [height as usize, width as usize] {
        let found = format!("{}x{}", array.shape[1], array.shape[2]);
        return Err(Error::failed(format!("{} has images of {found}, not {height}x{width}", images.0)));
    }
    Ok(Split { images: Images::U8(array.values), labels: classes.values.into_iter().map(i64::from).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(n: u8) -> Split {
        Split { images: Images::U8((0..n).flat_map(|i| [i, i]).collect()), labels: (0..n.into()).collect() }
    }

    #[test]
    fn splits_never_overlap_and_lose_nothing() {
        let made = Holdout { validation: 30, seed: 3 }.apply(split(100), split(10), 2).unwrap();
        assert_eq!((made.train.len(), made.validation.len(), made.test.len()), (70, 30, 10));
        let mut all = [made.train.labels.clone(), made.validation.labels.clone()].concat();
        assert!(!all.is_sorted());
        all.sort();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        // Images went with their labels.
        let Images::U8(images) = &made.train.images else { panic!("bytes stay bytes") };
        assert!(images.chunks(2).zip(&made.train.labels).all(|(image, &label)| image == [label as u8; 2]));
        let other = Holdout { validation: 30, seed: 4 }.apply(split(100), split(10), 2).unwrap();
        assert_ne!(other.train.labels, made.train.labels);
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let images = idx::written(&[2, 2, 2], &[0; 8]);
        let labels = |n: u8| idx::written(&[n.into()], &vec![0; n.into()]);
        assert_eq!(split_from_idx(("a", &images), ("b", &labels(2)), (2, 2)).unwrap().len(), 2);
        let refused = |labels: &[u8], size| split_from_idx(("a", &images), ("b", labels), size).unwrap_err().message;
        assert_eq!(refused(&labels(3), (2, 2)), "a has 2 images, and b has 3 labels");
        assert_eq!(refused(&labels(2), (2, 3)), "a has images of 2x2, not 2x3");
    }
}
