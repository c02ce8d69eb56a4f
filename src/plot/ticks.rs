//! Scales and their ticks: an axis must be read without a calculator, over a third of a decade or over twenty.

use crate::units;

/// Ticks an axis should have, where its length allows.
const WANTED: usize = 4;
const FEWEST: usize = 3;
const MOST: usize = 9;

/// A finite range, mapped to 0..1; on a logarithmic scale both ends are positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub value: f64,
    pub label: String,
}

/// Labelled ticks, and the unlabelled ones between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ticks {
    pub major: Vec<Tick>,
    pub minor: Vec<f64>,
}

impl Scale {
    /// From the least to the greatest of `values`, wide enough for ticks; none if no value can be drawn on it.
    pub fn covering(values: impl IntoIterator<Item = f64>, log: bool) -> Option<Scale> {
        let drawable = values.into_iter().filter(|&value| drawable(value, log));
        let (low, high) =
            drawable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let (low, high) = (forward(low, log), forward(high, log));
        // A single value still gets a range in which ticks fit.
        let span = (high - low).max(if log { 0.2 } else { 0.1 * high.abs().max(1e-9) });
        let middle = 0.5 * (low + high);
        Some(Scale { low: middle - 0.5 * span, high: middle + 0.5 * span, log }.unlogged())
    }

    /// With a margin at both ends, as a fraction of the axis.
    pub fn padded(&self, margin: f64) -> Scale {
        let (low, high) = (forward(self.low, self.log), forward(self.high, self.log));
        let pad = margin * (high - low);
        Scale { low: low - pad, high: high + pad, log: self.log }.unlogged()
    }

    /// Ends given as exponents become values that a float can hold.
    fn unlogged(self) -> Scale {
        let most = if self.log { 300.0 } else { 1e300 };
        let end = |end: f64| backward(end.clamp(-most, most), self.log);
        Scale { low: end(self.low), high: end(self.high), log: self.log }
    }

    /// 0 at `low`, 1 at `high`; beyond them outside 0..1. The value must be drawable.
    pub fn position(&self, value: f64) -> f64 {
        let (low, high) = (forward(self.low, self.log), forward(self.high, self.log));
        (forward(value, self.log) - low) / (high - low)
    }

    pub fn contains(&self, value: f64) -> bool {
        drawable(value, self.log) && (0.0..=1.0).contains(&self.position(value))
    }

    /// The value at a position: the inverse of `position`.
    pub fn value(&self, position: f64) -> f64 {
        let (low, high) = (forward(self.low, self.log), forward(self.high, self.log));
        backward(low + position * (high - low), self.log)
    }

    /// Ticks whose labels do not touch. `gap(label)` is the room a label needs, as a fraction of the axis.
    pub fn ticks(&self, gap: impl Fn(&str) -> f64) -> Ticks {
        let candidates = if self.log { self.log_candidates() } else { Vec::new() };
        let linear = (2..=8).rev().map(|count| self.linear_ticks(count));
        let candidates: Vec<Ticks> = candidates.into_iter().chain(linear).collect();
        for fewest in [WANTED, FEWEST, 2, 1] {
            let fits = |ticks: &&Ticks| (fewest..=MOST).contains(&ticks.major.len()) && self.apart(ticks, &gap);
            if let Some(ticks) = candidates.iter().find(fits) {
                return ticks.clone();
            }
        }
        Ticks::default()
    }

    fn apart(&self, ticks: &Ticks, gap: &impl Fn(&str) -> f64) -> bool {
        ticks.major.windows(2).all(|pair| {
            let room = 0.5 * (gap(&pair[0].label) + gap(&pair[1].label));
            let distance = self.position(pair[1].value) - self.position(pair[0].value);
            distance >= room && pair[0].label != pair[1].label
        })
    }

    /// From the plainest set of mantissas to the densest; every second, third, … power where the range is long.
    fn log_candidates(&self) -> Vec<Ticks> {
        let powers = self.powers();
        let style = Style::of(self);
        let mut sets: Vec<Ticks> = [1, 2, 3, 5, 10, 20, 50, 100]
            .into_iter()
            .map(|stride| {
                let major = powers.clone().filter(|power| power.rem_euclid(stride) == 0).map(|power| (1.0, power));
                let minor: Vec<f64> = match stride {
                    1 => self.mantissas(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).map(value_of).collect(),
                    _ => powers.clone().map(|power| value_of((1.0, power))).collect(),
                };
                self.labelled(major, minor, style)
            })
            .collect();
        const MANTISSAS: [&[f64]; 4] =
            [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0, 2.0, 3.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]];
        for set in MANTISSAS {
            let minor = self.mantissas(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).map(value_of).collect();
            sets.push(self.labelled(self.mantissas(set), minor, style));
        }
        sets
    }

    fn powers(&self) -> std::ops::RangeInclusive<i32> {
        self.low.log10().floor() as i32..=self.high.log10().ceil() as i32
    }

    fn mantissas(&self, set: &'static [f64]) -> impl Iterator<Item = (f64, i32)> {
        self.powers().flat_map(move |power| set.iter().map(move |&mantissa| (mantissa, power)))
    }

    fn labelled(&self, major: impl Iterator<Item = (f64, i32)>, minor: Vec<f64>, style: Style) -> Ticks {
        let major: Vec<Tick> = major
            .filter(|&tick| self.contains(value_of(tick)))
            .map(|(mantissa, power)| Tick { value: value_of((mantissa, power)), label: style.label(mantissa, power) })
            .collect();
        let is_major = |value: f64| major.iter().any(|tick| (tick.value / value - 1.0).abs() < 1e-9);
        let minor = minor.into_iter().filter(|&value| self.contains(value) && !is_major(value)).collect();
        Ticks { major, minor }
    }

    /// Steps of 1, 2 or 5 times a power of ten, about `count` of them.
    fn linear_ticks(&self, count: usize) -> Ticks {
        let rough = (self.high - self.low) / count as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|nice| nice * power).into_iter().find(|&step| step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let decimals = (-(step * 1.0001).log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step).ceil();
        let major = (0..=2 * count)
            .map(|index| (first + index as f64) * step)
            .filter(|&value| self.contains(value))
            .map(|value| Tick { value, label: linear_label(value, decimals) })
            .collect();
        Ticks { major, minor: Vec::new() }
    }
}

/// Whether a value has a place on the axis at all.
pub fn drawable(value: f64, log: bool) -> bool {
    value.is_finite() && (!log || value > 0.0)
}

fn forward(value: f64, log: bool) -> f64 {
    if log { value.log10() } else { value }
}

fn backward(value: f64, log: bool) -> f64 {
    if log { 10f64.powf(value) } else { value }
}

/// Parsed from text, so that 3 x 10^-1 is 0.3 to the last bit.
fn value_of((mantissa, power): (f64, i32)) -> f64 {
    format!("{mantissa}e{power}").parse().unwrap_or(f64::NAN)
}

/// How the labels of one axis are written: all alike.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// 0.3, 20, 5k, 1M.
    Letters,
    /// 2×10¹⁸.
    Powers,
}

impl Style {
    fn of(scale: &Scale) -> Style {
        let long = (scale.high / scale.low).log10() > 7.0;
        if long || scale.high > 2e15 || scale.low < 5e-4 { Style::Powers } else { Style::Letters }
    }

    fn label(self, mantissa: f64, power: i32) -> String {
        match self {
            Style::Powers if mantissa == 1.0 => format!("10{}", superscript(power)),
            Style::Powers => format!("{mantissa}×10{}", superscript(power)),
            Style::Letters => plain(value_of((mantissa, power))),
        }
    }
}

fn superscript(power: i32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).map_or('⁻', |digit| digits[digit as usize]);
    power.to_string().chars().map(digit).collect()
}

/// As `units::si`, without the zeros that fill up three digits: 1k, 1.5k, 20M, 0.3.
fn plain(value: f64) -> String {
    if value.abs() < 1000.0 {
        return format!("{value}");
    }
    let shown = units::si(value);
    let (digits, letter) = shown.split_at(shown.find(char::is_alphabetic).unwrap_or(shown.len()));
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{letter}")
}

fn linear_label(value: f64, decimals: usize) -> String {
    let shown = if value.abs() >= 1000.0 { plain(value) } else { format!("{value:.decimals$}") };
    match shown.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero.to_string(),
        Some(digits) => format!("−{digits}"),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        let scale = Scale::covering([low, high], log).unwrap().padded(0.05);
        scale.ticks(|label| 0.022 * label.chars().count() as f64).major.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn log_labels_read_well_over_any_range() {
        assert_eq!(labels(250.0, 48_000.0, true), ["200", "500", "1k", "2k", "5k", "10k", "20k", "50k"]);
        assert_eq!(labels(0.25, 0.9, true), ["0.3", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(1e14, 1e20, true), ["10¹⁴", "10¹⁵", "10¹⁶", "10¹⁷", "10¹⁸", "10¹⁹", "10²⁰"]);
        assert_eq!(labels(1e4, 1e9, true), ["10k", "100k", "1M", "10M", "100M", "1G"]);
        assert_eq!(labels(1e-30, 1e30, true), ["10⁻³⁰", "10⁻²⁰", "10⁻¹⁰", "10⁰", "10¹⁰", "10²⁰", "10³⁰"]);
    }

    #[test]
    fn a_narrow_axis_has_at_least_three_labels() {
        for (low, high) in [(0.31, 0.34), (0.30, 0.30), (2.0, 2.1), (0.9, 1.1), (0.0123, 0.0124), (1e15, 1.2e15)] {
            let labels = labels(low, high, true);
            assert!(labels.len() >= FEWEST, "{low}..{high}: {labels:?}");
            let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
            assert_eq!(distinct.len(), labels.len(), "{low}..{high}: {labels:?}");
        }
    }

    #[test]
    fn linear_labels_are_round_and_signed_with_a_minus() {
        assert_eq!(labels(-1.0, 1.0, false), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 40_000.0, false), ["0", "10k", "20k", "30k", "40k"]);
    }

    #[test]
    fn labels_keep_apart_when_they_are_wide() {
        let scale = Scale { low: 250.0, high: 48_000.0, log: true };
        let few = scale.ticks(|_| 0.3);
        assert!(few.major.len() <= 3 && few.major.len() >= 2, "{few:?}");
    }

    #[test]
    fn positions_and_values_are_inverse() {
        let scale = Scale { low: 1e14, high: 1e20, log: true };
        assert!((scale.position(1e17) - 0.5).abs() < 1e-12);
        assert!((scale.value(scale.position(3e18)) / 3e18 - 1.0).abs() < 1e-9);
        assert!(!scale.contains(0.0) && !scale.contains(f64::NAN) && !scale.contains(1e21));
        assert_eq!(Scale::covering([f64::NAN, -1.0, 0.0], true), None);
    }

    #[test]
    fn minor_ticks_fill_the_gaps() {
        let scale = Scale { low: 0.9, high: 110.0, log: true };
        let ticks = scale.ticks(|_| 0.05);
        assert_eq!(ticks.major.iter().map(|t| t.value).collect::<Vec<_>>(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!(ticks.minor.contains(&30.0) && !ticks.minor.contains(&20.0));
    }
}
