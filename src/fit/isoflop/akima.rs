//! Akima's spline (1970, doi:10.1145/321607.321609): through all points, and local, so that a wild loss far away moves
//! nothing here.

/// The spline through at least five points with rising abscissae.
pub struct Akima<'a> {
    points: &'a [(f64, f64)],
    /// Slopes of the pieces, two more extrapolated linearly at either end.
    slopes: Vec<f64>,
}

impl<'a> Akima<'a> {
    pub fn through(points: &'a [(f64, f64)]) -> Self {
        let n = points.len();
        let mut m: Vec<f64> = points.windows(2).map(|w| (w[1].1 - w[0].1) / (w[1].0 - w[0].0)).collect();
        m.insert(0, 2.0 * m[0] - m[1]);
        m.insert(0, 2.0 * m[0] - m[1]);
        m.push(2.0 * m[n] - m[n - 1]);
        m.push(2.0 * m[n + 1] - m[n]);
        Self { points, slopes: m }
    }

    fn tangent(&self, i: usize) -> f64 {
        let m = &self.slopes;
        let (left, right) = ((m[i + 3] - m[i + 2]).abs(), (m[i + 1] - m[i]).abs());
        if left + right > 0.0 {
            (left * m[i + 1] + right * m[i + 2]) / (left + right)
        } else {
            0.5 * (m[i + 1] + m[i + 2])
        }
    }

    /// Of the i-th piece, y0 + s (t + s (c + s d)) with s from its left end: t, c, d.
    fn piece(&self, i: usize) -> (f64, f64, f64) {
        let (h, slope) = (self.points[i + 1].0 - self.points[i].0, self.slopes[i + 2]);
        let (t0, t1) = (self.tangent(i), self.tangent(i + 1));
        (t0, (3.0 * slope - 2.0 * t0 - t1) / h, (t0 + t1 - 2.0 * slope) / (h * h))
    }

    /// Inside the points.
    pub fn at(&self, x: f64) -> f64 {
        let i = self.points.partition_point(|point| point.0 <= x).clamp(1, self.points.len() - 1) - 1;
        let (t, c, d) = self.piece(i);
        let s = x - self.points[i].0;
        self.points[i].1 + s * (t + s * (c + s * d))
    }

    /// The lowest point.
    pub fn minimum(&self) -> (f64, f64) {
        let points = self.points;
        let mut lowest = *points.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(&points[0]);
        for i in 0..points.len() - 1 {
            let h = points[i + 1].0 - points[i].0;
            let (t, c, d) = self.piece(i);
            let discriminant = c * c - 3.0 * d * t;
            for sign in [-1.0, 1.0] {
                // Of t + 2 c s + 3 d s² = 0, in the form that survives d = 0.
                let s = -t / (c + sign * discriminant.max(0.0).sqrt());
                if discriminant >= 0.0 && s > 0.0 && s < h {
                    let value = points[i].1 + s * (t + s * (c + s * d));
                    if value < lowest.1 {
                        lowest = (points[i].0 + s, value);
                    }
                }
            }
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // from scipy.interpolate import Akima1DInterpolator; from scipy.optimize import minimize_scalar
    // f = Akima1DInterpolator([0, 1, 2.5, 3, 4.2, 5], [3, 1.2, 0.7, 0.9, 1.0, 2.5])
    // minimize_scalar(f, bounds=(1, 3), method="bounded", options={"xatol": 1e-12}); f([0.3, 2.75, 4.9, 5.0])
    #[test]
    fn akima_equals_scipy() {
        let points = [(0.0, 3.0), (1.0, 1.2), (2.5, 0.7), (3.0, 0.9), (4.2, 1.0), (5.0, 2.5)];
        let akima = Akima::through(&points);
        let (at, value) = akima.minimum();
        assert!((at - AKIMA.0).abs() < 1e-6 && (value - AKIMA.1).abs() < 1e-9, "{at} {value}");
        for (x, scipy) in VALUES {
            assert!((akima.at(x) - scipy).abs() < 1e-9, "{x}: {}", akima.at(x));
        }
    }

    const AKIMA: (f64, f64) = (2.203_982_482_567_713, 0.660_728_335_964_934);
    const VALUES: [(f64, f64); 4] = [(0.3, 2.2906), (2.75, 0.797609445523992), (4.9, 2.227259732172267), (5.0, 2.5)];
}
