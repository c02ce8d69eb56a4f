//! The usual shapes of convolutional networks: how many stages an image asks for, how deep they are at which width.

use super::{BlockKind, Convnet, Stem};
use crate::model::Io;
use crate::model::scale::{Levels, climb, widths};
use crate::run::Settings;

/// First stages from LeNet-1's four maps (LeCun et al. 1990) on.
const NARROWEST: u64 = 4;
const WIDEST: u64 = 2048;
/// Of a held width: n = 18 is ResNet-110 (He et al. 2016, section 4.2).
const DEEPEST: u64 = 18;

impl Convnet {
    pub(super) fn rungs(&self, held: &Settings, io: Io) -> Vec<Self> {
        let stages = self.stages(io);
        let rungs = match (held.contains_key("width"), held.contains_key("depths")) {
            (true, true) => vec![(self.width, self.depths.clone())],
            (true, false) => (1..=DEEPEST).map(|n| (self.width, self.alike(n, stages))).collect(),
            (false, true) => climb(&widths(1, NARROWEST, WIDEST), &[(0, self.depths.clone())]),
            (false, false) => climb(&widths(1, NARROWEST, WIDEST), &self.levels(stages)),
        };
        rungs.into_iter().map(|(width, depths)| Self { width, depths, ..self.clone() }).collect()
    }

    /// As many as bring the longest side nearest to 8, two to four: three for 32x32 (He et al. 2016, section 4.2), four
    /// for ImageNet's after its stem.
    fn stages(&self, io: Io) -> usize {
        let mut side = io.height.max(io.width);
        if self.stem == Stem::Large {
            side = side.div_ceil(4);
        }
        let sides = std::iter::successors(Some(side), |side| Some(side.div_ceil(2)));
        let off = |side: u64| (side as f64 / 8.0).ln().abs();
        let reached = (1..).zip(sides).skip(1).take(3);
        reached.min_by(|a, b| off(a.1).total_cmp(&off(b.1))).map_or(2, |(stages, _)| stages)
    }

    /// Depths in the family's proportion: all stages alike; of ConvNeXt the last but one three times as deep; of a plain
    /// network twice as many blocks, since they have one convolution where basic ones have two.
    fn alike(&self, n: u64, stages: usize) -> Vec<u64> {
        let deep = |stage: usize| match self.block {
            BlockKind::Plain => 2 * n,
            BlockKind::Basic | BlockKind::Bottleneck => n,
            BlockKind::ConvNext => n * if stage + 2 == stages { 3 } else { 1 },
        };
        (0..stages).map(deep).collect()
    }

    /// The depths that go with a width, and those on the way from one to the next.
    fn levels(&self, stages: usize) -> Levels<Vec<u64>> {
        let alike = |n: u64| self.alike(n, stages);
        let levels = match (self.block, stages) {
            // ConvNeXt-A, F and P are 40 to 64 wide with [2, 2, 6, 2], N 80 with [2, 2, 8, 2] (Woo et al. 2023), T and S
            // 96 with [3, 3, 9, 3] and [3, 3, 27, 3], B 128 (Liu et al. 2022).
            (BlockKind::ConvNext, 4) => {
                let [nano, small] = [[2, 2, 8, 2], [3, 3, 27, 3]].map(|depths| depths.to_vec());
                vec![(0, alike(1)), (40, alike(2)), (80, nano), (96, alike(3)), (96, small)]
            }
            (BlockKind::ConvNext, _) => vec![(0, alike(1)), (40, alike(2)), (96, alike(3))],
            // ResNet-10, -18 and -34 and their plain counterparts, of bottlenecks ResNet-14, -26 and -50; wider ones as
            // WRN-50-2 (Zagoruyko and Komodakis 2016).
            (block, 4) => {
                let times = if block == BlockKind::Plain { 2 } else { 1 };
                vec![(0, alike(1)), (32, alike(2)), (64, [3, 4, 6, 3].map(|depth| times * depth).to_vec())]
            }
            // WRN-(6n + 4)-k is 16k wide: n = k up to WRN-28-4, then WRN-28-k (Zagoruyko and Komodakis 2016).
            _ => vec![(0, alike(1)), (32, alike(2)), (48, alike(3)), (64, alike(4))],
        };
        block_by_block(levels)
    }
}

/// With all depths between these, a block more each: first the last stage but one, then the last, then those before. So
/// depths grow from stage to stage, but for the last, as in RegNets (Radosavovic et al. 2020, section 3.3); and a ladder
/// has no step where a network doubles.
fn block_by_block(levels: Levels<Vec<u64>>) -> Levels<Vec<u64>> {
    let mut all: Levels<Vec<u64>> = levels.iter().take(1).cloned().collect();
    for (width, aim) in levels.into_iter().skip(1) {
        let last = aim.len() - 1;
        let order = (0..last).rev().take(1).chain([last]).chain((0..last).rev().skip(1));
        for stage in order {
            let from = all.last().map_or(aim[stage], |(_, depths)| depths[stage]);
            for depth in from + 1..=aim[stage] {
                let Some((_, mut depths)) = all.last().cloned() else { break };
                depths[stage] = depth;
                all.push((width, depths));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_between_two_usual_ones_grow_block_by_block() {
        let levels = block_by_block(vec![(0, vec![1, 1, 1]), (32, vec![2, 3, 2]), (64, vec![2, 3, 3])]);
        let depths = [[1, 1, 1], [1, 2, 1], [1, 3, 1], [1, 3, 2], [2, 3, 2], [2, 3, 3]].map(|depths| depths.to_vec());
        let widths = [0, 32, 32, 32, 32, 64];
        assert_eq!(levels, widths.into_iter().zip(depths).collect::<Vec<_>>());
    }

    /// WRN-10-1, -16-2, -22-3, -28-4 and -28-10 are 16, 32, 48, 64 and 160 wide.
    #[test]
    fn stages_are_as_deep_as_those_of_published_networks_of_the_width() {
        let depths = |block: BlockKind, width: u64| {
            let levels = Convnet { block, ..Convnet::default() }.levels(3);
            let reached = levels.into_iter().rev().find(|(from, _)| *from <= width);
            reached.map(|(_, depths)| depths).unwrap_or_default()
        };
        for (width, n) in [(16, 1), (31, 1), (32, 2), (47, 2), (48, 3), (63, 3), (64, 4), (160, 4)] {
            assert_eq!(depths(BlockKind::Basic, width), [n, n, n], "{width}");
            assert_eq!(depths(BlockKind::Plain, width), [2 * n, 2 * n, 2 * n], "{width}");
        }
        let convnext = [39, 40, 95, 96].map(|width| depths(BlockKind::ConvNext, width));
        assert_eq!(convnext, [[1, 3, 1], [2, 6, 2], [2, 6, 2], [3, 9, 3]]);
    }

    #[test]
    fn an_image_has_the_stages_that_bring_it_nearest_to_eight_pixels() {
        let stages = |stem: Stem, side: u64| {
            Convnet { stem, ..Convnet::default() }.stages(Io { channels: 3, height: 1, width: side, classes: 10 })
        };
        assert_eq!([8, 16, 28, 32, 40, 48, 64, 224].map(|side| stages(Stem::Small, side)), [2, 2, 3, 3, 3, 4, 4, 4]);
        assert_eq!([28, 96, 224].map(|side| stages(Stem::Large, side)), [2, 3, 4]);
    }
}
