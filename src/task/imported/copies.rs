//! Images that are there more than once. In two splits they make a test of memory, under two labels one of the two is
//! wrong: neither is what an experiment means.

use serde::{Deserialize, Serialize};

use super::audit::{Duplicates, PARTS};
use super::picture::Seen;

/// What becomes of images that stand in several splits or classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    #[default]
    Refuse,
    Drop,
    Keep,
}

/// Where an image stands.
#[derive(Clone, Copy, PartialEq)]
pub struct Place {
    pub part: usize,
    pub label: u16,
}

/// Indices of images that look the same, in order, where there are several.
pub fn groups(seen: &[Seen]) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..seen.len() as u32).collect();
    order.sort_by_key(|&index| (seen[index as usize].hash, index));
    let same = |a: &u32, b: &u32| seen[*a as usize].hash == seen[*b as usize].hash;
    let mut groups: Vec<Vec<u32>> = order.chunk_by(same).filter(|group| group.len() > 1).map(<[u32]>::to_vec).collect();
    groups.sort();
    groups
}

pub fn across_parts(group: &[u32], places: &[Place]) -> bool {
    group.iter().any(|&index| places[index as usize].part != places[group[0] as usize].part)
}

pub fn across_classes(group: &[u32], places: &[Place]) -> bool {
    group.iter().any(|&index| places[index as usize].label != places[group[0] as usize].label)
}

pub fn count(groups: &[Vec<u32>], places: &[Place]) -> Duplicates {
    let mut counted = Duplicates::default();
    for group in groups {
        let mut distinct: Vec<Place> = Vec::new();
        for &index in group {
            if !distinct.contains(&places[index as usize]) {
                distinct.push(places[index as usize]);
            }
        }
        counted.same += (group.len() - distinct.len()) as u64;
        counted.across_parts += u64::from(across_parts(group, places));
        counted.across_classes += u64::from(across_classes(group, places));
    }
    counted
}

/// Those that `drop` leaves out: of an image of one class all but one, which is kept where it tests rather than where it
/// trains; of an image under several labels all, since nobody knows which is right.
pub fn dropped(groups: &[Vec<u32>], places: &[Place]) -> Vec<u32> {
    let mut out = Vec::new();
    for group in groups {
        // The first of the last part that has it.
        let kept = group.iter().rev().max_by_key(|&&index| places[index as usize].part);
        let kept = kept.filter(|_| !across_classes(group, places));
        out.extend(group.iter().filter(|index| Some(*index) != kept));
    }
    out.sort_unstable();
    out
}

/// A line for each copy but the last of its group: what it is, and what it equals.
pub fn lines(groups: &[Vec<u32>], places: &[Place], classes: &[String], name: impl Fn(usize) -> String) -> Vec<String> {
    let whole = |index: u32| {
        let Place { part, label } = places[index as usize];
        format!("{} ({}, {})", name(index as usize), PARTS[part], classes[usize::from(label)])
    };
    let line = |pair: &[u32]| {
        let Place { part, label } = places[pair[0] as usize];
        let (name, part, class) = (name(pair[0] as usize), PARTS[part], &classes[usize::from(label)]);
        format!("{name}\t{part}, {class}: the same image as {}", whole(pair[1]))
    };
    groups.iter().flat_map(|group| group.windows(2).map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_stays_where_it_tests_and_none_of_two_labels() {
        let seen: Vec<Seen> =
            [1, 2, 1, 3, 3, 1, 2, 4].map(|hash| Seen { width: 1, height: 1, hash, damage: None }).into();
        let places = [(0, 0), (0, 0), (0, 0), (0, 1), (0, 2), (2, 0), (0, 0), (2, 1)];
        let places = places.map(|(part, label)| Place { part, label });
        let groups = groups(&seen);
        assert_eq!(groups, [vec![0, 2, 5], vec![1, 6], vec![3, 4]]);
        let counted = count(&groups, &places);
        assert_eq!((counted.same, counted.across_parts, counted.across_classes), (2, 1, 1));
        assert_eq!(dropped(&groups, &places), [0, 2, 3, 4, 6]);
        let classes = ["a", "b", "c"].map(String::from);
        let lines = lines(&groups, &places, &classes, |index| format!("{index}.png"));
        assert_eq!(lines[1], "2.png\ttrain, a: the same image as 5.png (test, a)");
        assert_eq!(lines.len(), 4);
    }
}
