//! What an import found: told once when it is done, kept with the set, and told again whenever the set is shown.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::picture::Seen;
use crate::out;

/// The parts of a set, as they are called.
pub const PARTS: [&str; 3] = ["train", "validation", "test"];
/// Classes whose counts are written out one by one.
const FEW: usize = 20;
/// Names that are given as examples.
const NAMED: usize = 3;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    pub folders: Vec<Folder>,
    pub ignored: Vec<Ignored>,
    /// Images of each class in each part, in the order of the labels.
    pub classes: Vec<[u64; 3]>,
    pub sizes: Option<Sizes>,
    pub duplicates: Duplicates,
    pub damaged: Damaged,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    pub path: String,
    pub part: String,
    pub read: u64,
    pub ignored: u64,
    /// They cannot be read; a set that was made has none.
    #[serde(default)]
    pub refused: u64,
    /// Left out by a list of the user's.
    pub skipped: u64,
}

/// Files of one kind that are not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ignored {
    pub kind: String,
    pub count: u64,
    pub reason: String,
    pub example: String,
}

/// Sides of images as their files have them, turned as their Exif says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// By their pixels.
    pub smallest: (u32, u32),
    pub median: (u32, u32),
    pub largest: (u32, u32),
    pub different: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Images that are another one again, of the same class and part.
    pub same: u64,
    /// Different images that stand in several parts; in several classes.
    pub across_parts: u64,
    pub across_classes: u64,
    pub dropped: u64,
    /// The file that names them.
    pub list: Option<String>,
}

/// Files that can be read, but not as they were once written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Damaged {
    pub count: u64,
    pub examples: Vec<String>,
    pub list: Option<String>,
}

impl Sizes {
    pub fn of(seen: &[Seen]) -> Option<Self> {
        let mut sizes: Vec<(u32, u32)> = seen.iter().map(|seen| (seen.width, seen.height)).collect();
        sizes.sort_by_key(|&(width, height)| (u64::from(width) * u64::from(height), width));
        let (smallest, median, largest) = (*sizes.first()?, sizes[sizes.len() / 2], *sizes.last()?);
        sizes.dedup();
        Some(Self { smallest, median, largest, different: sizes.len() as u64 })
    }
}

impl Audit {
    /// Files that cannot be read are no longer counted as read.
    pub fn refuse<'a>(&mut self, files: impl Iterator<Item = &'a Path> + Clone) {
        for folder in &mut self.folders {
            folder.refused = files.clone().filter(|file| file.starts_with(&folder.path)).count() as u64;
            folder.read = folder.read.saturating_sub(folder.refused);
        }
    }

    /// What there is to say, each with what it is about.
    pub fn lines(&self, classes: &[String]) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        for folder in &self.folders {
            let count = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
            let refused = count(folder.refused, "refused");
            let (ignored, skipped) = (count(folder.ignored, "ignored"), count(folder.skipped, "skipped"));
            lines.push((
                "files",
                format!("{}: {} read as {}{refused}{ignored}{skipped}", folder.path, folder.read, folder.part),
            ));
        }
        for Ignored { kind, count, reason, example } in &self.ignored {
            lines.push(("ignored", format!("{count} {kind}: {reason}, such as {example}")));
        }
        for (part, name) in PARTS.iter().enumerate() {
            lines.extend(self.class_counts(classes, part).map(|text| ("classes", format!("{name}: {text}"))));
        }
        if let Some(Sizes { smallest, median, largest, different }) = &self.sizes {
            let side = |(width, height): &(u32, u32)| format!("{width}x{height}");
            lines.push((
                "sizes",
                match different {
                    1 => format!("all {}", side(median)),
                    _ => format!(
                        "{} to {}, median {}, {different} different",
                        side(smallest),
                        side(largest),
                        side(median)
                    ),
                },
            ));
        }
        lines.extend(self.duplicates.line().map(|text| ("duplicates", text)));
        if self.damaged.count > 0 {
            let Damaged { count, examples, list } = &self.damaged;
            let all = list.as_ref().map_or(String::new(), |list| format!("; all: {list}"));
            lines.push((
                "damaged",
                format!("{count} files inside, read as far as they go: {}{all}", examples.join("; ")),
            ));
        }
        lines.extend(self.notes.iter().map(|note| ("note", note.clone())));
        lines
    }

    /// Says it while the import goes on.
    pub fn say(&self, classes: &[String]) {
        for (what, text) in self.lines(classes) {
            out::say(format_args!("  {what:<10} {text}"));
        }
    }

    fn class_counts(&self, classes: &[String], part: usize) -> Option<String> {
        let counts: Vec<u64> = self.classes.iter().map(|parts| parts[part]).collect();
        if counts.iter().sum::<u64>() == 0 {
            return None;
        }
        if classes.len() <= FEW {
            let each = classes.iter().zip(&counts).map(|(class, count)| format!("{class} {count}"));
            return Some(each.collect::<Vec<_>>().join(", "));
        }
        let (fewest, most) = (counts.iter().min()?, counts.iter().max()?);
        let each = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
        let without: Vec<&str> =
            classes.iter().zip(&counts).filter(|(_, count)| **count == 0).map(|(class, _)| class.as_str()).collect();
        let without = match without.len() {
            0 => String::new(),
            count => format!("; {count} have none, such as {}", without[..count.min(NAMED)].join(", ")),
        };
        Some(format!("{each} images of each of {} classes{without}", classes.len()))
    }
}

impl Duplicates {
    fn line(&self) -> Option<String> {
        let counts = [
            (self.same, "copies within their split and class"),
            (self.across_parts, "images in several splits"),
            (self.across_classes, "images in several classes"),
            (self.dropped, "dropped"),
        ];
        let told: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let list = self.list.as_ref().map_or(String::new(), |list| format!("; all: {list}"));
        (!told.is_empty()).then(|| format!("{}{list}", told.join(", ")))
    }
}
