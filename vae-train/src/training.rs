//! The training loop: Adam on the negative ELBO, early stopping on the validation ELBO, checkpoints that survive anything.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use burn::{
    module::Module,
    optim::ModuleOptimizer,
    store::ModuleRecord,
    tensor::{Bytes, Device, Tensor, TensorData},
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    adam::FusedAdam,
    config::{Binarise, Config},
    network::{Architecture, Batch, Vae},
    objective::{Loss, Objective},
    step::{self, HostBatch},
};

/// Windows that validation runs through the network at once.
const VALIDATION_BATCH: usize = 512;
/// At least this long between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);

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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// One an epoch.
    pub metrics: Vec<EpochMetrics>,
    /// Epoch of the best validation ELBO.
    pub best_epoch: usize,
    /// Weights of the best epoch, as burn's record.
    pub best: Vec<u8>,
    /// Weights of the last epoch.
    last: Vec<u8>,
    /// Adam's moments after the last epoch.
    optimizer: Vec<u8>,
    /// Whether the fit ended by itself.
    pub done: bool,
}

impl Checkpoint {
    /// The best validation ELBO, in nats of standardised units.
    #[must_use]
    pub fn best_elbo(&self) -> f64 {
        self.best_epoch
            .checked_sub(1)
            .and_then(|index| self.metrics.get(index))
            .map_or(f64::NEG_INFINITY, |m| m.validation_elbo)
    }

    /// The network of the best epoch.
    ///
    /// # Errors
    /// If the weights are not of this architecture.
    pub fn best_network(&self, architecture: &Architecture, device: &Device) -> Result<Vae> {
        load(Vae::init(architecture, 0, device), &self.best)
    }
}

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs done, or no improvement for `patience` epochs.
    Done,
    /// Stopped from outside; the checkpoint is of the last whole epoch.
    Interrupted,
}

/// A fit in progress.
pub struct Training<'a> {
    config: &'a Config,
    architecture: &'a Architecture,
    /// Standardised windows and conditions, `architecture.inputs()` values each.
    train: &'a [f32],
    /// Likewise.
    validation: &'a [f32],
    device: Device,
    network: Vae,
    optimizer: ModuleOptimizer,
    checkpoint: Checkpoint,
}

impl<'a> Training<'a> {
    /// Starts a fit, or goes on from `checkpoint`. `train` and `validation` hold standardised windows one after the other.
    ///
    /// # Errors
    /// If the checkpoint is not of this architecture.
    pub fn new(
        config: &'a Config,
        architecture: &'a Architecture,
        train: &'a [f32],
        validation: &'a [f32],
        device: &Device,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self> {
        let device = device.clone().autodiff();
        let mut network = Vae::init(architecture, config.seed, &device);
        let mut optimizer = FusedAdam::init();
        let checkpoint = match checkpoint {
            Some(checkpoint) => {
                network = load(network, &checkpoint.last)?;
                optimizer = optimizer
                    .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer.clone()))
                    .context("the checkpoint's optimizer state cannot be read")?;
                checkpoint
            }
            None => Checkpoint {
                metrics: Vec::new(),
                best_epoch: 0,
                best: Vec::new(),
                last: Vec::new(),
                optimizer: Vec::new(),
                done: false,
            },
        };
        Ok(Self { config, architecture, train, validation, device, network, optimizer, checkpoint })
    }

    /// Trains until done or `stop` is set. Every epoch is given to `progress`; a checkpoint is given to `save` every few
    /// seconds and at the end.
    ///
    /// # Errors
    /// If training diverges, or `save` fails.
    pub fn run(
        mut self,
        stop: &AtomicBool,
        mut progress: impl FnMut(&EpochMetrics, &Checkpoint),
        mut save: impl FnMut(&Checkpoint) -> Result<()>,
    ) -> Result<(Checkpoint, Ending)> {
        let mut saved = Instant::now();
        let mut fresh = false;
        while !self.is_done() {
            if let ControlFlow::Break(()) = self.epoch(stop)? {
                if fresh {
                    save(&self.checkpoint)?;
                }
                return Ok((self.checkpoint, Ending::Interrupted));
            }
            fresh = true;
            if let Some(metrics) = self.checkpoint.metrics.last() {
                progress(metrics, &self.checkpoint);
            }
            // The first epoch is saved at once, so that there is always something to resume.
            if saved.elapsed() >= CHECKPOINT_INTERVAL || self.checkpoint.metrics.len() == 1 {
                save(&self.checkpoint)?;
                saved = Instant::now();
                fresh = false;
            }
        }
        self.checkpoint.done = true;
        save(&self.checkpoint)?;
        Ok((self.checkpoint, Ending::Done))
    }

    fn is_done(&self) -> bool {
        let epochs = self.checkpoint.metrics.len();
        epochs >= self.config.epochs || epochs - self.checkpoint.best_epoch.min(epochs) >= self.config.patience
    }

    /// One pass over the training windows, in an order and with noise that depend on the seed and the epoch alone, so
    /// that a resumed fit sees what an uninterrupted one would have seen.
    fn epoch(&mut self, stop: &AtomicBool) -> Result<ControlFlow<()>> {
        let inputs = self.architecture.inputs();
        let epoch = self.checkpoint.metrics.len() + 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch as u64);
        let mut order: Vec<usize> = (0..self.train.len() / inputs).collect();
        order.shuffle(&mut rng);

        let mut objective = self.config.objective();
        if epoch < self.config.warm_up {
            objective.beta *= epoch as f32 / self.config.warm_up as f32;
        }
        let (mut bound, mut reconstruction, mut kl) = (0.0, 0.0, 0.0);
        let mut network = self.network.clone();
        let mut optimizer = self.optimizer.clone();
        for (step, indices) in order.chunks(self.config.batch).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(ControlFlow::Break(()));
            }
            let mut rows: Vec<&[f32]> = indices.iter().map(|&index| &self.train[index * inputs..][..inputs]).collect();
            let binary;
            if self.config.binarise == Some(Binarise::Dynamic) {
                binary = binarise(rows.into_iter().flatten().copied(), &mut rng);
                rows = binary.chunks_exact(inputs).collect();
            }
            let noise = objective.noise(self.architecture, indices.len(), &mut rng);
            let batch = HostBatch { rows: &rows, noise: &noise };
            let found = step::gradient(&objective, &network, self.architecture, batch, &self.device);
            let share = indices.len() as f64 / order.len() as f64;
            bound += share * found.bound;
            reconstruction += share * found.reconstruction;
            kl += share * found.kl;
            ensure!(
                (bound + reconstruction + kl).is_finite(),
                "training diverged in epoch {epoch}, step {}: the ELBO is not a number; use a lower --learning-rate (now {}) and \
                 look for extreme values in the data",
                step + 1,
                self.config.learning_rate
            );
            network = optimizer.step_multi(self.config.learning_rate, network, found.gradients);
        }
        self.network = network;
        self.optimizer = optimizer;

        let metrics = EpochMetrics { epoch, elbo: bound, reconstruction, kl, validation_elbo: self.validation_bound() };
        let last = record(&self.network)?;
        if metrics.validation_elbo > self.checkpoint.best_elbo() {
            self.checkpoint.best_epoch = epoch;
            self.checkpoint.best.clone_from(&last);
        }
        self.checkpoint.metrics.push(metrics);
        self.checkpoint.last = last;
        self.checkpoint.optimizer =
            self.optimizer.into_bytes().context("cannot record the optimizer's state")?.to_vec();
        Ok(ControlFlow::Continue(()))
    }

    /// Mean bound of the held-out windows, with the same noise in every epoch, so that epochs are compared and not draws.
    fn validation_bound(&self) -> f64 {
        let inputs = self.architecture.inputs();
        let network = self.network.valid();
        let device = self.device.clone().inner();
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let mut sum = 0.0;
        for x in self.validation.chunks(VALIDATION_BATCH * inputs) {
            let loss = self.loss(self.config.objective().plain(), &network, x.to_vec(), &mut rng, &device);
            sum += (x.len() / inputs) as f64 * f64::from(loss.bound.into_scalar::<f32>());
        }
        sum / (self.validation.len() / inputs) as f64
    }

    fn loss(&self, objective: Objective, network: &Vae, x: Vec<f32>, rng: &mut ChaCha8Rng, device: &Device) -> Loss {
        let windows = x.len() / self.architecture.inputs();
        let noise = objective.noise(self.architecture, windows, rng);
        let shape = [windows * objective.samples, self.architecture.latent];
        let noise = Tensor::from_data(TensorData::new(noise, shape), device);
        objective.loss(network, self.architecture, Batch::new(x, self.architecture, device), noise)
    }
}

/// Zeros and ones, each 1 with the chance that its grey value says.
pub fn binarise(grey: impl Iterator<Item = f32>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    grey.map(|grey| if rng.random::<f32>() < grey { 1.0 } else { 0.0 }).collect()
}

fn record(network: &Vae) -> Result<Vec<u8>> {
    Ok(network.clone().into_record().into_bytes().context("cannot record the weights")?.to_vec())
}

fn load(network: Vae, bytes: &[u8]) -> Result<Vae> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
        .context("the checkpoint's weights are damaged")?;
    network.try_load_record(record).context("the checkpoint's weights do not fit the configuration")
}
