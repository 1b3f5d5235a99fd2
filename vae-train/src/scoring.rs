//! Scores windows through `vae-core`, on all cores.

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::{InferError, LogLikelihood, Model, Score, Scratch};

/// The ELBO at the posterior mean of each window; `windows` holds [`Model::features`] values each.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn elbo(model: &Model<'_>, windows: &[f32]) -> Result<Vec<Score>> {
    for_each_window(model, windows, |_, x, scratch| model.elbo_at_mean(x, scratch))
}

/// The importance-weighted log-likelihood of each window, by `samples` draws that depend on the seed and the window's
/// index alone.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn log_likelihood(model: &Model<'_>, windows: &[f32], samples: u32, seed: u64) -> Result<Vec<LogLikelihood>> {
    for_each_window(model, windows, |index, x, scratch| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        model.log_likelihood(x, samples, &mut rng, scratch)
    })
}

fn for_each_window<T: Send>(
    model: &Model<'_>,
    windows: &[f32],
    score: impl Fn(usize, &[f32], &mut Scratch<'_>) -> Result<T, InferError> + Sync,
) -> Result<Vec<T>> {
    windows
        .par_chunks_exact(model.features())
        .enumerate()
        .map_init(
            || vec![0.0; model.scratch_len()],
            |memory, (index, x)| {
                score(index, x, &mut Scratch::new(memory)).with_context(|| format!("window {index} cannot be scored"))
            },
        )
        .collect()
}
