//! The analysis as a person reads it: the answer first, a sentence a pair, then on what it rests, then the tables.

use super::table::{natural_width, paragraph, table, width};
use crate::fit::analysis::Tried;
use crate::fit::compare::sentence;
use crate::fit::uncertainty::interval::Interval;
use crate::fit::{Analysis, Crossover, Dropped, Fit, Scale, Verdict};
use crate::units::{brief, si};

/// Pairs beyond which each has a line, and not a paragraph.
const MOST_PAIRS: usize = 6;

/// The pairs, the fits, what weakens them, what was refused and the laws tried. Ends with a line break.
pub fn text(analysis: &Analysis) -> String {
    let mut text = answers(&analysis.crossovers);
    if let Some(first) = analysis.fits.first() {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!("{}{}\n", paragraph(&heading(first), "", "  "), fit_table(&analysis.fits));
        text += &notes(analysis.fits.iter().map(|fit| (fit.curve.as_str(), fit.verdicts.as_slice())));
    }
    for fit in &analysis.fits {
        text += &dropped(&fit.curve, &fit.points_dropped);
    }
    for refused in &analysis.refused {
        text += &paragraph(&format!("{}: not fitted: {}", refused.curve, refused.summary), "", "  ");
    }
    if !analysis.laws_tried.is_empty() {
        text += &format!(
            "\nthe law that was taken, then the others, by their error at larger scales than those they were fitted to\n{}\n",
            tried(&analysis.laws_tried)
        );
    }
    text
}

/// One sentence a pair, the crossings first, each followed by what it rests on.
pub fn answers(pairs: &[Crossover]) -> String {
    if pairs.len() > MOST_PAIRS {
        let lines = sentence::together(sentence::by_importance(pairs));
        return lines.iter().map(|line| paragraph(line, "", "  ")).collect::<String>() + &at_once(pairs);
    }
    let one = |pair: &&Crossover| match pair.details.as_str() {
        "" => paragraph(&pair.headline, "", "  "),
        details => paragraph(&pair.headline, "", "  ") + &paragraph(details, "    ", "    "),
    };
    let text: String = sentence::by_importance(pairs).iter().map(one).collect();
    text + &at_once(pairs)
}

/// For how much the band holds at once.
fn at_once(pairs: &[Crossover]) -> String {
    let (Some(first), true) = (pairs.first(), pairs.len() > 1) else { return String::new() };
    let (sure, count) = (100.0 * first.conclusion.level, pairs.len());
    let all =
        format!("({sure:.0}% of such studies make no false claim, over all scales and all {count} pairs at once)");
    paragraph(&all, "", "  ")
}

pub fn dropped(curve: &str, dropped: &[Dropped]) -> String {
    const SHOWN: usize = 5;
    let lines = dropped.iter().take(SHOWN);
    let mut text: String =
        lines.map(|one| paragraph(&format!("{curve}: {} was dropped: {}", one.point, one.reason), "", "  ")).collect();
    if dropped.len() > SHOWN {
        text += &format!("{curve}: {} more were dropped; --json lists them\n", dropped.len() - SHOWN);
    }
    text
}

fn heading(fit: &Fit) -> String {
    let scale = match fit.x {
        Scale::Curve(axis) => format!(", x = {axis}"),
        Scale::Surface => ", N = params, D = data".into(),
        Scale::Repeated => ", N = params, U = data (unique examples), S = examples seen".into(),
        Scale::Profile => String::new(),
    };
    let metric = fit.provenance.origin.as_ref().map_or("", |origin| origin.metric());
    let metric = if metric.is_empty() { String::new() } else { format!(", L = {metric}") };
    format!("{}{scale}{metric}; {:.0}% intervals", fit.formula, 100.0 * fit.provenance.level)
}

/// A row a curve where that fits, else a row for each parameter of each curve.
fn fit_table(fits: &[Fit]) -> String {
    let names: Vec<&str> = fits.first().map_or(Vec::new(), |fit| fit.names().collect());
    let value = |fit: &Fit, name: &str| with_interval(fit.params.get(name), fit.intervals.get(name));
    let header = [&["curve", "points"], &names[..], &["held-out"]].concat();
    let row = |fit: &Fit| {
        let mut row = vec![fit.curve.clone(), fit.points_used.to_string()];
        row.extend(names.iter().map(|name| value(fit, name)));
        row.push(percent(fit.holdout_rmse));
        row
    };
    let wide: Vec<Vec<String>> = fits.iter().map(row).collect();
    if natural_width(&header, &wide) <= width() {
        return table(&header, &["curve"], wide);
    }
    let rows = fits.iter().flat_map(|fit| {
        let first = [fit.curve.clone(), fit.points_used.to_string(), percent(fit.holdout_rmse)];
        names.iter().enumerate().map(move |(i, name)| {
            let own = if i == 0 { first.clone() } else { Default::default() };
            [&own[..], &[(*name).to_owned(), value(fit, name)]].concat()
        })
    });
    table(&["curve", "points", "held-out", "param", "estimate"], &["curve", "param"], rows)
}

/// What a reader must know before believing the fits: a line for each subject, with the curves that it is told of.
pub fn notes<'a>(fits: impl Iterator<Item = (&'a str, &'a [Verdict])>) -> String {
    let mut subjects: Vec<(String, Vec<String>)> = Vec::new();
    let mut names = Vec::new();
    for (curve, verdicts) in fits {
        names.push(curve);
        for verdict in verdicts {
            let (subject, detail) = verdict.note();
            let told = if detail.is_empty() { curve.to_owned() } else { format!("{curve} ({detail})") };
            match subjects.iter_mut().find(|(known, _)| *known == subject) {
                Some((_, curves)) => curves.push(told),
                None => subjects.push((subject, vec![told])),
            }
        }
    }
    let identified = Verdict::Identified.note().0;
    subjects.sort_by_key(|(subject, _)| *subject != identified);
    let line = |(subject, curves): &(String, Vec<String>)| {
        let all = curves.len() > 2 && *curves == names;
        let told = if all { format!("all {} curves", curves.len()) } else { curves.join(", ") };
        paragraph(&format!("{subject}: {told}"), "", "  ")
    };
    subjects.iter().map(line).collect()
}

fn tried(tried: &[Tried]) -> String {
    let row = |tried: &Tried| {
        let objective = tried.objective.map_or("-".into(), |objective| format!("{objective:.3e}"));
        let note = match (&tried.refused, tried.extrapolation_rmse) {
            (Some(reason), _) => reason.clone(),
            (None, None) => "too few scales once the largest are hidden".into(),
            (None, Some(_)) => String::new(),
        };
        vec![
            tried.law.name().into(),
            tried.params.to_string(),
            percent(tried.extrapolation_rmse),
            percent(tried.holdout_rmse),
            objective,
            note,
        ]
    };
    table(&["law", "params", "extrapolated", "held-out", "objective", "note"], &["law", "note"], tried.iter().map(row))
}

pub fn percent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.2}%", 100.0 * share))
}

pub fn with_interval(value: Option<&f64>, interval: Option<&Interval>) -> String {
    let Some(value) = value else { return "-".into() };
    match interval {
        Some(interval) => format!("{} ({} to {})", brief(*value), short(interval.low), short(interval.high)),
        None => brief(*value),
    }
}

/// An end of an interval, which nobody reads to more than three digits.
pub fn short(end: f64) -> String {
    match end.abs() {
        size if size > 0.0 && size < 1e-3 => format!("{end:.1e}"),
        _ => si(end),
    }
}
