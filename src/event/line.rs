//! A line of a log: an event as JSON with a checksum as its last field, so that a flipped bit is no other result.

use std::io::Write;

use twox_hash::XxHash3_128;

use super::Event;

/// How the checksum begins; digits, a quote and the closing brace follow. It is of all that stands before.
const SUM: &[u8] = br#","sum":""#;
const DIGITS: usize = 16;

/// Replaces what is in `line`, its end included.
pub(super) fn write(event: &Event, line: &mut Vec<u8>) -> std::io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, event)?;
    // The closing brace.
    line.pop();
    let sum = sum(line);
    line.extend_from_slice(SUM);
    line.write_all(&sum)?;
    line.write_all(b"\"}\n")
}

/// False where a line, without its end, says that it was another. Those of the first release and of other programs say
/// nothing.
pub fn is_whole(line: &[u8]) -> bool {
    let Some(at) = line.len().checked_sub(SUM.len() + DIGITS + 2) else { return true };
    let (content, end) = line.split_at(at);
    match end.strip_prefix(SUM) {
        Some(stated) => stated[..DIGITS] == sum(content),
        None => true,
    }
}

fn sum(content: &[u8]) -> [u8; DIGITS] {
    let (hash, mut digits) = (XxHash3_128::oneshot(content), [0; DIGITS]);
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (4 * place)) as usize & 0xf];
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_in_which_a_bit_flips_is_no_event_or_the_same() {
        let event = Event::Metrics { step: 20, values: BTreeMap::from([("val_loss".into(), 0.5)]) };
        let mut line = Vec::new();
        write(&event, &mut line).unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(line.starts_with(br#"{"event":"metrics","step":20,"values":{"val_loss":0.5},"sum":""#));
        assert!(is_whole(&line) && is_whole(b"{}") && is_whole(br#"{"event":"metrics","step":20,"values":{"a":0.5}}"#));
        for bit in 0..8 * line.len() {
            line[bit / 8] ^= 1 << (bit % 8);
            let read = is_whole(&line).then(|| serde_json::from_slice::<Event>(&line).ok()).flatten();
            assert!(read.is_none_or(|read| read == event), "{}", String::from_utf8_lossy(&line));
            line[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(serde_json::from_slice::<Event>(&line).unwrap(), event);
    }
}
