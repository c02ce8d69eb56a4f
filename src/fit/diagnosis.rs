//! What a reader must know before believing a fit: which exponents the data hold, and what in the points or in the
//! search speaks against it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::fit::data::curve::Curve;
use crate::fit::data::origin::Origin;
use crate::fit::laws::law::{Domain, Law, Param};
use crate::fit::solve::objective::Objective;
use crate::fit::solve::search::{Search, Solver};
use crate::fit::uncertainty::bootstrap::{Draws, distinct};
use crate::fit::uncertainty::distribution::{f_tail, t_tails};
use crate::fit::uncertainty::interval::{Interval, IntervalKind};
use crate::fit::verdict::Verdict;

/// An exponent whose interval spans a larger factor than this is anything, and is not called identified.
const WIDEST: f64 = 5.0;

/// The same for an exponent of either sign, as a difference.
const WIDEST_SIGNED: f64 = 2.0;

/// Neighbouring rows are compared from so many on, and are alike from this correlation on.
const MANY_ROWS: usize = 30;
const ALIKE: f64 = 0.2;

/// Misfits and outliers less likely than this are told.
const UNLIKELY: f64 = 0.01;

/// One fit with all that can be held against it.
pub struct Case<'a> {
    pub curve: &'a Curve,
    pub solver: &'a Solver,
    pub search: &'a Search,
    pub draws: &'a Draws,
    pub intervals: &'a BTreeMap<&'static str, Interval>,
    /// The kind of interval that was asked for.
    pub asked: IntervalKind,
    /// Where the points come from: what is known against them there.
    pub origin: Option<&'a Origin>,
}

/// Whether an exponent that lies between two bounds is identified by its interval.
pub fn told(name: &str, interval: &Interval, low: f64, high: f64) -> Verdict {
    let narrow =
        if low < 0.0 { interval.high - interval.low <= WIDEST_SIGNED } else { interval.high <= WIDEST * interval.low };
    if narrow && clear_of(interval, low, high) {
        return Verdict::Identified;
    }
    Verdict::Unidentified { param: name.into(), low: interval.low, high: interval.high }
}

/// The intervals that are not as asked for.
pub fn fell_back<'a>(asked: IntervalKind, intervals: impl Iterator<Item = (&'a str, &'a Interval)>) -> Option<Verdict> {
    let of: Vec<String> =
        intervals.filter(|(_, interval)| interval.kind != asked).map(|(name, _)| name.to_owned()).collect();
    (!of.is_empty()).then_some(Verdict::PercentileInstead { of })
}

fn clear_of(interval: &Interval, low: f64, high: f64) -> bool {
    interval.low > low + 1e-9 * interval.high.abs() && interval.high < high
}

impl Case<'_> {
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = self.unidentified();
        let exponents = self.law().params().iter().filter(|param| param.is_exponent());
        let all_told = exponents.into_iter().all(|param| self.intervals.contains_key(param.name));
        if verdicts.is_empty() && all_told {
            verdicts.push(Verdict::Identified);
        }
        verdicts.extend(self.of_the_points());
        verdicts.extend(self.misfit());
        verdicts.extend(self.of_the_search());
        verdicts.extend(fell_back(self.asked, self.intervals.iter().map(|(name, interval)| (*name, interval))));
        verdicts
    }

    fn law(&self) -> &'static dyn Law {
        self.solver.law
    }

    /// Exponents that the data do not hold, and floors that may be zero: there the interval of the exponent ends where
    /// the floor's bound stops it, and not where the data do.
    fn unidentified(&self) -> Vec<Verdict> {
        let of = |param: &Param| {
            let interval = self.intervals.get(param.name)?;
            let (low, high) = param.range();
            let verdict = match param.is_exponent() {
                true => told(param.name, interval, low, high),
                false if param.is_log() || clear_of(interval, low, high) => Verdict::Identified,
                false => Verdict::Unidentified { param: param.name.into(), low: interval.low, high: interval.high },
            };
            (verdict != Verdict::Identified).then_some(verdict)
        };
        let (runs, need) = (distinct(&self.curve.units), self.law().params().len() + 1);
        let few = (runs < need && !self.draws.resamples.is_empty()).then_some(Verdict::FewRuns { runs, need });
        self.law().params().iter().filter_map(of).chain(few).chain(self.serial()).collect()
    }

    /// Rows that are taken for runs and look like checkpoints of fewer ones: within a seed, in the order of the input.
    fn serial(&self) -> Option<Verdict> {
        let Curve { sample, units, seeds, .. } = self.curve;
        let count = sample.len();
        if count < MANY_ROWS || distinct(units) < count || self.law().domain() != Domain::Curve {
            return None;
        }
        let residuals = self.solver.residuals(sample, &self.search.best.theta);
        let mut by_seed: BTreeMap<Option<i64>, Vec<f64>> = BTreeMap::new();
        // An expectile fit lies below most points: about the curve, all residuals would be alike.
        let mean = residuals.iter().map(|residual| residual.above).sum::<f64>() / count as f64;
        for (residual, seed) in residuals.iter().zip(seeds) {
            by_seed.entry(*seed).or_default().push(residual.above - mean);
        }
        let (mut products, mut squares) = (0.0, 0.0);
        for series in by_seed.values() {
            products += series.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
            squares += series.iter().map(|residual| residual * residual).sum::<f64>();
        }
        let correlation = products / squares;
        // Residuals of rounding size are no noise to judge by.
        let noisy = squares > 1e-16 * count as f64;
        (noisy && correlation > (3.0 / (count as f64).sqrt()).max(ALIKE)).then_some(Verdict::Serial { correlation })
    }

    fn of_the_points(&self) -> Vec<Verdict> {
        let Curve { sample, sources, repeated, .. } = self.curve;
        let fitted = self.solver.fitted(sample);
        let mut verdicts = Vec::new();
        if self.law().domain() == Domain::Frontier {
            verdicts.push(Verdict::ChosenForLowLoss { points: fitted.len(), of: sample.len() });
        }
        if self.law().domain() == Domain::Curve && sample.distinct_scales() == sample.len() {
            verdicts.push(Verdict::OneSeed);
        }
        if *repeated > 0 {
            verdicts.push(Verdict::Repeated { points: *repeated });
        }
        let edges: Vec<_> = sources.iter().filter_map(|source| self.origin?.at_edge(source)).collect();
        if !edges.is_empty() {
            let keys: BTreeSet<&String> = edges.iter().copied().flatten().collect();
            let keys = keys.into_iter().cloned().collect();
            verdicts.push(Verdict::TunedAtEdge { keys, points: edges.len(), of: sources.len() });
        }
        if matches!(self.law().domain(), Domain::Curve) {
            verdicts.extend(self.origin.and_then(|origin| origin.verdict(&self.curve.name)).cloned());
        }
        verdicts
    }

    fn of_the_search(&self) -> Vec<Verdict> {
        let Search { best, agree, .. } = self.search;
        let mut verdicts = Vec::new();
        for (param, theta) in self.law().params().iter().zip(&best.theta) {
            let (low, high) = param.bounds();
            if *theta <= low || *theta >= high {
                verdicts.push(Verdict::AtBound { param: param.name.into(), value: param.natural(*theta) });
            }
        }
        if *agree < 0.5 {
            verdicts.push(Verdict::StartsDisagree { share: *agree });
        }
        if !best.converged {
            verdicts.push(Verdict::NotConverged);
        }
        let resamples = &self.draws.resamples;
        let failed = resamples.iter().filter(|draw| draw.is_none()).count();
        if failed > 0 {
            verdicts.push(Verdict::FailedResamples { share: failed as f64 / resamples.len() as f64 });
        }
        verdicts
    }

    /// Tests that take the noise of log loss for normal and of one size, as squared residuals do.
    fn misfit(&self) -> Vec<Verdict> {
        if self.solver.objective != Objective::SquaredLog || self.law().domain() == Domain::Frontier {
            return Vec::new();
        }
        self.outlier().into_iter().chain(self.lack_of_fit()).collect()
    }

    fn outlier(&self) -> Option<Verdict> {
        let sample = &self.curve.sample;
        let residuals = self.solver.residuals(sample, &self.search.best.theta);
        let freedom = (sample.len() as f64) - (self.law().params().len() as f64) - 1.0;
        let squares: f64 = residuals.iter().map(|residual| residual.above.powi(2)).sum();
        let studentised = residuals.iter().map(|residual| {
            let square = residual.above.powi(2) / (1.0 - residual.leverage).max(1e-3);
            (square * freedom / (squares - square).max(1e-9 * squares)).sqrt()
        });
        let (at, largest) = studentised.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        // Residuals of rounding size are no noise to judge by.
        if freedom < 1.0 || squares < 1e-16 * sample.len() as f64 {
            return None;
        }
        let p_value = (t_tails(largest, freedom) * sample.len() as f64).min(1.0);
        let point = self.curve.sources[at].clone();
        (p_value < UNLIKELY).then_some(Verdict::Outlier { point, p_value })
    }

    /// F test of the scatter of the means about the curve against the scatter within cells (Draper and Smith 1998,
    /// section 2.1); it takes the points for independent, so none where one run gives several.
    fn lack_of_fit(&self) -> Option<Verdict> {
        let Curve { sample, units, .. } = self.curve;
        let mut cells: HashMap<[u64; 3], (f64, f64)> = HashMap::new();
        for (ln_x, ln_y) in sample.ln_x.iter().zip(&sample.ln_y) {
            let (count, sum) = cells.entry(ln_x.map(f64::to_bits)).or_default();
            *count += 1.0;
            *sum += ln_y;
        }
        let within: f64 = sample.len() as f64 - cells.len() as f64;
        let between = cells.len() as f64 - self.law().params().len() as f64;
        let pure: f64 = (sample.ln_x.iter().zip(&sample.ln_y))
            .map(|(ln_x, ln_y)| {
                let (count, sum) = cells[&ln_x.map(f64::to_bits)];
                (ln_y - sum / count).powi(2)
            })
            .sum();
        if within < 1.0 || between < 1.0 || distinct(units) < units.len() || pure < 1e-16 * within {
            return None;
        }
        let lack = (self.search.best.objective - pure).max(0.0);
        let p_value = f_tail((lack / between) / (pure / within), between, within);
        (p_value < UNLIKELY).then_some(Verdict::LackOfFit { p_value })
    }
}

#[cfg(test)]
mod tests {
    use crate::fit::tests::planted;
    use crate::fit::{Settings, Verdict, fit_curves, laws};
    use crate::point::Axis;

    // import numpy as np, scipy.stats as st
    // x = 250. * 2 ** np.arange(8); ln = np.log([2.00, 1.63, 1.31, 1.09, 0.99, 0.712, 0.581, 0.468])
    // X = np.stack([np.ones(8), -np.log(x)], 1); t = []
    // for i in range(8):  # each point against the fit of all others
    //     k = np.arange(8) != i; b, rss = np.linalg.lstsq(X[k], ln[k])[:2]
    //     off = 1 + X[i] @ np.linalg.inv(X[k].T @ X[k]) @ X[i]
    //     t.append((ln[i] - X[i] @ b) / np.sqrt(rss[0] / (7 - 2) * off))
    // 8 * 2 * st.t.sf(np.abs(t).max(), 7 - 2)
    #[test]
    fn the_outlier_test_equals_that_of_the_point_left_out() {
        let xs: Vec<f64> = (0..8).map(|i| 250.0 * 2f64.powi(i)).collect();
        let mut points = planted("a", |_| 1.0, &xs, 1, 0.0, 0);
        let ys = [2.00, 1.63, 1.31, 1.09, 0.99, 0.712, 0.581, 0.468];
        points.iter_mut().zip(ys).for_each(|(point, y)| point.value = y);
        let settings = Settings { law: laws::by_name("power").unwrap(), bootstrap: 0, ..Settings::default() };
        let verdicts = fit_curves(&points, Axis::Data, &settings).unwrap().fits.remove(0).verdicts;
        let outlier = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Outlier { point, p_value } => Some((point.as_str(), *p_value)),
            _ => None,
        });
        let (point, p_value) = outlier.expect("an outlier");
        assert_eq!(point, "a-4000-0");
        assert!((p_value / 0.000_229_511_839_805_842_28 - 1.0).abs() < 1e-6, "{p_value}");
    }
}
