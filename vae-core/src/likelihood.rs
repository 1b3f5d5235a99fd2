//! The decoder's likelihood `p(x|z)`.

use core::{iter::Zip, slice::Iter};

use crate::{InferError, activation::softplus};

/// The likelihood's constants, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) enum Likelihood<'m> {
    /// Independent Bernoulli features; the decoder gives logits.
    Bernoulli,
    /// Independent Gaussian features; the decoder gives standardised means.
    Gaussian {
        /// 1/σ² in standardised units.
        precision: &'m [f32],
        /// `−½ ln(2πσ²) − ln(scale)`
        log_normaliser: &'m [f32],
    },
    /// Independent Gaussian features; the decoder gives each one's standardised mean and log-variance.
    Predicted {
        /// `−½ ln(2π) − ln(scale)`
        log_normaliser: &'m [f32],
        /// The log-variance is limited to the range between these.
        bounds: (f32, f32),
    },
}

/// Adds up a log-likelihood feature by feature, as the decoder's last layer produces its outputs.
pub(crate) enum LogDensity<'m, X> {
    Bernoulli { x: X, sum: f32 },
    Gaussian { x: X, constants: Zip<Iter<'m, f32>, Iter<'m, f32>>, constant: f32, quadratic: f32 },
    Predicted { x: X, log_normaliser: Iter<'m, f32>, bounds: (f32, f32), mean: Option<f32>, sum: f32 },
}

impl<'m> Likelihood<'m> {
    /// Starts the sum for the standardised features `x`; NaN features are left out of it.
    pub(crate) fn log_density<X: Iterator<Item = f32>>(&self, x: X) -> LogDensity<'m, X> {
        match *self {
            Self::Bernoulli => LogDensity::Bernoulli { x, sum: 0.0 },
            Self::Gaussian { precision, log_normaliser } => LogDensity::Gaussian {
                x,
                constants: precision.iter().zip(log_normaliser),
                constant: 0.0,
                quadratic: 0.0,
            },
            Self::Predicted { log_normaliser, bounds } => {
                LogDensity::Predicted { x, log_normaliser: log_normaliser.iter(), bounds, mean: None, sum: 0.0 }
            }
        }
    }

    /// Refuses values outside `[0, 1]` where the likelihood is Bernoulli.
    pub(crate) fn check(&self, x: &[f32]) -> Result<(), InferError> {
        if matches!(self, Self::Bernoulli) {
            for (feature, &value) in x.iter().enumerate() {
                if !value.is_nan() && !(0.0..=1.0).contains(&value) {
                    return Err(InferError::OutsideUnitInterval { feature, value });
                }
            }
        }
        Ok(())
    }
}

impl<X: Iterator<Item = f32>> LogDensity<'_, X> {
    /// Adds the decoder's next output.
    ///
    /// # Source
    /// Seed derivations, "Likelihood choices": Bernoulli `x·l − softplus(l)` (the binary cross-entropy with logit l, negated);
    /// Gaussian `−½ (x − m)²/σ² − ½ ln(2πσ²)`, plus the standardiser's Jacobian `−ln(scale)`.
    #[inline]
    pub(crate) fn add(&mut self, output: f32) {
        match self {
            Self::Bernoulli { x, sum } => {
                if let Some(x) = x.next()
                    && !x.is_nan()
                {
                    *sum += x * output - softplus(output);
                }
            }
            Self::Gaussian { x, constants, constant, quadratic } => {
                if let (Some(x), Some((precision, log_normaliser))) = (x.next(), constants.next())
                    && !x.is_nan()
                {
                    let difference = x - output;
                    *quadratic += precision * (difference * difference);
                    *constant += log_normaliser;
                }
            }
            Self::Predicted { x, log_normaliser, bounds, mean, sum } => match mean.take() {
                None => *mean = Some(output),
                Some(mean) => {
                    if let (Some(x), Some(log_normaliser)) = (x.next(), log_normaliser.next())
                        && !x.is_nan()
                    {
                        let log_variance = clamp(output, *bounds);
                        let difference = x - mean;
                        *sum +=
                            log_normaliser - 0.5 * (log_variance + difference * difference * libm::expf(-log_variance));
                    }
                }
            },
        }
    }

    /// The log density in physical units, in nats.
    pub(crate) fn nats(&self) -> f32 {
        match self {
            Self::Bernoulli { sum, .. } | Self::Predicted { sum, .. } => *sum,
            Self::Gaussian { constant, quadratic, .. } => constant - 0.5 * quadratic,
        }
    }
}

/// `v` within the bounds; without the panic of `f32::clamp` for bounds that a hostile file has out of order.
pub(crate) fn clamp(v: f32, (low, high): (f32, f32)) -> f32 {
    if v > high {
        high
    } else if v < low {
        low
    } else {
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(likelihood: Likelihood<'_>, x: &[f32], outputs: &[f32]) -> f64 {
        let mut density = likelihood.log_density(x.iter().copied());
        for &output in outputs {
            density.add(output);
        }
        f64::from(density.nats())
    }

    #[test]
    fn bernoulli_agrees_with_f64_and_is_safe_at_large_logits() {
        for logit in [-100.0f32, -20.0, -3.0, -0.1, 0.0, 0.7, 5.0, 30.0, 100.0] {
            for x in [0.0f32, 0.25, 1.0] {
                let (l, v) = (f64::from(logit), f64::from(x));
                // ln σ(l) and ln(1 − σ(l)), each by its stable form.
                let log_p = -libm::log1p(libm::exp(-l));
                let log_q = -libm::log1p(libm::exp(l));
                let exact = v * log_p + (1.0 - v) * log_q;
                let found = nats(Likelihood::Bernoulli, &[x], &[logit]);
                assert!((found - exact).abs() <= 3e-7 * exact.abs().max(l.abs()), "l {l} x {v}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn bernoulli_masses_sum_to_one() {
        for logit in [-3.0f32, 0.4, 7.0] {
            let total: f64 = [0.0, 1.0].map(|x| libm::exp(nats(Likelihood::Bernoulli, &[x], &[logit]))).iter().sum();
            assert!((total - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn gaussian_density_integrates_to_one_in_physical_units() {
        // Standardiser: mean 3, scale 2; decoder's mean 0.5 (standardised), σ² = 0.25. Trapezoids over ±8 σ.
        let (scale, variance) = (2.0f64, 0.25f64);
        let normaliser = -0.5 * libm::log(core::f64::consts::TAU * variance) - libm::log(scale);
        let (precision, log_normaliser) = ([(1.0 / variance) as f32], [normaliser as f32]);
        let likelihood = Likelihood::Gaussian { precision: &precision, log_normaliser: &log_normaliser };
        let step = 0.01;
        let total: f64 = (-1000..=1000)
            .map(|i| {
                let x = 4.0 + f64::from(i) * step;
                libm::exp(nats(likelihood, &[((x - 3.0) / scale) as f32], &[0.5])) * step
            })
            .sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
    }

    #[test]
    fn predicted_variance_is_the_gaussian_formula_within_its_bounds() {
        let ln_two_pi = libm::log(core::f64::consts::TAU);
        let normaliser = [(-0.5 * ln_two_pi - libm::log(3.0)) as f32, (-0.5 * ln_two_pi) as f32];
        let likelihood = Likelihood::Predicted { log_normaliser: &normaliser, bounds: (-4.0, 4.0) };
        for (log_variance, within) in [(-1.5f32, -1.5f64), (2.0, 2.0), (-9.0, -4.0), (f32::INFINITY, 4.0)] {
            let found = nats(likelihood, &[0.5, -1.0], &[0.2, log_variance, -1.5, 0.0]);
            let exact =
                -0.5 * (ln_two_pi + within + 0.09 / libm::exp(within)) - libm::log(3.0) - 0.5 * (ln_two_pi + 0.25);
            assert!((found - exact).abs() < 1e-5, "{log_variance}: {found} for {exact}");
        }
        assert_eq!(nats(likelihood, &[f32::NAN, f32::NAN], &[0.2, 1.0, 0.0, 1.0]), 0.0);
    }

    #[test]
    fn missing_features_are_left_out() {
        let likelihood = Likelihood::Gaussian { precision: &[1.0, 9.0, 4.0], log_normaliser: &[-1.0, -2.0, -3.0] };
        let whole = nats(likelihood, &[0.5, f32::NAN, 2.0], &[0.0, 100.0, 1.0]);
        assert_eq!(whole, -1.0 - 3.0 - 0.5 * (0.25 + 4.0));
        assert_eq!(nats(Likelihood::Bernoulli, &[f32::NAN], &[3.0]), 0.0);
    }
}
