//! Independent categorical latents, by their logits: for each latent as many values, side by side, as there are categories, a one and zeros.

use rand_core::Rng;

use crate::{arithmetic::random::uniform, network::error::InferError};

/// Refuses logits that are not of whole latents.
pub(super) fn check(logits: &[f32], categories: u32) -> Result<(), InferError> {
    let found = logits.len();
    match found.checked_next_multiple_of(categories as usize) {
        Some(needed) if needed == found => Ok(()),
        needed => Err(InferError::WrongLength { needed: needed.unwrap_or(0), found }),
    }
}

/// The logits of each latent.
pub(crate) fn each(logits: &[f32], categories: u32) -> impl Iterator<Item = &[f32]> {
    logits.chunks_exact((categories as usize).max(1))
}

fn each_of_both<'a>(
    z: &'a mut [f32],
    logits: &'a [f32],
    categories: u32,
) -> impl Iterator<Item = (&'a mut [f32], &'a [f32])> {
    z.chunks_exact_mut((categories as usize).max(1)).zip(each(logits, categories))
}

fn largest(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::MIN, f32::max)
}

/// `ln Σ exp lₖ` of a latent's logits.
pub(crate) fn log_total(logits: &[f32]) -> f32 {
    let largest = largest(logits);
    largest + libm::logf(logits.iter().fold(0.0, |sum, logit| sum + libm::expf(logit - largest)))
}

/// Writes numbers in the ratio of the probabilities to `weights`, of which the largest is 1; returns their sum, as they are added one by one.
fn weigh(logits: &[f32], weights: &mut [f32]) -> f32 {
    let largest = largest(logits);
    weights.iter_mut().zip(logits).fold(0.0, |sum, (weight, logit)| {
        *weight = libm::expf(logit - largest);
        sum + *weight
    })
}

/// Writes the probabilities to `z`.
pub(super) fn mean(logits: &[f32], categories: u32, z: &mut [f32]) {
    for (z, logits) in each_of_both(z, logits, categories) {
        let total = weigh(logits, z);
        z.iter_mut().for_each(|z| *z /= total);
    }
}

/// Draws a category for each latent into `z`, by a uniform number each; returns the logarithm of their mass, in nats.
pub(super) fn draw<R: Rng + ?Sized>(logits: &[f32], categories: u32, rng: &mut R, z: &mut [f32]) -> f32 {
    let mut log_mass = 0.0;
    for (z, logits) in each_of_both(z, logits, categories) {
        let total = weigh(logits, z);
        let log_total = largest(logits) + libm::logf(total);
        // A uniform number is at least 2⁻²⁴ below 1, so that this is below the total, and the sums below come to that, term by term.
        let at = uniform(rng) * total;
        let (mut below, mut is_drawn) = (0.0, false);
        for (z, logit) in z.iter_mut().zip(logits) {
            below += *z;
            *z = if below > at && !is_drawn { 1.0 } else { 0.0 };
            if *z > 0.0 {
                is_drawn = true;
                log_mass += logit - log_total;
            }
        }
    }
    log_mass
}

/// The logarithm of the mass of `z`, in nats.
pub(super) fn log_density(logits: &[f32], categories: u32, z: &[f32]) -> f32 {
    each(z, categories).zip(each(logits, categories)).fold(0.0, |sum, (z, logits)| {
        let log_total = log_total(logits);
        z.iter().zip(logits).fold(sum, |sum, (z, logit)| sum + z * (logit - log_total))
    })
}

/// Gives `set` the entries, by row and column, of the Cholesky factor of the covariance, `diag p − p pᵀ` of each latent.
///
/// # Source
/// Tanabe & Sagae (1992), *An exact Cholesky decomposition and the generalized inverse of the variance–covariance matrix of the multinomial
/// distribution*, theorem 1.
pub(super) fn factor(logits: &[f32], categories: u32, set: &mut dyn FnMut(usize, usize, f32)) {
    for (latent, logits) in each(logits, categories).enumerate() {
        let (first, log_total) = (latent * logits.len(), log_total(logits));
        let chance = |logit: &f32| libm::expf(logit - log_total);
        let from = |column: usize| logits.iter().skip(column).map(chance).sum::<f32>();
        for (column, own) in logits.iter().map(chance).enumerate() {
            let (rest, below) = (from(column), from(column + 1));
            set(first + column, first + column, libm::sqrtf(own * below / rest));
            let step = libm::sqrtf(own / (rest * below));
            for (row, logit) in logits.iter().enumerate().skip(column + 1) {
                set(first + row, first + column, -chance(logit) * step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::SMatrix;
    use rand_core::TryRng;

    use crate::{
        arithmetic::{random::tests::SplitMix, vector::AsVector},
        format::kind::PosteriorKind,
        network::error::InferError,
        probability::{posterior::Posterior, prior::Prior},
    };

    /// Two latents of three categories.
    const LOGITS: [f32; 6] = [0.3, -2.0, 1.0, -16.0, 2.5, 2.0];

    fn posterior() -> Posterior<'static> {
        Posterior::categorical(LOGITS[..].as_vector(), 3).unwrap()
    }

    /// The probabilities, in f64.
    fn chances() -> [f64; 6] {
        let mut p = LOGITS.map(|logit| libm::exp(f64::from(logit)));
        for p in p.chunks_mut(3) {
            let total: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= total);
        }
        p
    }

    /// The latent vectors of all nine states, each with its mass.
    fn states() -> impl Iterator<Item = ([f32; 6], f64)> {
        (0..9).map(|state| {
            let mut z = [0.0; 6];
            let (first, second) = (state / 3, 3 + state % 3);
            (z[first], z[second]) = (1.0, 1.0);
            (z, chances()[first] * chances()[second])
        })
    }

    #[test]
    fn masses_of_all_states_are_products_of_softmaxes_and_sum_to_one() {
        let (q, mut total) = (posterior(), 0.0);
        for (z, mass) in states() {
            let found = f64::from(q.log_density(&z, &mut [0.0; 6]).unwrap());
            assert!((found - libm::log(mass)).abs() < 2e-6, "{found} for {}", libm::log(mass));
            total += libm::exp(found);
        }
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        let mut mean = [0.0; 6];
        q.mean(&mut mean).unwrap();
        assert!(mean.iter().zip(chances()).all(|(found, p)| (f64::from(*found) - p).abs() < 1e-6), "{mean:?}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many samples for an interpreter")]
    fn states_are_drawn_as_often_as_they_should_be() {
        const DRAWS: usize = 100_000;
        let (q, uniform) = (posterior(), Prior::standard(posterior().kind));
        let (mut rng, mut z, mut counts) = (SplitMix(4), [0.0; 6], [[0; 9]; 2]);
        for _ in 0..DRAWS {
            let nats = q.draw(&mut rng, &mut z).unwrap();
            assert!((nats - q.log_density(&z, &mut [0.0; 6]).unwrap()).abs() < 1e-6);
            counts[0][states().position(|(state, _)| state == z).unwrap()] += 1;
            uniform.sample(&mut rng, &mut z).unwrap();
            counts[1][states().position(|(state, _)| state == z).unwrap()] += 1;
            assert!((uniform.log_density(&z) + 2.0 * libm::logf(3.0)).abs() < 1e-6);
        }
        for (index, (_, mass)) in states().enumerate() {
            for (count, mass) in [(counts[0][index], mass), (counts[1][index], 1.0 / 9.0)] {
                // Five standard errors of a share; the rarest is of 2e-9, of which none is to be drawn.
                let (share, n) = (f64::from(count) / DRAWS as f64, DRAWS as f64);
                assert!((share - mass).abs() < 5.0 * libm::sqrt(mass * (1.0 - mass) / n) + 1e-9, "{share} for {mass}");
            }
        }
    }

    /// Always the largest number.
    struct Largest;

    impl TryRng for Largest {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::MAX)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::MAX)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill(u8::MAX);
            Ok(())
        }
    }

    #[test]
    fn what_rounding_leaves_without_mass_is_never_drawn() {
        for logits in [[16.0f32, 3.0, -16.0], [0.0, 0.0, -16.0], [1.0, -16.0, -16.0]] {
            let (q, mut z) = (Posterior::categorical(logits.as_slice().as_vector(), 3).unwrap(), [0.0; 3]);
            assert!(q.draw(&mut Largest, &mut z).unwrap() > -14.0);
            assert_eq!((z.iter().sum::<f32>(), z[2]), (1.0, 0.0), "{z:?}");
        }
    }

    #[test]
    fn categorical_kl_is_ln_k_less_the_entropy() {
        let exact: f64 = chances().iter().map(|p| p * libm::log(3.0 * p)).sum();
        assert!((f64::from(posterior().kl()) - exact).abs() < 1e-6, "{} for {exact}", posterior().kl());
        assert_eq!(Posterior::categorical([0.0; 6][..].as_vector(), 3).unwrap().kl(), 0.0);
        let (mut rng, mut z) = (SplitMix(5), [0.0; 6]);
        // ln q − ln p has a standard deviation below 1: five standard errors of 10,000 draws.
        let sampled = posterior().kl_by_samples(10_000, &mut rng, &mut z).unwrap();
        assert!((sampled - posterior().kl()).abs() < 0.05, "{sampled} for {}", posterior().kl());
    }

    #[test]
    fn the_covariance_of_a_latent_is_that_of_a_category() {
        let (p, q) = (chances(), posterior());
        let exact = |row: usize, column: usize| {
            let own = if row == column { p[row] } else { 0.0 };
            if row / 3 == column / 3 { own - p[row] * p[column] } else { 0.0 }
        };
        let difference = q.covariance::<6>().unwrap().cast::<f64>() - SMatrix::<f64, 6, 6>::from_fn(exact);
        assert!(difference.amax() < 1e-6, "{difference}");
        let factor = q.cholesky::<6>().unwrap();
        assert!(factor.upper_triangle() == SMatrix::from_diagonal(&factor.diagonal()));
        assert!(factor.diagonal().min() >= 0.0 && factor.iter().all(|entry| entry.is_finite()), "{factor}");
    }

    #[test]
    fn what_is_not_of_whole_latents_and_sigma_points_are_refused() {
        let of = |categories| Posterior::categorical(LOGITS[..].as_vector(), categories).err();
        assert_eq!(of(4), Some(InferError::WrongLength { needed: 8, found: 6 }));
        assert_eq!(of(0), Some(InferError::WrongLength { needed: 0, found: 6 }));
        assert_eq!([of(1), of(2), of(6)], [None; 3]);
        assert_eq!(posterior().kind(), PosteriorKind::Categorical { categories: 3 });
        assert_eq!(posterior().sigma_point(0, 1.0, &mut [0.0; 6]), Err(InferError::Unsupported));
    }
}
