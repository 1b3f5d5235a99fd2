//! Which windows of training data stand out of the others, by a network that cannot have learnt them.
//!
//! A network that is trained to the end on data of which a few per cent are faults learns the faults: their scores are then like the others'.
//! One that has taken a few steps knows what most windows are like, and no more. What it finds strangest is left out, another is trained on
//! the rest, and what that one explains comes back: healthy states that are rare are explained by others of their kind.

use anyhow::Result;
use burn::tensor::Device;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use vae_core::format::Precision;

use crate::{
    config::Config,
    data::{dataset::Dataset, part::Part},
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    model::{architecture::Architecture, network::Weights},
    scoring::elbo,
    statistics::metrics::quantile,
    training::{
        Ending, Training,
        checkpoint::Checkpoint,
        listener::{Listener, Quiet},
    },
};

/// Largest share of the windows that is taken to be faults unless another is given.
pub const LARGEST_SHARE: f64 = 0.1;
/// Windows that are expected to stand out of clean data, in all.
pub const EXPECTED: f64 = 0.01;

/// Steps of the first network: enough to know what most windows are like, and too few to learn what a few are.
const EARLY_STEPS: usize = 150;
/// Steps of a network that is trained on what the one before it explains: as many as teach it healthy states that are rare.
const STEPS: usize = 3000;
/// Networks behind the first.
const ROUNDS: usize = 2;
/// Most windows that the networks are trained on and choose among; all are scored by the last.
const MOST_WINDOWS: usize = 20_000;
/// Fewest windows that are screened: of fewer, a tenth tells nothing.
const LEAST_WINDOWS: usize = 50;
/// Most windows that a short fit validates on, which decides nothing.
const VALIDATED: usize = 256;

/// Scores of windows, and beyond which they stand out.
#[derive(Clone, Debug)]
pub struct Screened {
    /// −ELBO of each, in nats of standardised units; the higher, the stranger.
    pub scores: Vec<f32>,
    /// Those above it stand out.
    pub cut: f32,
    /// For each window, the index of its last row in the table.
    pub last_row: Vec<usize>,
}

/// The score that [`EXPECTED`] of so many clean windows exceed, if scores above the median have an exponential tail through the median and the
/// highest tenth. A few per cent of faults move neither by much. The tail falls by a factor e in at least one nat: in so many the scores of a
/// model fall that has learnt its data's density.
#[must_use]
pub fn cut(scores: &[f32]) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let (median, high) = (quantile(&sorted, 0.5), quantile(&sorted, 0.9));
    let scale = (f64::from(high - median) / libm::log(5.0)).max(1.0);
    let tail = libm::log(0.5 * scores.len() as f64 / EXPECTED).max(0.0);
    (f64::from(median) + scale * tail) as f32
}

/// Screens the windows of a data set by networks of its configuration, of which each leaves out at most this share of the windows; `None` if
/// the listener stops it.
///
/// # Errors
/// If a network diverges.
pub fn screen(
    dataset: &Dataset,
    config: &Config,
    share: f64,
    device: &Device,
    listener: &dyn Listener,
) -> Result<Option<Screened>> {
    let architecture = Architecture { variance_floors: dataset.variance_floors(), ..dataset.architecture(config) };
    let (windows, last_row) = all_windows(dataset, architecture.inputs());
    let count = last_row.len();
    if count < LEAST_WINDOWS {
        return Ok(Some(Screened { scores: vec![0.0; count], cut: 0.0, last_row }));
    }
    // No longer than the fit itself.
    let own = config.training.epochs_for(count) * count.div_ceil(config.training.batch);
    let mut config = config.clone();
    config.settle(architecture.features, count);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
    order.truncate(MOST_WINDOWS);
    let inputs = architecture.inputs();
    let some: Vec<f32> = order.iter().flat_map(|index| &windows[index * inputs..][..inputs]).copied().collect();
    let least = ((1.0 - share) * order.len() as f64).ceil() as usize;
    let mut kept: Vec<usize> = (0..order.len()).collect();
    let mut model = None;
    for round in 0..=ROUNDS {
        let steps = if round == 0 { EARLY_STEPS } else { STEPS };
        let Some(next) = short_fit(&config, &architecture, &some, &kept, steps.min(own), device, listener)? else {
            return Ok(None);
        };
        let scores = scores(&next, &some)?;
        model = Some(next);
        let cut = cut(&scores);
        let explained = scores.iter().filter(|score| **score <= cut).count();
        if round > 0 && explained == scores.len() {
            break;
        }
        kept = lowest(&scores, if round == 0 { least } else { explained.max(least) });
    }
    let scores = model.map_or_else(|| Ok(vec![0.0; count]), |model| scores(&model, &windows))?;
    Ok(Some(Screened { cut: cut(&scores), scores, last_row }))
}

/// All of a data set's windows, standardised, those that are trained on first, and the index of the last row of each.
fn all_windows(dataset: &Dataset, inputs: usize) -> (Vec<f32>, Vec<usize>) {
    let train = dataset.train();
    let held_out = dataset.holdout.chunks_exact(inputs).flat_map(|inputs| dataset.schema.standardise(inputs));
    let values = train.gather(train.chosen, inputs).chain(held_out).collect();
    let rows = train.chosen.iter().map(|index| train.last_row[*index]).chain(dataset.holdout_rows.iter().copied());
    (values, rows.collect())
}

/// The `count` windows of lowest score, in their order.
fn lowest(scores: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// −ELBO of each window.
fn scores(model: &ModelFile, windows: &[f32]) -> Result<Vec<f32>> {
    let bytes = AlignedFile::new(&model.to_bytes()?);
    Ok(elbo(&bytes.model()?, windows)?.iter().map(|score| -score.elbo).collect())
}

/// A network after so many steps on the `chosen` windows, as a model of standardised windows; `None` if the listener stops it.
pub(crate) fn short_fit(
    config: &Config,
    architecture: &Architecture,
    windows: &[f32],
    chosen: &[usize],
    steps: usize,
    device: &Device,
    listener: &dyn Listener,
) -> Result<Option<ModelFile>> {
    let mut config = config.clone();
    let batch = config.training.batch.min(chosen.len());
    let mut chosen = chosen.to_vec();
    chosen.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
    chosen.truncate(steps * batch);
    let epochs = (steps * batch).div_ceil(chosen.len());
    config.training.batch = batch;
    config.training.epochs = Some(epochs);
    config.training.patience = Some(epochs);
    config.training.quantisation_aware = 0;
    let last_row: Vec<usize> = (0..windows.len() / architecture.inputs()).collect();
    let train = Part { values: windows, chosen: &chosen, last_row: &last_row };
    let validation = Part { chosen: &chosen[..chosen.len().min(VALIDATED)], ..train };
    let training = Training::new(&config, architecture, train, validation, device, None)?;
    let (checkpoint, ending) = training.run(&mut Quiet(listener), |_| Ok(()))?;
    if ending == Ending::Interrupted {
        return Ok(None);
    }
    Ok(Some(standardised(&config, architecture, &checkpoint)?))
}

/// The best network as a model of windows in standardised units.
fn standardised(config: &Config, architecture: &Architecture, checkpoint: &Checkpoint) -> Result<ModelFile> {
    let weights = checkpoint.best_network(architecture, &Device::flex())?.weights()?;
    Ok(ModelFile { seed: config.seed, ..model_of_standardised(architecture, weights) })
}

/// A model of one row of standardised features, in 32-bit numbers and without a calibration, with these weights.
pub(crate) fn model_of_standardised(architecture: &Architecture, weights: Weights) -> ModelFile {
    let names = |prefix: &str, count: usize| (0..count).map(|index| format!("{prefix}{index}")).collect();
    let (features, conditions) = (architecture.features, architecture.conditions);
    ModelFile {
        precision: Precision::F32,
        posterior: architecture.posterior.kind(),
        likelihood: architecture.likelihood_kind(),
        channels: names("x", features),
        window: 1,
        hop: 1,
        front_ends: Vec::new(),
        latent: architecture.latent,
        mean: vec![0.0; features],
        scale: vec![1.0; features],
        variance: weights.variance,
        families: architecture.families.clone(),
        log_variance_bounds: architecture.log_variance_bounds(),
        conditions: names("c", conditions),
        condition_mean: vec![0.0; conditions],
        condition_scale: vec![1.0; conditions],
        prior: weights.prior,
        relations: None,
        mixture: None,
        second_stage: None,
        attributes: Vec::new(),
        encoder: weights.encoder,
        decoder: weights.decoder,
        calibration: CalibrationRecord::default(),
        golden_inputs: Vec::new(),
        data: String::new(),
        seed: 0,
        metrics: Vec::new(),
    }
}
