//! What people call the three splits, in names of arrays, files and folders.

use std::path::Path;

/// Of the training, validation and test part.
pub const NAMES: [&[&str]; 3] =
    [&["train", "training"], &["val", "valid", "validation", "dev"], &["test", "testing", "eval"]];

/// The split that a path names by one of its words, as in `data/train-00000-of-00002.parquet`; its last part counts first.
pub fn of(path: &Path) -> Option<usize> {
    let part = |word: &str| NAMES.iter().position(|names| names.iter().any(|name| name.eq_ignore_ascii_case(word)));
    path.components().rev().find_map(|component| {
        let name = component.as_os_str().to_str()?;
        name.split(|letter: char| !letter.is_ascii_alphanumeric()).find_map(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_words_of_a_path() {
        let part = |path: &str| of(Path::new(path));
        assert_eq!(part("data/train-00000-of-00002.parquet"), Some(0));
        assert_eq!(part("default/validation/0000.parquet"), Some(1));
        assert_eq!(part("train/imagenet_test_003.tar"), Some(2));
        assert_eq!(part("contest/trains.tar"), None);
    }
}
