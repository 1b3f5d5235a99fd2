//! Scores windows through `vae-core`, on all cores.

mod alarm_counts;
pub mod cost;
pub mod detection;
pub mod evaluating;
pub mod evaluation;
pub mod event_outcome;
mod event_stream;
pub mod events;
pub mod false_alarm_test;
pub mod generation;
pub mod log_likelihood;
pub mod window_cost;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::{Evidence, Importance, InferError, LogLikelihood, Model, Score, ScoreKind, Scoring, Scratch};

/// The ELBO at the posterior mean of each window, of the density of what was observed; `windows` holds [`Model::features`] values each, followed by the
/// condition of a conditional model.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn elbo(model: &Model<'_>, windows: &[f32]) -> Result<Vec<Score>> {
    for_each_window(model, windows, |_, model, x, scratch| model.elbo_at_mean(x, scratch))
}

/// The score of each window that the detector compares with the threshold, with its draws and what it makes of missing values. An
/// importance-weighted one is by all of its samples, or, as the detector's own, by so many as make clear on which side of `threshold` it is.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn by_kind(model: &Model<'_>, windows: &[f32], kind: ScoreKind, threshold: Option<f32>) -> Result<Vec<f32>> {
    by_kind_from(0, model, windows, kind, threshold)
}

/// [`by_kind`] of windows of which the first has this index.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn by_kind_from(
    first: usize,
    model: &Model<'_>,
    windows: &[f32],
    kind: ScoreKind,
    threshold: Option<f32>,
) -> Result<Vec<f32>> {
    let calibration = model.calibration()?;
    for_each_window_from(first, model, windows, |index, model, x, scratch| {
        model.score(x, &calibration, Scoring { kind, threshold, seed: index as u32 }, scratch)
    })
}

/// [`by_kind`] as the detector has it by the model's calibration: its scores of the windows of a stream, bit for bit, unless its levels have
/// drifted or it is on a new baseline.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn of_device(model: &Model<'_>, windows: &[f32]) -> Result<Vec<f32>> {
    of_device_from(0, model, windows)
}

/// [`of_device`] of windows of which the first has this index.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn of_device_from(first: usize, model: &Model<'_>, windows: &[f32]) -> Result<Vec<f32>> {
    let calibration = model.calibration()?;
    by_kind_from(first, model, windows, calibration.score_kind(), Some(calibration.threshold()))
}

/// The importance-weighted log-likelihood of each window, by draws that depend on the seed and the window's index alone.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn log_likelihood(
    model: &Model<'_>,
    windows: &[f32],
    importance: &Importance,
    seed: u64,
) -> Result<Vec<LogLikelihood>> {
    for_each_window(model, windows, |index, model, x, scratch| {
        model.log_likelihood_by(x, importance, &mut draws(seed, index), scratch)
    })
}

/// The ELBO of each window without bias, whatever the prior is, and its log-likelihood, which is that of [`log_likelihood()`] with as many samples
/// of the posterior: where nothing is missing by the same draws, else by others, some of them from the prior.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn evidence(model: &Model<'_>, windows: &[f32], samples: u32, seed: u64) -> Result<Vec<Evidence>> {
    evidence_from(0, model, windows, samples, seed)
}

/// [`evidence`] of windows of which the first has this index.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn evidence_from(
    first: usize,
    model: &Model<'_>,
    windows: &[f32],
    samples: u32,
    seed: u64,
) -> Result<Vec<Evidence>> {
    for_each_window_from(first, model, windows, |index, model, x, scratch| {
        let found = model.evidence(x, samples, &mut draws(seed, index), scratch)?;
        if found.elbo.missing == 0 {
            return Ok(found);
        }
        Ok(Evidence { log_likelihood: model.log_likelihood(x, samples, &mut draws(seed, index), scratch)?, ..found })
    })
}

/// What a window's samples are drawn by.
fn draws(seed: u64, window: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(window as u64);
    rng
}

/// The mean latent vector under the posterior of each window.
///
/// # Errors
/// Names the first window that cannot be encoded.
pub fn latent_means(model: &Model<'_>, windows: &[f32]) -> Result<Vec<Vec<f32>>> {
    for_each_window(model, windows, |_, model, x, scratch| {
        let mut mean = vec![0.0; model.latent()];
        model.encode(x, scratch)?.mean(&mut mean[..])?;
        Ok(mean)
    })
}

/// Gives each window (its index, the model given its condition, the features, and scratch) to `score`, on all cores.
///
/// # Errors
/// Names the first window that fails.
pub fn for_each_window<T: Send>(
    model: &Model<'_>,
    windows: &[f32],
    score: impl Fn(usize, &Model<'_>, &[f32], &mut Scratch<'_>) -> Result<T, InferError> + Sync,
) -> Result<Vec<T>> {
    for_each_window_from(0, model, windows, score)
}

fn for_each_window_from<T: Send>(
    first: usize,
    model: &Model<'_>,
    windows: &[f32],
    score: impl Fn(usize, &Model<'_>, &[f32], &mut Scratch<'_>) -> Result<T, InferError> + Sync,
) -> Result<Vec<T>> {
    windows
        .par_chunks_exact(model.features() + model.conditions())
        .enumerate()
        .map_init(
            || vec![0.0; model.scratch_len()],
            |memory, (index, inputs)| {
                let (index, (x, condition)) = (first + index, inputs.split_at(model.features()));
                let scored =
                    model.given(condition).and_then(|model| score(index, &model, x, &mut Scratch::new(memory)));
                scored.with_context(|| format!("window {index} cannot be scored"))
            },
        )
        .collect()
}
