//! Which images of a training part are held out of it: of each class the same share, and never one copy of an image that
//! is trained on.

/// `[test, validation, train]` of the indices in `order`, each in that order. `copies` are images that look the same.
pub fn draw(order: &[u32], label: impl Fn(u32) -> usize, copies: &[Vec<u32>], wanted: [u64; 2]) -> [Vec<u32>; 3] {
    let classes = order.iter().map(|&index| label(index) + 1).max().unwrap_or(0);
    let mut counts = vec![0u64; classes];
    order.iter().for_each(|&index| counts[label(index)] += 1);
    let mut group_of = vec![u32::MAX; order.len()];
    for (number, group) in copies.iter().enumerate() {
        for &index in group.iter().filter(|&&index| label(index) == label(group[0])) {
            group_of[index as usize] = number as u32;
        }
    }
    const TRAIN: u8 = 2;
    let mut part = vec![TRAIN; order.len()];
    let mut left = counts.clone();
    for (number, wanted) in wanted.into_iter().enumerate() {
        let mut needs = shares(&counts, &left, wanted);
        left.iter_mut().zip(&needs).for_each(|(left, need)| *left -= need);
        for whole in [true, false] {
            for &index in order {
                let need = &mut needs[label(index)];
                if *need == 0 || part[index as usize] != TRAIN {
                    continue;
                }
                let group = match group_of[index as usize] {
                    u32::MAX => &[index][..],
                    group => &copies[group as usize],
                };
                let free = |other: &&u32| part[**other as usize] == TRAIN && label(**other) == label(index);
                let free: Vec<u32> = group.iter().filter(free).copied().collect();
                // A class of nothing but copies may have none that fit; then they are parted after all.
                if whole && free.len() as u64 > *need {
                    continue;
                }
                for &other in free.iter().take(*need as usize) {
                    part[other as usize] = number as u8;
                    *need -= 1;
                }
            }
        }
    }
    [0, 1, TRAIN].map(|wanted| order.iter().copied().filter(|&index| part[index as usize] == wanted).collect())
}

/// How many of each class, in proportion to `counts` and by largest remainders; one of each class is left to train on, as
/// long as that is possible.
fn shares(counts: &[u64], left: &[u64], wanted: u64) -> Vec<u64> {
    let total: u64 = counts.iter().sum::<u64>().max(1);
    let exact = |count: u64| u128::from(wanted) * u128::from(count);
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(exact(counts[class]) % u128::from(total)));
    let spare = |class: usize| left[class].saturating_sub(1);
    let mut shares: Vec<u64> =
        (0..counts.len()).map(|class| ((exact(counts[class]) / u128::from(total)) as u64).min(spare(class))).collect();
    let mut missing = wanted - shares.iter().sum::<u64>();
    for room in [&spare as &dyn Fn(usize) -> u64, &|class| left[class]] {
        let mut more = true;
        while missing > 0 && more {
            more = false;
            for &class in by_remainder.iter().filter(|&&class| shares[class] < room(class)).collect::<Vec<_>>() {
                if missing > 0 {
                    (shares[class], missing, more) = (shares[class] + 1, missing - 1, true);
                }
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes_of(part: &[u32], label: impl Fn(u32) -> usize, classes: usize) -> Vec<usize> {
        (0..classes).map(|class| part.iter().filter(|&&index| label(index) == class).count()).collect()
    }

    #[test]
    fn every_class_gives_its_share_and_keeps_one() {
        let order: Vec<u32> = (0..1000u32).map(|index| index * 7 % 1000).collect();
        // 700, 290, 9 and 1 images.
        let label = |index: u32| [700, 990, 999].iter().filter(|&&end| index >= end).count();
        let [test, validation, train] = draw(&order, label, &[], [100, 200]);
        assert_eq!(classes_of(&test, label, 4), [70, 29, 1, 0]);
        assert_eq!(classes_of(&validation, label, 4), [140, 58, 2, 0]);
        assert_eq!(classes_of(&train, label, 4), [490, 203, 6, 1]);
        let place = |index: &u32| order.iter().position(|other| other == index).unwrap();
        assert!(train.is_sorted_by_key(place), "the training order is that of the permutation");
        // More than leaves one to each class is still what was asked for.
        let [test, validation, train] = draw(&order, label, &[], [500, 499]);
        assert_eq!((test.len(), validation.len(), train.len()), (500, 499, 1));
    }

    #[test]
    fn copies_are_not_parted() {
        let order: Vec<u32> = (0..40).rev().collect();
        let label = |index: u32| (index % 2) as usize;
        let copies = [vec![0, 2, 4], vec![1, 39], vec![10, 38]];
        let [test, validation, train] = draw(&order, label, &copies, [6, 6]);
        assert_eq!((test.len(), validation.len(), train.len()), (6, 6, 28));
        for group in &copies {
            let parts =
                [&test, &validation, &train].map(|part| group.iter().filter(|index| part.contains(index)).count());
            assert!(parts.contains(&group.len()), "{group:?} {parts:?}");
        }
        let pairs: Vec<Vec<u32>> = (0..20).map(|k| vec![k, k + 20]).collect();
        let [test, ..] = draw(&order, label, &pairs, [3, 2]);
        assert_eq!(test.len(), 3, "the number that was asked for goes first");
    }
}
