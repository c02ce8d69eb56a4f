//! Observations as the solver wants them: logarithms, column by column, each with a weight.

/// One group's observations. The three columns are equally long.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// ln of the scales: of the axis for curves, of N and D for surfaces.
    pub ln_x: Vec<[f64; 2]>,
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

    pub fn push(&mut self, ln_x: [f64; 2], ln_y: f64) {
        self.ln_x.push(ln_x);
        self.ln_y.push(ln_y);
        self.weight.push(1.0);
    }

    /// Smallest and largest of the chosen scale.
    pub fn ln_range(&self, scale: usize) -> (f64, f64) {
        self.ln_x
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x[scale]), high.max(x[scale])))
    }

    pub fn smallest_loss(&self) -> f64 {
        self.ln_y.iter().copied().fold(f64::INFINITY, f64::min).exp()
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
