//! The aggregated posterior: what the encoder makes of all training windows.

use anyhow::{Context, Result};
use burn::tensor::Device;
use rand::{RngExt, SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;

use crate::{
    cpu::tensor::read,
    data::part::Part,
    model::{architecture::Architecture, batch::Batch, network::Vae},
    statistics,
    training::checkpoint::Checkpoint,
    weights::{mixture::Mixture, posteriors::Posteriors},
};

/// Windows that are encoded at once.
const BATCH: usize = 1024;
/// Rounds of Lloyd's algorithm.
const ROUNDS: usize = 30;

/// Number of latent dimensions that the best network uses for these windows, whose mean KL is `kl`: see
/// [`active_units`](statistics::active_units::active_units).
///
/// # Errors
/// If the checkpoint is damaged.
pub(crate) fn active_units(
    architecture: &Architecture,
    checkpoint: &Checkpoint,
    windows: Part<'_>,
    kl: f64,
    device: &Device,
) -> Result<usize> {
    let network = checkpoint.best_network(architecture, device)?;
    let means = encode(&network, windows, device)?.means().context("the windows have no posteriors")?;
    let is_probability = architecture.posterior.kind().is_discrete();
    Ok(statistics::active_units::active_units(&means, architecture.latent, is_probability, kl))
}

/// The posterior of each of these windows, in the part's order.
///
/// # Errors
/// If the device cannot give them.
pub(crate) fn encode(network: &Vae, windows: Part<'_>, device: &Device) -> Result<Posteriors> {
    let architecture = network.architecture();
    let mut parameters = Vec::new();
    for indices in windows.chosen.chunks(BATCH) {
        let inputs = windows.gather(indices, architecture.inputs()).collect();
        parameters.extend(read(network.encode(&Batch::new(inputs, architecture, device)))?);
    }
    Ok(Posteriors { family: architecture.posterior, latent: architecture.latent, parameters })
}

/// The mixture of `components` diagonal Gaussians with the aggregated posterior's first and second moments in each cluster
/// of posterior means (Lloyd 1982).
pub(crate) fn mixture(posteriors: &Posteriors, components: usize, seed: u64) -> Mixture {
    let latent = posteriors.latent;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let points: Vec<&[f32]> = posteriors.locations().collect();
    let variances: Vec<f32> = posteriors.variances().collect();
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
                let within = f64::from(variances[index * latent + axis]);
                within + f64::from(points[*index][axis] - centre[axis]).powi(2)
            };
            (members.iter().map(second).sum::<f64>() / members.len() as f64).sqrt().max(1e-6) as f32
        }));
    }
    mixture
}

#[cfg(test)]
mod tests {
    use vae_core::standard_normal;

    use super::*;
    use crate::weights::family::Posterior;

    #[test]
    fn a_mixture_has_the_moments_of_the_aggregated_posterior() {
        // Two clusters of posteriors, at −3 and 2 along the first axis.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut parameters = Vec::new();
        for index in 0..3000 {
            let centre = if index % 3 == 0 { -3.0 } else { 2.0 };
            parameters.extend([centre + 0.3 * standard_normal(&mut rng), 0.5 * standard_normal(&mut rng)]);
            parameters.extend([0.04, 0.25].map(libm::logf));
        }
        let found = mixture(&Posteriors { family: Posterior::Diagonal, latent: 2, parameters }, 2, 5);
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
