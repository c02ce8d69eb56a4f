//! Tails and quantiles of the distributions that intervals and tests need, from statrs; NaN where the degrees of freedom
//! are not positive.

use statrs::distribution::{ContinuousCDF, FisherSnedecor, Normal, StudentsT};

/// P(Z < z).
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The z that a standard normal number falls below with probability `share`.
pub fn normal_quantile(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

/// P(F > f) of Fisher's F with `above` and `below` degrees of freedom.
pub fn f_tail(f: f64, above: f64, below: f64) -> f64 {
    FisherSnedecor::new(above, below).map_or(f64::NAN, |fisher| fisher.sf(f))
}

/// P(|T| > t) of Student's t.
pub fn t_tails(t: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |student| 2.0 * student.sf(t))
}

/// The t that Student's t falls below with probability `share`.
pub fn t_quantile(share: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |student| student.inverse_cdf(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy.stats.norm.ppf([0.025, 0.2, 0.999])
    #[test]
    fn normal_quantiles_equal_scipy() {
        for (share, expected) in [(0.025, -1.9599639845400545), (0.2, -0.8416212335729142), (0.999, 3.090232306167813)]
        {
            assert!((normal_quantile(share) - expected).abs() < 1e-12);
        }
    }

    // from scipy.stats import f, t
    // [f.sf(*a) for a in [(1.0, 3, 8), (4.2, 2, 15), (0.3, 7, 40), (50.0, 4, 12), (1.1, 200, 900)]]
    // [2 * t.sf(*a) for a in [(1.0, 1), (2.5, 7), (6.0, 30), (0.2, 500)]]
    #[test]
    fn tails_equal_scipy() {
        for (f, above, below, expected) in F_TAILS {
            assert!((f_tail(f, above, below) / expected - 1.0).abs() < 1e-10, "{f} {above} {below}");
        }
        for (t, freedom, expected) in T_TAILS {
            assert!((t_tails(t, freedom) / expected - 1.0).abs() < 1e-10, "{t} {freedom}");
        }
    }

    const F_TAILS: [(f64, f64, f64, f64); 5] = [
        (1.0, 3.0, 8.0, 0.441099079741173),
        (4.2, 2.0, 15.0, 0.03560947020660864),
        (0.3, 7.0, 40.0, 0.949719743767358),
        (50.0, 4.0, 12.0, 2.1906406713373593e-07),
        (1.1, 200.0, 900.0, 0.18572545047810973),
    ];
    const T_TAILS: [(f64, f64, f64); 4] = [
        (1.0, 1.0, 0.5000000000000001),
        (2.5, 7.0, 0.04099221858575289),
        (6.0, 30.0, 1.3942768767204764e-06),
        (0.2, 500.0, 0.8415618970255768),
    ];
}
