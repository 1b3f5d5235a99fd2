//! How rare high values of a statistic are.

/// How rare high values of a statistic are, far beyond those that were seen: a generalised Weibull tail,
/// `ln (rate_above(x) / base) = ln (rate / base) · (1 + shape · (x − start) / scale)^(1 / shape)`.
///
/// It is the generalised Pareto tail with the logarithm of the rate in the place of the rate, whose extrapolation over many orders of
/// magnitude is less biased. Where the tail is a power law, it is a Pareto tail itself, which has a base of 0:
/// `rate_above(x) = rate · (1 + shape · (x − start) / scale)^(−1 / shape)`.
///
/// # Source
/// C. de Valk (2016), *Approximation and estimation of very small probabilities of multivariate extreme events*, Extremes 19.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tail {
    /// Where the tail begins, in nats.
    pub start: f32,
    /// Events per window above it; 0 where there is no tail.
    pub rate: f32,
    /// In nats, positive.
    pub scale: f32,
    /// 1 for an exponential tail, ½ for a Gaussian's; below 0 there is a highest value. Of a Pareto tail: 0 and 1 / ν for `x^−ν`.
    pub shape: f32,
    /// The rate that logarithms are relative to; 1 for single windows, 0 for a Pareto tail.
    pub base: f32,
}

impl Tail {
    /// Events per window above `x` nats.
    #[must_use]
    pub fn rate_above(&self, x: f32) -> f32 {
        let excess = (x - self.start) / self.scale;
        let product = self.shape * excess;
        if product <= -1.0 {
            return match (self.shape < 0.0, self.is_pareto()) {
                (true, _) => 0.0,
                (false, true) => f32::INFINITY,
                (false, false) => self.base,
            };
        }
        let log_growth = if self.shape == 0.0 { excess } else { libm::log1pf(product) / self.shape };
        if self.is_pareto() {
            self.rate * libm::expf(-log_growth)
        } else {
            self.base * libm::expf(libm::logf(self.rate / self.base) * libm::expf(log_growth))
        }
    }

    /// Whether it is a generalised Pareto tail, and not a Weibull one.
    fn is_pareto(&self) -> bool {
        self.base == 0.0
    }

    /// Whether there is a tail that falls from its start on, or none.
    pub(crate) fn is_sound(&self) -> bool {
        self.rate == 0.0 || (self.rate > 0.0 && (self.rate < self.base || self.is_pareto()) && self.scale > 0.0)
    }

    /// The nats above which there are `rate` events per window; the start for a rate that is not below the base.
    #[must_use]
    pub fn level(&self, rate: f32) -> f32 {
        let log_growth = libm::logf(if self.is_pareto() {
            self.rate / rate
        } else {
            libm::logf(rate / self.base) / libm::logf(self.rate / self.base)
        });
        if log_growth.is_nan() || log_growth == f32::NEG_INFINITY {
            self.start
        } else if self.shape == 0.0 {
            self.start + self.scale * log_growth
        } else {
            self.start + self.scale * libm::expm1f(self.shape * log_growth) / self.shape
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: Tail = Tail { start: 4.0, rate: 0.02, scale: 5.0, shape: 0.7, base: 1.0 };

    #[test]
    fn tails_of_known_distributions() {
        // Exponential: shape 1, and a scale of −ln rate nats. Of exp(−x), 0.02 are above 3.912, 1e-7 above 16.118.
        let exponential = Tail { start: 3.912_023, rate: 0.02, scale: 3.912_023, shape: 1.0, base: 1.0 };
        // Weibull, exp(−√x): shape 2; 0.02 are above 15.304, 1e-7 above 259.79.
        let weibull = Tail { start: 15.303_92, rate: 0.02, scale: 2.0 * 15.303_92, shape: 2.0, base: 1.0 };
        // exp(−eˣ) / shape 0: 0.02 above ln 3.912.
        let gumbel = Tail { start: 1.364_054, rate: 0.02, scale: 1.0, shape: 0.0, base: 1.0 };
        for (tail, x) in [(exponential, 16.118_095), (weibull, 259.793), (gumbel, 2.779_946)] {
            assert!((tail.rate_above(x) / 1e-7 - 1.0).abs() < 1e-4, "{tail:?}: {}", tail.rate_above(x));
            assert!((tail.level(1e-7) / x - 1.0).abs() < 1e-5, "{tail:?}: {}", tail.level(1e-7));
        }
        for shape in [-0.3, 0.0, 0.5, 1.5] {
            let tail = Tail { shape, base: 6.0, ..TAIL };
            for rate in [0.05, 0.01, 1e-4, 1e-8] {
                let x = tail.level(rate);
                assert!((tail.rate_above(x) / rate - 1.0).abs() < 1e-3, "{shape} {rate}: {}", tail.rate_above(x));
            }
            assert_eq!((tail.level(6.0), tail.level(7.0)), (4.0, 4.0));
        }
        assert_eq!(Tail { shape: -0.5, ..TAIL }.rate_above(14.1), 0.0);
        // What is so rare that its share of the base is no number lies beyond all levels, and not at the start.
        let vast = Tail { base: 5e30, ..TAIL };
        assert_eq!((vast.level(1e-20), TAIL.level(0.0)), (f32::INFINITY, f32::INFINITY));
    }
}
