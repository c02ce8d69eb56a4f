//! What fits say of scales that are asked for, measured or not: losses, and of surfaces and profiles the best size and
//! amount of data at a compute. Intervals are those of the law's loss there, not of one more run.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fit::data::sample::{LnX, Sample};
use crate::fit::data::scale::Scale;
use crate::fit::estimate::Fit;
use crate::fit::isoflop::{IsoFlop, Outcome};
use crate::fit::laws::law::{Law, Theta};
use crate::fit::laws::power_floor::PowerFloor;
use crate::fit::settings::Settings;
use crate::fit::solve::objective::Objective;
use crate::fit::solve::scalar;
use crate::fit::solve::search::Solver;
use crate::fit::uncertainty::interval::{Interval, IntervalKind, interval};
use crate::point::Axis;

/// Scales further out than this are beyond the data; exp(ln x) is not quite x.
const ROUNDING: f64 = 1e-9;

/// Where a prediction is asked for, as in `params=1e9,data=2e10`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct At {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<f64>,
    /// Examples seen, repeats counted; `data` are then the unique ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How far a scale lies beyond those measured, as a factor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beyond {
    pub scale: &'static str,
    /// Over the largest scale measured, or of the smallest over it.
    pub times: f64,
}

/// What one fit says of one place.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    #[serde(flatten, serialize_with = "crate::fit::data::curve::both_names")]
    pub curve: String,
    pub at: At,
    pub loss: Option<f64>,
    /// The best size and number of examples, where compute alone was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<f64>,
    /// How many examples to see of those that are given, where data are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<f64>,
    /// Of `loss`, `params`, `data` and `seen`.
    pub intervals: BTreeMap<&'static str, Interval>,
    /// Empty inside the data.
    pub beyond: Vec<Beyond>,
}

impl At {
    /// # Errors
    /// Not a list of SCALE=NUMBER with the scales params, data, seen, compute and seconds, each positive and once.
    pub fn parse(text: &str, number: impl Fn(&str) -> Option<f64>) -> Result<Self, String> {
        let mut at = Self::default();
        for part in text.split(',') {
            let form = || format!("'{part}': write SCALE=NUMBER, as in data=1e9, compute=1e22 or params=1e9,data=2e10");
            let (scale, value) = part.split_once('=').ok_or_else(form)?;
            let place = match scale.trim() {
                "params" => &mut at.params,
                "data" => &mut at.data,
                "seen" => &mut at.seen,
                "compute" => &mut at.compute,
                "seconds" => &mut at.seconds,
                other => {
                    return Err(format!("'{other}' is no scale: they are params, data, seen, compute and seconds"));
                }
            };
            let value = number(value.trim()).filter(|value| *value > 0.0 && value.is_finite());
            let value = value.ok_or_else(|| format!("'{part}': a scale is a positive number, as 1e9 and 1B are"))?;
            if place.replace(value).is_some() {
                return Err(format!("{} is given twice", scale.trim()));
            }
        }
        Ok(at)
    }

    fn given(&self) -> Vec<(&'static str, f64)> {
        let scales = [
            ("params", self.params),
            ("data", self.data),
            ("seen", self.seen),
            ("compute", self.compute),
            ("seconds", self.seconds),
        ];
        scales.into_iter().filter_map(|(scale, value)| Some((scale, value?))).collect()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.given().iter().map(|(scale, value)| format!("{scale} {}", crate::units::si(*value))).collect();
        f.write_str(&parts.join(", "))
    }
}

/// What is computed at a place.
#[derive(Clone, Copy)]
enum Place {
    /// The loss at these logarithms of the law's scales.
    Loss(LnX),
    /// The lowest loss with this ln N D.
    Best(f64),
    /// The lowest loss with this ln N S of this ln U.
    BestRepeated { ln_product: f64, ln_unique: f64 },
}

impl Place {
    /// The scales at ln N along which a best size is looked for.
    fn along(self, ln_n: f64) -> LnX {
        match self {
            Place::Loss(ln_x) => ln_x,
            Place::Best(ln_product) => [ln_n, ln_product - ln_n, 0.0],
            Place::BestRepeated { ln_product, ln_unique } => [ln_n, ln_unique, ln_product - ln_n],
        }
    }
}

/// Of every fit at every place; `flops_per` is C / (N D).
///
/// # Errors
/// A place that has not the scales of the law.
pub fn of_fits(fits: &[Fit], places: &[At], flops_per: f64, settings: &Settings) -> Result<Vec<Prediction>> {
    let one = |fit: &Fit, at: &At| {
        let place = place(fit, at, flops_per)?;
        Ok(of_fit(fit, *at, place, settings))
    };
    fits.iter().flat_map(|fit| places.iter().map(move |at| (fit, at))).map(|(fit, at)| one(fit, at)).collect()
}

fn place(fit: &Fit, at: &At, flops_per: f64) -> Result<Place> {
    let wrong = |what: String, hint: &str| Err(Error::bad_input(format!("--predict {at}: {what}")).hint(hint));
    if at.seconds.is_some() && fit.x != Scale::Curve(Axis::Seconds) {
        return wrong("these fits know no seconds".into(), "curves over seconds do: --x seconds");
    }
    match fit.x {
        Scale::Curve(axis) => match at.given()[..] {
            [(given, value)] if given == axis.to_string() => Ok(Place::Loss([value.ln(), 0.0, 0.0])),
            _ => wrong(
                format!("the curves are over {axis} alone"),
                &format!("--predict {axis}=NUMBER, another --x, or a surface as --law chinchilla"),
            ),
        },
        Scale::Surface => match (at.params, at.data, at.seen, at.compute) {
            (Some(params), Some(data), None, None) => Ok(Place::Loss([params.ln(), data.ln(), 0.0])),
            (Some(params), None, None, Some(compute)) => {
                Ok(Place::Loss([params.ln(), (compute / flops_per / params).ln(), 0.0]))
            }
            (None, Some(data), None, Some(compute)) => {
                Ok(Place::Loss([(compute / flops_per / data).ln(), data.ln(), 0.0]))
            }
            (None, None, None, Some(compute)) => Ok(Place::Best((compute / flops_per).ln())),
            _ => wrong(
                "a surface has a loss for two of params, data and compute, and a best size for compute alone".into(),
                "--predict params=1e9,data=2e10, or --predict compute=1e22",
            ),
        },
        Scale::Repeated => match (at.params, at.data, at.seen, at.compute) {
            (Some(params), Some(data), Some(seen), None) => Ok(Place::Loss([params.ln(), data.ln(), seen.ln()])),
            (Some(params), Some(data), None, Some(compute)) => {
                Ok(Place::Loss([params.ln(), data.ln(), (compute / flops_per / params).ln()]))
            }
            (None, Some(data), None, Some(compute)) => {
                Ok(Place::BestRepeated { ln_product: (compute / flops_per).ln(), ln_unique: data.ln() })
            }
            _ => wrong(
                "repeated data have a loss for params, data (unique) and one of seen and compute, and a best size for \
                 data and compute"
                    .into(),
                "--predict params=1e9,data=2e10,seen=8e10, or --predict data=2e10,compute=1e22",
            ),
        },
        Scale::Profile => wrong("profiles predict at a compute".into(), "--predict compute=1e22"),
    }
}

fn of_fit(fit: &Fit, at: At, place: Place, settings: &Settings) -> Prediction {
    // The loss, and N, D (or U) and S.
    let found = |theta: &Theta| -> Option<[f64; 4]> {
        let (ln_x, ln_loss) = match place {
            Place::Loss(ln_x) => (ln_x, fit.law.ln_loss(theta, &ln_x, &mut Theta::default())),
            Place::Best(ln_product) | Place::BestRepeated { ln_product, .. } => {
                best(fit.law, theta, ln_product, |ln_n| place.along(ln_n))?
            }
        };
        Some([ln_loss.exp(), ln_x[0].exp(), ln_x[1].exp(), ln_x[2].exp()])
    };
    let estimate = found(&fit.theta);
    let all = |thetas: &[Option<Theta>]| thetas.iter().flatten().map(&found).collect::<Vec<_>>();
    let (draws, jackknife) = (all(&fit.draws.resamples), all(&fit.draws.jackknife));
    let optimum = estimate.filter(|_| !matches!(place, Place::Loss(_)));
    let names: &[(usize, &'static str)] = match place {
        Place::Loss(_) => &[(0, "loss")],
        Place::Best(_) => &[(0, "loss"), (1, "params"), (2, "data")],
        Place::BestRepeated { .. } => &[(0, "loss"), (1, "params"), (3, "seen")],
    };
    let mut intervals = BTreeMap::new();
    for &(i, name) in names {
        let Some(estimate) = estimate else { break };
        if !fit.support.tells(&fit.theta, &|theta| found(theta).map_or(f64::NAN, |found| found[i])) {
            continue;
        }
        // A resample without a best size has it beyond all bounds, on a side that nobody knows: no interval.
        let column =
            |found: &[Option<[f64; 4]>]| found.iter().map(|all| Some((*all)?[i])).collect::<Option<Vec<f64>>>();
        let (Some(draws), Some(jackknife)) = (column(&draws), column(&jackknife)) else { break };
        let made = interval(settings.interval, settings.level, estimate[i], &draws, &jackknife);
        intervals.extend(made.map(|made| (name, made)));
    }
    let reached = match (place, estimate) {
        (Place::Loss(ln_x), _) => Some(ln_x),
        (_, found) => found.map(|[_, params, data, seen]| [params.ln(), data.ln(), seen.ln()]),
    };
    let scales: &[&'static str] = match fit.x {
        Scale::Curve(Axis::Params) => &["params"],
        Scale::Curve(Axis::Data) => &["data"],
        Scale::Curve(Axis::Compute) => &["compute"],
        Scale::Curve(Axis::Seconds) => &["seconds"],
        Scale::Surface | Scale::Profile => &["params", "data"],
        Scale::Repeated => &["params", "data", "seen"],
    };
    let reached = reached.into_iter().flat_map(|ln_x| scales.iter().zip(ln_x).zip(fit.ln_ranges));
    Prediction {
        curve: fit.curve.clone(),
        at,
        loss: estimate.map(|found| found[0]),
        params: optimum.map(|found| found[1]),
        data: optimum.filter(|_| matches!(place, Place::Best(_))).map(|found| found[2]),
        seen: optimum.filter(|_| matches!(place, Place::BestRepeated { .. })).map(|found| found[3]),
        intervals,
        beyond: reached.filter_map(|((scale, ln_x), range)| beyond(scale, ln_x, range)).collect(),
    }
}

fn beyond(scale: &'static str, ln_x: f64, (low, high): (f64, f64)) -> Option<Beyond> {
    let ln_times = (ln_x - high).max(low - ln_x);
    (ln_times > ROUNDING).then(|| Beyond { scale, times: ln_times.exp() })
}

/// The scales and ln L where the loss is lowest along `at`, which takes ln N from 0 to `ln_product`; none where it falls
/// towards one of the ends.
fn best(law: &dyn Law, theta: &Theta, ln_product: f64, at: impl Fn(f64) -> LnX) -> Option<(LnX, f64)> {
    const STEPS: usize = 64;
    let loss = |ln_n: f64| law.ln_loss(theta, &at(ln_n), &mut Theta::default());
    let step = ln_product / STEPS as f64;
    let lowest = (0..=STEPS).map(|i| (i, loss(step * i as f64))).filter(|(_, loss)| loss.is_finite());
    let (lowest, _) = lowest.min_by(|a, b| a.1.total_cmp(&b.1))?;
    if lowest == 0 || lowest == STEPS {
        return None;
    }
    let ln_n = scalar::lowest(&loss, step * (lowest as f64 - 1.0), step * (lowest as f64 + 1.0));
    Some((at(ln_n), loss(ln_n)))
}

/// Of the profiles of every curve at every place: the best size by its trend, the examples that go with it, and the
/// loss by a power law with a floor through the losses at the minima, where there are more of these than it has
/// parameters.
///
/// # Errors
/// A place that is not a compute alone.
pub fn of_profiles(fits: &[IsoFlop], places: &[At], settings: &Settings) -> Result<Vec<Prediction>> {
    let mut found = Vec::new();
    for (fit, at) in fits.iter().flat_map(|fit| places.iter().map(move |at| (fit, at))) {
        let [("compute", compute)] = at.given()[..] else {
            return Err(Error::bad_input(format!("--predict {at}: profiles predict at a compute alone"))
                .hint("--predict compute=1e22, or --law chinchilla for params and data"));
        };
        found.push(of_profile(fit, *at, compute, settings));
    }
    Ok(found)
}

fn of_profile(fit: &IsoFlop, at: At, compute: f64, settings: &Settings) -> Prediction {
    let cells = || fit.cells.iter().map(|cell| cell.compute.ln());
    let measured: Vec<(f64, f64)> = fit
        .cells
        .iter()
        .filter_map(|cell| match cell.outcome {
            Outcome::Interior { loss, .. } => Some((cell.compute.ln(), loss)),
            _ => None,
        })
        .collect();
    let (ln_c, product) = (compute.ln(), compute / fit.flops_per);
    let made = |draws: Vec<f64>| interval(IntervalKind::Percentile, settings.level, 0.0, &draws, &[]);
    let mut intervals = BTreeMap::new();
    let sizes: Vec<f64> = fit.draws.iter().map(|draw| draw.trend.at(ln_c).exp()).collect();
    intervals.extend(made(sizes.iter().map(|size| product / size).collect()).map(|made| ("data", made)));
    intervals.extend(made(sizes).map(|made| ("params", made)));
    let law = LowestLoss::through(&measured);
    if let Some(law) = &law {
        let of = |draw: &crate::fit::isoflop::Draw| {
            let minima = cells().zip(&draw.minima).filter_map(|(ln_c, found)| Some((ln_c, (*found)?.1)));
            law.again(&minima.collect::<Vec<_>>(), ln_c)
        };
        let losses: Option<Vec<f64>> = fit.draws.iter().map(of).collect();
        intervals.extend(losses.and_then(made).map(|made| ("loss", made)));
    }
    let params = fit.trend.map(|trend| trend.at(ln_c).exp());
    let low = measured.first().map_or(ln_c, |first| first.0);
    let high = measured.last().map_or(ln_c, |last| last.0);
    Prediction {
        curve: fit.curve.clone(),
        at,
        loss: law.map(|law| law.at(ln_c)),
        params,
        data: params.map(|params| product / params),
        seen: None,
        intervals,
        beyond: beyond("compute", ln_c, (low, high)).into_iter().collect(),
    }
}

/// The lowest loss over compute.
struct LowestLoss {
    solver: Solver,
    theta: Theta,
}

impl LowestLoss {
    /// Through (ln C, loss); none through fewer than four.
    fn through(minima: &[(f64, f64)]) -> Option<Self> {
        let solver = Solver { law: &PowerFloor, objective: Objective::SquaredLog, max_steps: 300 };
        if minima.len() <= solver.law.params().len() {
            return None;
        }
        Some(Self { solver, theta: solver.search(&sample(minima))?.best.theta })
    }

    fn at(&self, ln_c: f64) -> f64 {
        self.solver.law.ln_loss(&self.theta, &[ln_c, 0.0, 0.0], &mut Theta::default()).exp()
    }

    /// The loss at ln C through other minima.
    fn again(&self, minima: &[(f64, f64)], ln_c: f64) -> Option<f64> {
        let found = self.solver.descend(&sample(minima), &self.theta);
        let loss = self.solver.law.ln_loss(&found.theta, &[ln_c, 0.0, 0.0], &mut Theta::default()).exp();
        loss.is_finite().then_some(loss)
    }
}

fn sample(minima: &[(f64, f64)]) -> Sample {
    let mut sample = Sample::default();
    minima.iter().for_each(|(ln_c, loss)| sample.push([*ln_c, 0.0, 0.0], loss.ln()));
    sample
}
