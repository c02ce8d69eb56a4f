//! The end of a worker's stderr: what a person needs at once when an attempt fails.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const LINES: usize = 15;
const BYTES: u64 = 4096;

/// The last lines of `path` after its first `from` bytes; empty when there is nothing, or nothing that can be read.
pub(super) fn read(path: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
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
