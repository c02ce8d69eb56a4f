//! Lengths of time and amounts of memory as sbatch reads them.

/// Seconds of `MINUTES`, `MINUTES:SECONDS`, `HOURS:MINUTES:SECONDS`, `DAYS-HOURS`, `DAYS-HOURS:MINUTES` or
/// `DAYS-HOURS:MINUTES:SECONDS`.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts: Vec<u64> = rest.split(':').map(number).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let hours = days.unwrap_or(0).checked_mul(24)?.checked_add(hours)?;
    hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60)?.checked_add(seconds)
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `D-HH:MM:SS`, as sbatch takes it.
pub(super) fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
    if days == 0 { clock } else { format!("{days}-{clock}") }
}

/// Bytes of `4000` (mebibytes), `4000M`, `64G`, `1T`, `500K`.
pub(super) fn memory_bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        b'T' | b't' => (&text[..text.len() - 1], 40),
        _ => (text, 20),
    };
    number(digits)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_sbatch_reads_them() {
        for (text, wanted) in [
            ("90", 5400),
            ("90:30", 5430),
            ("12:00:00", 43_200),
            ("1-12", 129_600),
            ("1-12:30", 131_400),
            ("2-00:00:01", 172_801),
        ] {
            assert_eq!(seconds(text), Some(wanted), "{text}");
            assert_eq!(seconds(&time(wanted)), Some(wanted), "{text}");
        }
        for bad in ["", "soon", "-1", "1-", "1:2:3:4", "1-2:3:4:5", "1 h", "99999999999999999999", ":"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn memory_is_read_as_sbatch_reads_it() {
        assert_eq!(
            ["4000", "4000M", "64G", "1T"].map(memory_bytes),
            [4000 << 20, 4000 << 20, 64 << 30, 1 << 40].map(Some)
        );
        assert_eq!(["", "G", "64 G", "-1G", "many"].map(memory_bytes), [None; 5]);
    }
}
