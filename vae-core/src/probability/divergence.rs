//! Kullback–Leibler divergences of posteriors from priors.

use rand_core::Rng;

#[cfg(feature = "categorical")]
use crate::probability::posterior::categorical;
#[cfg(feature = "families")]
use crate::{
    arithmetic::activation::{sigmoid, softplus},
    format::kind::PosteriorKind,
};
use crate::{
    arithmetic::{activation::expm1, vector::AsVectorMut},
    network::error::InferError,
    probability::{posterior::Posterior, prior::Prior},
};

fn squares(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |sum, value| sum + value * value)
}

impl Posterior<'_> {
    /// `KL(q(z|x) ‖ p(z))` to the standard prior, in nats, in closed form: diagonal `½ Σ (σ² + μ² − 1 − ln σ²)`, full
    /// `½ (tr Σ + μᵀμ − d − ln |Σ|)`, both to `N(0, I)`; Bernoulli `Σ p ln 2p + (1 − p) ln 2(1 − p)`, to fair coins; categorical
    /// `Σ p ln K p` over all latents and their K categories, to categories of which each is as likely as the others.
    ///
    /// # Accuracy
    /// Of a Gaussian, error below `1e-6 · KL + 6e-8 · Σ |ln σ²|`; `σ² − 1` is computed as `expm1`, so that little cancels where the
    /// posterior is close to the prior.
    ///
    /// # Source
    /// Kingma & Welling (2014), appendix B; seed text "Variational autoencoders", appendix "The KL divergence".
    #[must_use]
    pub fn kl(&self) -> f32 {
        match self.kind {
            // ln p = l − softplus(l) and ln(1 − p) = −softplus(l).
            #[cfg(feature = "families")]
            PosteriorKind::Bernoulli => self
                .location
                .iter()
                .fold(0.0, |sum, logit| sum + (sigmoid(*logit) * logit + (core::f32::consts::LN_2 - softplus(*logit)))),
            #[cfg(feature = "categorical")]
            PosteriorKind::Categorical { categories } => {
                let log_categories = libm::logf(categories as f32);
                categorical::each(self.location, categories).fold(0.0, |sum, logits| {
                    let log_total = categorical::log_total(logits);
                    logits
                        .iter()
                        .map(|logit| logit - log_total)
                        .fold(sum, |sum, log_p| sum + libm::expf(log_p) * (log_p + log_categories))
                })
            }
            _ => {
                let mut twice = 0.0;
                for (row, mean) in self.location.iter().enumerate() {
                    let Some((below, log_variance)) = self.row(row) else { break };
                    twice += (squares(below) + mean * mean) + (expm1(log_variance) - log_variance);
                }
                0.5 * twice
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
    pub fn kl_by_samples<R: Rng + ?Sized>(
        &self,
        samples: u32,
        rng: &mut R,
        z: &mut (impl AsVectorMut + ?Sized),
    ) -> Result<f32, InferError> {
        let z = z.values_mut();
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
}

impl Prior<'_> {
    /// `KL(q ‖ p(z))` in nats, in closed form; of a Gaussian to a mixture, which has none, the upper bound
    /// `−ln Σ πₖ exp −KL(q ‖ pₖ)`. `work` has one value per latent dimension and is overwritten.
    #[inline(never)] // its frame need not be there while layers run
    pub(crate) fn kl(&self, posterior: &Posterior<'_>, work: &mut [f32]) -> f32 {
        let Self::Mixture(mixture, _) = self else { return posterior.kl() };
        // The components are diagonal: of the posterior's covariance they see the diagonal, and its entropy the determinant.
        let mut twice = 0.0;
        for (row, variance) in work.iter_mut().enumerate() {
            let Some((below, log_variance)) = posterior.row(row) else { break };
            *variance = squares(below) + libm::expf(log_variance);
            twice += log_variance + 1.0;
        }
        let expected_squares = |centre: &[f32], precision: &[f32]| {
            let moments = posterior.location.iter().zip(&*work);
            moments.zip(centre.iter().zip(precision)).fold(0.0, |sum, ((mean, variance), (centre, precision))| {
                sum + precision * ((mean - centre) * (mean - centre) + variance)
            })
        };
        -0.5 * twice - mixture.log_sum(expected_squares)
    }
}

#[cfg(test)]
#[cfg(all(feature = "families", feature = "learned-prior"))]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::{
        arithmetic::{random::tests::SplitMix, vector::AsVector},
        probability::{
            mixture::Mixture,
            posterior::tests::{MEAN, covariance, diagonal, full},
        },
    };

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

    /// Weights 0.2, 0.5 and 0.3, means, and standard deviations of three components in two dimensions.
    const COMPONENTS: [(f64, [f64; 2], [f64; 2]); 3] =
        [(0.2, [-2.0, 0.5], [0.3, 1.0]), (0.5, [1.0, 1.0], [0.5, 0.2]), (0.3, [0.0, -3.0], [2.0, 0.7])];

    fn parameters() -> [f32; 15] {
        let mut parameters = [0.0; 15];
        for (slots, (weight, mean, deviation)) in parameters.chunks_exact_mut(5).zip(COMPONENTS) {
            let [a, b] = deviation;
            let values = [libm::log(weight / (a * b)), mean[0], mean[1], 1.0 / (a * a), 1.0 / (b * b)];
            slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = value as f32);
        }
        parameters
    }

    /// `ln Σ πₖ exp(E[ln N(z; mₖ, sₖ²)])` from the definitions, in f64.
    fn exact(mean: [f64; 2], variance: [f64; 2]) -> f64 {
        let each = COMPONENTS.map(|(weight, centre, deviation)| {
            let nats = (0..2).map(|axis| {
                let s = deviation[axis] * deviation[axis];
                let square = (mean[axis] - centre[axis]) * (mean[axis] - centre[axis]) + variance[axis];
                -0.5 * (libm::log(core::f64::consts::TAU * s) + square / s)
            });
            weight * libm::exp(nats.sum::<f64>())
        });
        libm::log(each.iter().sum())
    }

    #[test]
    fn densities_are_those_of_the_definition() {
        let parameters = parameters();
        let mixture = Mixture { latent: 2, parameters: &parameters };
        for z in [[0.0, 0.0], [-2.0, 0.4], [5.0, -3.0], [1.0, 1.1]] {
            let found = Prior::learned(mixture).unwrap().log_density(&z.map(|z: f64| z as f32));
            assert!((f64::from(found) - exact(z, [0.0; 2])).abs() < 1e-4, "{found} at {z:?}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many samples for an interpreter")]
    fn the_kl_is_the_bound_and_that_is_above_the_kl_by_samples() {
        let parameters = parameters();
        let prior = Prior::learned(Mixture { latent: 2, parameters: &parameters }).unwrap();
        let (mean, log_variance) = ([0.4f32, 0.2], [-1.0f32, 0.3]);
        let diagonal = Posterior::diagonal(mean.as_slice().as_vector(), log_variance.as_slice().as_vector()).unwrap();
        let variances = log_variance.map(|v| libm::exp(f64::from(v)));
        let entropy: f64 =
            variances.iter().map(|v| 0.5 * libm::log(core::f64::consts::TAU * core::f64::consts::E * v)).sum();
        let bound = -entropy - exact(mean.map(f64::from), variances);
        let mut work = [0.0; 2];
        let found = f64::from(prior.kl(&diagonal, &mut work));
        assert!((found - bound).abs() < 1e-5, "{found} for {bound}");
        let mut rng = SplitMix(6);
        let samples = 20_000;
        let sampled: f64 = (0..samples)
            .map(|_| f64::from(diagonal.draw(&mut rng, &mut work).unwrap() - prior.log_density(&work)))
            .sum::<f64>()
            / f64::from(samples);
        // ln q − ln p has a standard deviation below 2: the mean of 20,000 is within 0.06.
        assert!(sampled < bound + 0.06 && sampled > 0.0, "{sampled} above {bound}");
    }

    #[test]
    fn one_standard_component_is_the_standard_prior() {
        let parameters = [0.0, 0.0, 0.0, 1.0, 1.0];
        let prior = Prior::learned(Mixture { latent: 2, parameters: &parameters }).unwrap();
        let (mean, log_variance) = ([0.4f32, -1.2], [-1.0f32, 0.3]);
        let posterior = Posterior::diagonal(mean.as_slice().as_vector(), log_variance.as_slice().as_vector()).unwrap();
        assert!((prior.kl(&posterior, &mut [0.0; 2]) - posterior.kl()).abs() < 1e-6);
        assert!((prior.log_density(&mean) - Prior::Normal.log_density(&mean)).abs() < 1e-6);
    }
}
