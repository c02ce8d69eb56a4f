//! What a person should know of how a sweep's points came about, in words; one line for each subject.

use super::sizes::flips;
use crate::point::Axis;
use crate::store::{Contest, LeftOut, Points, Sizes, Why};

/// What comes of a reason why something gives no point.
struct Subject {
    is: fn(&Why) -> bool,
    /// Of several, after their number.
    several: &'static str,
    /// The command to type next, and what it does.
    next: Option<(&'static str, &'static str)>,
}

const SUBJECTS: [Subject; 6] = [
    Subject {
        is: |why| matches!(why, Why::Waiting { .. } | Why::NotEnded),
        several: "cells with runs that have not ended",
        next: Some(("resume", "goes on with them")),
    },
    Subject { is: |why| matches!(why, Why::NotFinite { .. }), several: "runs whose loss was not finite", next: None },
    Subject {
        is: |why| matches!(why, Why::Failed { .. }),
        several: "runs that failed",
        next: Some(("status", "says why")),
    },
    Subject {
        is: |why| matches!(why, Why::NoMetric { .. }),
        several: "runs without this metric after their last step",
        next: None,
    },
    Subject {
        is: |why| matches!(why, Why::NoScale { .. }),
        several: "cells whose script does not say where they lie on this axis",
        next: None,
    },
    Subject { is: |why| matches!(why, Why::NoTime), several: "cells that do not say how long they took", next: None },
];

/// `typed` is what a person types for the sweep.
pub(super) fn notes(found: &Points, typed: &str, axis: Option<Axis>, sizes: Sizes) -> Vec<String> {
    let mut notes: Vec<String> = SUBJECTS.iter().filter_map(|subject| on(subject, &found.left_out, typed)).collect();
    if found.devices.len() > 1 {
        let devices: Vec<&str> = found.devices.iter().map(String::as_str).collect();
        notes.push(format!("seconds of different devices stand beside one another: {}", devices.join(", ")));
    }
    notes.extend(axis.and_then(|axis| on_choice(&found.contest, axis, sizes)));
    if let Some(axis) = axis {
        notes.extend(flips(&found.points, axis).iter().map(|(curve, verdict)| format!("{curve}: {verdict}")));
    }
    notes
}

fn on(subject: &Subject, left_out: &[LeftOut], typed: &str) -> Option<String> {
    let of_it: Vec<&LeftOut> = left_out.iter().filter(|left| (subject.is)(&left.why)).collect();
    let Subject { several, next, .. } = subject;
    let next = next.map_or(String::new(), |(command, does)| format!("; 'crossover {command} {typed}' {does}"));
    match of_it.as_slice() {
        [] => None,
        [left] => Some(format!("left out: {}: {}{next}", left.what, left.why)),
        [first, rest @ ..] => {
            let (what, why, more) = (&first.what, &first.why, rest.len());
            let such = format!("{what}: {why}, and {more} more, which 'crossover fit {typed} --json' lists");
            Some(format!("left out: {} {several}{next} ({such})", of_it.len()))
        }
    }
}

fn on_choice(contest: &Contest, axis: Axis, sizes: Sizes) -> Option<String> {
    let Contest { scales, most, .. } = contest;
    let things = [(contest.sizes, "sizes"), (contest.budgets, "budgets"), (contest.examples, "training-set sizes")];
    let things: Vec<&str> = things.into_iter().filter(|(differ, _)| *differ).map(|(_, thing)| thing).collect();
    let things = if things.is_empty() { "cells".to_owned() } else { things.join(" and ") };
    let at = if *scales == 1 { "at 1 scale".to_owned() } else { format!("at each of {scales} scales") };
    let hint = match contest.sizes && sizes == Sizes::Best && axis != Axis::Params {
        true => " (--sizes each shows all sizes)",
        false => "",
    };
    (*scales > 0).then(|| format!("{at} the best of up to {most} {things} by validation loss stands for a curve{hint}"))
}
