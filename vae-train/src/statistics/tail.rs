//! How rare high values of a statistic are: a tail, as the device has it.

/// The rate of windows (or alarms) above a score, for high scores: five numbers in `f64`, which the device has as [`vae_core::Tail`].
///
/// `rate_above(x) = base · (rate / base)^G` with `G = (1 + shape (x − start) / scale)^(1 / shape)`: a generalised Weibull tail. A
/// shape of 1 is an exponential tail, ½ a Gaussian's, above 1 heavier than exponential; below 0 the score is bounded. A base of 0 says that
/// it is the generalised Pareto tail, `rate / G`: a shape of 0 is an exponential tail, of 1/ν a power law `x^−ν`.
///
/// # Source
/// C. de Valk (2016), *Approximation and estimation of very small probabilities of multivariate extreme events*, Extremes
/// 19: the generalised Weibull tail. It is the generalised Pareto tail with the logarithm of the rate in the
/// rate's place, and many orders of magnitude further its bias is far less: on the highest 2 % of Gaussian scores, the
/// Pareto raises 7.7 alarms for each one asked for at 3·10⁻⁸ per window, this one 1.15.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedTail {
    /// The score at which the tail begins.
    pub start: f64,
    /// By how much the score rises while the logarithm of `base / rate` grows by its own size, to first order; above 0.
    pub scale: f64,
    /// Power of the logarithm of `base / rate` with which the score rises.
    pub shape: f64,
    /// How often the threshold is exceeded, per window; above 0 and below the base, if that is not 0.
    pub rate: f64,
    /// The rate that logarithms are relative to: 1 per window for windows; 0 for a Pareto tail.
    pub base: f64,
}

impl FittedTail {
    /// How often a score of `x` or more occurs, per window.
    #[must_use]
    pub fn rate_above(&self, x: f64) -> f64 {
        let growth = self.growth((x - self.start) / self.scale);
        if self.is_pareto() {
            self.rate / growth
        } else {
            self.base * libm::exp(libm::log(self.rate / self.base) * growth)
        }
    }

    /// Whether it is a generalised Pareto tail.
    pub(crate) fn is_pareto(&self) -> bool {
        self.base == 0.0
    }

    /// The score that is exceeded at `rate` per window; the inverse of [`Self::rate_above`].
    #[must_use]
    pub fn level(&self, rate: f64) -> f64 {
        let growth = libm::log(self.growth_to(rate));
        let z = if self.shape.abs() < 1e-9 { growth } else { libm::expm1(self.shape * growth) / self.shape };
        self.start + self.scale * z
    }

    /// By how much the logarithm of the rate, or one over a Pareto tail's, has grown where the rate is this.
    fn growth_to(&self, rate: f64) -> f64 {
        if self.is_pareto() { self.rate / rate } else { libm::log(rate / self.base) / libm::log(self.rate / self.base) }
    }

    /// `(1 + shape z)^(1 / shape)`.
    pub(crate) fn growth(&self, z: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            libm::exp(z)
        } else if self.shape * z > -1.0 {
            libm::exp(libm::log1p(self.shape * z) / self.shape)
        } else if self.shape < 0.0 {
            f64::INFINITY
        } else {
            0.0
        }
    }

    /// Derivatives of `ln growth` to `ln scale` and to the shape.
    pub(crate) fn slopes(&self, z: f64) -> [f64; 2] {
        let (shape, product) = (self.shape, self.shape * z);
        let by_scale = -z / (1.0 + product);
        // Two terms that cancel; the first terms of the series in their place where they do.
        let by_shape = if product.abs() < 1e-4 {
            z * z * (2.0 / 3.0 * product - 0.5)
        } else {
            (z / (1.0 + product) - libm::log1p(product) / shape) / shape
        };
        [by_scale, by_shape]
    }

    /// The same tail, written from a threshold that is exceeded at `rate`.
    pub(crate) fn at_rate(&self, rate: f64) -> Self {
        let scale = self.scale * libm::pow(self.growth_to(rate), self.shape);
        Self { start: self.level(rate), scale, rate, ..*self }
    }

    /// The tail of events of which there are `base · rate_above(x)^power`; this one's rates are chances.
    pub(crate) fn to_power(self, base: f64, power: f64) -> Self {
        let rate = base * libm::pow(self.rate, power);
        if self.is_pareto() {
            // `G^power` is the growth of a tail of a shape and a scale as many times smaller.
            Self { rate, scale: self.scale / power, shape: self.shape / power, ..self }
        } else {
            Self { rate, base, ..self }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weibull_tail_is_exact() {
        // x = 3 y^(1/k) for y = −ln P: the threshold is that of y = 4, and its slope to ln y is the scale.
        for k in [0.5, 1.0, 2.0, 7.0] {
            let (threshold, shape) = (3.0 * 4f64.powf(1.0 / k), 1.0 / k);
            let tail = FittedTail { start: threshold, scale: shape * threshold, shape, rate: (-4f64).exp(), base: 1.0 };
            for x in [0.9 * threshold, threshold, 1.5 * threshold, 2.0 * threshold] {
                let expected = (-(x / 3.0).powf(k)).exp();
                assert!((tail.rate_above(x) / expected - 1.0).abs() < 1e-11, "{k} {x}");
                assert!((tail.level(expected) / x - 1.0).abs() < 1e-11, "{k} {x}");
                let (from, other) = (tail.at_rate(1e-6), tail.rate_above(x));
                assert!((from.rate_above(x) / other - 1.0).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn shapes_of_zero_and_below_are_the_gumbel_and_the_bounded_tail() {
        let tail = |shape| FittedTail { start: 2.0, scale: 0.5, shape, rate: 0.01, base: 1.0 };
        let expected = (0.01f64.ln() * (0.6f64 / 0.5).exp()).exp();
        for shape in [0.0, 1e-8, -1e-8] {
            assert!((tail(shape).rate_above(2.6) / expected - 1.0).abs() < 1e-6);
            assert!((tail(shape).level(expected) - 2.6).abs() < 1e-6);
        }
        // 1 − 0.25 (x − 2) / 0.5 is 0 at x = 4.
        assert_eq!(tail(-0.25).rate_above(4.0), 0.0);
        assert!(tail(-0.25).rate_above(3.0) > 0.0 && tail(-0.25).level(1e-300) < 4.0);
        // A shape above 0 has a lower end, where every window is above.
        assert_eq!(tail(0.5).rate_above(0.9), 1.0);
    }

    #[test]
    fn slopes_are_derivatives() {
        for shape in [-0.3, 1e-6, 0.4, 1.0, 2.5] {
            for z in [-0.2, 1e-5, 0.7, 2.0] {
                let log = |scale: f64, shape: f64| {
                    FittedTail { start: 0.0, scale, shape, rate: 0.02, base: 1.0 }.growth(z / scale).ln()
                };
                let by_scale = (log(1.0 + 1e-6, shape) - log(1.0 - 1e-6, shape)) / 2e-6;
                let by_shape = (log(1.0, shape + 1e-5) - log(1.0, shape - 1e-5)) / 2e-5;
                let slopes = FittedTail { start: 0.0, scale: 1.0, shape, rate: 0.02, base: 1.0 }.slopes(z);
                // Rounding of the differences, and near a shape of 0 of growth itself.
                assert!((slopes[0] - by_scale).abs() < 1e-7, "{shape} {z}: {} {by_scale}", slopes[0]);
                assert!((slopes[1] - by_shape).abs() < 1e-4, "{shape} {z}: {} {by_shape}", slopes[1]);
            }
        }
    }

    #[test]
    fn a_base_of_zero_is_a_pareto_tail() {
        let tail = FittedTail { start: 4.0, scale: 0.5, shape: 0.25, rate: 0.02, base: 0.0 };
        // scipy 1.17.1: 0.02 · genpareto.sf(x − 4, 0.25, scale=0.5).
        for (excess, rate) in [(0.7, 6.021_364_55e-3), (3.0, 5.12e-4), (50.0, 4.376_597_46e-8)] {
            assert!((tail.rate_above(4.0 + excess) / rate - 1.0).abs() < 1e-8);
            assert!((tail.level(rate) / (4.0 + excess) - 1.0).abs() < 1e-8);
            assert!((tail.at_rate(1e-5).rate_above(4.0 + excess) / rate - 1.0).abs() < 1e-8);
        }
        // Of either kind, base · rate^power events are above a level.
        for tail in [tail, FittedTail { base: 1.0, ..tail }] {
            let events = tail.to_power(3.0, 1.7);
            for x in [4.0, 4.5, 5.5] {
                assert!((events.rate_above(x) / (3.0 * tail.rate_above(x).powf(1.7)) - 1.0).abs() < 1e-11);
            }
        }
    }
}
