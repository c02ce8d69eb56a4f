//! Which further runs would say most about a crossover or an exponent, per FLOP: optimal design by the delta method
//! (Fedorov 1972; c-optimality), one level or one seed at a time.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::analysis::Analysis;
use crate::fit::compare::crossover::{Crossover, Root};
use crate::fit::data::curve::{self, Curve};
use crate::fit::data::sample::{LnX, Sample};
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::laws::law::{Param, Theta};
use crate::fit::settings::{Settings, solver_of};
use crate::fit::solve::search::{Held, Matrix, Solver, cholesky, solve_factored};
use crate::point::Point;
use crate::units::si;

/// Half a step for the slope of ln L over ln x.
const SLOPE_STEP: f64 = 1e-4;

/// A move that shrinks the interval by less than this share is not worth a run.
const LEAST_GAIN: f64 = 0.005;

/// Moves of one design at most.
const MOST_STEPS: usize = 12;

/// One value of the axis that a sweep extends, and what it measures: the points of each seed, as (curve, scale).
#[derive(Clone, Debug)]
pub struct Level {
    pub value: f64,
    pub points: Vec<(String, f64)>,
    /// Training FLOPs of one seed.
    pub flops: f64,
}

/// What shall become narrower.
#[derive(Clone, Debug)]
pub enum Target {
    /// Every crossover within the data; where a pair has none, its first extrapolated one.
    Crossover,
    /// This parameter of every curve.
    Param(String),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    Level(f64),
    Seed,
}

/// One move, its price, and how wide the target's intervals are after it, as a share of now.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    #[serde(rename = "move")]
    pub taken: Move,
    pub flops: f64,
    pub width: f64,
}

/// A quantity and its interval: as it is, and as it will be.
#[derive(Clone, Debug, Serialize)]
pub struct Expected {
    pub what: String,
    pub at: f64,
    pub now: Option<(f64, f64)>,
    pub then: Option<(f64, f64)>,
    /// Standard deviation then over now, by the delta method.
    pub shrinks_to: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Design {
    pub steps: Vec<Step>,
    pub new_levels: Vec<f64>,
    pub new_seeds: u64,
    /// Curves left out, since their points do not determine their law.
    pub undetermined: Vec<String>,
    pub expected: Vec<Expected>,
    /// Standard deviation of log loss between runs of equal scale, by curve.
    pub noise: Vec<(String, f64)>,
}

/// The grid as it stands: every level with every seed.
#[derive(Clone)]
struct Grid {
    levels: Vec<usize>,
    seeds: u64,
}

/// A curve's information, and its noise.
struct Estimated {
    name: String,
    solver: Solver,
    theta: Theta,
    measured: Matrix,
    /// Of log loss.
    variance: f64,
    /// Parameters that are not at a bound.
    free: Held,
}

/// A number that is to become narrower: its gradient by each curve's parameters.
struct Quantity {
    what: String,
    at: f64,
    now: Option<(f64, f64)>,
    /// Whether its interval is even in its logarithm.
    log: bool,
    gradients: Vec<(String, Theta)>,
}

/// The sweep that may be extended.
pub struct Extension<'a> {
    /// Every level that it has or could have.
    pub levels: &'a [Level],
    /// Which of them it has, each with every seed.
    pub present: &'a [usize],
    pub seeds: u64,
    /// What may be spent, in training FLOPs.
    pub flops: f64,
}

/// Adds the level or the seed that narrows the target most per FLOP, again and again until the FLOPs are spent or
/// nothing helps. Runs of different curves are taken to scatter independently.
///
/// Errors: there is nothing to narrow.
pub fn extend(
    points: &[Point],
    analysis: &Analysis,
    settings: &Settings,
    target: &Target,
    extension: &Extension,
) -> Result<Design> {
    let quantities = quantities(analysis, target)?;
    let scale = analysis.fits.first().map_or(Scale::Surface, |fit| fit.x);
    let curves = curve::split(points, scale, settings.exclude_top_loss);
    let curve = |fit: &Fit| Some(Estimated::of(fit, curves.iter().find(|curve| curve.name == fit.curve)?, settings));
    let curves = analysis.fits.iter().filter_map(curve).collect();
    let mut designer = Designer { curves, quantities, extension };
    let undetermined = designer.leave_undetermined();
    designer.design(undetermined)
}

struct Designer<'a> {
    curves: Vec<Estimated>,
    quantities: Vec<Quantity>,
    extension: &'a Extension<'a>,
}

impl Designer<'_> {
    /// Leaves out curves whose points do not determine their law (a flat one's amplitude and floor), and what rests on
    /// them; their names.
    fn leave_undetermined(&mut self) -> Vec<String> {
        let grid = Grid { levels: self.extension.present.to_vec(), seeds: self.extension.seeds };
        let lost = self.curves.iter().filter(|curve| self.factor(curve, &grid).is_none());
        let lost: Vec<String> = lost.map(|curve| curve.name.clone()).collect();
        self.curves.retain(|curve| !lost.contains(&curve.name));
        self.quantities.retain(|quantity| quantity.gradients.iter().all(|(name, _)| !lost.contains(name)));
        lost
    }

    fn design(&self, undetermined: Vec<String>) -> Result<Design> {
        let Extension { present, seeds, .. } = self.extension;
        let mut grid = Grid { levels: present.to_vec(), seeds: *seeds };
        let now = self.deviations(&grid).filter(|now| !now.is_empty()).ok_or_else(|| {
            let whose = undetermined.join(", ");
            Error::failed(format!(
                "the points of {whose} do not determine the law: no design can be compared with them"
            ))
            .hint("fit a law with fewer parameters: --law power")
        })?;
        let width = |grid: &Grid| {
            let then = self.deviations(grid)?;
            let squares = then.iter().zip(&now).map(|(then, now)| (then / now).powi(2));
            Some((squares.sum::<f64>() / now.len() as f64).sqrt())
        };
        let (mut steps, mut left, mut reached) = (Vec::new(), self.extension.flops, 1.0);
        while steps.len() < MOST_STEPS {
            let worth = |(taken, grid, flops): (Move, Grid, f64)| {
                let width = width(&grid)?;
                let helps = flops > 0.0 && flops <= left && width <= reached * (1.0 - LEAST_GAIN);
                helps.then(|| ((reached.powi(2) - width.powi(2)) / flops, Step { taken, flops, width }, grid))
            };
            let best = self.moves(&grid).into_iter().filter_map(worth).max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, step, next)) = best else { break };
            (left, reached, grid) = (left - step.flops, step.width, next);
            steps.push(step);
        }
        let then = self.deviations(&grid).unwrap_or_else(|| now.clone());
        let ratios = then.iter().zip(&now).map(|(then, now)| then / now);
        let added = grid.levels.iter().filter(|level| !present.contains(level));
        let mut new_levels: Vec<f64> = added.map(|level| self.extension.levels[*level].value).collect();
        new_levels.sort_by(f64::total_cmp);
        Ok(Design {
            steps,
            new_levels,
            new_seeds: grid.seeds - seeds,
            undetermined,
            expected: self.quantities.iter().zip(ratios).map(|(quantity, ratio)| quantity.expected(ratio)).collect(),
            noise: self.curves.iter().map(|curve| (curve.name.clone(), curve.variance.sqrt())).collect(),
        })
    }

    /// Every way to go on from a grid, with its price.
    fn moves(&self, grid: &Grid) -> Vec<(Move, Grid, f64)> {
        let levels = self.extension.levels;
        let absent = (0..levels.len()).filter(|level| !grid.levels.contains(level));
        let mut moves: Vec<(Move, Grid, f64)> = absent
            .map(|level| {
                let longer = Grid { levels: [&grid.levels[..], &[level]].concat(), seeds: grid.seeds };
                (Move::Level(levels[level].value), longer, grid.seeds as f64 * levels[level].flops)
            })
            .collect();
        let a_seed = grid.levels.iter().map(|level| levels[*level].flops).sum();
        moves.push((Move::Seed, Grid { seeds: grid.seeds + 1, ..grid.clone() }, a_seed));
        moves
    }

    /// The standard deviation of each quantity once the grid is measured; none where a law is not determined.
    fn deviations(&self, grid: &Grid) -> Option<Vec<f64>> {
        let factors: Vec<Matrix> = self.curves.iter().map(|curve| self.factor(curve, grid)).collect::<Option<_>>()?;
        let variance = |quantity: &Quantity| {
            let of_curve = |(name, gradient): &(String, Theta)| {
                let at = self.curves.iter().position(|curve| curve.name == *name)?;
                let (curve, count) = (&self.curves[at], self.curves[at].solver.law.params().len());
                let gradient: Theta = std::array::from_fn(|i| if curve.free[i] { gradient[i] } else { 0.0 });
                let solved = solve_factored(&factors[at], &gradient, count);
                Some(curve.variance * (0..count).map(|i| gradient[i] * solved[i]).sum::<f64>())
            };
            quantity.gradients.iter().map(of_curve).sum::<Option<f64>>().map(f64::sqrt)
        };
        self.quantities.iter().map(variance).collect()
    }

    /// The factored information about a curve: of what is measured, and of what the grid adds.
    fn factor(&self, curve: &Estimated, grid: &Grid) -> Option<Matrix> {
        let Extension { levels, present, seeds, .. } = self.extension;
        let mut added = Sample::default();
        for level in &grid.levels {
            let count = if present.contains(level) { grid.seeds - seeds } else { grid.seeds };
            for (_, x) in levels[*level].points.iter().filter(|(name, _)| *name == curve.name && count > 0) {
                added.push([x.ln(), 0.0, 0.0], 0.0);
                added.weight.pop();
                added.weight.push(count as f64);
            }
        }
        let more = curve.solver.information(&added, &curve.theta);
        let count = curve.solver.law.params().len();
        let mut sum = curve.measured;
        for i in 0..count {
            for j in 0..=i {
                let both = curve.free[i] && curve.free[j];
                sum[i][j] = if both { sum[i][j] + more[i][j] } else { f64::from(u8::from(i == j)) };
            }
        }
        cholesky(&sum, count)
    }
}

impl Estimated {
    fn of(fit: &Fit, curve: &Curve, settings: &Settings) -> Self {
        let solver = Solver { law: fit.law, ..solver_of(settings) };
        let (sample, count) = (&curve.sample, fit.law.params().len());
        let residual = |(x, y): (&LnX, &f64)| (y - fit.ln_loss(x[0])).powi(2);
        let squares: f64 = sample.ln_x.iter().zip(&sample.ln_y).map(residual).sum();
        let at_bound = |i: usize| {
            let bounds = fit.law.params().get(i).map(Param::bounds);
            bounds.is_some_and(|(low, high)| fit.theta[i] <= low || fit.theta[i] >= high)
        };
        Self {
            name: fit.curve.clone(),
            solver,
            theta: fit.theta,
            measured: solver.information(sample, &fit.theta),
            variance: (squares / sample.len().saturating_sub(count).max(1) as f64).max(f64::MIN_POSITIVE),
            free: std::array::from_fn(|i| !at_bound(i)),
        }
    }
}

fn quantities(analysis: &Analysis, target: &Target) -> Result<Vec<Quantity>> {
    match target {
        Target::Param(name) => analysis.fits.iter().map(|fit| of_param(fit, name)).collect(),
        Target::Crossover => {
            let found: Vec<Quantity> = (analysis.crossovers.iter())
                .flat_map(|pair| roots(pair).into_iter().filter_map(|root| of_root(pair, root, &analysis.fits)))
                .collect();
            if found.is_empty() {
                return Err(Error::failed(
                    "no two curves cross, within the data or beyond: there is nothing to narrow",
                )
                .hint("narrow an exponent instead: --narrow alpha"));
            }
            Ok(found)
        }
    }
}

/// The established crossovers; else where the curves may cross within the data; else the first meeting beyond.
fn roots(pair: &Crossover) -> Vec<&Root> {
    let established = |root: &&Root| pair.conclusion.established.iter().any(|told| told.at == root.at);
    let told: Vec<&Root> = pair.roots.iter().filter(established).collect();
    if !told.is_empty() {
        return told;
    }
    let inside: Vec<&Root> = pair.roots.iter().filter(|root| root.inside_data).collect();
    if inside.is_empty() { pair.roots.iter().take(1).collect() } else { inside }
}

/// ln of a crossover moves by -∇(ln a - ln b) over the slope of ln a - ln b.
fn of_root(pair: &Crossover, root: &Root, fits: &[Fit]) -> Option<Quantity> {
    let fit = |name: &str| fits.iter().find(|fit| fit.curve == name);
    let (a, b, t) = (fit(&pair.a)?, fit(&pair.b)?, root.at.ln());
    let gap = |t: f64| a.ln_loss(t) - b.ln_loss(t);
    let slope = (gap(t + SLOPE_STEP) - gap(t - SLOPE_STEP)) / (2.0 * SLOPE_STEP);
    let gradient = |fit: &Fit, by: f64| {
        let mut gradient = Theta::default();
        fit.law.ln_loss(&fit.theta, &[t, 0.0, 0.0], &mut gradient);
        (fit.curve.clone(), gradient.map(|entry| entry * by))
    };
    Some(Quantity {
        what: match pair.conclusion.established.iter().any(|told| told.at == root.at) {
            true => format!("where {} overtakes {}", root.leads_above, root.leads_below),
            false => format!("where {} may overtake {} (not established)", root.leads_above, root.leads_below),
        },
        at: root.at,
        now: root.low.zip(root.high),
        log: true,
        gradients: vec![gradient(a, -1.0 / slope), gradient(b, 1.0 / slope)],
    })
}

fn of_param(fit: &Fit, name: &str) -> Result<Quantity> {
    let params = fit.law.params();
    let at = params.iter().position(|param| param.name == name).ok_or_else(|| {
        let names: Vec<&str> = params.iter().map(|param| param.name).collect();
        Error::bad_input(format!("{} has no parameter '{name}'", fit.law.name()))
            .hint(format!("narrow crossover, or one of {}", names.join(", ")))
    })?;
    let mut gradient = Theta::default();
    gradient[at] = 1.0;
    Ok(Quantity {
        what: format!("{name} of {}", fit.curve),
        at: params[at].natural(fit.theta[at]),
        now: fit.intervals.get(name).map(|interval| (interval.low, interval.high)),
        log: params[at].is_log(),
        gradients: vec![(fit.curve.clone(), gradient)],
    })
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| if value >= 100.0 { si(value) } else { format!("{value:.4}") };
        write!(f, "{}: {}", self.what, number(self.at))?;
        if let (Some(now), Some(then)) = (self.now, self.then) {
            let ends = |(low, high): (f64, f64)| format!("({} to {})", number(low), number(high));
            write!(f, ", now {}, then about {}", ends(now), ends(then))?;
        }
        write!(f, "; its deviation shrinks to {:.0}%", 100.0 * self.shrinks_to)
    }
}

impl Quantity {
    /// Both ends of its interval come nearer by `ratio`.
    fn expected(&self, ratio: f64) -> Expected {
        let end = |end: f64| {
            if self.log { self.at * (end / self.at).powf(ratio) } else { self.at + (end - self.at) * ratio }
        };
        Expected {
            what: self.what.clone(),
            at: self.at,
            now: self.now,
            then: self.now.map(|(low, high)| (end(low), end(high))),
            shrinks_to: ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit_curves;
    use crate::fit::tests::planted;
    use crate::point::Axis;

    const XS: [f64; 5] = [250.0, 1000.0, 4000.0, 16000.0, 64000.0];
    const MORE: [f64; 9] = [250.0, 500.0, 1000.0, 4000.0, 16000.0, 32000.0, 64000.0, 128_000.0, 256_000.0];

    fn draw(xs: &[f64], seeds: i64, stream: u64) -> Vec<Point> {
        let (a, b) = (|x: f64| 0.5 + 30.0 * x.powf(-0.5), |x: f64| 0.3 + 15.0 * x.powf(-0.35));
        [planted("a", a, xs, seeds, 0.01, stream), planted("b", b, xs, seeds, 0.01, stream)].concat()
    }

    fn levels() -> (Vec<Level>, Vec<usize>) {
        let level = |x: &f64| Level { value: *x, points: vec![("a".into(), *x), ("b".into(), *x)], flops: *x };
        (MORE.iter().map(level).collect(), vec![0, 2, 3, 4, 6])
    }

    fn designed(points: &[Point], target: &Target, flops: f64) -> Result<Design> {
        let settings = Settings { bootstrap: 200, ..Settings::default() };
        let analysis = fit_curves(points, Axis::Data, &settings).unwrap();
        let (levels, present) = levels();
        let extension = Extension { levels: &levels, present: &present, seeds: 3, flops };
        extend(points, &analysis, &settings, target, &extension)
    }

    /// Deviation of ln of the crossover and of a's alpha over experiments on this grid.
    fn deviations(xs: &[f64], seeds: i64) -> [f64; 2] {
        let settings = Settings { bootstrap: 0, ..Settings::default() };
        let mut values = [Vec::new(), Vec::new()];
        for stream in 0..300 {
            let analysis = fit_curves(&draw(xs, seeds, 100 + stream), Axis::Data, &settings).unwrap();
            let inside = analysis.crossovers[0].roots.iter().find(|root| root.at > 1e4);
            values[0].extend(inside.map(|root| root.at.ln()));
            values[1].push(analysis.fits[0].params["alpha"]);
        }
        values.map(|values| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
        })
    }

    #[test]
    fn what_it_promises_is_what_experiments_on_the_new_grid_give() {
        let points = draw(&XS, 3, 7);
        for (target, which) in [(Target::Crossover, 0), (Target::Param("alpha".into()), 1)] {
            let design = designed(&points, &target, 1e6).unwrap();
            assert!(!design.steps.is_empty() && design.steps.iter().map(|step| step.flops).sum::<f64>() <= 1e6);
            let xs = [&XS[..], &design.new_levels].concat();
            let (now, then) = (deviations(&XS, 3), deviations(&xs, 3 + design.new_seeds as i64));
            let (promised, kept) = (design.expected[0].shrinks_to, then[which] / now[which]);
            assert!(promised < 0.9 && (kept / promised - 1.0).abs() < 0.15, "{design:?}: {kept}");
        }
    }

    /// The first move against every other one, by what it promises.
    #[test]
    fn the_first_move_gives_most_per_flop() {
        let points = draw(&XS, 3, 7);
        let first = designed(&points, &Target::Crossover, 1e6).unwrap().steps.remove(0);
        let worth = |width: f64, flops: f64| (1.0 - width.powi(2)) / flops;
        for value in MORE.iter().filter(|value| !XS.contains(value)) {
            let settings = Settings { bootstrap: 0, ..Settings::default() };
            let analysis = fit_curves(&points, Axis::Data, &settings).unwrap();
            let (levels, _) = levels();
            let only: Vec<Level> =
                levels.into_iter().filter(|level| XS.contains(&level.value) || level.value == *value).collect();
            let present: Vec<usize> = (0..only.len()).filter(|i| XS.contains(&only[*i].value)).collect();
            let extension = Extension { levels: &only, present: &present, seeds: 3, flops: 3.0 * value };
            let alone = extend(&points, &analysis, &settings, &Target::Crossover, &extension).unwrap();
            if let [step, ..] = &alone.steps[..]
                && step.taken == Move::Level(*value)
            {
                assert!(
                    worth(step.width, step.flops) <= worth(first.width, first.flops) * (1.0 + 1e-9),
                    "{step:?} {first:?}"
                );
            }
        }
    }

    #[test]
    fn a_curve_that_its_points_do_not_determine_is_left_out_and_named() {
        let flat = |x: f64| if x < 5000.0 { 0.7 } else { 0.700_000_1 };
        let flat = planted("flat", flat, &XS, 3, 0.0, 7);
        let points = [draw(&XS, 3, 7), flat.clone()].concat();
        let design = designed(&points, &Target::Param("alpha".into()), 1e6).unwrap();
        assert_eq!((design.undetermined.as_slice(), design.expected.len()), (["flat".to_owned()].as_slice(), 2));
        let alone = designed(&flat, &Target::Param("alpha".into()), 1e6).unwrap_err();
        assert!(alone.message.starts_with("the points of flat do not determine the law"), "{alone:?}");
    }

    #[test]
    fn nothing_to_narrow_and_unknown_names_are_refused() {
        let points = draw(&XS, 3, 7);
        let error = designed(&points, &Target::Param("beta".into()), 1e6).unwrap_err();
        assert_eq!(error.message, "power-floor has no parameter 'beta'");
        let apart = [
            planted("a", |x| 5.0 * x.powf(-0.3), &XS, 3, 0.0, 7),
            planted("b", |x| 9.0 * x.powf(-0.3), &XS, 3, 0.0, 7),
        ];
        let error = designed(&apart.concat(), &Target::Crossover, 1e6).unwrap_err();
        assert!(error.message.contains("nothing to narrow"), "{}", error.message);
        assert!(designed(&points, &Target::Crossover, 1.0).unwrap().steps.is_empty());
    }
}
