//! Which runs share a trunk: where runs differ in their budget alone, the part of training that does not depend
//! on it is done once, by the longest, and the others branch off. Results stay those of runs trained alone.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::run::{RunConfig, SharedParts};

/// The runs, each with the steps it has done, in groups that are trained as one up to where they branch off: runs of
/// one trunk that stand at the same step of it, the longest first, and every other run by itself. As indices, in order
/// of first appearance.
pub fn groups(runs: &[(&RunConfig, u64)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    // Runs of one trunk differ in nothing but steps.
    let (mut of_trunk, mut parts) = (HashMap::new(), SharedParts::default());
    for (index, &(config, step)) in runs.iter().enumerate() {
        let group = if step < config.trunk_steps() {
            let trunk = parts.of(config).with_steps(config, 0);
            *of_trunk.entry((trunk, step)).or_insert(groups.len())
        } else {
            groups.len()
        };
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(index);
    }
    groups.iter_mut().for_each(|group| group.sort_by_key(|&index| Reverse(runs[index].0.steps)));
    groups
}

/// For each of the runs, the steps that a longer one does for it too; none for the longest of a trunk.
pub fn shared_steps(runs: &[(&RunConfig, u64)]) -> Vec<u64> {
    let mut shared = vec![0; runs.len()];
    for index in groups(runs).iter().flat_map(|group| &group[1..]) {
        shared[*index] = runs[*index].0.trunk_steps();
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Named, Recipe, Schedule, Settings};

    fn config(schedule: Schedule, steps: u64, seed: u64) -> RunConfig {
        let named = |name: &str| Named { name: name.into(), settings: Settings::new() };
        let train = Recipe {
            batch: 1,
            lr: 1.0,
            weight_decay: 0.0,
            clip: None,
            warmup: 2,
            schedule,
            evals: 1,
            ..Recipe::default()
        };
        RunConfig { model: named("vit"), task: named("mnist1d"), examples: 10, steps, train, seed }
    }

    #[test]
    fn runs_that_differ_in_steps_alone_share_what_does_not_depend_on_them() {
        let wsd = Schedule::Wsd { cooldown: 0.2 };
        let configs = [
            config(wsd, 50, 0),
            config(wsd, 200, 0),
            config(wsd, 100, 1),
            config(wsd, 100, 0),
            config(Schedule::Wsd { cooldown: 0.1 }, 100, 0),
            config(Schedule::Cosine, 200, 0),
            config(Schedule::Cosine, 100, 0),
        ];
        let at_start = configs.each_ref().map(|config| (config, 0));
        assert_eq!(groups(&at_start), [vec![1, 3, 0], vec![2], vec![4], vec![5], vec![6]]);
        assert_eq!(shared_steps(&at_start), [40, 0, 0, 80, 0, 0, 0]);
        // Who stands elsewhere, or at the end of the trunk, goes on alone.
        let (mut moved, mut branched) = (at_start, at_start);
        moved[3].1 = 7;
        assert_eq!(groups(&moved)[..2], [vec![1, 0], vec![2]]);
        branched.iter_mut().take(4).for_each(|(_, step)| *step = 40);
        assert_eq!(groups(&branched)[..3], [vec![0], vec![1, 3], vec![2]]);
    }

    #[test]
    fn a_longer_budget_never_has_a_shorter_trunk() {
        for schedule in
            [Schedule::Cosine, Schedule::Constant, Schedule::Wsd { cooldown: 0.37 }, Schedule::Wsd { cooldown: 1.0 }]
        {
            let trunks: Vec<u64> = (0..500).map(|steps| schedule.trunk_steps(steps)).collect();
            assert!(trunks.is_sorted(), "{schedule:?}");
        }
        assert_eq!(Schedule::Wsd { cooldown: 1e-9 }.trunk_steps(10), 9, "at least one step cools down");
    }
}
