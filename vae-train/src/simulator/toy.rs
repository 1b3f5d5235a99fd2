//! The seed texts' toy sets.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// Features and latents of the linear-Gaussian source.
pub const LINEAR: (usize, usize) = (6, 2);
/// Variance of its noise.
pub const LINEAR_VARIANCE: f64 = 0.25;

/// The linear-Gaussian source's matrix, row by row: fixed, so that its evidence is known.
#[must_use]
pub fn linear_weights() -> Vec<f64> {
    let (features, latent) = LINEAR;
    (0..features * latent).map(|index| libm::sin(1.0 + index as f64 * 1.7)).collect()
}

/// Draws `x = W z + σ ε` of the linear-Gaussian source, [`LINEAR`]`.0` values each; its evidence is `N(0, W Wᵀ + σ² I)`.
#[must_use]
pub fn linear_gaussian(points: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (features, latent) = LINEAR;
    let weights = linear_weights();
    let mut values = Vec::with_capacity(points * features);
    for _ in 0..points {
        let z: Vec<f64> = (0..latent).map(|_| f64::from(standard_normal(&mut rng))).collect();
        for row in weights.chunks(latent) {
            let mean: f64 = row.iter().zip(&z).map(|(w, z)| w * z).sum();
            values.push((mean + LINEAR_VARIANCE.sqrt() * f64::from(standard_normal(&mut rng))) as f32);
        }
    }
    values
}

/// Bits of a pattern and of its code.
pub const PATTERN: (usize, usize) = (16, 4);

/// Binary patterns with discrete latents: each of four fair coins switches four of sixteen bits on, and one bit in
/// twenty is flipped.
#[must_use]
pub fn patterns(points: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (bits, latent) = PATTERN;
    let mut values = Vec::with_capacity(points * bits);
    for _ in 0..points {
        let code: Vec<bool> = (0..latent).map(|_| rng.random()).collect();
        for bit in 0..bits {
            let on = code[bit / (bits / latent)] != rng.random_bool(0.05);
            values.push(f32::from(u8::from(on)));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_repeat_their_code() {
        let values = patterns(4000, 2);
        let agree =
            values.chunks(4).map(|group| group.iter().sum::<f32>()).filter(|sum| *sum == 0.0 || *sum == 4.0).count();
        // A group is unanimous with 0.95⁴ + 0.05⁴ = 0.8145; 16,000 groups have a standard error of 0.0031.
        assert!((agree as f64 / 16_000.0 - 0.8145).abs() < 0.0125);
    }

    #[test]
    fn the_linear_source_has_its_covariance() {
        let ((features, latent), weights) = (LINEAR, linear_weights());
        let values = linear_gaussian(40_000, 3);
        let exact: f64 = weights[..latent].iter().zip(&weights[latent..]).map(|(a, b)| a * b).sum();
        let found = values.chunks(features).map(|x| f64::from(x[0] * x[1])).sum::<f64>() / 40_000.0;
        assert!((found - exact).abs() < 0.05, "{found} for {exact}");
    }
}
