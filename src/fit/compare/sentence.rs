//! The conclusion in words: who leads, from where to where, by how much of the scale, how sure, and on what it rests.

use std::collections::BTreeSet;

use crate::fit::compare::conclusion::{Conclusion, Established, Kind, Region};
use crate::fit::compare::crossover::{Crossover, Root};
use crate::fit::compare::multiplier::{At, Multiplier};
use crate::fit::verdict::Verdict;
use crate::point::Axis;
use crate::units::si;

/// The pairs, each with its summary. `metric`: what is lower where a curve leads, `loss` unless it has a name of its own.
pub fn told(mut pairs: Vec<Crossover>, axis: Axis, multipliers: &[Multiplier], metric: &str) -> Vec<Crossover> {
    for pair in &mut pairs {
        pair.headline = headline(pair, axis, multipliers, metric);
        pair.details = details(pair);
        let parts = [pair.headline.as_str(), &pair.details];
        pair.summary = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    }
    pairs
}

/// One sentence for a newcomer, without a full stop. `multipliers` say by how much of the scale one leads.
pub fn headline(pair: &Crossover, axis: Axis, multipliers: &[Multiplier], metric: &str) -> String {
    let Conclusion { kind, established, regions, level, .. } = &pair.conclusion;
    let (a, b) = (&pair.a, &pair.b);
    let sure = format!("{:.0}%", 100.0 * level);
    let scales = match (regions.first(), regions.last()) {
        (Some(first), Some(last)) => span(first.from, last.to),
        _ => String::new(),
    };
    let mut words = match kind {
        Kind::NoOverlap => return format!("{a} and {b} have no scale of {axis} in common: nothing can be compared"),
        Kind::NotToldApart => {
            let why = untested(pair).unwrap_or_else(|| format!("no lead holds at {sure}"));
            format!("{a} and {b} are not told apart {scales} of {axis}: {why}")
        }
        Kind::LeadsThroughout => {
            let region = &regions[0];
            let lead = leads(pair, region, &format!("throughout, {scales} of {axis} ({sure})"));
            format!("{lead}{}", by_how_much(pair, region, axis, multipliers, metric))
        }
        Kind::LeadsInPart => {
            let leading = regions.iter().filter(|region| region.leads.is_some());
            let part = |region: &Region| {
                let lead = leads(pair, region, &format!("{} of {axis} ({sure})", span(region.from, region.to)));
                format!("{lead}{}", by_how_much(pair, region, axis, multipliers, metric))
            };
            let open: Vec<String> = regions.iter().filter(|r| r.leads.is_none()).map(|r| span(r.from, r.to)).collect();
            format!("{}; not told apart {}", leading.map(part).collect::<Vec<_>>().join("; "), open.join(" and "))
        }
        Kind::Crosses => {
            let told: Vec<String> =
                established.iter().map(|told| crossing(told, &format!(" of {axis}"), &format!("{sure}: "))).collect();
            let who: Vec<String> = regions
                .iter()
                .filter_map(|r| Some(format!("{} leads {}", r.leads.as_ref()?, span(r.from, r.to))))
                .collect();
            format!("{}: {}", told.join(", "), who.join(", "))
        }
    };
    words += &extrapolated(pair);
    words
}

/// That a curve has not runs enough for anything to be tested, and what to add.
fn untested(pair: &Crossover) -> Option<String> {
    let need = |curve: &str| {
        pair.weak(curve).find_map(|verdict| match verdict {
            Verdict::Untested { need, from: None, .. } => Some(*need),
            _ => None,
        })
    };
    let few: Vec<(&str, usize)> =
        [pair.a.as_str(), &pair.b].into_iter().filter_map(|curve| Some((curve, need(curve)?))).collect();
    let (_, need) = few.first()?;
    let names: Vec<&str> = few.iter().map(|(curve, _)| *curve).collect();
    let (names, rest) = (names.join(" and "), if few.len() > 1 { "each rest" } else { "rests" });
    let (runs, add) = if *need > 2 {
        (format!("fewer than {need} runs"), "seeds".to_owned())
    } else {
        ("one run".to_owned(), "another seed".to_owned())
    };
    Some(format!("{names} {rest} on {runs}, which cannot tell how far others would lie off; add {add} of {names}"))
}

/// The measured crossings beside the fitted ones, meetings of which nothing is established, and on what the conclusion
/// rests; empty where there is nothing to say.
fn details(pair: &Crossover) -> String {
    let mut parts = Vec::new();
    for told in &pair.conclusion.established {
        let measured = pair.roots.iter().find(|root| root.at == told.at).and_then(|root| root.measured);
        parts.extend(measured.map(|crossing| format!("the measured means cross at {crossing}")));
    }
    if !pair.conclusion.may_cross.is_empty() {
        let list: Vec<String> = pair.conclusion.may_cross.iter().map(|at| si(*at)).collect();
        parts.push(format!("the fitted curves may cross near {}", list.join(" and ")));
    }
    let rests_on = rests_on(pair);
    if !rests_on.is_empty() {
        parts.push(format!("it rests on {rests_on}"));
    }
    parts.join("; ")
}

/// The outcome in the fewest words, for a figure or a long list.
pub fn outcome(pair: &Crossover) -> String {
    said(pair) + &caveat(pair)
}

/// Without what it rests on.
fn said(pair: &Crossover) -> String {
    let Conclusion { kind, established, regions, .. } = &pair.conclusion;
    let (a, b) = (&pair.a, &pair.b);
    match kind {
        Kind::NoOverlap => format!("{a} and {b}: no scale in common"),
        Kind::NotToldApart => format!("{a} and {b} are not told apart"),
        Kind::LeadsThroughout => leads(pair, &regions[0], "throughout"),
        Kind::LeadsInPart => {
            let leading = regions.iter().filter(|region| region.leads.is_some());
            leading.map(|region| leads(pair, region, &span(region.from, region.to))).collect::<Vec<_>>().join(", ")
        }
        Kind::Crosses => established.iter().map(|told| crossing(told, "", "")).collect::<Vec<_>>().join(", "),
    }
}

/// One crossover, with its interval and what it rests on, as a figure's label.
pub fn overtakes(pair: &Crossover, told: &Established) -> String {
    crossing(told, "", "") + &caveat(pair)
}

/// The pairs with crossings first, and those that were not told apart last.
pub fn by_importance(pairs: &[Crossover]) -> Vec<&Crossover> {
    let mut order: Vec<&Crossover> = pairs.iter().collect();
    order.sort_by_key(|pair| pair.conclusion.kind);
    order
}

/// Of more pairs than this one line says once what weakens a curve, and names of those that are not told apart the first.
const MOST_PAIRS: usize = 6;

/// The outcomes of many pairs, those that are alike in one line.
pub fn together(pairs: Vec<&Crossover>) -> Vec<String> {
    let many = pairs.len() > MOST_PAIRS;
    let weak = if many { weak_curves(&pairs) } else { None };
    let caveat = |pair: &Crossover| if many { String::new() } else { caveat(pair) };
    let mut lines: Vec<String> = Vec::new();
    let mut throughout: Vec<(&str, Vec<String>)> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for pair in pairs {
        let leader = pair.conclusion.regions.first().and_then(|region| region.leads.as_deref());
        match (pair.conclusion.kind, leader) {
            (Kind::LeadsThroughout, Some(leader)) => {
                let other = if leader == pair.a { &pair.b } else { &pair.a };
                let other = format!("{other}{}", caveat(pair));
                match throughout.iter_mut().find(|(known, _)| *known == leader) {
                    Some((_, others)) => others.push(other),
                    None => throughout.push((leader, vec![other])),
                }
            }
            (Kind::NotToldApart, _) => open.push(format!("{} and {}{}", pair.a, pair.b, caveat(pair))),
            _ => lines.push(said(pair) + &caveat(pair)),
        }
    }
    let leads = |(leader, others): (&str, Vec<String>)| format!("{leader} leads {} throughout", others.join(", "));
    lines.extend(throughout.into_iter().map(leads));
    let more = if many { open.len().saturating_sub(MOST_PAIRS) } else { 0 };
    open.truncate(open.len() - more);
    if more > 0 {
        open.push(format!("{more} more pairs (--json lists all)"));
    }
    lines.extend((!open.is_empty()).then(|| format!("not told apart: {}", open.join("; "))));
    lines.extend(weak);
    lines
}

/// What weakens the curves of many pairs, each once, those that are alike together.
fn weak_curves(pairs: &[&Crossover]) -> Option<String> {
    let mut known = BTreeSet::new();
    let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
    for (pair, curve) in pairs.iter().flat_map(|pair| [(pair, pair.a.as_str()), (pair, pair.b.as_str())]) {
        let Some(words) = weak(pair, curve).filter(|_| known.insert(curve)) else { continue };
        match alike.iter_mut().find(|(others, _)| *others == words) {
            Some((_, curves)) => curves.push(curve),
            None => alike.push((words, vec![curve])),
        }
    }
    let part = |(words, curves): &(String, Vec<&str>)| match curves.len() {
        count if count > MOST_PAIRS => format!("{words}: {} and {} more", curves[..3].join(", "), count - 3),
        _ => format!("{words}: {}", curves.join(", ")),
    };
    let parts: Vec<String> = alike.iter().map(part).collect();
    (!parts.is_empty()).then(|| format!("it rests on {}", parts.join("; ")))
}

fn weak(pair: &Crossover, curve: &str) -> Option<String> {
    let words = pair.weak(curve).map(Verdict::brief).collect::<Vec<_>>().join(", ");
    (!words.is_empty()).then_some(words)
}

/// What makes a conclusion rest on a curve, in brackets.
fn caveat(pair: &Crossover) -> String {
    let weak = |curve: &str| Some(format!("{curve}: {}", weak(pair, curve)?));
    let weak: Vec<String> = [pair.a.as_str(), &pair.b].into_iter().filter_map(weak).collect();
    if weak.is_empty() { String::new() } else { format!(" [{}]", weak.join("; ")) }
}

/// On what the conclusion rests, by curve; empty where nothing weakens it.
fn rests_on(pair: &Crossover) -> String {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for weakness in &pair.weaknesses {
        let whose = weakness.curve.clone().unwrap_or_default();
        let words = if weakness.curve.is_some() { weakness.verdict.brief() } else { weakness.verdict.to_string() };
        match parts.iter_mut().find(|(curve, _)| *curve == whose) {
            Some((_, words_of)) => words_of.push(words),
            None => parts.push((whose, vec![words])),
        }
    }
    // What holds of both is said once.
    if let [(first, words), (second, others)] = &parts[..]
        && words == others
    {
        return format!("{first} and {second}: {}", words.join(", "));
    }
    let part = |(curve, words): &(String, Vec<String>)| match curve.as_str() {
        "" => words.join(", "),
        _ => format!("{curve}: {}", words.join(", ")),
    };
    parts.iter().map(part).collect::<Vec<_>>().join("; ")
}

fn span(from: f64, to: f64) -> String {
    if from == to { format!("at {}", si(from)) } else { format!("from {} to {}", si(from), si(to)) }
}

fn leads(pair: &Crossover, region: &Region, rest: &str) -> String {
    let leader = region.leads.as_deref().unwrap_or_default();
    let other = if leader == pair.a { &pair.b } else { &pair.a };
    format!("{leader} leads {other} {rest}")
}

/// How many times the scale the other one needs, at the largest scale of the lead at which that was measured; else how
/// much lower the leader's loss is.
fn by_how_much(pair: &Crossover, region: &Region, axis: Axis, multipliers: &[Multiplier], metric: &str) -> String {
    let Some(leader) = &region.leads else { return String::new() };
    let other = if *leader == pair.a { &pair.b } else { &pair.a };
    let within = |at: &&At| at.inside_data && region.from <= at.x * (1.0 + 1e-9) && at.x <= region.to * (1.0 + 1e-9);
    let needs = multipliers.iter().find(|m| m.who == *other && m.of == *leader);
    let last = needs.and_then(|needs| needs.curve.iter().rfind(within));
    match (last, region.lower_by) {
        (Some(at), _) => {
            let ends = at.interval.filter(|ends| ends.low.is_finite());
            let ends = ends.map_or(String::new(), |ends| format!(" ({} to {})", times(ends.low), times(ends.high)));
            format!("; at {} {other} needs {}{ends} times the {axis} to equal it", si(at.x), times(at.times))
        }
        (None, Some(lower_by)) => format!("; its {metric} is {:.1}% lower at {}", 100.0 * lower_by, si(region.to)),
        (None, None) => String::new(),
    }
}

fn times(times: f64) -> String {
    match times {
        _ if times.is_infinite() => "never".into(),
        _ if times >= 100.0 => si(times),
        _ => format!("{times:.2}"),
    }
}

fn crossing(told: &Established, of_axis: &str, sure: &str) -> String {
    let Established { at, low, high, leads_below, leads_above } = told;
    format!("{leads_above} overtakes {leads_below} at {}{of_axis} ({sure}{} to {})", si(*at), si(*low), si(*high))
}

/// The nearest root beyond the data whose interval has both ends.
fn extrapolated(pair: &Crossover) -> String {
    let ends = |root: &Root| root.low.zip(root.high);
    let largest = pair.conclusion.regions.last().map_or(f64::INFINITY, |region| region.to);
    let beyond = pair.roots.iter().filter(|root| root.at > largest);
    match beyond.filter_map(|root| Some((root, ends(root)?))).next() {
        Some((root, (low, high))) => {
            let Root { leads_above, leads_below, at, .. } = root;
            let ends = format!("({} to {})", si(low), si(high));
            format!("; extrapolated, {leads_above} would overtake {leads_below} at {} {ends}", si(*at))
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::tests::planted;
    use crate::fit::{Settings, fit_curves};

    #[test]
    fn what_is_alike_of_many_pairs_is_one_line() {
        let xs: Vec<f64> = (0..6).map(|i| 250.0 * 4f64.powi(i)).collect();
        let of =
            |name: &str, e: f64, stream: u64| planted(name, move |x| e + 20.0 * x.powf(-0.45), &xs, 3, 0.005, stream);
        let points = [of("best", 0.2, 0), of("mid", 0.4, 0), of("same", 0.4, 1), of("worst", 0.9, 0)].concat();
        let settings = Settings { bootstrap: 200, ..Settings::default() };
        let pairs = fit_curves(&points, Axis::Data, &settings).unwrap().crossovers;
        let lines = together(by_importance(&pairs));
        assert!(lines.contains(&"best leads mid, same, worst throughout".to_owned()), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "not told apart: mid and same", "{lines:?}");
        assert!(lines.len() <= 4, "{lines:?}");
    }
}
