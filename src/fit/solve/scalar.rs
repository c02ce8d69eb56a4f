//! Zeros and minima of functions of one number.

/// Where a function with one dip in the interval is lowest, by golden section, to 4e-11 of the interval's width.
pub fn lowest(function: &dyn Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    for _ in 0..50 {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if function(left) < function(right) { high = right } else { low = left }
    }
    0.5 * (low + high)
}

/// Where a function is zero between two places of different sign, each with its value, to 1e-10: by false position
/// (Illinois: the value of an end that stays is halved).
pub fn zero(function: &dyn Fn(f64) -> f64, mut stays: (f64, f64), mut moves: (f64, f64)) -> f64 {
    for _ in 0..200 {
        let secant = moves.0 - moves.1 * (moves.0 - stays.0) / (moves.1 - stays.1);
        let at = if secant.is_finite() { secant } else { 0.5 * (moves.0 + stays.0) };
        let value = function(at);
        if value == 0.0 || (at - moves.0).abs() < 1e-10 {
            return at;
        }
        if (value > 0.0) == (moves.1 > 0.0) {
            stays.1 *= 0.5
        } else {
            stays = moves
        }
        moves = (at, value);
    }
    moves.0
}
