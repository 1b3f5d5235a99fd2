//! Which windows of a batch make its loss or gradient infinite.

use anyhow::Result;
use burn::{
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    cpu::tensor::read,
    model::{
        batch::Batch,
        network::Vae,
        objective::{Loss, Objective},
    },
    training::step::squared_norm,
};

/// The loss of windows with their conditions, given its noise.
pub(crate) fn loss(objective: Objective, network: &Vae, x: Vec<f32>, noise: Vec<f32>, device: &Device) -> Loss {
    let architecture = network.architecture();
    let windows = x.len() / architecture.inputs();
    let shape = [windows * objective.draws(architecture), architecture.latent];
    let noise = Tensor::from_data(TensorData::new(noise, shape), device);
    objective.loss(network, Batch::new(x, architecture, device), noise)
}

/// The windows of a batch whose own loss or gradient is not finite, given its noise; where all are, the one with the
/// lowest bound.
///
/// # Errors
/// If the device cannot give back what it computed.
pub(crate) fn culprits(
    objective: Objective,
    network: &Vae,
    x: &[f32],
    noise: &[f32],
    device: &Device,
) -> Result<Vec<usize>> {
    let architecture = network.architecture();
    let (inputs, latent) = (architecture.inputs(), architecture.latent);
    let windows = x.len() / inputs;
    let (mut found, mut lowest) = (Vec::new(), (f32::INFINITY, 0));
    for (window, x) in x.chunks_exact(inputs).enumerate() {
        let samples =
            (0..objective.draws(architecture)).flat_map(|s| &noise[(s * windows + window) * latent..][..latent]);
        let loss = loss(objective, network, x.to_vec(), samples.copied().collect(), device);
        let bound = read(loss.bound)?[0];
        let mut finite = bound.is_finite();
        // Validation has no gradients.
        if finite && device.is_autodiff() {
            let gradients = GradientsParams::from_grads(loss.surrogate.backward(), network);
            finite = squared_norm(network, &gradients)?.is_finite();
        }
        if !finite {
            found.push(window);
        } else if bound < lowest.0 {
            lowest = (bound, window);
        }
    }
    Ok(if found.is_empty() { vec![lowest.1] } else { found })
}
