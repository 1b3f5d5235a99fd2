//! The rates that may be behind a count.

use crate::statistics::poisson::{at_least, most_behind};

/// The means between which that behind `count` events lies, with a confidence of 90 %: 5 % on each side.
///
/// # Source
/// F. Garwood (1936), *Fiducial limits for the Poisson distribution*, Biometrika 28: halves of chi-square's quantiles, with `2 count` degrees of
/// freedom at the lower end.
#[must_use]
pub fn means_behind(count: usize) -> (f64, f64) {
    const SIDE: f64 = 0.05;
    let (mut low, mut high) = (0.0, count as f64);
    // Halving: as many times as a double has digits.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = 0.5 * (low + high);
        if at_least(count, middle) < SIDE { low = middle } else { high = middle }
    }
    (if count == 0 { 0.0 } else { low }, most_behind(count, SIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        // scipy: chi2.ppf(0.05, 2 * k) / 2 and chi2.ppf(0.95, 2 * (k + 1)) / 2.
        for (count, low, high) in [
            (0, 0.0, 2.995_732_273_553_991),
            (1, 0.051_293_294_387_550_6, 4.743_864_518_390_577),
            (2, 0.355_361_510_698_662_5, 6.295_793_621_871_988),
            (10, 5.425_405_697_091_294, 16.962_219_235_721_903),
        ] {
            let found = means_behind(count);
            assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-8, "{count}: {found:?}");
        }
    }
}
