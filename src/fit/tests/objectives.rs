//! Objectives that weigh observations: their leverages against numpy, and intervals of an expectile curve against its
//! truth.

use super::*;
use crate::fit::data::sample::Sample;
use crate::fit::solve::search::Solver;

// import numpy as np
// x = np.array([250., 1000, 4000, 16000, 64000]); y = np.array([1.95, 1.19, 0.82, 0.60, 0.505])
// E, A, alpha = 0.39, 21.0, 0.47; p = A * x ** -alpha; f = E + p
// X = np.stack([1 / f, p / f, -p * np.log(x) / f], 1)  # d ln f by E, ln A, alpha
// for w in np.ones(5), f ** 2, np.where(f > y, 0.9, 0.1):
//     P = X @ np.linalg.inv(X.T @ (w[:, None] * X)) @ (X.T * w); Q = np.eye(5) - P
//     print(np.diag(P), np.diag(Q @ Q.T))
#[test]
fn leverages_are_those_of_the_objective() {
    let mut sample = Sample::default();
    for (x, y) in [(250f64, 1.95f64), (1000.0, 1.19), (4000.0, 0.82), (16000.0, 0.60), (64000.0, 0.505)] {
        sample.push([x.ln(), 0.0, 0.0], y.ln());
    }
    let theta = laws::law::theta_of(&[0.39, 21f64.ln(), 0.47]);
    for (objective, leverages, kept) in LEVERAGES {
        let solver = Solver { law: laws::by_name("power-floor").unwrap(), objective, max_steps: 1 };
        let found = solver.residuals(&sample, &theta);
        for (found, (leverage, kept)) in found.iter().zip(leverages.iter().zip(kept)) {
            assert!((found.leverage - leverage).abs() < 1e-7, "{objective:?} {} {leverage}", found.leverage);
            assert!((found.kept - kept).abs() < 1e-7, "{objective:?} {} {kept}", found.kept);
        }
    }
}

const LEVERAGES: [(Objective, [f64; 5], [f64; 5]); 3] = [
    (
        Objective::SquaredLog,
        [0.90186182, 0.41532834, 0.50317469, 0.35133813, 0.82829703],
        [0.09813818, 0.58467166, 0.49682531, 0.64866187, 0.17170297],
    ),
    (
        Objective::Squared,
        [0.97740005, 0.6080322, 0.39231691, 0.3284332, 0.69381764],
        [0.00560867, 0.26729673, 0.83438746, 0.69622832, 0.64481288],
    ),
    (
        Objective::Asymmetric,
        [0.92127601, 0.64072013, 0.10114872, 0.50023233, 0.83662281],
        [0.07482133, 0.31397137, 1.62619255, 0.4698368, 0.16170353],
    ),
];

/// Noise of log loss in units of its size.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    /// Exponential: a badly tuned run can only raise a loss.
    Skewed,
}

impl Shape {
    fn draw(self, rng: &mut impl rand_chacha::rand_core::Rng) -> f64 {
        match self {
            Shape::Normal => rand_distr::StandardNormal.sample(rng),
            Shape::Skewed => rand_distr::Exp1.sample(rng),
        }
    }

    /// Its expectile: where 0.9 of what lies below weighs as much as 0.1 of what lies above.
    // from scipy.integrate import quad; from scipy.optimize import brentq; from scipy.stats import norm, expon
    // F = lambda m, pdf, a, b: (0.9 * quad(lambda z: (m - z) * pdf(z), a, m)[0]
    //                           - 0.1 * quad(lambda z: (z - m) * pdf(z), m, b)[0])
    // brentq(F, -3, 0, (norm.pdf, -12, 12)), brentq(F, 1e-6, 2, (expon.pdf, 0, 60))
    fn expectile(self) -> f64 {
        match self {
            Shape::Normal => -0.861_592_112_415_829,
            Shape::Skewed => 0.410_216_179_498_207,
        }
    }
}

/// Points about a curve whose expectile curve is `law`: each run once, or at 12 scales as checkpoints of one run, which
/// share half of their noise's variance.
fn about_expectile(law: &impl Fn(f64) -> f64, shape: Shape, checkpoints: bool, sigma: f64, trial: u64) -> Vec<Point> {
    let xs: Vec<f64> =
        (0..if checkpoints { 12 } else { 7 }).map(|i| 250.0 * if checkpoints { 1.6f64 } else { 3.0 }.powi(i)).collect();
    let mut points = planted("a", law, &xs, if checkpoints { 12 } else { 5 }, 0.0, 0);
    let of_run: Vec<f64> = (0..12).map(|run| shape.draw(&mut random::stream(trial, "run", run))).collect();
    for (i, point) in points.iter_mut().enumerate() {
        let own = shape.draw(&mut random::stream(trial, "point", i as u64));
        let seed = point.seed.unwrap();
        let noise = match checkpoints {
            true => {
                point.source = format!("run {seed}");
                (of_run[seed as usize] + own) / 2f64.sqrt()
            }
            false => own,
        };
        let center = if checkpoints { 0.0 } else { shape.expectile() };
        point.value *= (sigma * (noise - center)).exp();
    }
    points
}

/// Of `trials` experiments, the share whose interval holds alpha, and the shares whose band of the fitted curve lies
/// about the true one, and below it, at the middle scale.
fn coverage(shape: Shape, checkpoints: bool, trials: u64) -> [f64; 3] {
    let law = floor(0.6, 8.0, 0.5);
    let settings = Settings { objective: Some(Objective::Asymmetric), ..settings(300) };
    // A sum of two normal numbers is one again; the band is held against its expectile.
    let truth = law(6750.0) * if checkpoints { (0.01 * shape.expectile()).exp() } else { 1.0 };
    let one = |trial: u64| {
        let points = about_expectile(&law, shape, checkpoints, 0.01, trial);
        let fit = fit_curves(&points, Axis::Data, &settings).unwrap().fits.remove(0);
        let (alpha, (low, high)) = (fit.intervals["alpha"], fit.band(6750.0));
        [alpha.low <= 0.5 && 0.5 <= alpha.high, low <= truth && truth <= high, high < truth]
    };
    let told: Vec<[bool; 3]> = (0..trials).into_par_iter().map(one).collect();
    std::array::from_fn(|i| told.iter().filter(|told| told[i]).count() as f64 / trials as f64)
}

#[test]
fn intervals_of_an_expectile_fit_hold_its_truth() {
    for shape in [Shape::Normal, Shape::Skewed] {
        let [alpha, curve, below] = coverage(shape, false, 300);
        eprintln!("expectile, {shape:?}: alpha {alpha:.3}, curve {curve:.3}, below {below:.3}");
        assert!(alpha >= 0.90 && curve >= 0.90 && below <= 0.04, "{shape:?}: {alpha} {curve} {below}");
    }
}

#[test]
fn checkpoints_under_an_expectile_fit_are_weighted_by_run() {
    let [alpha, curve, below] = coverage(Shape::Normal, true, 200);
    eprintln!("expectile, checkpoints: alpha {alpha:.3}, curve {curve:.3}, below {below:.3}");
    assert!(alpha >= 0.8 && curve >= 0.75 && below <= 0.12, "{alpha} {curve} {below}");
}

/// A fit that lies below most points is not therefore one of checkpoints.
#[test]
fn residuals_that_are_not_centred_are_not_serial() {
    let xs: Vec<f64> = (0..200).map(|i| 250.0 * 1.03f64.powi(i)).collect();
    let points = planted("a", floor(0.6, 8.0, 0.5), &xs, 1, 0.01, 4);
    let settings = Settings { objective: Some(Objective::Asymmetric), ..settings(0) };
    let fit = fit_curves(&points, Axis::Data, &settings).unwrap().fits.remove(0);
    assert!(!fit.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Serial { .. })), "{:?}", fit.verdicts);
}
