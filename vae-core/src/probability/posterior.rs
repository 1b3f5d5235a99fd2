//! The encoder's posterior `q(z|x)`, in four families.

#[cfg(feature = "families")]
mod bernoulli;
#[cfg(feature = "categorical")]
pub(crate) mod categorical;
mod covariance;
mod diagonal;
#[cfg(feature = "families")]
mod full;

use nalgebra::DVectorView;
use rand_core::Rng;

#[cfg(feature = "families")]
use crate::{arithmetic::activation::sigmoid, probability::posterior::full::Cholesky};
use crate::{
    arithmetic::vector::{AsVector, AsVectorMut, as_slice},
    format::kind::PosteriorKind,
    network::error::InferError,
};

/// Log-variances of a Gaussian posterior are limited to ± this value: σ between 0.0067 and 148.
///
/// The trainer applies the same limit, so that it is part of the model and not a correction made afterwards.
pub const LOG_VARIANCE_LIMIT: f32 = 10.0;

/// Logits of discrete latents are limited to ± this value: probabilities of Bernoulli ones between 1e-7 and 1 − 1e-7.
pub const LATENT_LOGIT_LIMIT: f32 = 16.0;

/// A distribution over the latent vector, viewed in the scratch that it was encoded into.
///
/// ```
/// use nalgebra::Vector2;
/// use vae_core::{AsVector, Posterior};
///
/// let (mean, log_variance) = ([0.5, -1.0], [0.0, -2.0]);
/// let posterior = Posterior::diagonal(mean.as_vector(), log_variance.as_vector())?;
/// let mut z = Vector2::zeros();
/// posterior.mean(&mut z)?;
/// assert_eq!(z, Vector2::new(0.5, -1.0));
/// let covariance = posterior.covariance::<2>()?;
/// assert!((covariance[(1, 1)] - (-2f32).exp()).abs() < 1e-6 && covariance[(0, 1)] == 0.0);
/// # Ok::<(), vae_core::InferError>(())
/// ```
///
/// # Source
/// Diagonal: Kingma & Welling (2014), *Auto-Encoding Variational Bayes*, section 3 and appendix B. Full covariance: seed
/// text "Variational autoencoders", "Variational approximation" and its appendix; Kingma & Welling (2019), *An Introduction
/// to Variational Autoencoders*, section 2.5.1. Bernoulli: Mnih & Gregor (2014), *Neural Variational Inference*.
/// Categorical: Maddison, Mnih & Teh (2017), *The Concrete Distribution*, section 2.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'s> {
    pub(crate) kind: PosteriorKind,
    /// Means, or logits.
    pub(crate) location: &'s [f32],
    /// Diagonal: log-variances. Full: the rows of the Cholesky factor up to the diagonal, whose entries are logarithms.
    /// Discrete: nothing.
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
    #[cfg(feature = "families")]
    pub fn full(mean: DVectorView<'s, f32>, cholesky: DVectorView<'s, f32>) -> Result<Self, InferError> {
        Self::checked(PosteriorKind::FullGaussian, as_slice(mean), as_slice(cholesky))
    }

    /// Independent Bernoulli latents, `p = sigmoid(logits)`.
    #[cfg(feature = "families")]
    #[must_use]
    pub fn bernoulli(logits: DVectorView<'s, f32>) -> Self {
        Self { kind: PosteriorKind::Bernoulli, location: as_slice(logits), spread: &[] }
    }

    /// Independent categorical latents of so many categories, `p = softmax(logits)`; those of a latent lie side by side.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the number of logits is no multiple of `categories`.
    #[cfg(feature = "categorical")]
    pub fn categorical(logits: DVectorView<'s, f32>, categories: u32) -> Result<Self, InferError> {
        Self::checked(PosteriorKind::Categorical { categories }, as_slice(logits), &[])
    }

    fn checked(kind: PosteriorKind, location: &'s [f32], spread: &'s [f32]) -> Result<Self, InferError> {
        #[cfg(feature = "categorical")]
        if let PosteriorKind::Categorical { categories } = kind {
            categorical::check(location, categories)?;
        }
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

    /// The means μ (for discrete latents: the logits), one per latent dimension.
    #[must_use]
    pub fn location(&self) -> DVectorView<'s, f32> {
        DVectorView::from_slice(self.location, self.location.len())
    }

    /// What stands beside the means: log-variances within ±[`LOG_VARIANCE_LIMIT`], or the Cholesky factor as
    /// [`Self::full`] takes it; nothing for discrete latents.
    #[must_use]
    pub fn spread(&self) -> DVectorView<'s, f32> {
        DVectorView::from_slice(self.spread, self.spread.len())
    }

    /// The rows of a full covariance's Cholesky factor; nothing that makes sense for another posterior.
    #[cfg(feature = "families")]
    pub(crate) fn factor(&self) -> Cholesky<'s> {
        Cholesky { dimensions: self.location.len(), entries: self.spread }
    }

    /// Of a Gaussian, a row of the covariance's Cholesky factor: what stands below the diagonal (nothing of a diagonal covariance), and twice the
    /// logarithm of what stands on it.
    pub(crate) fn row(&self, row: usize) -> Option<(&'s [f32], f32)> {
        match self.kind {
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => {
                self.factor().row(row).map(|(below, log_diagonal)| (below, 2.0 * log_diagonal))
            }
            _ => self.spread.get(row).map(|log_variance| (&[][..], *log_variance)),
        }
    }

    /// Writes `E[z]` to `z` (one value per latent dimension): the means, or the probabilities.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    pub fn mean(&self, z: &mut (impl AsVectorMut + ?Sized)) -> Result<(), InferError> {
        let z = z.values_mut();
        self.fits(z)?;
        #[cfg(feature = "categorical")]
        if let PosteriorKind::Categorical { categories } = self.kind {
            categorical::mean(self.location, categories, z);
            return Ok(());
        }
        for (z, location) in z.iter_mut().zip(self.location) {
            *z = match self.kind {
                #[cfg(feature = "families")]
                PosteriorKind::Bernoulli => sigmoid(*location),
                _ => *location,
            };
        }
        Ok(())
    }

    /// Draws a latent vector into `z` (one value per latent dimension): `z = μ + σ ⊙ ε` or `z = μ + L ε` with
    /// `ε ~ N(0, I)`, or zeros and ones.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has another number of dimensions.
    ///
    /// # Source
    /// The reparameterisation of Kingma & Welling (2014), section 2.4.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut (impl AsVectorMut + ?Sized)) -> Result<(), InferError> {
        self.draw(rng, z.values_mut()).map(|_| ())
    }

    /// Draws as [`Self::sample`] does; returns `ln q(z|x)` of the draw.
    pub(crate) fn draw<R: Rng + ?Sized>(&self, rng: &mut R, z: &mut [f32]) -> Result<f32, InferError> {
        self.fits(z)?;
        Ok(match self.kind {
            PosteriorKind::DiagonalGaussian => diagonal::draw(self.location, self.spread, rng, z),
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => full::draw(self.location, self.factor(), rng, z),
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => bernoulli::draw(self.location, rng, z),
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { categories } => categorical::draw(self.location, categories, rng, z),
        })
    }

    /// `ln q(z|x)`, in nats. `work` has one value per latent dimension and is overwritten.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` or `work` has another number of dimensions.
    pub fn log_density(
        &self,
        z: &(impl AsVector + ?Sized),
        work: &mut (impl AsVectorMut + ?Sized),
    ) -> Result<f32, InferError> {
        let (z, work) = (as_slice(z.as_vector()), work.values_mut());
        self.fits(z)?;
        self.fits(work)?;
        Ok(match self.kind {
            PosteriorKind::DiagonalGaussian => diagonal::log_density(self.location, self.spread, z),
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => full::log_density(self.location, self.factor(), z, work),
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => bernoulli::log_density(self.location, z),
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { categories } => categorical::log_density(self.location, categories, z),
        })
    }

    /// The sigma point `μ + sign · √d · Lᵢ` along an axis, into `z`.
    pub(crate) fn sigma_point(&self, axis: usize, sign: f32, z: &mut [f32]) -> Result<(), InferError> {
        self.fits(z)?;
        let step = sign * libm::sqrtf(z.len() as f32);
        z.copy_from_slice(self.location);
        match self.kind {
            PosteriorKind::DiagonalGaussian => diagonal::step_along(axis, step, self.spread, z),
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => full::step_along(axis, step, self.factor(), z),
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => return Err(InferError::Unsupported),
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { .. } => return Err(InferError::Unsupported),
        }
        Ok(())
    }

    fn fits(&self, z: &[f32]) -> Result<(), InferError> {
        let (needed, found) = (self.location.len(), z.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongLength { needed, found }) }
    }
}

#[cfg(test)]
#[cfg(feature = "families")]
pub(crate) mod tests {
    use nalgebra::{Matrix3, Vector3};

    use super::*;
    use crate::arithmetic::random::tests::SplitMix;

    pub(crate) const MEAN: [f32; 3] = [0.5, -2.0, 0.1];

    /// Rows of L with logarithms on the diagonal.
    const CHOLESKY: [f32; 6] = [-0.7, 0.6, 0.2, -1.1, 0.3, -0.4];

    pub(crate) fn full() -> Posterior<'static> {
        Posterior::full(DVectorView::from_slice(&MEAN, 3), DVectorView::from_slice(&CHOLESKY, 6)).unwrap()
    }

    /// The covariance that `CHOLESKY` stands for, by nalgebra in f64.
    pub(crate) fn covariance() -> Matrix3<f64> {
        let c = CHOLESKY.map(f64::from);
        let l = Matrix3::new(libm::exp(c[0]), 0.0, 0.0, c[1], libm::exp(c[2]), 0.0, c[3], c[4], libm::exp(c[5]));
        l * l.transpose()
    }

    pub(crate) fn diagonal<'a>(mean: &'a [f32], log_variance: &'a [f32]) -> Posterior<'a> {
        Posterior::diagonal(mean.as_vector(), log_variance.as_vector()).unwrap()
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
    fn what_is_written_may_be_a_slice_an_array_or_a_column_of_nalgebra() {
        let (q, mut column, mut array) = (diagonal(&MEAN, &[0.0; 3]), Vector3::zeros(), [0.0; 3]);
        q.mean(&mut column).unwrap();
        q.mean(&mut array[..]).unwrap();
        assert_eq!((column.as_slice(), array), (&MEAN[..], MEAN));
        q.sample(&mut SplitMix(2), &mut column).unwrap();
        q.sample(&mut SplitMix(2), &mut array).unwrap();
        assert_eq!(column.as_slice(), array);
        assert_eq!(q.log_density(&column, &mut array), q.log_density(column.as_slice(), &mut Vector3::zeros()));
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
