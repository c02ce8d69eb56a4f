//! The end of a worker's stderr: what a person needs at once when an attempt fails.

use std::path::Path;

use crate::files::end_of;

const LINES: usize = 15;
const BYTES: u64 = 4096;
/// Of a log that is kept.
const KEPT: u64 = 1 << 20;

/// The last lines of `path` after its first `from` bytes, without the frames of C++ among them; empty when there is
/// nothing, or nothing that can be read.
pub(super) fn read(path: &Path, from: u64) -> String {
    let text = end_of(path, from, BYTES);
    let is_frame = |line: &str| line.starts_with("frame #") || line.starts_with("Exception raised from");
    let lines: Vec<&str> = text.lines().filter(|line| !is_frame(line)).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// All of it, or its last mebibyte.
pub(super) fn read_whole(path: &Path, from: u64) -> String {
    end_of(path, from, KEPT)
}

/// Each line on a line of its own, under the line that it explains.
pub(super) fn indented(log: &str) -> String {
    log.lines().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_after_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slot.log");
        assert_eq!(read(&path, 0), "");
        let text: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let tail = read(&path, 0);
        assert_eq!((tail.lines().count(), tail.lines().next()), (15, Some("line 985")));
        assert_eq!(read(&path, text.len() as u64 - 9), "line 999");
        assert_eq!(read(&path, text.len() as u64), "");
    }
}
