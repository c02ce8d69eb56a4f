//! isoFLOP profiles as figures: one panel a curve with loss over size at each compute, then the best size and the best
//! number of examples over compute.

use crate::fit::isoflop::{Cell, IsoFlop, Outcome, Profiles};
use crate::fit::uncertainty::interval::quantile;
use crate::plot::{AxisSpec, Best, Figure, Series};
use crate::point::Axis;
use crate::units::{brief, si};

/// Curves beyond which the panels of profiles would be a book.
const MOST_CURVES: usize = 6;

/// The panels; `curves` are all curves of the study, which give each its look.
pub fn figures(
    profiles: &Profiles,
    curves: &[String],
    title: Option<&str>,
    loss: &AxisSpec,
    scale: impl Fn(Axis) -> AxisSpec,
) -> Vec<Figure> {
    let shown: Vec<&IsoFlop> = profiles.fits.iter().take(MOST_CURVES).collect();
    let mut figures: Vec<Figure> =
        shown.iter().map(|fit| of_curve(fit, shown.len() > 1, loss.clone(), scale(Axis::Params))).collect();
    let optimum = |axis: Axis| {
        let value = move |ln_n: f64, ln_c: f64, flops_per: f64| match axis {
            Axis::Data => (ln_c - flops_per.ln() - ln_n).exp(),
            Axis::Params | Axis::Compute | Axis::Seconds => ln_n.exp(),
        };
        let look = |fit: &IsoFlop| curves.iter().position(|curve| *curve == fit.curve).unwrap_or(0);
        let y = scale(axis);
        Figure {
            x: scale(Axis::Compute),
            y: AxisSpec { label: format!("best {}", y.label), ..y },
            series: profiles.fits.iter().map(|fit| Series { look: look(fit), ..trend(fit, axis, value) }).collect(),
            footnote: Some(below_optimum(profiles, axis)),
            ..Figure::default()
        }
    };
    if profiles.fits.iter().any(|fit| fit.trend.is_some()) {
        figures.extend([optimum(Axis::Params), optimum(Axis::Data)]);
    }
    if let (Some(first), Some(title)) = (figures.first_mut(), title) {
        first.title = Some(first.title.take().map_or_else(|| title.to_owned(), |own| format!("{title}: {own}")));
    }
    let left_out = profiles.fits.len().saturating_sub(MOST_CURVES);
    if let (Some(last), true) = (figures.get_mut(shown.len().saturating_sub(1)), left_out > 0) {
        last.notes.push(format!("Profiles of {left_out} more curves are not drawn: --only NAME picks curves."));
    }
    figures
}

fn of_curve(fit: &IsoFlop, several: bool, y: AxisSpec, x: AxisSpec) -> Figure {
    let drawn: Vec<&Cell> = fit.cells.iter().filter(|cell| !cell.runs.is_empty()).collect();
    let last = drawn.len().saturating_sub(1).max(1) as f64;
    let series = drawn.iter().enumerate().map(|(i, cell)| Series {
        label: si(cell.compute),
        look: i,
        shade: Some(i as f64 / last),
        points: cell.runs.clone(),
        line: cell.profile.clone(),
        best: match cell.outcome {
            Outcome::Interior { params, loss } => {
                let interval = cell.intervals.get("params").map(|interval| (interval.low, interval.high));
                Some(Best { at: (params, loss), interval })
            }
            _ => None,
        },
        ..Series::default()
    });
    let mut words = vec![format!(
        "{}; a curve for each compute (FLOPs), its minimum marked with the {:.0}% interval of the best size",
        if fit.law == "isoflop" { "Parabolas of loss in ln N" } else { "Akima's splines of log loss in ln N" },
        100.0 * fit.provenance.level
    )];
    words.extend(fit.verdicts.iter().filter(|told| told.brief() != "identified").map(ToString::to_string));
    Figure {
        title: several.then(|| fit.curve.clone()),
        x,
        y,
        series: series.collect(),
        footnote: Some(words.join("; ")),
        ..Figure::default()
    }
}

/// The minima with their intervals, and the power law through them with its band.
fn trend(fit: &IsoFlop, axis: Axis, value: impl Fn(f64, f64, f64) -> f64) -> Series {
    const STEPS: usize = 60;
    let name = if axis == Axis::Data { "data" } else { "params" };
    let inside = || fit.cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Interior { .. }));
    let point = |cell: &Cell| match (axis, &cell.outcome, cell.data) {
        (Axis::Data, _, Some(data)) => Some((cell.compute, data)),
        (_, Outcome::Interior { params, .. }, _) => Some((cell.compute, *params)),
        _ => None,
    };
    let ends = inside().map(|cell| cell.compute.ln());
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let mut series = Series {
        label: fit.curve.clone(),
        points: inside().filter_map(point).collect(),
        bars: inside()
            .filter_map(|cell| cell.intervals.get(name).map(|found| (cell.compute, found.low, found.high)))
            .collect(),
        ..Series::default()
    };
    let Some(trend) = fit.trend else { return series };
    let tail = (1.0 - fit.provenance.level) / 2.0;
    for step in 0..=STEPS {
        let ln_c = low + (high - low) * step as f64 / STEPS as f64;
        series.line.push((ln_c.exp(), value(trend.at(ln_c), ln_c, fit.flops_per)));
        let mut drawn: Vec<f64> =
            fit.draws.iter().map(|draw| value(draw.trend.at(ln_c), ln_c, fit.flops_per)).collect();
        if !drawn.is_empty() {
            drawn.sort_by(f64::total_cmp);
            series.band.push((ln_c.exp(), quantile(&drawn, tail), quantile(&drawn, 1.0 - tail)));
        }
    }
    series
}

/// FLOPs for each parameter and example, of each curve where they differ.
fn factors(profiles: &Profiles) -> String {
    let of = |fit: &IsoFlop| brief(fit.flops_per);
    let told: Vec<String> = profiles.fits.iter().map(of).collect();
    match told.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => first.clone(),
        _ => profiles.fits.iter().map(|fit| format!("{} ({})", of(fit), fit.curve)).collect::<Vec<_>>().join(", "),
    }
}

fn below_optimum(profiles: &Profiles, axis: Axis) -> String {
    let exponent = |fit: &IsoFlop| {
        let (a, interval) = (fit.params.get("a")?, fit.intervals.get("a"));
        let of = |a: f64| if axis == Axis::Data { 1.0 - a } else { a };
        let ends = interval.map(|found| (of(found.low).min(of(found.high)), of(found.low).max(of(found.high))));
        let ends = ends.map_or(String::new(), |(low, high)| format!(" ({low:.3} to {high:.3})"));
        let several = profiles.fits.len() > 1;
        Some(format!("{}C^{:.3}{ends}", if several { format!("{} ", fit.curve) } else { String::new() }, of(*a)))
    };
    let told: Vec<String> = profiles.fits.iter().filter_map(exponent).take(8).collect();
    let how = if axis == Axis::Data { format!("D = C / (k N), k {}; ", factors(profiles)) } else { String::new() };
    let level = profiles.fits.first().map_or(95.0, |fit| 100.0 * fit.provenance.level);
    format!("{how}{}; bars and bands: {level:.0}% intervals", told.join(", "))
}
