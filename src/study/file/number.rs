//! Numbers as people write them: 70M, 300B tokens, 1,000,000, 40%, 3.2e21 FLOPs. What could be two numbers is neither.

/// Which of the scales a unit counts; a cell with another one's unit is in the wrong column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Params,
    Examples,
    Flops,
    Steps,
}

/// Why a cell is no number, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNumber {
    pub rule: String,
    pub hint: Option<String>,
}

/// What stands for a value that was not measured, beside an empty cell.
const MISSING: [&str; 8] = ["na", "n/a", "none", "null", "#n/a", "<na>", "nil", "missing"];

/// A petaflop/s for a day.
const PF_DAY: f64 = 1e15 * 86_400.0;

pub fn is_missing(cell: &str) -> bool {
    cell.is_empty() || (cell.len() <= 7 && MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing)))
}

/// A count of parameters, examples, FLOPs or steps; nothing where the cell has none. `decimal_commas`: whether a comma
/// may stand for a decimal point.
///
/// # Errors
/// No number, one that could be two, or another scale's unit.
pub fn count(cell: &str, of: Unit, decimal_commas: bool) -> Result<Option<f64>, NoNumber> {
    if let Ok(plain) = cell.parse() {
        return Ok(Some(plain));
    }
    if is_missing(cell) {
        return Ok(None);
    }
    let (digits, rest) = cell.split_at(digits_end(cell));
    let number = plain(digits, decimal_commas)?;
    let Some((times, unit)) = scale(rest) else { return Err(not_a_number()) };
    match unit {
        Some(unit) if unit != of => {
            Err(NoNumber { rule: format!("a number of {}, not of {}", named(unit), named(of)), hint: None })
        }
        _ => Ok(Some(times * number)),
    }
}

/// A value of a metric, and whether it is in percent; nothing where the cell has none.
///
/// # Errors
/// No number, or one that could be two.
pub fn value(cell: &str, decimal_commas: bool) -> Result<Option<(f64, bool)>, NoNumber> {
    if let Ok(plain) = cell.parse() {
        return Ok(Some((plain, false)));
    }
    if is_missing(cell) {
        return Ok(None);
    }
    let (digits, percent) = match cell.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), true),
        None => (cell, false),
    };
    if !decimal_commas && commas(digits) == Commas::One {
        return Err(two_numbers(digits));
    }
    Ok(Some((plain(digits, decimal_commas)?, percent)))
}

/// By how much a unit in a column's name multiplies its cells: `params (M)`, `tokens_B`, `compute [PF-days]`.
pub fn of_name(name: &str) -> Option<(String, f64)> {
    let name = name.trim();
    let (base, unit) = match name.strip_suffix([')', ']']) {
        Some(within) => within.rsplit_once(['(', '['])?,
        None => {
            let (base, unit) = name.rsplit_once(['_', ' '])?;
            let base = base.strip_suffix("_in").or_else(|| base.strip_suffix(" in")).unwrap_or(base);
            // One letter, or a word: `size_e` and `loss_t` are names.
            let known = ["k", "m", "b", "million", "millions", "billion", "billions", "thousands", "trillions"];
            let is_unit = known.contains(&unit.to_ascii_lowercase().as_str()) && base.len() >= 4;
            is_unit.then_some((base, unit))?
        }
    };
    let unit = unit.trim().trim_start_matches("in ");
    // FLOPs (1e21) too.
    let times = match unit.parse::<f64>() {
        Ok(times) if unit.contains(['e', 'E']) && times > 0.0 && times.is_finite() => times,
        _ => scale(unit)?.0,
    };
    Some((base.trim().to_owned(), times))
}

/// Whether a cell reads as a whole number with dots between its thousands as well as a fraction: 1.000, 12.500.
pub fn dots_between_thousands(cell: &str) -> bool {
    let mut groups = cell.split('.');
    let first = groups.next().unwrap_or_default();
    let begins = (1..=3).contains(&first.len()) && !first.starts_with('0') && is_digits(first);
    let mut rest = 0;
    let all = groups.all(|group| {
        rest += 1;
        group.len() == 3 && is_digits(group)
    });
    begins && all && rest > 0
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where the digits of a number end, an exponent among them.
fn digits_end(cell: &str) -> usize {
    let bytes = cell.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let sign = |at: usize| at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        match byte {
            b'e' | b'E' if at > 0 && digit(sign(at + 1)) => at = sign(at + 1),
            b' ' if digit(at + 1) && at > 0 && digit(at - 1) => at += 1,
            b'0'..=b'9' | b'.' | b',' | b'_' | b'+' | b'-' => at += 1,
            _ => break,
        }
    }
    at
}

#[derive(PartialEq, Eq)]
enum Commas {
    None,
    /// One group of three behind the only comma: 1,000 or 1.000.
    One,
    Thousands,
    Wrong,
}

fn commas(digits: &str) -> Commas {
    let whole = digits.split('.').next().unwrap_or_default().trim_start_matches(['+', '-']);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let threes = (1..=3).contains(&first.len()) && is_digits(first);
    let threes = threes && rest.iter().all(|group| group.len() == 3 && is_digits(group));
    match rest.len() {
        0 if digits.contains(',') => Commas::Wrong,
        0 => Commas::None,
        _ if !threes || digits.rsplit('.').next().is_some_and(|last| last != digits && last.contains(',')) => {
            Commas::Wrong
        }
        // A point behind it tells what the comma is, and so does a leading zero.
        1 if first == "0" => Commas::Wrong,
        1 if !digits.contains('.') => Commas::One,
        _ => Commas::Thousands,
    }
}

fn plain(digits: &str, decimal_commas: bool) -> Result<f64, NoNumber> {
    let parted = match commas(digits) {
        Commas::One if decimal_commas => return Err(two_numbers(digits)),
        Commas::Wrong if digits.bytes().any(|byte| byte.is_ascii_digit()) => {
            return Err(NoNumber {
                rule: "not a number: a comma parts thousands only".into(),
                hint: Some("for a decimal comma write a point, as 1.5".into()),
            });
        }
        Commas::Wrong => return Err(not_a_number()),
        Commas::None | Commas::One | Commas::Thousands => digits.replace(',', ""),
    };
    let between_digits = |sign: char| {
        let groups: Vec<&str> = parted.split(sign).collect();
        groups.len() == 1
            || groups.iter().enumerate().all(|(i, group)| {
                let whole = group.split(['.', 'e', 'E']).next().unwrap_or_default();
                let whole = if i == 0 { whole.trim_start_matches(['+', '-']) } else { whole };
                is_digits(whole) && (sign == '_' || i == 0 || whole.len() == 3)
            })
    };
    match between_digits('_') && between_digits(' ') {
        true => parted.replace(['_', ' '], "").parse().map_err(|_| not_a_number()),
        false => Err(not_a_number()),
    }
}

/// What a letter, a word or a unit behind a number multiplies it by, and what it counts. `M` alone is a million.
fn scale(text: &str) -> Option<(f64, Option<Unit>)> {
    let mut times = 1.0;
    let mut unit = None;
    let mut letter = false;
    for word in text.split_whitespace() {
        if let (Some(scale), false) = (prefix(word), letter) {
            (times, letter) = (scale, true);
            continue;
        }
        let (scale, counted) = counted(word)?;
        if unit.is_some() || (scale != 1.0 && letter) {
            return None;
        }
        (times, unit) = (times * scale, Some(counted));
    }
    Some((times, unit))
}

fn prefix(word: &str) -> Option<f64> {
    Some(match word {
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        "b" | "B" | "G" => 1e9,
        "t" | "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Z" => 1e21,
        "Y" => 1e24,
        _ => match word.to_ascii_lowercase().as_str() {
            "thousand" | "thousands" => 1e3,
            "mn" | "mio" | "million" | "millions" => 1e6,
            "bn" | "billion" | "billions" => 1e9,
            "tn" | "trillion" | "trillions" => 1e12,
            _ => return None,
        },
    })
}

fn counted(word: &str) -> Option<(f64, Unit)> {
    let small = word.to_ascii_lowercase();
    Some(match small.as_str() {
        "param" | "params" | "parameter" | "parameters" => (1.0, Unit::Params),
        "token" | "tokens" | "tok" | "example" | "examples" | "sample" | "samples" | "image" | "images"
        | "sequences" => (1.0, Unit::Examples),
        "step" | "steps" | "iterations" => (1.0, Unit::Steps),
        "pf-days" | "pf-day" | "pflop/s-days" | "pflop/s-day" | "pflops-days" | "petaflop/s-days" => {
            (PF_DAY, Unit::Flops)
        }
        "petaflop" | "petaflops" => (1e15, Unit::Flops),
        "exaflop" | "exaflops" => (1e18, Unit::Flops),
        _ => {
            let letter = small.strip_suffix("flops").or_else(|| small.strip_suffix("flop"))?;
            match &word[..letter.len()] {
                "" => (1.0, Unit::Flops),
                letter => (prefix(letter)?, Unit::Flops),
            }
        }
    })
}

fn named(unit: Unit) -> &'static str {
    match unit {
        Unit::Params => "parameters",
        Unit::Examples => "examples",
        Unit::Flops => "FLOPs",
        Unit::Steps => "steps",
    }
}

fn not_a_number() -> NoNumber {
    NoNumber { rule: "not a number".into(), hint: None }
}

fn two_numbers(digits: &str) -> NoNumber {
    let (point, none) = (digits.replace(',', "."), digits.replace(',', ""));
    NoNumber {
        rule: "which may be two numbers: its comma parts thousands, or is a decimal comma".into(),
        hint: Some(format!("write {point} or {none}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(cell: &str) -> Option<f64> {
        count(cell, Unit::Params, false).unwrap()
    }

    #[test]
    fn suffixes_thousands_and_units_are_read() {
        let known = [
            ("70M", 70e6),
            ("70m", 70e6),
            ("1.3B", 1.3e9),
            ("7 B", 7e9),
            ("12k", 12e3),
            ("12K", 12e3),
            ("1,000,000", 1e6),
            ("1,000", 1e3),
            ("1_000_000", 1e6),
            ("1 000 000", 1e6),
            ("1,234.5", 1234.5),
            ("1e9", 1e9),
            ("+2", 2.0),
            ("1.5 billion", 1.5e9),
            ("125 million parameters", 125e6),
            ("331776.0", 331_776.0),
        ];
        for (cell, wanted) in known {
            assert_eq!(params(cell), Some(wanted), "{cell}");
        }
        let flops = |cell: &str| count(cell, Unit::Flops, false).unwrap().unwrap();
        assert_eq!((flops("3.2e21 FLOPs"), flops("6 EFLOPs"), flops("6 EFLOP")), (3.2e21, 6e18, 6e18));
        assert_eq!((flops("2E"), flops("2E3"), flops("1 PF-days")), (2e18, 2e3, 8.64e19));
        assert_eq!(count("300B tokens", Unit::Examples, true), Ok(Some(3e11)));
        for missing in ["", "NA", "n/a", "None", "null"] {
            assert_eq!(params(missing), None, "{missing}");
        }
        assert!(params("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn what_is_two_numbers_or_none_is_refused() {
        for cell in
            ["7x", "M", "1,5", "1,00", "12,34,567", "1__0", "_1", "1 00", "seven", "1.2.3", "70MB", "-", "1e", ","]
        {
            assert!(count(cell, Unit::Params, false).is_err(), "{cell}");
        }
        let comma = count("1,000", Unit::Params, true).unwrap_err();
        assert_eq!(comma.hint.as_deref(), Some("write 1.000 or 1000"));
        assert_eq!(count("1,000,000", Unit::Params, true), Ok(Some(1e6)));
        assert!(count("1,5", Unit::Params, true).unwrap_err().hint.unwrap().contains("1.5"));
        assert!(count("300B tokens", Unit::Params, false).unwrap_err().rule.contains("examples, not of parameters"));
    }

    #[test]
    fn a_metric_has_percent_and_no_letters() {
        assert_eq!(value("40%", false), Ok(Some((40.0, true))));
        assert_eq!(value("40.5 %", false), Ok(Some((40.5, true))));
        assert_eq!(value("0.4", false), Ok(Some((0.4, false))));
        assert_eq!(value("1,234,567", false), Ok(Some((1_234_567.0, false))));
        assert_eq!(value("2,345", false).unwrap_err().hint.as_deref(), Some("write 2.345 or 2345"));
        assert!(value("2.3k", false).is_err() && value("2,3", true).is_err());
    }

    #[test]
    fn a_name_may_hold_the_unit() {
        let read = of_name;
        assert_eq!(read("params (M)"), Some(("params".into(), 1e6)));
        assert_eq!(read("FLOPs (1E21)"), Some(("FLOPs".into(), 1e21)));
        assert_eq!(read("tokens_b"), Some(("tokens".into(), 1e9)));
        assert_eq!(read("size in millions"), Some(("size".into(), 1e6)));
        assert_eq!(read("compute [PF-days]"), Some(("compute".into(), PF_DAY)));
        for name in ["loss", "d_b", "loss_t", "params (final)", "params (1)", "top_k", "b"] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn dots_in_threes_are_doubtful() {
        assert!(["1.000", "12.500", "1.000.000"].iter().all(|cell| dots_between_thousands(cell)));
        assert!(
            ["0.125", "1.0", "1000", "1.0000", "1234.500", ".500"].iter().all(|cell| !dots_between_thousands(cell))
        );
    }
}
