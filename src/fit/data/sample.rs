//! Observations as the solver wants them: logarithms, column by column, each with a weight.

use std::collections::HashSet;

/// ln of the scales of one observation: of the axis for curves, of N and D for surfaces; where data are repeated of N, of
/// the unique examples and of those seen. What a law does not use is zero.
pub type LnX = [f64; 3];

/// One curve's observations. The three columns are equally long.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// ln of the scales.
    pub ln_x: Vec<LnX>,
    /// ln of the measured loss.
    pub ln_y: Vec<f64>,
    /// How many times it counts.
    pub weight: Vec<f64>,
}

impl Sample {
    pub fn len(&self) -> usize {
        self.ln_y.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ln_y.is_empty()
    }

    pub fn push(&mut self, ln_x: LnX, ln_y: f64) {
        self.ln_x.push(ln_x);
        self.ln_y.push(ln_y);
        self.weight.push(1.0);
    }

    /// The observations with these indices, in this order.
    pub fn only(&self, indices: &[usize]) -> Sample {
        let mut only = Sample::default();
        for &i in indices {
            only.ln_x.push(self.ln_x[i]);
            only.ln_y.push(self.ln_y[i]);
            only.weight.push(self.weight[i]);
        }
        only
    }

    /// How many different scales it holds.
    pub fn distinct_scales(&self) -> usize {
        self.ln_x.iter().map(|x| x.map(f64::to_bits)).collect::<HashSet<_>>().len()
    }

    /// Smallest and largest of the chosen scale.
    pub fn ln_range(&self, scale: usize) -> (f64, f64) {
        self.ln_x
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x[scale]), high.max(x[scale])))
    }

    /// Means of both log scales and of log loss.
    pub fn means(&self) -> [f64; 3] {
        let mean = |column: &dyn Fn(usize) -> f64| (0..self.len()).map(column).sum::<f64>() / self.len() as f64;
        [mean(&|i| self.ln_x[i][0]), mean(&|i| self.ln_x[i][1]), mean(&|i| self.ln_y[i])]
    }

    pub fn smallest_loss(&self) -> f64 {
        self.ln_y.iter().copied().fold(f64::INFINITY, f64::min).exp()
    }

    /// The sample without its `hidden` largest scales, and those; of N for surfaces.
    pub fn split_at_largest(&self, hidden: usize) -> Option<(Sample, Sample)> {
        let mut scales: Vec<f64> = self.ln_x.iter().map(|x| x[0]).collect();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        let first_hidden = *scales.get(scales.len().checked_sub(hidden)?)?;
        let (mut seen, mut unseen) = (Sample::default(), Sample::default());
        for (ln_x, ln_y) in self.ln_x.iter().zip(&self.ln_y) {
            if ln_x[0] < first_hidden { seen.push(*ln_x, *ln_y) } else { unseen.push(*ln_x, *ln_y) }
        }
        Some((seen, unseen))
    }

    /// At most `count` observations, evenly through the order of the first scale: where a search can begin cheaply.
    pub fn thinned(&self, count: usize) -> Sample {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.ln_x[a][0].total_cmp(&self.ln_x[b][0]).then(a.cmp(&b)));
        let mut thinned = Sample::default();
        let last = self.len().saturating_sub(1);
        for i in 0..count.min(self.len()) {
            let at = order[i * last / count.saturating_sub(1).max(1)];
            thinned.push(self.ln_x[at], self.ln_y[at]);
        }
        thinned
    }
}

/// Intercept and slope of the least-squares line through (x, y) with weights; a flat line where all x are equal.
pub fn line(points: impl Iterator<Item = (f64, f64, f64)> + Clone) -> (f64, f64) {
    let (mut w_sum, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for (x, y, w) in points.clone() {
        w_sum += w;
        x_sum += w * x;
        y_sum += w * y;
    }
    let (x_mean, y_mean) = (x_sum / w_sum, y_sum / w_sum);
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y, w) in points {
        xx += w * (x - x_mean) * (x - x_mean);
        xy += w * (x - x_mean) * (y - y_mean);
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    (y_mean - slope * x_mean, slope)
}

/// Coefficients of the least-squares fit of y by the columns of `rows`, each row (columns, y, weight); none where the
/// columns do not tell them apart.
pub fn linear<const K: usize>(rows: impl Iterator<Item = ([f64; K], f64, f64)>) -> Option<[f64; K]> {
    let mut normal = [[0.0; K]; K];
    let mut right = [0.0; K];
    for (row, y, weight) in rows {
        for i in 0..K {
            right[i] += weight * row[i] * y;
            (0..K).for_each(|j| normal[i][j] += weight * row[i] * row[j]);
        }
    }
    for i in 0..K {
        let size = normal[i][i];
        for k in 0..i {
            let factor = normal[i][k] / normal[k][k];
            (k..K).for_each(|j| normal[i][j] -= factor * normal[k][j]);
            right[i] -= factor * right[k];
        }
        if normal[i][i].is_nan() || normal[i][i] <= 1e-9 * size {
            return None;
        }
    }
    for i in (0..K).rev() {
        let rest: f64 = (i + 1..K).map(|j| normal[i][j] * right[j]).sum();
        right[i] = (right[i] - rest) / normal[i][i];
    }
    Some(right)
}
