//! Text that says in its last line that it is as the program wrote it. While that is true a command may write it anew; once
//! a person has changed a letter it is theirs.

use std::path::Path;

use twox_hash::XxHash3_128;

const SAYS: &str = "# Replaced without being asked while it is as crossover wrote it: ";

/// `text`, whose comments begin with `#`, and the line.
pub fn signed(text: &str) -> String {
    format!("{text}\n{SAYS}{}\n", sum(text))
}

/// Whether a file is there that nobody has changed since. A link is somebody's.
pub(super) fn is_unchanged(path: &Path) -> bool {
    let text = if path.is_symlink() { None } else { super::read_text(path).ok() };
    let unchanged = text.as_deref().and_then(|text| {
        let (content, said) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        Some(said.strip_prefix(SAYS)? == sum(content))
    });
    unchanged == Some(true)
}

fn sum(text: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{refuse_to_replace, write_new};

    #[test]
    fn what_was_written_is_written_anew_until_somebody_changes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        for text in ["", "name = \"a\"\n", "name = \"b\""] {
            write_new(&path, signed(text).as_bytes(), false).unwrap();
            assert!(std::fs::read_to_string(&path).unwrap().starts_with(text));
        }
        let link = dir.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refuse_to_replace(&link, false).is_err());
        let whole = std::fs::read_to_string(&path).unwrap();
        for changed in
            [whole.replace('b', "c"), format!("{whole}\n"), whole.trim_end().to_owned(), "mine\n".into(), "".into()]
        {
            std::fs::write(&path, &changed).unwrap();
            let error = write_new(&path, b"other", false).unwrap_err();
            assert!(error.hint.unwrap().contains("--force"), "{changed}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
        }
        write_new(&path, b"other", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
    }
}
