//! Independent Bernoulli latents, by their logits.

use rand_core::Rng;

use crate::arithmetic::{
    activation::{sigmoid, softplus},
    random::coin,
};

/// Draws zeros and ones into `z`; returns the logarithm of their mass, in nats.
pub(super) fn draw<R: Rng + ?Sized>(logits: &[f32], rng: &mut R, z: &mut [f32]) -> f32 {
    let mut log_mass = 0.0;
    for (z, logit) in z.iter_mut().zip(logits) {
        *z = coin(sigmoid(*logit), rng);
        log_mass += *z * logit - softplus(*logit);
    }
    log_mass
}

/// The logarithm of the mass of `z`, in nats.
pub(super) fn log_density(logits: &[f32], z: &[f32]) -> f32 {
    let mut twice = 0.0;
    for (z, logit) in z.iter().zip(logits) {
        twice += 2.0 * (softplus(*logit) - z * logit);
    }
    -0.5 * twice
}
