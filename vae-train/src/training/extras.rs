//! What a run learns after its model: the aggregated posterior's mixture, a second stage, and attributes.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use rand::{RngExt, SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::standard_normal;

use crate::{
    config::{
        Config,
        model::{CONTINUOUS_FLOOR, ModelConfig},
        objective::ObjectiveConfig,
        training::TrainingConfig,
    },
    cpu::tensor::read,
    data::part::Part,
    model::{architecture::Architecture, batch::Batch, network::Vae},
    training::{
        Ending, Training,
        checkpoint::Checkpoint,
        listener::{Listener, Quiet},
    },
    weights::{
        attribute::Attribute,
        family::{Likelihood, Posterior},
        mixture::Mixture,
        second_stage::SecondStage,
    },
};

/// Windows that are encoded at once.
const BATCH: usize = 1024;
/// Rounds of Lloyd's algorithm.
const ROUNDS: usize = 30;
/// Most epochs of a second stage without a better validation ELBO.
const PATIENCE: usize = 10;

/// Learned after the model, kept beside the checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Extras {
    /// The aggregated posterior.
    pub mixture: Option<Mixture>,
    /// Architecture and checkpoint of the second stage.
    pub second_stage: Option<(Architecture, Checkpoint)>,
    /// Named directions.
    pub attributes: Vec<Attribute>,
}

/// Means and variances of `q(z|x)` of every training window, `latent` values each.
struct Latents {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Extras {
    /// Whether all that `config` asks for has been learned.
    #[must_use]
    pub fn fulfil(&self, config: &Config) -> bool {
        (config.model.mixture == 0 || self.mixture.is_some())
            && (!config.model.second_stage || self.second_stage.is_some())
    }

    /// Learns what `config` asks for from the best network and the standardised training windows; `None` if the listener stops it.
    ///
    /// # Errors
    /// If the checkpoint is damaged or the second stage diverges.
    pub fn learn(
        config: &Config,
        architecture: &Architecture,
        checkpoint: &Checkpoint,
        train: Part<'_>,
        device: &Device,
        listener: &dyn Listener,
    ) -> Result<Option<Self>> {
        let mut extras = Self::default();
        let network = checkpoint.best_network(architecture, device)?;
        let latents = encode(&network, train, device)?;
        if config.model.mixture > 0 {
            let windows = latents.mean.len() / architecture.latent;
            ensure!(
                config.model.mixture <= windows,
                "a mixture of {} components for {windows} windows",
                config.model.mixture
            );
            extras.mixture = Some(mixture(&latents, architecture.latent, config.model.mixture, config.seed));
        }
        if config.model.second_stage {
            match second_stage(config, architecture, &latents, train, device, listener)? {
                Some(stage) => extras.second_stage = Some(stage),
                None => return Ok(None),
            }
        }
        Ok(Some(extras))
    }

    /// The second stage as the model file takes it.
    ///
    /// # Errors
    /// If its weights are damaged.
    pub fn second_stage(&self) -> Result<Option<SecondStage>> {
        let Some((architecture, checkpoint)) = &self.second_stage else { return Ok(None) };
        let weights = checkpoint.best_network(architecture, &Device::flex())?.weights()?;
        let deviation = weights.variance.iter().map(|variance| variance.sqrt()).collect();
        Ok(Some(SecondStage { decoder: weights.decoder, deviation }))
    }
}

/// Number of latent dimensions that the best network uses for these windows; see [`active_units`](crate::statistics::active_units::active_units).
///
/// # Errors
/// If the checkpoint is damaged.
pub fn active_units(
    architecture: &Architecture,
    checkpoint: &Checkpoint,
    windows: Part<'_>,
    device: &Device,
) -> Result<usize> {
    let network = checkpoint.best_network(architecture, device)?;
    let mut means = encode(&network, windows, device)?.mean;
    if architecture.posterior == Posterior::Bernoulli {
        // Logits, to a coin's mean on the scale of ±1.
        means.iter_mut().for_each(|logit| *logit = libm::tanhf(0.5 * *logit));
    }
    Ok(crate::statistics::active_units::active_units(&means, architecture.latent))
}

fn encode(network: &Vae, train: Part<'_>, device: &Device) -> Result<Latents> {
    let architecture = network.architecture();
    let latent = architecture.latent;
    let mut latents = Latents { mean: Vec::new(), variance: Vec::new() };
    for indices in train.chosen.chunks(BATCH) {
        let inputs = train.gather(indices, architecture.inputs()).collect();
        let parameters = read(network.encode(&Batch::new(inputs, architecture, device)))?;
        for row in parameters.chunks(architecture.posterior.kind().parameters(latent)) {
            let (mean, spread) = row.split_at(latent);
            latents.mean.extend_from_slice(mean);
            match architecture.posterior {
                Posterior::Diagonal => latents.variance.extend(spread.iter().map(|v| libm::expf(*v))),
                Posterior::Full => latents.variance.extend((0..latent).map(|row| {
                    let entries = &spread[row * (row + 1) / 2..][..=row];
                    let below: f32 = entries[..row].iter().map(|entry| entry * entry).sum();
                    below + libm::expf(2.0 * entries[row])
                })),
                Posterior::Bernoulli => latents.variance.extend(std::iter::repeat_n(0.0, latent)),
            }
        }
    }
    Ok(latents)
}

/// The mixture of `components` diagonal Gaussians with the aggregated posterior's first and second moments in each cluster
/// of posterior means (Lloyd 1982).
fn mixture(latents: &Latents, latent: usize, components: usize, seed: u64) -> Mixture {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let points: Vec<&[f32]> = latents.mean.chunks(latent).collect();
    let mut centres: Vec<Vec<f32>> =
        sample(&mut rng, points.len(), components).iter().map(|index| points[index].to_vec()).collect();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let nearest = |centres: &[Vec<f32>], point: &[f32]| {
        let distances = centres.iter().map(|centre| distance(centre, point));
        distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
    };
    let mut assigned = vec![0; points.len()];
    for _ in 0..ROUNDS {
        for (assigned, point) in assigned.iter_mut().zip(&points) {
            *assigned = nearest(&centres, point);
        }
        for (component, centre) in centres.iter_mut().enumerate() {
            let members: Vec<_> =
                points.iter().zip(&assigned).filter(|(_, a)| **a == component).map(|(p, _)| p).collect();
            // A centre that lost all its members starts again somewhere else.
            if members.is_empty() {
                *centre = points[rng.random_range(0..points.len())].to_vec();
                continue;
            }
            for (axis, value) in centre.iter_mut().enumerate() {
                *value = (members.iter().map(|p| f64::from(p[axis])).sum::<f64>() / members.len() as f64) as f32;
            }
        }
    }
    let mut mixture = Mixture::default();
    for (component, centre) in centres.iter().enumerate() {
        let members: Vec<usize> = (0..points.len()).filter(|index| assigned[*index] == component).collect();
        if members.is_empty() {
            continue;
        }
        mixture.weight.push(members.len() as f32 / points.len() as f32);
        mixture.mean.extend_from_slice(centre);
        mixture.deviation.extend((0..latent).map(|axis| {
            let second = |index: &usize| {
                let within = f64::from(latents.variance[index * latent + axis]);
                within + f64::from(points[*index][axis] - centre[axis]).powi(2)
            };
            (members.iter().map(second).sum::<f64>() / members.len() as f64).sqrt().max(1e-6) as f32
        }));
    }
    mixture
}

/// A second VAE on samples of the first one's posterior.
///
/// # Source
/// Dai & Wipf (2019), *Diagnosing and Enhancing VAE Models*, section 4.
fn second_stage(
    config: &Config,
    first: &Architecture,
    latents: &Latents,
    from: Part<'_>,
    device: &Device,
    listener: &dyn Listener,
) -> Result<Option<(Architecture, Checkpoint)>> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let pairs = latents.mean.iter().zip(&latents.variance);
    let z: Vec<f32> = pairs.map(|(mean, variance)| mean + variance.sqrt() * standard_normal(&mut rng)).collect();
    let config = Config {
        seed: config.seed,
        model: ModelConfig {
            hidden: config.model.hidden.clone(),
            latent: Some(first.latent),
            prior: Some(0),
            likelihood: Likelihood::Gaussian,
            variance_floor: Some(CONTINUOUS_FLOOR),
            ..ModelConfig::default()
        },
        objective: ObjectiveConfig { input_noise: Some(0.0), ..ObjectiveConfig::default() },
        training: TrainingConfig {
            patience: Some(config.training.patience.map_or(PATIENCE, |patience| patience.min(PATIENCE))),
            quantisation_aware: 0,
            ..config.training
        },
        ..Config::default()
    };
    let architecture = config.architecture(first.latent);
    let windows = z.len() / first.latent;
    let (all, last_row): (Vec<usize>, Vec<usize>) =
        from.chosen.iter().map(|index| from.last_row[*index]).enumerate().unzip();
    let (train, validation) = all.split_at(windows - (windows / 10).max(1));
    ensure!(!train.is_empty(), "too few windows for a second stage");
    let [train, validation] = [train, validation].map(|chosen| Part { values: &z, chosen, last_row: &last_row });
    let training = Training::new(&config, &architecture, train, validation, device, None)?;
    let (checkpoint, ending) = training.run(&mut Quiet(listener), |_| Ok(())).context("the second stage")?;
    Ok((ending == Ending::Done).then_some((architecture, checkpoint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_has_the_moments_of_the_aggregated_posterior() {
        // Two clusters of posteriors, at −3 and 2 along the first axis.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut latents = Latents { mean: Vec::new(), variance: Vec::new() };
        for index in 0..3000 {
            let centre = if index % 3 == 0 { -3.0 } else { 2.0 };
            latents.mean.extend([centre + 0.3 * standard_normal(&mut rng), 0.5 * standard_normal(&mut rng)]);
            latents.variance.extend([0.04, 0.25]);
        }
        let found = mixture(&latents, 2, 2, 5);
        let low = usize::from(found.mean[0] > 0.0);
        let expected = [(low, 1.0 / 3.0, -3.0), (1 - low, 2.0 / 3.0, 2.0)];
        for (component, weight, centre) in expected {
            assert!((found.weight[component] - weight).abs() < 1e-3);
            assert!((found.mean[2 * component] - centre).abs() < 0.05);
            assert!((found.deviation[2 * component] - (0.04f32 + 0.09).sqrt()).abs() < 0.03);
            assert!((found.deviation[2 * component + 1] - (0.25f32 + 0.25).sqrt()).abs() < 0.04);
        }
    }
}
