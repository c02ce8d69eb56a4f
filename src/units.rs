//! Quantities with their units in the type, and how a person reads them.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Floating-point operations; a multiply-add is two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flops(pub u128);

/// Trainable parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Params(pub u64);

/// As many runs, in words.
pub fn runs(count: usize) -> String {
    if count == 1 { "1 run".into() } else { format!("{count} runs") }
}

/// That all of them have ended, in words.
pub fn all_ended(count: usize) -> String {
    if count == 1 { "its run has ended".into() } else { format!("all {count} runs have ended") }
}

impl Flops {
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl Add for Flops {
    type Output = Flops;
    fn add(self, other: Flops) -> Flops {
        Flops(self.0.saturating_add(other.0))
    }
}

impl Mul<u64> for Flops {
    type Output = Flops;
    fn mul(self, times: u64) -> Flops {
        Flops(self.0.saturating_mul(times.into()))
    }
}

impl Sum for Flops {
    fn sum<I: Iterator<Item = Flops>>(parts: I) -> Flops {
        parts.fold(Flops(0), Add::add)
    }
}

// JSON numbers beyond 64 bits are floats to most readers, so they are written as such.
impl Serialize for Flops {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.0) {
            Ok(exact) => serializer.serialize_u64(exact),
            Err(_) => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Flops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Ok(Flops(number.as_u64().map_or_else(|| number.as_f64().unwrap_or(0.0) as u128, u128::from)))
    }
}

/// Three significant digits with an SI letter: 12, 4.57k, 86.6M, 35.1G.
pub fn si(value: f64) -> String {
    const LETTERS: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
    if value.is_finite() && value.abs() >= 1e27 {
        return format!("{value:.2e}");
    }
    let decimals = |scaled: f64| match scaled.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    if !value.is_finite() || value.abs() < 999.5 {
        // exp(ln 250) is 250 too.
        let whole = (value - value.round()).abs() <= 1e-9 * value.abs();
        let decimals = if whole { 0 } else { decimals(value) };
        return format!("{value:.decimals$}");
    }
    let mut power = ((value.abs().log10() / 3.0) as usize).min(LETTERS.len() - 1);
    let mut scaled = value / 1000f64.powi(power as i32);
    if scaled.abs() >= 999.5 && power + 1 < LETTERS.len() {
        scaled /= 1000.0;
        power += 1;
    }
    let decimals = decimals(scaled);
    format!("{scaled:.decimals$}{}", LETTERS[power])
}

/// e^ln to twelve digits, so that exp(ln 250) is 250.
pub fn unlogged(ln: f64) -> f64 {
    format!("{:.11e}", ln.exp()).parse().unwrap_or(ln.exp())
}

/// A parameter of a law, of any size, to four digits or so: 0, 0.0123, 2.1034, 12.35, 123.4, 45.6k, 1.20e-7.
pub fn brief(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 1e4 => si(value),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        size if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// 0.4 s, 12 s, 3 min 05 s, 2 h 04 min, 3 d 07 h.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// 512 B, 1.50 kB, 545 MB.
pub fn bytes(count: u64) -> String {
    let shown = si(count as f64);
    match shown.find(char::is_alphabetic) {
        Some(letter) => format!("{} {}B", &shown[..letter], &shown[letter..]),
        None => format!("{shown} B"),
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&si(self.as_f64()))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&si(self.0 as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn si_keeps_three_digits() {
        let shown: Vec<_> =
            [0.0, 0.25, 1.2345, 12.0, 47.88, 250f64.ln().exp(), 503.27, 999.0, 999.7, 1000.0, 4567.0, 99_960.0]
                .map(si)
                .into();
        let wanted = ["0", "0.250", "1.23", "12", "47.9", "250", "503", "999", "1.00k", "1.00k", "4.57k", "100k"];
        assert_eq!(shown, wanted);
        assert_eq!([86_567_656.0, 999_600.0, 3.5e10].map(si), ["86.6M", "1.00M", "35.0G"]);
    }

    #[test]
    fn bytes_and_durations_read_well() {
        assert_eq!([512, 1500, 545_000_000].map(bytes), ["512 B", "1.50 kB", "545 MB"]);
        assert_eq!([0.42, 12.0, 185.0, 7440.0].map(duration), ["0.4 s", "12 s", "3 min 05 s", "2 h 04 min"]);
    }

    #[test]
    fn flops_beyond_64_bits_survive_json() {
        for flops in [Flops(35_127_656_448), Flops(10u128.pow(23))] {
            let text = serde_json::to_string(&flops).unwrap();
            let back: Flops = serde_json::from_str(&text).unwrap();
            assert!((back.as_f64() / flops.as_f64() - 1.0).abs() < 1e-12, "{text}");
        }
    }
}
