//! The log-likelihood of a window, added up as the decoder puts it out.

#[cfg(any(feature = "mixed", feature = "covariance"))]
use crate::probability::likelihood::Open;
use crate::{
    arithmetic::{activation::softplus, number::clamp, vector::Samples},
    format::size::CHUNK,
    kernel,
    network::{
        error::InferError,
        input::Seen,
        layer::Outputs,
        standardise::{STANDARDISED_LIMIT, Standardiser, limited},
    },
    probability::{likelihood::Likelihood, squares::Squares},
};

/// Adds up a log-likelihood chunk by chunk, as the decoder's last layer produces its outputs.
///
/// # Source
/// Seed derivations, "Likelihood choices": Bernoulli `x·l − softplus(l)` (the binary cross-entropy with logit l, negated);
/// Gaussian `−½ (x − m)²/σ² − ½ ln(2πσ²)`, plus the standardiser's Jacobian `−ln(scale)`; of mixed features, each by its family; of
/// those that vary together, each given those before it.
pub(crate) struct LogDensity<'a> {
    likelihood: &'a Likelihood<'a>,
    x: Samples<'a>,
    seen: Seen,
    /// Whether nothing has been found yet that is missing or far.
    #[cfg(vae_fused)]
    is_near: bool,
    /// The normalisers of all features, where those of the missing ones are summed, which are fewer.
    all: Option<f32>,
    /// What the normalisers and the other likelihoods come to.
    sum: f32,
    /// Squared differences, in σ², and predicted log-variances.
    squares: Squares,
    /// The log-variances predicted for features that are missing, of those that vary together given what was observed before them.
    unseen: f32,
    #[cfg(any(feature = "mixed", feature = "covariance"))]
    open: Open,
}

impl<'a> LogDensity<'a> {
    /// Starts the sum for the window `x`.
    pub(crate) fn new(likelihood: &'a Likelihood<'a>, x: Samples<'a>, seen: Seen) -> Self {
        let all = match likelihood {
            Likelihood::Gaussian { log_normaliser_sum, .. } if 2 * seen.missing as usize <= x.len() => {
                Some(*log_normaliser_sum)
            }
            _ => None,
        };
        Self {
            likelihood,
            x,
            seen,
            #[cfg(vae_fused)]
            is_near: seen.missing == 0 && !seen.beyond,
            all,
            sum: 0.0,
            squares: Squares::default(),
            unseen: 0.0,
            #[cfg(any(feature = "mixed", feature = "covariance"))]
            open: Open::default(),
        }
    }

    /// Adds the decoder's outputs from `start` on, at most a chunk, a whole one before the last.
    /// None where the standardiser does not fit the window.
    pub(crate) fn add(&mut self, start: usize, outputs: Outputs<'_>, chunk: &mut [f32; CHUNK]) -> Option<()> {
        match self.likelihood {
            Likelihood::Bernoulli(_) => {
                for (feature, &logit) in (start..).zip(outputs.numbers()) {
                    let x = self.x.get(feature);
                    if !x.is_nan() {
                        self.sum += x * logit - softplus(logit);
                    }
                }
            }
            Likelihood::Gaussian { standardiser, log_normaliser, .. } => {
                #[cfg(vae_fused)]
                if let Samples::F32(x) = self.x
                    && self.is_near
                {
                    let Standardiser { mean, inverse_scale } = standardiser;
                    let own = Standardiser { mean: mean.get(start..)?, inverse_scale: inverse_scale.get(start..)? };
                    self.is_near = self.squares.add_near(x.get(start..)?, own, &outputs);
                    if self.is_near {
                        return Some(());
                    }
                }
                self.add_carefully((standardiser, log_normaliser), start, outputs, chunk)?;
            }
            Likelihood::Predicted { standardiser, log_normaliser, bounds, .. } => {
                let features = start / 2;
                let x = standardiser.apply(self.x, features, chunk)?;
                let pairs = outputs.numbers().as_chunks::<2>().0;
                let log_normaliser = log_normaliser.iter().skip(features);
                for ((x, [mean, output]), log_normaliser) in x.iter().zip(pairs).zip(log_normaliser) {
                    let log_variance = clamp(*output, *bounds);
                    if x.is_nan() {
                        self.unseen += log_variance;
                    } else {
                        let difference = limited(*x) - mean;
                        let quadratic = difference * difference * libm::expf(-log_variance);
                        self.sum += log_normaliser;
                        self.squares.add_far(log_variance + quadratic);
                    }
                }
            }
            #[cfg(feature = "mixed")]
            Likelihood::Mixed(mixed) => {
                let Self { x, open, squares, sum, .. } = self;
                mixed.costs(*x, start, outputs, chunk, &mut open.group, &mut |feature, nats| {
                    *sum += mixed.log_normaliser.get(feature).unwrap_or(&0.0);
                    squares.add_far(2.0 * nats);
                })?;
            }
            #[cfg(feature = "covariance")]
            Likelihood::Covariance(covariance) => {
                let Self { x, open, squares, sum, unseen, .. } = self;
                covariance.for_each(
                    *x,
                    start,
                    outputs,
                    chunk,
                    &mut open.factors,
                    &mut |feature, square, variance| {
                        let log_variance = libm::logf(variance);
                        match square {
                            None => *unseen += log_variance,
                            Some(square) => {
                                *sum += covariance.log_normaliser.get(feature).unwrap_or(&0.0);
                                squares.add_far(log_variance + square / variance);
                            }
                        }
                    },
                )?;
            }
        }
        Some(())
    }

    /// [`Self::add`] of a Gaussian, where something may be missing or far.
    #[inline(never)] // so that windows without pay nothing
    fn add_carefully(
        &mut self,
        (standardiser, log_normaliser): (&Standardiser<'_>, &[f32]),
        start: usize,
        mut outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
    ) -> Option<()> {
        let x = standardiser.apply(self.x, start, chunk)?;
        if self.seen.missing > 0 {
            self.sum += forget(x, &mut outputs, log_normaliser.get(start..)?, self.all.is_some());
        }
        let largest = self.seen.beyond.then(|| kernel::mend(x, &[0.0; CHUNK], STANDARDISED_LIMIT).1);
        self.squares.add(x, outputs, largest);
        Some(())
    }

    /// The log density in physical units, in nats.
    pub(crate) fn nats(&self) -> Result<f32, InferError> {
        let sum = self.all.map_or(self.sum, |all| all - self.sum);
        let nats = sum - self.squares.half();
        if nats.is_finite() { Ok(nats) } else { Err(InferError::Overflow) }
    }

    /// [`Self::nats`], with what missing features would have added by the variances predicted for them.
    pub(crate) fn completed_nats(&self) -> Result<f32, InferError> {
        Ok(self.nats()? + -0.5 * self.unseen)
    }
}

/// Brings missing features and the outputs that belong to them to 0, so that they add no square. Returns the sum of the normalisers of those that
/// are missing, or of those that are not.
#[inline(never)] // few windows need it
fn forget(x: &mut [f32], outputs: &mut Outputs<'_>, log_normaliser: &[f32], of_missing: bool) -> f32 {
    let (missing, observed) = kernel::forget(x, outputs.words(), log_normaliser);
    if of_missing { missing } else { observed }
}

#[cfg(test)]
#[cfg(feature = "families")]
mod tests {
    use super::*;

    fn seen(x: &[f32]) -> Seen {
        let missing = x.iter().filter(|x| x.is_nan()).count() as u32;
        Seen { beyond: false, missing }
    }

    fn nats(likelihood: Likelihood<'_>, x: &[f32], outputs: &[f32]) -> f64 {
        let mut density = LogDensity::new(&likelihood, Samples::F32(x), seen(x));
        let mut room = [0.0; CHUNK];
        let outputs_room = &mut room[..outputs.len()];
        outputs_room.copy_from_slice(outputs);
        density.add(0, Outputs::F32(outputs_room), &mut [0.0; CHUNK]).unwrap();
        f64::from(density.nats().unwrap())
    }

    fn plain(mean: &'static [f32], inverse_scale: &'static [f32]) -> Standardiser<'static> {
        Standardiser { mean, inverse_scale }
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
                let found = nats(Likelihood::Bernoulli(()), &[x], &[logit]);
                assert!((found - exact).abs() <= 3e-7 * exact.abs().max(l.abs()), "l {l} x {v}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn bernoulli_masses_sum_to_one() {
        for logit in [-3.0f32, 0.4, 7.0] {
            let total: f64 =
                [0.0, 1.0].map(|x| libm::exp(nats(Likelihood::Bernoulli(()), &[x], &[logit]))).iter().sum();
            assert!((total - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn gaussian_density_integrates_to_one_in_physical_units() {
        // Standardiser: mean 3, scale 2; decoder's mean 0.5 (standardised), σ² = 0.25. Trapezoids over ±8 σ.
        let (scale, variance) = (2.0f64, 0.25f64);
        let normaliser = -0.5 * libm::log(core::f64::consts::TAU * variance) - libm::log(scale);
        let likelihood = Likelihood::Gaussian {
            standardiser: plain(&[3.0], &[1.0]), // 1 / (scale · σ)
            log_normaliser: &[normaliser as f32],
            log_normaliser_sum: normaliser as f32,
        };
        let step = 0.01;
        let total: f64 = (-1000..=1000)
            .map(|i| {
                let x = 4.0 + f64::from(i) * step;
                libm::exp(nats(likelihood, &[x as f32], &[0.5 / libm::sqrt(variance) as f32])) * step
            })
            .sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
    }

    #[test]
    fn predicted_variance_is_the_gaussian_formula_within_its_bounds() {
        let ln_two_pi = libm::log(core::f64::consts::TAU);
        let normaliser = [(-0.5 * ln_two_pi - libm::log(3.0)) as f32, (-0.5 * ln_two_pi) as f32];
        let standardiser = plain(&[0.0, 0.0], &[1.0, 1.0]);
        let likelihood =
            Likelihood::Predicted { standardiser, log_normaliser: &normaliser, bounds: (-4.0, 4.0), _has: () };
        for (log_variance, within) in [(-1.5f32, -1.5f64), (2.0, 2.0), (-9.0, -4.0), (f32::INFINITY, 4.0)] {
            let found = nats(likelihood, &[0.5, -1.0], &[0.2, log_variance, -1.5, 0.0]);
            let exact =
                -0.5 * (ln_two_pi + within + 0.09 / libm::exp(within)) - libm::log(3.0) - 0.5 * (ln_two_pi + 0.25);
            assert!((found - exact).abs() < 1e-5, "{log_variance}: {found} for {exact}");
        }
        assert_eq!(nats(likelihood, &[f32::NAN, f32::NAN], &[0.2, 1.0, 0.0, 1.0]), 0.0);
    }

    #[test]
    fn fixed_point_differences_agree_with_f64_near_and_far() {
        const FEATURES: usize = 24;
        let likelihood = Likelihood::Gaussian {
            standardiser: plain(&[0.5; FEATURES], &[2.0; FEATURES]),
            log_normaliser: &[-1.0; FEATURES],
            log_normaliser_sum: -24.0,
        };
        // Far ones beside near ones: 64 deviations are the border, 2²¹ where the fixed point ends.
        for spread in [1.0f32, 10.0, 40.0, 1e3, 1e7, 1e9] {
            for exponent in [-60, -30, -22, -12, -10, -9, 0, 8] {
                let x: [f32; FEATURES] = core::array::from_fn(|i| spread * ((i * 7 % 13) as f32 - 6.0) / 6.0);
                let scale = libm::exp2(f64::from(exponent));
                let largest = (f64::from(1 << 29) * scale).min(3.0);
                let values: [i32; FEATURES] =
                    core::array::from_fn(|i| (largest * ((i * 5 % 11) as f64 - 5.0) / 5.0 / scale) as i32);
                let mut density = LogDensity::new(&likelihood, Samples::F32(&x), Seen::default());
                let outputs = Outputs::Fixed { values: &mut values.clone(), exponent, magnitude: 0 };
                density.add(0, outputs, &mut [0.0; CHUNK]).unwrap();
                let exact: f64 = x
                    .iter()
                    .zip(values)
                    .map(|(x, value)| (f64::from(*x) - 0.5) * 2.0 - f64::from(value) * scale)
                    .map(|difference| -1.0 - 0.5 * difference * difference)
                    .sum();
                let found = f64::from(density.nats().unwrap());
                // Each difference is off by at most 1.5 steps of 2⁻¹⁰ where it is below 64.
                let allowed = 1e-6 * exact.abs() + 24.0 * 64.0 * 1.5 / 1024.0 * (spread / 40.0).min(1.0) as f64;
                assert!((found - exact).abs() <= allowed, "{spread} 2^{exponent}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn missing_features_are_left_out() {
        let likelihood = Likelihood::Gaussian {
            standardiser: plain(&[0.0, 0.0, 1.0], &[1.0, 3.0, 2.0]),
            log_normaliser: &[-1.0, -2.0, -3.0],
            log_normaliser_sum: -6.0,
        };
        assert_eq!(nats(likelihood, &[0.5, f32::NAN, 2.0], &[0.0, 100.0, 1.0]), -1.0 - 3.0 - 0.5 * (0.25 + 1.0));
        assert_eq!(nats(likelihood, &[0.5, 1.0, 2.0], &[0.0, 2.0, 1.0]), -6.0 - 0.5 * (0.25 + 1.0 + 1.0));
        assert_eq!(nats(Likelihood::Bernoulli(()), &[f32::NAN], &[3.0]), 0.0);
    }
}
