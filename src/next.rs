//! From a sweep and its fits to the sweep that would say more: the values of its axis that could be added, what each
//! would measure and cost, and the grid that is worth it.

use std::collections::HashSet;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files;
use crate::fit::design::extend::{self, Design, Extension, Level, Target};
use crate::fit::{Analysis, Settings};
use crate::plan::{Plan, Planned, plan};
use crate::point::{Axis, Point};
use crate::script::describe::Here;
use crate::spec::extend::Knob;
use crate::spec::{self, Sweep};
use crate::task;
use crate::units::{Flops, si};

/// Values to choose from between two of the sweep's.
const BETWEEN: usize = 2;

/// Values to choose from beyond the largest. None below the smallest, where laws fail first.
const BEYOND: i32 = 2;

/// The sweep to run next.
#[derive(Debug, Serialize)]
pub struct Next {
    pub name: String,
    #[serde(flatten)]
    pub design: Design,
    /// Training FLOPs of what is not done yet.
    pub flops: Flops,
    pub runs: usize,
    /// The whole sweep file: what was measured, and what is new.
    pub toml: String,
}

/// What is asked for.
pub struct Question<'a> {
    /// What the new sweep is called.
    pub name: &'a str,
    pub axis: Axis,
    pub target: Target,
    /// What may be spent; absent: as much as the sweep costs.
    pub flops: Option<f64>,
    /// The curve that a run belongs to.
    pub curve_of: &'a dyn Fn(&Planned) -> String,
}

/// Extends a grid, since that is what a sweep file says: values of the axis for every curve, seeds for every value. The
/// new sweep holds the old one, whose runs are done, so that one fit sees everything.
///
/// Errors: nothing to narrow, nothing that helps.
pub fn next(
    sweep: &Sweep,
    points: &[Point],
    analysis: &Analysis,
    settings: &Settings,
    question: &Question,
    done: &HashSet<String>,
) -> Result<Next> {
    let knob = Knob::of(sweep, question.axis)?;
    let has = knob.values(sweep);
    let levels = levels(sweep, knob, question, &has)?;
    let present: Vec<usize> = (0..levels.len()).filter(|i| has.contains(&levels[*i].value)).collect();
    let cost: f64 = present.iter().map(|i| levels[*i].flops).sum::<f64>() * sweep.seeds.len() as f64;
    let may_spend = question.flops.unwrap_or(cost);
    let extension = Extension { levels: &levels, present: &present, seeds: sweep.seeds.len() as u64, flops: may_spend };
    let design = extend::extend(points, analysis, settings, &question.target, &extension)?;
    if design.steps.is_empty() {
        return Err(Error::failed(format!(
            "no value and no seed for {} FLOPs narrows it by half a percent",
            si(may_spend)
        ))
        .hint("allow more with --flops"));
    }
    let mut values = [&has[..], &design.new_levels].concat();
    values.sort_by(f64::total_cmp);
    let last = sweep.seeds.iter().max().map_or(0, |last| last + 1);
    let seeds: Vec<u64> = sweep.seeds.iter().copied().chain(last..last + design.new_seeds).collect();
    let toml = files::signed(&knob.rewrite(sweep, question.name, &values, &seeds, &comments(sweep, &design))?);
    let planned = plan(&spec::parse(&toml, question.name)?, &Here::default())?;
    let new: Vec<_> = planned.runs.iter().filter(|run| !done.contains(&run.id)).collect();
    Ok(Next {
        name: question.name.to_owned(),
        flops: new.iter().map(|run| run.train_flops).sum(),
        runs: new.len(),
        design,
        toml,
    })
}

/// Why the file is as it is, for who reads it later.
fn comments(sweep: &Sweep, design: &Design) -> Vec<String> {
    let mut lines =
        vec![format!("Made by 'crossover next {}': the grid of {0} and what narrows most per FLOP.", sweep.name)];
    lines.extend(design.expected.iter().map(ToString::to_string));
    lines
}

/// The sweep's own values and the candidates, each with its points and its price; values of which
/// nothing can be planned are left out.
fn levels(sweep: &Sweep, knob: Knob, question: &Question, has: &[f64]) -> Result<Vec<Level>> {
    let most = match knob {
        Knob::Examples => task::splits(&sweep.task)?.train.map_or(f64::INFINITY, |all| all as f64),
        Knob::Budget | Knob::Size(_) => f64::INFINITY,
    };
    let mut levels = Vec::new();
    for value in candidates(has, knob.is_whole(sweep)).into_iter().filter(|value| *value <= most) {
        let alone = Sweep { seeds: vec![0], ..knob.at(sweep, value)? };
        if let Ok(plan) = plan(&alone, &Here::default()) {
            levels.push(level(value, question, &plan));
        }
    }
    Ok(levels)
}

fn level(value: f64, question: &Question, plan: &Plan) -> Level {
    let mut points: Vec<(String, f64)> = Vec::new();
    for run in &plan.runs {
        let point = ((question.curve_of)(run), run.scale(question.axis));
        if !points.contains(&point) {
            points.push(point);
        }
    }
    Level { value, points, flops: plan.train_flops().as_f64() }
}

/// Evenly in log between neighbours and beyond the largest, at two digits; a single value is doubled.
fn candidates(has: &[f64], whole: bool) -> Vec<f64> {
    let mut all = has.to_vec();
    let (Some(first), Some(last)) = (has.first(), has.last()) else { return all };
    for pair in has.windows(2) {
        let share = |i: usize| i as f64 / (BETWEEN + 1) as f64;
        all.extend((1..=BETWEEN).map(|i| pair[0] * (pair[1] / pair[0]).powf(share(i))));
    }
    let ratio = if has.len() > 1 { (last / first).powf(1.0 / (has.len() - 1) as f64) } else { 2.0 };
    all.extend((1..=BEYOND).map(|i| last * ratio.powi(i)));
    for value in all.iter_mut().skip(has.len()) {
        *value = two_digits(*value);
    }
    all.retain(|value| !whole || (value.fract() == 0.0 && *value >= 1.0));
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// By way of decimal text: what a person would write, to the last bit.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_lie_between_and_beyond() {
        assert_eq!(
            candidates(&[250.0, 1000.0, 4000.0], true),
            [250.0, 400.0, 630.0, 1000.0, 1600.0, 2500.0, 4000.0, 16000.0, 64000.0]
        );
        assert_eq!(candidates(&[3.0], true), [3.0, 6.0, 12.0]);
        assert_eq!(candidates(&[0.5, 0.7], false), [0.5, 0.56, 0.63, 0.7, 0.98, 1.4]);
        assert_eq!(candidates(&[3.0], false), [3.0, 6.0, 12.0]);
    }
}
