//! Poisson's distribution: whether so many events are an accident, and how many there may be behind so few.

/// The chance of `count` events or more where `mean` are expected; exact but for rounding.
///
/// # Accuracy
/// Below one half, relative to itself: 1e-9 up to means of 10⁵.
#[must_use]
pub fn at_least(count: usize, mean: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    let count = count as f64;
    // Away from the mean, so that terms fall. The first one by its logarithm: e^−mean alone is 0 from 746 on.
    let is_above = count > mean;
    let (mut k, mut sum) = (if is_above { count } else { count - 1.0 }, 0.0);
    let mut term = libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0));
    while term > f64::EPSILON * sum {
        sum += term;
        (term, k) = if is_above { (term * mean / (k + 1.0), k + 1.0) } else { (term * k / mean, k - 1.0) };
    }
    if is_above { sum } else { 1.0 - sum }
}

/// The mean at which `count` events or fewer have a chance of `chance` (above 0 and below 1): with a confidence of `1 − chance`,
/// the mean behind `count` events is not higher.
///
/// # Source
/// F. Garwood (1936), *Fiducial limits for the Poisson distribution*, Biometrika 28: half the quantile of a chi-square with
/// `2 (count + 1)` degrees of freedom.
#[must_use]
pub fn most_behind(count: usize, chance: f64) -> f64 {
    let at_most = |mean: f64| 1.0 - at_least(count + 1, mean);
    let mut high = count as f64 + 1.0;
    while at_most(high) > chance {
        high *= 2.0;
    }
    let mut low = 0.0;
    // Halving: as many times as a double has digits.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = 0.5 * (low + high);
        if at_most(middle) > chance { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_tables() {
        // scipy: poisson.sf(k - 1, mu); the larger ones summed in decimals of 60 digits.
        for (count, mean, expected) in [
            (0, 0.3, 1.0),
            (1, 0.0, 0.0),
            (1, 0.3, 0.259_182),
            (4, 1.0, 0.018_988),
            (5, 2.0, 0.052_653),
            (12, 5.0, 0.005_453),
            (800, 746.0, 0.026_064_497),
            (900, 1e3, 0.999_377_402),
            (1000, 1e3, 0.504_205_244),
            (1100, 1e3, 0.000_962_630),
            (3211, 1356.0, 0.0),
            (100_000, 1e5, 0.500_420_522),
        ] {
            let found = at_least(count, mean);
            assert!((found - expected).abs() < 1e-6, "{count} {mean}: {found}");
        }
    }

    #[test]
    fn small_chances_have_their_digits() {
        // scipy: poisson.sf(k - 1, mu).
        for (count, mean, expected) in [
            (1, 0.002, 0.001_998_001_332_666_934),
            (5, 0.386_667, 5.226_645_425_570_303e-5),
            (10, 2.5, 2.773_520_946_208_362e-4),
            (40, 20.0, 5.320_202_511_246_237e-5),
            (20, 3.0, 8.314_423_588_191_718e-11),
            (2000, 1800.0, 1.890_786_548_421_11e-6),
        ] {
            let found = at_least(count, mean);
            assert!((found / expected - 1.0).abs() < 1e-9, "{count} {mean}: {found}");
        }
    }

    #[test]
    fn few_events_have_the_closed_form() {
        for mean in [0.01, 0.3, 1.0, 4.0] {
            let none = f64::exp(-mean);
            for (count, fewer) in [(1, 1.0), (2, 1.0 + mean), (3, 1.0 + mean + mean * mean / 2.0)] {
                let expected = 1.0 - none * fewer;
                assert!((at_least(count, mean) - expected).abs() < 1e-14, "{count} {mean}");
            }
        }
    }

    #[test]
    fn the_upper_limit_is_half_a_chi_squares_quantile() {
        // scipy: chi2.ppf(0.95, 2 * (k + 1)) / 2.
        for (count, expected) in [
            (0, 2.995_732_273_553_99),
            (1, 4.743_864_518_390_577),
            (2, 6.295_793_621_871_988),
            (10, 16.962_219_235_721_903),
            (100, 118.079_272_786_097),
            (1000, 1_053.603_122_133_3),
        ] {
            let found = most_behind(count, 0.05);
            assert!((found / expected - 1.0).abs() < 1e-9, "{count}: {found}");
        }
        assert!((most_behind(0, 0.05) + f64::ln(0.05)).abs() < 1e-12, "e^-mean is the chance of none");
    }
}
