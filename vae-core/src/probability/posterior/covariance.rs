//! The posterior's covariance as a matrix.

use nalgebra::SMatrix;

#[cfg(feature = "families")]
use crate::arithmetic::activation::sigmoid;
#[cfg(feature = "categorical")]
use crate::probability::posterior::categorical;
use crate::{format::kind::PosteriorKind, network::error::InferError, probability::posterior::Posterior};

impl Posterior<'_> {
    /// The Cholesky factor `L` of [`Self::covariance`]: lower triangular, `D × D`, its diagonal positive; of a diagonal posterior and of
    /// Bernoulli latents, whose dimensions are independent, the standard deviations. Of a categorical latent, whose values have the sum 1, the last of them
    /// has a zero on the diagonal.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the posterior has not `D` dimensions.
    pub fn cholesky<const D: usize>(&self) -> Result<SMatrix<f32, D, D>, InferError> {
        let (needed, found) = (self.location.len(), D);
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        let mut factor = SMatrix::<f32, D, D>::zeros();
        let mut set = |row: usize, column: usize, value: f32| {
            if let Some(entry) = factor.get_mut((row, column)) {
                *entry = value;
            }
        };
        match self.kind {
            PosteriorKind::DiagonalGaussian => {
                for (axis, log_variance) in self.spread.iter().enumerate() {
                    set(axis, axis, libm::expf(0.5 * log_variance));
                }
            }
            #[cfg(feature = "families")]
            PosteriorKind::FullGaussian => {
                for (row, (below, log_diagonal)) in self.factor().rows().enumerate() {
                    below.iter().enumerate().for_each(|(column, entry)| set(row, column, *entry));
                    set(row, row, libm::expf(log_diagonal));
                }
            }
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => {
                for (axis, logit) in self.location.iter().enumerate() {
                    // √(p (1 − p)), of which 1 − p is sigmoid(−l).
                    set(axis, axis, libm::sqrtf(sigmoid(*logit) * sigmoid(-*logit)));
                }
            }
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { categories } => categorical::factor(self.location, categories, &mut set),
        }
        Ok(factor)
    }

    /// The covariance `Σ = L Lᵀ` of the latent vector, `D × D`.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the posterior has not `D` dimensions.
    ///
    /// # Source
    /// Kingma & Welling (2019), *An Introduction to Variational Autoencoders*, section 2.5.1.
    pub fn covariance<const D: usize>(&self) -> Result<SMatrix<f32, D, D>, InferError> {
        let factor = self.cholesky::<D>()?;
        Ok(factor * factor.transpose())
    }
}

#[cfg(test)]
#[cfg(feature = "families")]
mod tests {
    use nalgebra::{Matrix3, Vector3};

    use super::*;
    use crate::{
        arithmetic::vector::AsVector,
        probability::posterior::tests::{MEAN, covariance, diagonal, full},
    };

    /// Against nalgebra's own factorisation, in f64, of a covariance that was written down from the definition.
    #[test]
    #[cfg_attr(
        miri,
        ignore = "the f64 factorisation that it compares with, nalgebra's, breaks Miri's rules of borrowing"
    )]
    fn covariance_and_cholesky_factor_are_those_of_the_definition() {
        let logits = [0.3f32, -2.0, 1.0];
        let variances = Vector3::from([f64::from(0.4f32), -3.0, 0.0].map(libm::exp));
        let chances = Vector3::from(logits.map(|l| 1.0 / (1.0 + libm::exp(-f64::from(l)))));
        let cases = [
            (full(), covariance()),
            (diagonal(&MEAN, &[0.4, -3.0, 0.0]), Matrix3::from_diagonal(&variances)),
            (Posterior::bernoulli(logits.as_vector()), Matrix3::from_diagonal(&chances.map(|p| p * (1.0 - p)))),
        ];
        for (q, expected) in cases {
            let found = q.covariance::<3>().unwrap().cast::<f64>();
            assert!((found - expected).amax() < 1e-6, "{found} for {expected}");
            let (factor, expected) = (q.cholesky::<3>().unwrap().cast::<f64>(), expected.cholesky().unwrap().l());
            assert!((factor - expected).amax() < 1e-6, "{factor} for {expected}");
            assert_eq!(q.covariance::<2>(), Err(InferError::WrongLength { needed: 3, found: 2 }));
        }
    }
}
