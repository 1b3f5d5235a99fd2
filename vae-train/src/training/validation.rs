//! The bound of the held-out windows, by which epochs are compared.

use anyhow::Result;
use burn::module::Module;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    cpu::tensor::read,
    model::network::Vae,
    training::{
        Training,
        culprits::{culprits, loss},
        divergence::Divergence,
    },
};

/// Windows that run through the network at once.
const BATCH: usize = 512;

impl Training<'_> {
    /// Mean bound of the held-out windows, with the same noise in every epoch, so that epochs are compared and not draws;
    /// if it is not finite, the rows that make it so.
    pub(super) fn validate(&self, network: &Vae) -> Result<Result<f64, Divergence>> {
        let architecture = network.architecture();
        let inputs = architecture.inputs();
        let network = network.valid();
        let device = self.device.clone().inner();
        let objective = self.config.objective().plain();
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let mut sum = 0.0;
        for indices in self.validation.chosen.chunks(BATCH) {
            let x: Vec<f32> = self.validation.gather(indices, inputs).collect();
            let noise = objective.noise(architecture, indices.len(), &mut rng);
            let loss = loss(objective, &network, x.clone(), noise.clone(), &device);
            let bound = f64::from(read(loss.bound)?[0]);
            if !bound.is_finite() {
                let rows = culprits(objective, &network, &x, &noise, &device)?;
                let rows = rows.iter().map(|window| self.validation.last_row[indices[*window]] + 1);
                return Ok(Err(self.divergence(None, "loss", rows, indices.len())));
            }
            sum += indices.len() as f64 * bound;
        }
        Ok(Ok(sum / self.validation.chosen.len() as f64))
    }
}
