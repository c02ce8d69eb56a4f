//! What `next` buys: the FLOPs until an established crossover is known to 25%, against growing the grid evenly.
//! `make coverage` runs it; docs/comparison.md has its table.

use super::*;
use crate::fit::design::extend::{Extension, Level, Target, extend};

/// A crossover is known when its interval lies within this factor of the estimate on either side.
const KNOWN: f64 = 1.25;

/// A study that is not there after so many times the first grid's FLOPs is counted at that.
const PATIENCE: f64 = 200.0;

/// A grid of scales and seeds: what a sweep file says.
#[derive(Clone)]
struct Grid {
    xs: Vec<f64>,
    seeds: i64,
}

impl Grid {
    /// FLOPs grow with the data; two curves.
    fn flops(&self) -> f64 {
        2.0 * self.seeds as f64 * self.xs.iter().sum::<f64>()
    }

    fn measured(&self, laws: &[(&str, &(dyn Fn(f64) -> f64 + Sync))], sigma: f64, stream: u64) -> Vec<Point> {
        laws.iter().flat_map(|(name, law)| planted(name, law, &self.xs, self.seeds, sigma, stream)).collect()
    }

    /// The values between neighbours and beyond the largest, as `crossover next` proposes them.
    fn candidates(&self) -> Vec<f64> {
        let mut all = self.xs.clone();
        for pair in self.xs.windows(2) {
            all.extend([1.0, 2.0].map(|i| (pair[0] * (pair[1] / pair[0]).powf(i / 3.0)).round()));
        }
        let last = self.xs[self.xs.len() - 1];
        all.extend([2.0 * last, 4.0 * last]);
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }
}

fn known(analysis: &Analysis) -> bool {
    let told = &analysis.crossovers[0].conclusion.established;
    told.len() == 1 && told[0].high / told[0].at <= KNOWN && told[0].at / told[0].low <= KNOWN
}

fn analysed(points: &[Point]) -> Analysis {
    fit_curves(points, Axis::Data, &settings(400)).unwrap()
}

/// As much again as the grid cost, where it narrows the crossover most per FLOP; a seed more where nothing does.
fn by_next(grid: &Grid, points: &[Point], analysis: &Analysis) -> Grid {
    let candidates = grid.candidates();
    let level = |x: &f64| Level { value: *x, points: vec![("a".into(), *x), ("b".into(), *x)], flops: 2.0 * x };
    let levels: Vec<Level> = candidates.iter().map(level).collect();
    let present: Vec<usize> = (0..levels.len()).filter(|i| grid.xs.contains(&levels[*i].value)).collect();
    let extension =
        Extension { levels: &levels, present: &present, seeds: grid.seeds as u64, flops: 0.5 * grid.flops() };
    match extend(points, analysis, &settings(400), &Target::Crossover, &extension) {
        Ok(design) if !design.steps.is_empty() => {
            let mut xs = [&grid.xs[..], &design.new_levels].concat();
            xs.sort_by(f64::total_cmp);
            Grid { xs, seeds: grid.seeds + design.new_seeds as i64 }
        }
        _ => Grid { seeds: grid.seeds + 1, ..grid.clone() },
    }
}

/// A seed more everywhere and a value between each pair of neighbours, in turn.
fn evenly(grid: &Grid, round: usize) -> Grid {
    if round.is_multiple_of(2) {
        return Grid { seeds: grid.seeds + 1, ..grid.clone() };
    }
    let mut xs = grid.xs.clone();
    xs.extend(grid.xs.windows(2).map(|pair| (pair[0] * pair[1]).sqrt().round()));
    xs.sort_by(f64::total_cmp);
    Grid { xs, seeds: grid.seeds }
}

/// From a grid, how often it has grown, its points and their analysis to the next grid.
type Grow = dyn Fn(&Grid, usize, &[Point], &Analysis) -> Grid + Sync;

/// FLOPs in multiples of the first grid's until the crossover is known.
fn spent(first: &Grid, stream: u64, sigma: f64, grow: &Grow) -> f64 {
    let (a, b) = (floor(0.5, 30.0, 0.5), floor(0.3, 15.0, 0.35));
    let mut grid = first.clone();
    for round in 0.. {
        let points = grid.measured(&[("a", &a), ("b", &b)], sigma, stream);
        let analysis = analysed(&points);
        if known(&analysis) || grid.flops() > PATIENCE * first.flops() {
            break;
        }
        grid = grow(&grid, round, &points, &analysis);
    }
    (grid.flops() / first.flops()).min(PATIENCE)
}

#[test]
#[ignore = "minutes of all cores: make coverage"]
fn next_against_an_even_grid() {
    let first = Grid { xs: (0..6).map(|i| 1000.0 * 4f64.powi(i)).collect(), seeds: 2 };
    for sigma in [0.01, 0.02, 0.03] {
        let of = |grow: &Grow| {
            let mut all: Vec<f64> = (0..300).into_par_iter().map(|stream| spent(&first, stream, sigma, grow)).collect();
            all.sort_by(f64::total_cmp);
            (all.iter().sum::<f64>() / all.len() as f64, all[all.len() / 2], all[all.len() * 9 / 10])
        };
        let next = of(&|grid, _, points, analysis| by_next(grid, points, analysis));
        let even = of(&|grid, round, _, _| evenly(grid, round));
        eprintln!(
            "| {sigma} | {:.1} | {:.1} | {:.0}% | {:.1} | {:.1} |",
            next.0,
            even.0,
            100.0 * next.0 / even.0,
            next.1,
            even.1
        );
    }
}
