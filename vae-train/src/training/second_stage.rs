//! The second stage: a VAE of the first one's latent vectors.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    config::{Config, data::DataConfig, model::ModelConfig, objective::ObjectiveConfig, training::TrainingConfig},
    data::part::Part,
    model::architecture::Architecture,
    statistics::moments::Moments,
    training::{
        Ending, Training,
        listener::{Listener, Quiet},
    },
    weights::{family::Likelihood, posteriors::Posteriors, second_stage::SecondStage},
};

/// Draws of few windows: as many of each as make about so many, at most [`MOST_DRAWS`].
const LATENT_VECTORS: usize = 20_000;
const MOST_DRAWS: usize = 32;
/// Steps, in those that the first stage may take: Dai & Wipf train the second one for twice as long, and a fit that is cut short cuts it short too.
const STEPS: usize = 2;
const MOST_STEPS: usize = 20;
/// Fewest steps, but for these.
const LEAST_STEPS: usize = 6000;
/// The KL's weight rises over the first half of the epochs: its variance, learned by small steps from that of the latent vectors, has to fall before
/// its own latents are worth their KL.
const WARM_UP: usize = 2;
/// Largest step size: at larger ones its posterior falls back to the prior, as those of rings at 0.003 did.
const LEARNING_RATE: f64 = 1e-3;
/// Least variance that it may learn, of that of each latent dimension.
const VARIANCE_FLOOR: f32 = 1e-4;

/// A second stage that was trained, and how much of the latent vectors' variance it explains.
#[derive(Clone, Debug)]
pub(crate) struct Trained {
    pub(crate) stage: SecondStage,
    /// One less the mean over the dimensions of `Var(z|u) / Var(z)`.
    pub(crate) explained: f64,
}

/// Standardised latent vectors that were drawn from posteriors, each followed by its window's condition.
struct Draws {
    values: Vec<f32>,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    /// Of each window.
    of_window: usize,
}

impl Draws {
    /// So many draws of the posterior of each window of `from`.
    fn of(posteriors: &Posteriors, from: Part<'_>, first: &Architecture, of_window: usize, seed: u64) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (latent, width) = (first.latent, first.latent + first.conditions);
        let mut values = vec![0.0; posteriors.count() * of_window * width];
        for (index, window) in from.windows(from.chosen, first.inputs()).enumerate() {
            let posterior = posteriors.at(index)?;
            for row in values[index * of_window * width..][..of_window * width].chunks_exact_mut(width) {
                let (z, condition) = row.split_at_mut(latent);
                posterior.sample(&mut rng, z)?;
                condition.copy_from_slice(&window[first.features..]);
            }
        }
        let moments = Moments::of(values.chunks_exact(width), latent);
        let mean: Vec<f32> = moments.iter().map(|moments| moments.mean as f32).collect();
        let deviation: Vec<f32> = moments.iter().map(|moments| moments.deviation().max(1e-6) as f32).collect();
        for row in values.chunks_exact_mut(width) {
            for (z, (mean, deviation)) in row.iter_mut().zip(mean.iter().zip(&deviation)) {
                *z = (*z - mean) / deviation;
            }
        }
        Ok(Self { values, mean, deviation, of_window })
    }

    /// The decoder and the deviations of a stage of these, for latent vectors as they were.
    fn undone(&self, mut stage: SecondStage) -> SecondStage {
        if let Some(last) = stage.decoder.last_mut() {
            let rows = last.weights.chunks_exact_mut(last.columns).zip(&mut last.bias);
            for ((weights, bias), (mean, deviation)) in rows.zip(self.mean.iter().zip(&self.deviation)) {
                weights.iter_mut().for_each(|weight| *weight *= deviation);
                *bias = *bias * deviation + mean;
            }
        }
        stage.deviation.iter_mut().zip(&self.deviation).for_each(|(of_stage, deviation)| *of_stage *= deviation);
        stage
    }
}

/// Trains a second VAE on samples of the first one's `posteriors` of the windows `from`, given their condition if the model is conditional; `None` if
/// the listener stops it.
///
/// # Errors
/// If there are too few windows, or training diverges.
///
/// # Source
/// Dai & Wipf (2019), *Diagnosing and Enhancing VAE Models*, section 4: the second stage has as many latent dimensions as the first, learns the
/// variance of its likelihood, and is trained apart, for twice as long.
pub(crate) fn train(
    config: &Config,
    first: &Architecture,
    posteriors: &Posteriors,
    from: Part<'_>,
    device: &Device,
    listener: &dyn Listener,
) -> Result<Option<Trained>> {
    let windows = posteriors.count();
    let of_window = (LATENT_VECTORS / windows.max(1)).clamp(1, MOST_DRAWS);
    let draws = Draws::of(posteriors, from, first, of_window, config.seed)?;
    // The last windows, with all of their draws, say when to stop.
    let held_out = (windows / 10).max(1);
    ensure!(windows > held_out, "too few windows for a second stage");
    let (all, last_row): (Vec<usize>, Vec<usize>) = from
        .chosen
        .iter()
        .flat_map(|index| std::iter::repeat_n(from.last_row[*index], draws.of_window))
        .enumerate()
        .unzip();
    let (train, validation) = all.split_at((windows - held_out) * draws.of_window);
    let config = configuration(config, first, windows, train.len());
    let architecture = config.architecture(first.latent);
    let [train, validation] =
        [train, validation].map(|chosen| Part { values: &draws.values, chosen, last_row: &last_row });
    let training = Training::new(&config, &architecture, train, validation, device, None)?;
    let (checkpoint, ending) = training.run(&mut Quiet(listener), |_| Ok(())).context("the second stage")?;
    if ending == Ending::Interrupted {
        return Ok(None);
    }
    let weights = checkpoint.best_network(&architecture, &Device::flex())?.weights()?;
    let shares = weights.variance.iter().map(|variance| f64::from(*variance));
    let explained = 1.0 - shares.sum::<f64>() / first.latent as f64;
    let deviation = weights.variance.iter().map(|variance| variance.sqrt()).collect();
    Ok(Some(Trained { stage: draws.undone(SecondStage { decoder: weights.decoder, deviation }), explained }))
}

/// Of a second stage that learns from so many `vectors`, by that of the first, which learned from so many `windows`.
fn configuration(config: &Config, first: &Architecture, windows: usize, vectors: usize) -> Config {
    let TrainingConfig { batch, .. } = config.training;
    let of_first = config.training.epochs_for(windows) * windows.div_ceil(batch);
    let steps = (STEPS * of_first).max(LEAST_STEPS).min(MOST_STEPS * of_first);
    let epochs = steps.div_ceil(vectors.div_ceil(batch).max(1));
    Config {
        seed: config.seed,
        data: DataConfig { condition: config.data.condition.clone(), ..DataConfig::default() },
        model: ModelConfig {
            hidden: config.model.hidden.clone(),
            latent: Some(first.latent),
            prior: Some(0),
            likelihood: Likelihood::Gaussian,
            variance_floor: Some(VARIANCE_FLOOR),
            ..ModelConfig::default()
        },
        objective: ObjectiveConfig {
            input_noise: Some(0.0),
            warm_up: Some(epochs / WARM_UP),
            ..ObjectiveConfig::default()
        },
        training: TrainingConfig {
            epochs: Some(epochs),
            patience: Some(epochs),
            quantisation_aware: 0,
            learning_rate: config.training.learning_rate.min(LEARNING_RATE),
            last_rate: None,
            ..config.training
        },
        ..Config::default()
    }
}
