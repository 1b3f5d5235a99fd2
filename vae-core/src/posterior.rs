//! The encoder's posterior `q(z|x)`, in three families.

use nalgebra::DVectorView;
use rand_core::Rng;

use crate::{
    AsVector, InferError,
    activation::{expm1, sigmoid, softplus},
    format::PosteriorKind,
    prior::Prior,
    standard_normal,
};

/// Log-variances of a Gaussian posterior are limited to ± this value: σ between 0.0067 and 148.
///
/// The trainer applies the same limit, so that it is part of the model and not a correction made afterwards.
pub const LOG_VARIANCE_LIMIT: f32 = 10.0;

/// Logits of Bernoulli latents are limited to ± this value: probabilities between 1e-7 and 1 − 1e-7.
pub const LATENT_LOGIT_LIMIT: f32 = 16.0;

pub(crate) const LN_TWO_PI: f32 = 1.837_877_1;

/// A distribution over the latent vector, viewed in the scratch that it was encoded into.
///
/// # Source
/// Diagonal: Kingma & Welling (2014), *Auto-Encoding Variational Bayes*, section 3 and appendix B. Full covariance: seed
/// text "Variational autoencoders", "Variational approximation" and its appendix; Kingma & Welling (2019), *An Introduction
/// to Variational Autoencoders*, section 2.5.1. Bernoulli: Mnih & Gregor (2014), *Neural Variational Inference*.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'s> {
    kind: PosteriorKind,
    /// Means, or logits.
    pub(crate) location: &'s [f32],
    /// Diagonal: log-variances. Full: the rows of the Cholesky factor up to the diagonal, whose entries are logarithms.
    /// Bernoulli: nothing.
    pub(crate) spread: &'s [f32],
}

impl<'s> Posterior<'s> {
    /// `N(mean, diag exp log_variance)`, one value per latent dimension each.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the two differ in length.
    pub fn diagonal(mean: DVectorView<'s, f32>, log_variance: DVectorView<'s, f32>) -> Result<Self, InferError> {
        Self::checked(PosteriorKind::DiagonalGaussian, as_slice(mean), as_slice(log_variance))
    }

    /// `N(mean, L Lᵀ)`; `cholesky` holds the rows of L up to the diagonal, one after the other, with `ln Lᵢᵢ` in place of
    /// `Lᵢᵢ`: positive definite whatever the values are.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `cholesky` has not `d (d + 1) / 2` values.
    pub fn full(mean: DVectorView<'s, f32>, cholesky: DVectorView<'s, f32>) -> Result<Self, InferError> {
        Self::checked(PosteriorKind::FullGaussian, as_slice(mean), as_slice(cholesky))
    }

    /// Independent Bernoulli latents, `p = sigmoid(logits)`.
    #[must_use]
    pub fn bernoulli(logits: DVectorView<'s, f32>) -> Self {
        Self { kind: PosteriorKind::Bernoulli, location: as_slice(logits), spread: &[] }
    }

    fn checked(kind: PosteriorKind, location: &'s [f32], spread: &'s [f32]) -> Result<Self, InferError> {
        let needed = kind.parameters(location.len()) - location.len();
        if spread.len() == needed {
            Ok(Self { kind, location, spread })
        } else {
            Err(InferError::WrongLength { needed, found: spread.len() })
        }
    }

    /// A view of what the encoder put out.
    pub(crate) fn from_parameters(
        kind: PosteriorKind,
        latent: usize,
        parameters: &'s [f32],
    ) -> Result<Self, InferError> {
        let error = InferError::WrongLength { needed: kind.parameters(latent), found: parameters.len() };
        let (location, spread) = parameters.split_at_checked(latent).ok_or(error)?;
        Self::checked(kind, location, spread)
    }

    /// The family.
    #[must_use]
    pub fn kind(&self) -> PosteriorKind {
        self.kind
    }

    /// The means μ (for Bernoulli latents: the logits), one per latent dimension.
    #[must_use]
    pub fn location(&self) -> DVectorView<'s, f32> {
        DVectorView::from_slice(self.location, self.location.len())
    }

    /// What stands beside the means: log-variances within ±[`LOG_VARIANCE_LIMIT`], or the Cholesky factor as
    /// [`Self::full`] takes it; nothing for Bernoulli latents.
    #[must_use]
    pub fn spread(&self) -> DVectorView<'s, f32> {
        DVectorView::from_slice(self.spread, self.spread.len())
    }

    /// Writes `E[z]` to `z` (one value per latent dimension): the means, or the probabilities.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    pub fn mean(&self, z: &mut [f32]) -> Result<(), InferError> {
        self.fits(z)?;
        for (z, location) in z.iter_mut().zip(self.location) {
            *z = match self.kind {
                PosteriorKind::Bernoulli => sigmoid(*location),
                PosteriorKind::DiagonalGaussian | PosteriorKind::FullGaussian => *location,
            };
        }
        Ok(())
    }

    /// `KL(q(z|x) ‖ p(z))` to the standard prior, in nats, in closed form: diagonal `½ Σ (σ² + μ² − 1 − ln σ²)`, full
    /// `½ (tr Σ + μᵀμ − d − ln |Σ|)`, both to `N(0, I)`; Bernoulli `Σ p ln 2p + (1 − p) ln 2(1 − p)`, to fair coins.
    ///
    /// # Accuracy
    /// Error below `1e-6 · KL + 6e-8 · Σ |ln σ²|`; `σ² − 1` is computed as `expm1`, so that little cancels where the
    /// posterior is close to the prior.
    ///
    /// # Source
    /// Kingma & Welling (2014), appendix B; seed text "Variational autoencoders", appendix "The KL divergence".
    #[must_use]
    pub fn kl(&self) -> f32 {
        let squares = |values: &[f32]| values.iter().fold(0.0, |sum, value| sum + value * value);
        match self.kind {
            PosteriorKind::DiagonalGaussian => {
                let mut twice = 0.0;
                for (mean, log_variance) in self.location.iter().zip(self.spread) {
                    twice += mean * mean + (expm1(*log_variance) - log_variance);
                }
                0.5 * twice
            }
            PosteriorKind::FullGaussian => {
                let mut twice = squares(self.location);
                for (below, log_diagonal) in self.rows() {
                    let log_variance = 2.0 * log_diagonal;
                    twice += squares(below) + (expm1(log_variance) - log_variance);
                }
                0.5 * twice
            }
            // ln p = l − softplus(l) and ln(1 − p) = −softplus(l).
            PosteriorKind::Bernoulli => self
                .location
                .iter()
                .fold(0.0, |sum, logit| sum + (sigmoid(*logit) * logit + (core::f32::consts::LN_2 - softplus(*logit)))),
        }
    }

    /// Draws a latent vector into `z` (one value per latent dimension): `z = μ + σ ⊙ ε` or `z = μ + L ε` with
    /// `ε ~ N(0, I)`, or zeros and ones.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    ///
    /// # Source
    /// The reparameterisation of Kingma & Welling (2014), section 2.4.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<(), InferError> {
        self.draw(rng, z).map(|_| ())
    }

    /// As [`Self::sample`]; returns `ln q(z|x)` of the draw.
    pub(crate) fn draw<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<f32, InferError> {
        self.fits(z)?;
        match self.kind {
            PosteriorKind::DiagonalGaussian => {
                let mut twice = 0.0;
                for (z, (mean, log_variance)) in z.iter_mut().zip(self.location.iter().zip(self.spread)) {
                    let noise = standard_normal(rng);
                    twice += noise * noise + log_variance + LN_TWO_PI;
                    *z = mean + libm::expf(0.5 * log_variance) * noise;
                }
                Ok(-0.5 * twice)
            }
            PosteriorKind::FullGaussian => {
                let mut twice = 0.0;
                for (noise, (_, log_diagonal)) in z.iter_mut().zip(self.rows()) {
                    *noise = standard_normal(rng);
                    twice += *noise * *noise + 2.0 * log_diagonal + LN_TWO_PI;
                }
                // From the last row up, so that each row still finds the noise of those before it.
                for row in (0..z.len()).rev() {
                    let Some((below, log_diagonal)) = self.row(row) else { continue };
                    let Some((own, before)) = z.get_mut(..=row).and_then(|z| z.split_last_mut()) else { continue };
                    let mut value =
                        libm::expf(log_diagonal) * *own + self.location.get(row).copied().unwrap_or_default();
                    for (entry, noise) in below.iter().zip(before) {
                        value += entry * *noise;
                    }
                    *own = value;
                }
                Ok(-0.5 * twice)
            }
            PosteriorKind::Bernoulli => {
                let mut log_mass = 0.0;
                for (z, logit) in z.iter_mut().zip(self.location) {
                    *z = coin(sigmoid(*logit), rng);
                    log_mass += *z * logit - softplus(*logit);
                }
                Ok(log_mass)
            }
        }
    }

    /// `KL(q(z|x) ‖ p(z))` to the standard prior by the mean of `ln q(z|x) − ln p(z)` over `samples` draws, in nats: what [`Self::kl`] has in closed
    /// form. `z` has one value per latent dimension and is overwritten.
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for `samples == 0`; [`InferError::WrongLength`] if `z` has another number of dimensions.
    ///
    /// # Source
    /// Kingma & Welling (2014), equation 8 (the estimator without the closed form).
    pub fn kl_by_samples<R: Rng + ?Sized>(&self, samples: u32, rng: &mut R, z: &mut [f32]) -> Result<f32, InferError> {
        if samples == 0 {
            return Err(InferError::NoSamples);
        }
        let mut mean = 0.0;
        for count in 1..=samples {
            let nats = self.draw(rng, z)? - Prior::standard(self.kind).log_density(z);
            mean += (nats - mean) / count as f32;
        }
        Ok(mean)
    }

    /// `ln q(z|x)`, in nats. `work` has one value per latent dimension and is overwritten.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` or `work` has another number of dimensions.
    pub fn log_density(&self, z: &(impl AsVector + ?Sized), work: &mut [f32]) -> Result<f32, InferError> {
        let z = as_slice(z.as_vector());
        self.fits(z)?;
        self.fits(work)?;
        let mut twice = 0.0;
        match self.kind {
            PosteriorKind::DiagonalGaussian => {
                for (z, (mean, log_variance)) in z.iter().zip(self.location.iter().zip(self.spread)) {
                    let difference = z - mean;
                    twice += difference * difference * libm::expf(-log_variance) + log_variance + LN_TWO_PI;
                }
            }
            PosteriorKind::FullGaussian => {
                // L ε = z − μ by forward substitution.
                for (row, ((below, log_diagonal), (z, mean))) in
                    self.rows().zip(z.iter().zip(self.location)).enumerate()
                {
                    let mut rest = z - mean;
                    for (entry, noise) in below.iter().zip(work.iter()) {
                        rest -= entry * noise;
                    }
                    let noise = rest * libm::expf(-log_diagonal);
                    if let Some(slot) = work.get_mut(row) {
                        *slot = noise;
                    }
                    twice += noise * noise + 2.0 * log_diagonal + LN_TWO_PI;
                }
            }
            PosteriorKind::Bernoulli => {
                for (z, logit) in z.iter().zip(self.location) {
                    twice += 2.0 * (softplus(*logit) - z * logit);
                }
            }
        }
        Ok(-0.5 * twice)
    }

    /// The sigma point `μ + sign · √d · Lᵢ` along an axis, into `z`.
    pub(crate) fn sigma_point(&self, axis: usize, sign: f32, z: &mut [f32]) -> Result<(), InferError> {
        self.fits(z)?;
        let step = sign * libm::sqrtf(z.len() as f32);
        z.copy_from_slice(self.location);
        match self.kind {
            PosteriorKind::DiagonalGaussian => {
                if let (Some(z), Some(log_variance)) = (z.get_mut(axis), self.spread.get(axis)) {
                    *z += step * libm::expf(0.5 * log_variance);
                }
            }
            PosteriorKind::FullGaussian => {
                for (row, (z, (below, log_diagonal))) in z.iter_mut().zip(self.rows()).enumerate() {
                    if row == axis {
                        *z += step * libm::expf(log_diagonal);
                    } else if let Some(entry) = below.get(axis) {
                        *z += step * entry;
                    }
                }
            }
            PosteriorKind::Bernoulli => return Err(InferError::Unsupported),
        }
        Ok(())
    }

    /// Each row of the Cholesky factor: its entries below the diagonal, and the logarithm of the one on it.
    fn rows(&self) -> impl Iterator<Item = (&'s [f32], f32)> {
        let posterior = *self;
        (0..self.location.len()).map_while(move |row| posterior.row(row))
    }

    fn row(&self, row: usize) -> Option<(&'s [f32], f32)> {
        let start = row * (row + 1) / 2;
        let (log_diagonal, below) = self.spread.get(start..=start + row)?.split_last()?;
        Some((below, *log_diagonal))
    }

    fn fits(&self, z: &[f32]) -> Result<(), InferError> {
        let (needed, found) = (self.location.len(), z.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongLength { needed, found }) }
    }
}

/// A draw from the uniform distribution over `[0, 1)`, in steps of 2⁻²⁴.
pub(crate) fn uniform<R: Rng + ?Sized>(rng: &mut R) -> f32 {
    const STEP: f32 = 1.0 / 16_777_216.0;
    (rng.next_u32() >> 8) as f32 * STEP
}

/// 1 with the given chance, else 0.
pub(crate) fn coin<R: Rng + ?Sized>(chance: f32, rng: &mut R) -> f32 {
    if uniform(rng) < chance { 1.0 } else { 0.0 }
}

/// A view's values, for as long as what it views lives.
fn as_slice(view: DVectorView<'_, f32>) -> &[f32] {
    view.data.into_slice()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nalgebra::{Matrix3, Vector3};
    use rand_core::{TryRng, utils};

    /// SplitMix64 (Steele, Lea & Flood 2014): small, seeded, good enough to sample from.
    pub(crate) struct SplitMix(pub(crate) u64);

    impl TryRng for SplitMix {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.try_next_u64().map(|word| (word >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Ok(z ^ (z >> 31))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
        }
    }

    const MEAN: [f32; 3] = [0.5, -2.0, 0.1];
    /// Rows of L with logarithms on the diagonal.
    const CHOLESKY: [f32; 6] = [-0.7, 0.6, 0.2, -1.1, 0.3, -0.4];

    fn full() -> Posterior<'static> {
        Posterior::full(DVectorView::from_slice(&MEAN, 3), DVectorView::from_slice(&CHOLESKY, 6)).unwrap()
    }

    /// The covariance that `CHOLESKY` stands for, by nalgebra in f64.
    fn covariance() -> Matrix3<f64> {
        let c = CHOLESKY.map(f64::from);
        let l = Matrix3::new(libm::exp(c[0]), 0.0, 0.0, c[1], libm::exp(c[2]), 0.0, c[3], c[4], libm::exp(c[5]));
        l * l.transpose()
    }

    fn diagonal<'a>(mean: &'a [f32], log_variance: &'a [f32]) -> Posterior<'a> {
        Posterior::diagonal(mean.as_vector(), log_variance.as_vector()).unwrap()
    }

    #[test]
    fn diagonal_kl_agrees_with_f64_and_vanishes_at_the_prior() {
        assert_eq!(diagonal(&[0.0; 5], &[0.0; 5]).kl(), 0.0);
        for (mean, log_variance) in
            [(0.3f32, -2.0f32), (-4.0, 0.5), (1e-3, 1e-3), (0.0, -1e-2), (2.0, 10.0), (0.1, -10.0)]
        {
            let (m, v) = (f64::from(mean), f64::from(log_variance));
            let exact = 0.5 * (libm::exp(v) + m * m - 1.0 - v);
            let found = f64::from(diagonal(&[mean], &[log_variance]).kl());
            assert!((found - exact).abs() <= 1e-6 * exact + 6e-8 * v.abs(), "{found} for {exact}");
            assert!(found >= 0.0);
        }
    }

    #[test]
    fn full_kl_is_the_trace_formula() {
        let covariance = covariance();
        let mean = Vector3::from(MEAN.map(f64::from));
        let exact = 0.5 * (covariance.trace() + mean.dot(&mean) - 3.0 - libm::log(covariance.determinant()));
        assert!((f64::from(full().kl()) - exact).abs() < 1e-6, "{} for {exact}", full().kl());
        let prior = Posterior::full([0.0; 3].as_slice().as_vector(), [0.0; 6].as_slice().as_vector()).unwrap().kl();
        assert_eq!(prior, 0.0);
    }

    #[test]
    fn bernoulli_kl_is_ln_2_less_the_entropy() {
        let logits = [0.0f32, -3.0, 1.5, 16.0, -16.0];
        let exact: f64 = logits
            .map(|l| {
                let p = 1.0 / (1.0 + libm::exp(-f64::from(l)));
                p * libm::log(2.0 * p) + (1.0 - p) * libm::log(2.0 * (1.0 - p))
            })
            .iter()
            .sum();
        assert!((f64::from(Posterior::bernoulli(logits.as_slice().as_vector()).kl()) - exact).abs() < 1e-5);
        assert_eq!(Posterior::bernoulli([0.0; 4].as_slice().as_vector()).kl(), 0.0);
    }

    #[test]
    fn log_densities_agree_with_f64() {
        let mut work = [0.0; 3];
        let z = [1.0f32, -2.5, 0.4];
        let (covariance, mean) = (covariance(), Vector3::from(MEAN.map(f64::from)));
        let difference = Vector3::from(z.map(f64::from)) - mean;
        let quadratic = difference.dot(&(covariance.try_inverse().unwrap() * difference));
        let tau = core::f64::consts::TAU;
        let exact = -0.5 * (quadratic + libm::log(covariance.determinant()) + 3.0 * libm::log(tau));
        assert!((f64::from(full().log_density(&z, &mut work).unwrap()) - exact).abs() < 1e-5);

        let q = diagonal(&MEAN, &[0.4, -3.0, 0.0]);
        let mut exact = 0.0;
        for ((z, m), v) in z.iter().zip(MEAN).zip([f64::from(0.4f32), -3.0, 0.0]) {
            let difference = f64::from(*z) - f64::from(m);
            exact -= 0.5 * (difference * difference / libm::exp(v) + v + libm::log(tau));
        }
        assert!((f64::from(q.log_density(&z, &mut work).unwrap()) - exact).abs() < 1e-5);

        // The masses of all eight values of three Bernoulli latents sum to one.
        let logits = [0.3f32, -2.0, 1.0];
        let q = Posterior::bernoulli(logits.as_slice().as_vector());
        let bit = |index: u8, latent: u8| f32::from(index >> latent & 1);
        let total: f32 = (0..8u8)
            .map(|index| libm::expf(q.log_density(&[bit(index, 0), bit(index, 1), bit(index, 2)], &mut work).unwrap()))
            .sum();
        assert!((total - 1.0).abs() < 1e-6);
    }

    #[test]
    fn drawn_samples_carry_their_log_density() {
        let logits = [0.3f32, -2.0, 1.0];
        let families =
            [full(), diagonal(&MEAN, &[0.4, -3.0, 0.0]), Posterior::bernoulli(logits.as_slice().as_vector())];
        let (mut rng, mut z, mut work) = (SplitMix(3), [0.0; 3], [0.0; 3]);
        for q in families {
            for _ in 0..20 {
                let drawn = q.draw(&mut rng, &mut z).unwrap();
                assert!((drawn - q.log_density(&z, &mut work).unwrap()).abs() < 2e-5);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many samples for an interpreter")]
    fn sampled_kl_agrees_with_the_closed_form() {
        let logits = [0.3f32, -2.0, 1.0];
        let families =
            [full(), diagonal(&MEAN, &[0.4, -3.0, 0.0]), Posterior::bernoulli(logits.as_slice().as_vector())];
        let (mut rng, mut z) = (SplitMix(5), [0.0; 3]);
        for q in families {
            // ln q − ln p has a standard deviation of at most 3 for these: five standard errors of 40,000 draws.
            let found = q.kl_by_samples(40_000, &mut rng, &mut z).unwrap();
            assert!((found - q.kl()).abs() < 5.0 * 3.0 / 200.0, "{:?}: {found} for {}", q.kind, q.kl());
        }
        assert_eq!(full().kl_by_samples(0, &mut rng, &mut z), Err(InferError::NoSamples));
    }

    /// Mean and covariance of many draws against `mean` and `covariance`, entry by entry.
    fn check_moments(q: &Posterior<'_>, mean: Vector3<f64>, covariance: Matrix3<f64>) {
        const DRAWS: usize = 200_000;
        let (mut rng, mut z) = (SplitMix(7), [0.0; 3]);
        let (mut sum, mut products) = (Vector3::zeros(), Matrix3::zeros());
        for _ in 0..DRAWS {
            q.sample(&mut rng, &mut z).unwrap();
            let deviation = Vector3::from(z.map(f64::from)) - mean;
            sum += deviation;
            products += deviation * deviation.transpose();
        }
        let n = DRAWS as f64;
        for i in 0..3 {
            // Five standard errors: √(Σᵢᵢ / n) for a mean, √((Σᵢᵢ Σⱼⱼ + Σᵢⱼ²) / n) for a covariance (exact for Gaussians, an
            // upper bound for Bernoulli variables).
            assert!((sum[i] / n).abs() < 5.0 * libm::sqrt(covariance[(i, i)] / n), "mean {i}");
            for j in 0..3 {
                let spread = covariance[(i, i)] * covariance[(j, j)] + covariance[(i, j)] * covariance[(i, j)];
                let error = products[(i, j)] / n - covariance[(i, j)];
                assert!(error.abs() < 5.0 * libm::sqrt(spread / n), "covariance {i} {j}: {error}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many samples for an interpreter")]
    fn sampled_moments_agree_with_the_parameters() {
        let mean = Vector3::from(MEAN.map(f64::from));
        check_moments(&full(), mean, covariance());
        let log_variance = [0.0f32, -3.0, 1.0];
        let variance = Vector3::from(log_variance.map(|v| libm::exp(f64::from(v))));
        check_moments(&diagonal(&MEAN, &log_variance), mean, Matrix3::from_diagonal(&variance));
        let logits = [0.0f32, -2.0, 1.0];
        let p = Vector3::from(logits.map(|l| 1.0 / (1.0 + libm::exp(-f64::from(l)))));
        let variance = p.map(|p| p * (1.0 - p));
        check_moments(&Posterior::bernoulli(logits.as_slice().as_vector()), p, Matrix3::from_diagonal(&variance));
    }

    #[test]
    fn sigma_points_have_the_mean_and_covariance() {
        for q in [full(), diagonal(&MEAN, &[0.4, -3.0, 0.0])] {
            let (mut z, mut sum, mut products) = ([0.0; 3], Vector3::zeros(), Matrix3::zeros());
            let mean = Vector3::from(MEAN.map(f64::from));
            for axis in 0..3 {
                for sign in [1.0, -1.0] {
                    q.sigma_point(axis, sign, &mut z).unwrap();
                    let deviation = Vector3::from(z.map(f64::from)) - mean;
                    sum += deviation;
                    products += deviation * deviation.transpose() / 6.0;
                }
            }
            let expected = match q.kind {
                PosteriorKind::FullGaussian => covariance(),
                _ => Matrix3::from_diagonal(&Vector3::from([f64::from(0.4f32), -3.0, 0.0].map(libm::exp))),
            };
            assert!(sum.norm() < 1e-5 && (products - expected).norm() < 1e-5, "{products} {expected}");
        }
        let mut z = [0.0];
        assert_eq!(
            Posterior::bernoulli([0.0].as_slice().as_vector()).sigma_point(0, 1.0, &mut z),
            Err(InferError::Unsupported)
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let (q, mut work) = (diagonal(&MEAN, &[0.0; 3]), [0.0; 3]);
        let error = InferError::WrongLength { needed: 3, found: 1 };
        assert_eq!(q.log_density(&[1.0], &mut work), Err(error));
        assert_eq!(q.sample(&mut SplitMix(1), &mut [0.0]), Err(error));
        assert!(Posterior::diagonal([0.0].as_slice().as_vector(), [0.0, 1.0].as_slice().as_vector()).is_err());
        assert!(Posterior::full([0.0, 1.0].as_slice().as_vector(), [0.0, 1.0].as_slice().as_vector()).is_err());
    }
}
