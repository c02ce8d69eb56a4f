//! Changes to any task's examples, each a key of the task and so an axis of a sweep: they take away from an
//! architecture what its bias relies on, or give it to all.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::Io;
use crate::random;
use crate::run::Settings;
use crate::task::config;
use crate::task::examples::{Examples, Images};
use crate::task::order::permutation;

/// All tasks have these keys beside their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transforms {
    /// One fixed permutation of the positions, the same for every image and channel: neighbours no longer mean
    /// anything, and nothing is lost to a model that does not rely on them.
    shuffle: bool,
}

impl Transforms {
    pub fn keys() -> Vec<String> {
        config::to_settings(&Self::default()).into_keys().collect()
    }

    pub fn parse(task: &str, given: &Settings) -> Result<(Self, Settings)> {
        config::parse(task, given)
    }

    /// What a model sees, of a source that gives `io`.
    pub fn io(&self, io: Io) -> Result<Io> {
        Ok(io)
    }

    pub fn apply(&self, io: Io, mut examples: Examples) -> Result<Examples> {
        if self.shuffle {
            let positions = permutation(&mut random::stream(0, "shuffle", 0), (io.height * io.width) as u32);
            for split in [&mut examples.train, &mut examples.validation, &mut examples.test] {
                match &mut split.images {
                    Images::U8(values) => permute_planes(values, &positions),
                    Images::F32(values) => permute_planes(values, &positions),
                }
            }
        }
        Ok(examples)
    }
}

/// Permutes each plane `[H, W]` of `values`.
fn permute_planes<T: Copy>(values: &mut [T], positions: &[u32]) {
    let mut old = Vec::with_capacity(positions.len());
    for plane in values.chunks_exact_mut(positions.len()) {
        old.clear();
        old.extend_from_slice(plane);
        for (value, &from) in plane.iter_mut().zip(positions) {
            *value = old[from as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::examples::Split;

    #[test]
    fn shuffling_is_one_permutation_for_all() {
        let split = |values: Vec<u8>| Split { images: Images::U8(values), labels: vec![0] };
        let plane: Vec<u8> = (0..12).collect();
        // Two channels of 3 x 4 in train, so that both planes can be compared.
        let examples = Examples {
            train: split([plane.clone(), plane.clone()].concat()),
            validation: split(plane.clone()),
            test: split(plane.clone()),
        };
        let io = Io { channels: 2, height: 3, width: 4, classes: 1 };
        let shuffled = Transforms { shuffle: true }.apply(io, examples).unwrap();
        let Images::U8(test) = &shuffled.test.images else { panic!("bytes stay bytes") };
        assert_ne!(*test, plane);
        let mut sorted = test.clone();
        sorted.sort();
        assert_eq!(sorted, plane);
        assert_eq!(shuffled.validation.images, shuffled.test.images);
        assert_eq!(shuffled.train.images, Images::U8([test.clone(), test.clone()].concat()));
    }
}
