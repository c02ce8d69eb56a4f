//! Lines of a stream whose writer is not trusted to end them: a line that grows beyond a cap is told as such at once, and
//! passed over.

use std::io::{BufRead, Read, Result};

/// How much of an overlong line is shown.
const SHOWN: usize = 200;

#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its line feed; what is not UTF-8 is replaced.
    Whole(String),
    /// The beginning of a line that is longer than the cap.
    Overlong(String),
}

pub struct Lines<R> {
    input: R,
    most: usize,
    /// Whether what comes next is the rest of an overlong line.
    passing_over: bool,
}

impl<R: BufRead> Lines<R> {
    /// Of `input`, keeping no more than `most` bytes of a line.
    pub fn new(input: R, most: usize) -> Self {
        Self { input, most, passing_over: false }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        loop {
            let mut bytes = Vec::new();
            match (&mut self.input).take(self.most as u64 + 1).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            let ended = bytes.last() == Some(&b'\n');
            let is_overlong = !ended && bytes.len() > self.most;
            if std::mem::replace(&mut self.passing_over, is_overlong) {
                continue;
            }
            let shown = if is_overlong { SHOWN.min(self.most) } else { bytes.len() - usize::from(ended) };
            let text = String::from_utf8_lossy(&bytes[..shown]).into_owned();
            return Some(Ok(if is_overlong { Line::Overlong(text) } else { Line::Whole(text) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &[u8], most: usize) -> Vec<Line> {
        Lines::new(BufReader::with_capacity(3, text), most).map(|line| line.expect("a slice is readable")).collect()
    }

    #[test]
    fn lines_within_the_cap_come_whole_and_longer_ones_are_told() {
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines(b"one\n\ntwo", 5), [whole("one"), whole(""), whole("two")]);
        assert_eq!(lines(b"12345\n", 5), [whole("12345")]);
        let overlong = Line::Overlong("12345".into());
        assert_eq!(lines(b"123456\nnext\n", 5), [overlong, whole("next")]);
        assert_eq!(lines(b"1234567890123456789\nnext", 5), [Line::Overlong("12345".into()), whole("next")]);
        assert_eq!(lines(b"\xff\n", 5), [whole("\u{fffd}")]);
    }

    /// Told when the cap is reached: the end of such a line may never come.
    #[test]
    fn a_line_without_an_end_is_told_in_bounded_memory() {
        let mut endless = Lines::new(BufReader::new(std::io::repeat(b'x')), 1 << 20);
        assert_eq!(endless.next().expect("a line").expect("readable"), Line::Overlong("x".repeat(SHOWN)));
    }
}
