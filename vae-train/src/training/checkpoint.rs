//! Everything that a fit needs to go on.

use anyhow::{Context, Result};
use burn::{
    module::Module,
    optim::ModuleOptimizer,
    store::ModuleRecord,
    tensor::{Bytes, Device},
};
use burn_pack::{Reader, Writer};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    model::{architecture::Architecture, network::Vae},
    training::divergence::Divergence,
};

/// What an epoch gave, in nats of standardised units, means over the windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: usize,
    /// The bound that is maximised (ELBO or importance-weighted) of the training windows, while the weights changed.
    pub elbo: f64,
    /// `E_q[ln p(x|z)]` of the training windows.
    pub reconstruction: f64,
    /// `KL(q(z|x) ‖ p(z))` of the training windows.
    pub kl: f64,
    /// The bound of the held-out windows, after the epoch.
    pub validation_elbo: f64,
}

/// Everything that a fit needs to go on as if it had never stopped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// One an epoch.
    pub metrics: Vec<EpochMetrics>,
    /// Epoch of the best validation ELBO.
    pub best_epoch: usize,
    /// Weights of the best epoch, as burn's record.
    pub best: Vec<u8>,
    /// Weights of the last epoch.
    pub(crate) last: Vec<u8>,
    /// Adam's moments after the last epoch.
    pub(crate) optimizer: Vec<u8>,
    /// Set once quantisation-aware fine-tuning began.
    pub(crate) fine_tuning: Option<FineTuning>,
    /// What went wrong and was taken back, in order; each halved the learning rate.
    pub divergences: Vec<Divergence>,
    /// Whether the fit ended by itself.
    pub done: bool,
}

/// Where quantisation-aware fine-tuning began. In epochs after it, `validation_elbo` is that of the rounded weights.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct FineTuning {
    /// Epochs before it.
    pub(crate) after: usize,
    /// Validation ELBO of the best epoch's rounded weights: what fine-tuning has to exceed.
    pub(crate) elbo: f64,
}

impl Checkpoint {
    /// The best validation ELBO, in nats of standardised units; of the rounded weights once fine-tuning began.
    #[must_use]
    pub fn best_elbo(&self) -> f64 {
        if let Some(start) = self.fine_tuning.filter(|start| self.best_epoch <= start.after) {
            return start.elbo;
        }
        self.best_epoch
            .checked_sub(1)
            .and_then(|index| self.metrics.get(index))
            .map_or(f64::NEG_INFINITY, |m| m.validation_elbo)
    }

    /// Adam's step size: half of what was asked for, after each divergence.
    #[must_use]
    pub fn learning_rate(&self, config: &Config) -> f64 {
        config.training.learning_rate * 0.5f64.powi(self.divergences.len() as i32)
    }

    /// The network of the best epoch.
    ///
    /// # Errors
    /// If the weights are not of this architecture.
    pub fn best_network(&self, architecture: &Architecture, device: &Device) -> Result<Vae> {
        load(Vae::init(architecture, 0, device), &self.best)
    }
}

/// The weights as burn's record.
///
/// # Errors
/// If the device cannot give them.
pub(crate) fn record(network: &Vae) -> Result<Vec<u8>> {
    Ok(network.clone().into_record().into_bytes().context("cannot record the weights")?.to_vec())
}

/// A network with the weights of a record.
///
/// # Errors
/// If they are damaged, or of another architecture.
pub(crate) fn load(network: Vae, bytes: &[u8]) -> Result<Vae> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
        .context("the checkpoint's weights are damaged")?;
    network.try_load_record(record).context("the checkpoint's weights do not fit the configuration")
}

/// An optimiser's state as bytes, the same in every process.
///
/// # Errors
/// If the device cannot give it.
pub(crate) fn record_optimizer(optimizer: &ModuleOptimizer) -> Result<Vec<u8>> {
    let bytes = optimizer.into_bytes().context("cannot record the optimizer's state")?;
    // burn writes the moments in the order of a hash map, another one in each process; its reader gives them by name.
    let reader = Reader::from_bytes(bytes)?;
    let (scalars, metadata) = (reader.scalars().clone(), reader.metadata().clone());
    let mut writer = Writer::new(reader.into_tensors()?);
    for (name, value) in scalars {
        writer = writer.with_scalar(&name, value);
    }
    for (name, value) in metadata {
        writer = writer.with_metadata(&name, &value);
    }
    Ok(writer.into_bytes()?.to_vec())
}
