//! Tails of the distributions that intervals and tests need.

/// P(Z < z).
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Inverse of the normal distribution by bisection: exact to the last bits and used a few times a fit.
pub fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(F > f) of Fisher's F with `above` and `below` degrees of freedom.
pub fn f_tail(f: f64, above: f64, below: f64) -> f64 {
    incomplete_beta(below / (below + above * f), 0.5 * below, 0.5 * above)
}

/// P(|T| > t) of Student's t.
pub fn t_tails(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5)
}

/// The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if !(x > 0.0 && x < 1.0) {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..2000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            factor = c * d;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    let ln_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    ln_front.exp() * fraction / a
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
