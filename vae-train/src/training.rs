//! The training loop: Adam on the negative ELBO, early stopping on the validation ELBO, checkpoints that survive anything.

pub(crate) mod aggregate;
pub mod checkpoint;
mod culprits;
pub mod devices;
pub mod divergence;
mod epoch;
pub mod extras;
mod fine_tuning;
pub mod listener;
mod pass;
#[cfg(feature = "remote")]
pub mod remote;
pub(crate) mod second_stage;
pub(crate) mod step;
mod validation;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use burn::{
    optim::ModuleOptimizer,
    tensor::{Bytes, Device},
};

use crate::{
    config::{Config, data::Binarise},
    cpu::adam::FusedAdam,
    data::{part::Part, supply::Supply},
    model::{architecture::Architecture, baseline::Baseline, network::Vae, objective::Objective},
    training::{
        checkpoint::{Checkpoint, EpochMetrics, load, record, record_optimizer},
        devices::Devices,
        divergence::Divergence,
        listener::{Listener, Progress},
        pass::Pass,
    },
};

/// At least this long between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// Most windows in an epoch: of more, each epoch has a random part, so that validation, checkpoints and early stopping come in
/// time on large data.
pub const LARGEST_EPOCH: usize = 1_000_000;

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
    train: Supply<'a>,
    validation: Part<'a>,
    devices: Devices,
    /// The one of them that has the weights, differentiating.
    device: Device,
    /// Most of the fit proper, and how many of them may pass without a better one.
    epochs: usize,
    patience: usize,
    network: Vae,
    optimizer: ModuleOptimizer,
    checkpoint: Checkpoint,
}

impl<'a> Training<'a> {
    /// Starts a fit, or goes on from `checkpoint`.
    ///
    /// # Errors
    /// If the checkpoint is not of this architecture, or the objective cannot be divided among several devices.
    pub fn new(
        config: &'a Config,
        architecture: &Architecture,
        train: impl Into<Supply<'a>>,
        validation: Part<'a>,
        devices: impl Into<Devices>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self> {
        let train = train.into();
        let mut devices = devices.into();
        devices.check(&config.objective())?;
        if let Supply::Memory(part) = train
            && config.data.binarise != Some(Binarise::Dynamic)
        {
            devices = devices.with_windows(part.values, architecture.inputs());
        }
        let device = devices.main().clone().autodiff();
        let mut network = Vae::init(architecture, config.seed, &device);
        if config.objective().has_learned_baseline() {
            network = network.with_baseline(Baseline::init(architecture, config.seed, &device));
        }
        let mut optimizer = FusedAdam::init();
        let checkpoint = match checkpoint {
            Some(checkpoint) => {
                network = load(network, &checkpoint.last)?;
                optimizer = optimizer
                    .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer.clone()))
                    .context("the checkpoint's optimizer state cannot be read")?;
                checkpoint
            }
            None => Checkpoint::default(),
        };
        let windows = train.windows().min(LARGEST_EPOCH);
        let (epochs, patience) = (config.training.epochs_for(windows), config.training.patience_for(windows));
        Ok(Self { config, train, validation, devices, device, epochs, patience, network, optimizer, checkpoint })
    }

    /// Trains until done or stopped, and tells the listener of every step and epoch; a checkpoint is given to `save` every
    /// few seconds and at the end. An epoch that diverges is taken back and tried again at half the learning rate; one in which a device is
    /// lost, by those that are left.
    ///
    /// # Errors
    /// If training diverges where a lower rate does not help, [`Lost`](devices::Lost) if the last device is, or if `save` fails.
    pub fn run(
        self,
        listener: &mut dyn Listener,
        save: impl FnMut(&Checkpoint) -> Result<()>,
    ) -> Result<(Checkpoint, Ending)> {
        listener.progress(Progress::Begun { epochs: self.epochs + self.config.training.quantisation_aware });
        let result = self.train(listener, save);
        listener.progress(Progress::Ended);
        result
    }

    fn train(
        mut self,
        listener: &mut dyn Listener,
        mut save: impl FnMut(&Checkpoint) -> Result<()>,
    ) -> Result<(Checkpoint, Ending)> {
        let mut saved = Instant::now();
        let mut fresh = false;
        while !self.is_done() {
            if self.has_converged() && self.checkpoint.fine_tuning.is_none() {
                self.start_fine_tuning()?;
            }
            match self.epoch(listener)? {
                Pass::Whole => {}
                Pass::Interrupted => {
                    if fresh {
                        save(&self.checkpoint)?;
                    }
                    return Ok((self.checkpoint, Ending::Interrupted));
                }
                Pass::Diverged(divergence) => {
                    let taken_back = self.checkpoint.divergences.len();
                    if let Some(reason) = divergence.is_hopeless(self.config.training.learning_rate, taken_back) {
                        if fresh {
                            save(&self.checkpoint)?;
                        }
                        bail!("training diverged in {divergence}; {reason}");
                    }
                    listener.progress(Progress::TakenBack(&divergence));
                    self.checkpoint.divergences.push(divergence);
                    continue;
                }
                Pass::Lost(lost) => {
                    self.devices.remove(&lost);
                    if self.devices.is_empty() {
                        if fresh {
                            save(&self.checkpoint)?;
                        }
                        return Err(lost.into());
                    }
                    listener.progress(Progress::Lost(&lost, &self.devices));
                    continue;
                }
            }
            fresh = true;
            if let Some(metrics) = self.checkpoint.metrics.last() {
                listener.progress(Progress::Epoch(metrics, &self.checkpoint));
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
        match self.checkpoint.fine_tuning {
            Some(start) => self.checkpoint.metrics.len() >= start.after + self.config.training.quantisation_aware,
            None => self.has_converged() && self.config.training.quantisation_aware == 0,
        }
    }

    /// Whether the fit proper is over.
    fn has_converged(&self) -> bool {
        let epochs = self.checkpoint.metrics.len();
        epochs >= self.epochs || epochs - self.checkpoint.best_epoch.min(epochs) >= self.patience
    }

    /// The objective of this epoch.
    fn objective_of(&self, epoch: usize) -> Objective {
        let objective = self.config.objective();
        let warm_up = self.config.objective.warm_up.unwrap_or(0);
        if epoch < warm_up { objective.warming_up(epoch as f32 / warm_up as f32) } else { objective }
    }

    /// Takes over what a whole epoch came to.
    fn keep(&mut self, network: Vae, optimizer: ModuleOptimizer, metrics: EpochMetrics) -> Result<()> {
        let last = record(&network)?;
        self.network = network;
        self.optimizer = optimizer;
        if metrics.validation_elbo > self.checkpoint.best_elbo() {
            self.checkpoint.best_epoch = metrics.epoch;
            let mut best = self.network.clone();
            best.baseline = None; // files have none
            self.checkpoint.best = record(&best)?;
        }
        self.checkpoint.metrics.push(metrics);
        self.checkpoint.last = last;
        self.checkpoint.optimizer = record_optimizer(&self.optimizer)?;
        Ok(())
    }

    fn divergence(
        &self,
        step: Option<usize>,
        quantity: &str,
        rows: impl Iterator<Item = usize>,
        batch: usize,
    ) -> Divergence {
        let mut rows: Vec<usize> = rows.collect();
        rows.sort_unstable();
        Divergence {
            epoch: self.checkpoint.metrics.len() + 1,
            step,
            quantity: quantity.to_owned(),
            rows,
            batch,
            learning_rate: self.checkpoint.learning_rate(self.config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::training::TrainingConfig;
    use crate::weights::family::{HiddenActivation, Likelihood};

    const ROWS: usize = 80;

    /// Two features that follow one number; all windows but the last 16 are trained on.
    fn values() -> Vec<f32> {
        let noise = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
        (0..ROWS).flat_map(|i| [noise(i), 0.1 * noise(i + 500) - noise(i)]).collect()
    }

    /// Counts the epochs that are taken back.
    struct TakenBack(usize);

    impl Listener for TakenBack {
        fn progress(&mut self, progress: Progress<'_>) {
            self.0 += usize::from(matches!(progress, Progress::TakenBack(_)));
        }
    }

    fn run(
        config: &Config,
        values: &[f32],
        checkpoint: Option<Checkpoint>,
    ) -> Result<(Checkpoint, Vec<Checkpoint>, usize)> {
        let architecture = config.architecture(2);
        let (all, last_row): (Vec<usize>, Vec<usize>) = (0..ROWS).map(|index| (index, index + 100)).unzip();
        let [train, validation] = [&all[..64], &all[64..]].map(|chosen| Part { values, chosen, last_row: &last_row });
        let training = Training::new(config, &architecture, train, validation, &Device::flex(), checkpoint)?;
        let (mut saved, mut taken_back) = (Vec::new(), TakenBack(0));
        let (end, _) = training.run(&mut taken_back, |checkpoint| {
            saved.push(checkpoint.clone());
            Ok(())
        })?;
        Ok((end, saved, taken_back.0))
    }

    #[test]
    fn a_row_that_no_rate_can_mend_is_named() {
        let mut config = Config::default();
        config.model.hidden = Some(vec![4]);
        config.training =
            TrainingConfig { epochs: Some(300), batch: 8, patience: Some(30), ..TrainingConfig::default() };
        for (row, expected) in
            [(33, "of a batch of 8 is not finite, by 1 of its rows: 134"), (70, "validation: the loss")]
        {
            let mut values = values();
            values[2 * row] = 1e25;
            let message = run(&config, &values, None).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("--learning-rate"), "{message}");
        }
    }

    #[test]
    fn a_fit_that_diverges_goes_on_at_a_lower_rate_and_resumes_to_the_same() {
        let mut config = Config::default();
        config.model.hidden = Some(vec![32; 10]);
        config.model.activation = HiddenActivation::Relu;
        config.model.likelihood = Likelihood::GaussianFixed;
        config.training = TrainingConfig {
            epochs: Some(4),
            batch: 8,
            learning_rate: 0.9,
            patience: Some(4),
            ..TrainingConfig::default()
        };
        let (whole, saved, taken_back) = run(&config, &values(), None).unwrap();
        assert!(taken_back > 0 && whole.divergences.len() == taken_back, "{:?}", whole.divergences);
        assert_eq!(whole.learning_rate(&config), 0.9 * 0.5f64.powi(taken_back as i32));
        assert!(whole.metrics.iter().all(|m| (m.elbo + m.validation_elbo).is_finite()));
        assert_eq!((saved[0].metrics.len(), whole.metrics.len()), (1, 4));
        let (resumed, ..) = run(&config, &values(), Some(saved[0].clone())).unwrap();
        assert_eq!((resumed.metrics, resumed.divergences), (whole.metrics, whole.divergences));
    }
}
