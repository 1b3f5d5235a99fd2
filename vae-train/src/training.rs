//! The training loop: Adam on the negative ELBO, early stopping on the validation ELBO, checkpoints that survive anything.

pub(crate) mod aggregate;
pub mod checkpoint;
mod culprits;
pub mod devices;
pub mod divergence;
pub mod extras;
mod fine_tuning;
pub mod listener;
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
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::{Config, data::Binarise},
    cpu::adam::FusedAdam,
    data::part::{Part, binarise},
    model::{architecture::Architecture, baseline::Baseline, network::Vae, objective::Objective},
    training::{
        checkpoint::{Checkpoint, EpochMetrics, load, record, record_optimizer},
        culprits::culprits,
        devices::{Devices, Lost},
        divergence::Divergence,
        listener::{Listener, Progress},
        step::HostBatch,
    },
};

/// At least this long between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// Most windows in an epoch: of more, each epoch has a random part, so that validation, checkpoints and early stopping come in
/// time on large data.
pub const LARGEST_EPOCH: usize = 1_000_000;

/// How an epoch ended.
enum Pass {
    Whole,
    Interrupted,
    Diverged(Divergence),
    Lost(Lost),
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
    train: Part<'a>,
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
        train: Part<'a>,
        validation: Part<'a>,
        devices: impl Into<Devices>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self> {
        let mut devices = devices.into();
        devices.check(&config.objective())?;
        if config.data.binarise != Some(Binarise::Dynamic) {
            devices = devices.with_windows(train.values, architecture.inputs());
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
        let windows = train.chosen.len().min(LARGEST_EPOCH);
        let (epochs, patience) = (config.training.epochs_for(windows), config.training.patience_for(windows));
        Ok(Self { config, train, validation, devices, device, epochs, patience, network, optimizer, checkpoint })
    }

    /// Trains until done or stopped, and tells the listener of every step and epoch; a checkpoint is given to `save` every
    /// few seconds and at the end. An epoch that diverges is taken back and tried again at half the learning rate; one in which a device is
    /// lost, by those that are left.
    ///
    /// # Errors
    /// If training diverges where a lower rate does not help, [`Lost`] if the last device is, or if `save` fails.
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

    /// One pass over the training windows (at most [`LARGEST_EPOCH`]), in an order and with noise that depend on the seed and
    /// the epoch alone, so that a resumed fit sees what an uninterrupted one would have seen. Unless the pass is whole,
    /// nothing changes.
    fn epoch(&mut self, listener: &mut dyn Listener) -> Result<Pass> {
        let inputs = self.network.architecture().inputs();
        let epoch = self.checkpoint.metrics.len() + 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch as u64);
        let mut order = self.train.chosen.to_vec();
        let (order, _) = order.partial_shuffle(&mut rng, LARGEST_EPOCH);
        let objective = self.objective_of(epoch);
        let learning_rate = self.learning_rate();
        let mut means = [0.0; 3];
        let mut windows = 0;
        let (mut network, mut optimizer) = (self.network.clone(), self.optimizer.clone());
        for (step, indices) in order.chunks(self.config.training.batch).enumerate() {
            if listener.is_stopped() {
                return Ok(Pass::Interrupted);
            }
            let computing = self.judged(&network)?;
            let binary = self.drawn_binary(indices, &mut rng);
            let rows: Vec<&[f32]> = match &binary {
                Some(binary) => binary.chunks_exact(inputs).collect(),
                None => self.train.windows(indices, inputs).collect(),
            };
            let noise = objective.noise(network.architecture(), indices.len(), &mut rng);
            let blur = self.config.blur(indices.len(), network.architecture(), &mut rng);
            let batch = HostBatch { rows: &rows, noise: &noise, blur: &blur, of: rows.len() };
            // What an epoch draws anew no device has.
            let known = binary.is_none().then_some(indices);
            let found = match self.devices.gradient(&objective, &computing, batch, known) {
                Ok(found) => found,
                Err(lost) => return Ok(Pass::Lost(lost)),
            };
            let sums = found.sums;
            let share = indices.len() as f64 / order.len() as f64;
            for (mean, part) in means.iter_mut().zip([sums.bound, sums.reconstruction, sums.kl]) {
                *mean += share * part;
            }
            // Before the update: a gradient whose square is finite leaves weights and moments finite.
            let finite = [("loss", means.iter().sum::<f64>().is_finite()), ("gradient", sums.squared_norm.is_finite())];
            if let Some((quantity, _)) = finite.iter().find(|(_, finite)| !finite) {
                let rows = culprits(objective, &computing, &rows.concat(), &noise, &self.device)?;
                let rows = rows.iter().map(|window| self.train.last_row[indices[*window]] + 1);
                return Ok(Pass::Diverged(self.divergence(Some(step + 1), quantity, rows, indices.len())));
            }
            network = optimizer.step(learning_rate, network, found.gradients);
            windows += indices.len();
            let elbo = means[0] * order.len() as f64 / windows as f64;
            listener.progress(Progress::Step { epoch, windows, of: order.len(), elbo });
        }
        let validation_elbo = match self.validate(&self.judged(&network)?)? {
            Ok(bound) => bound,
            Err(divergence) => return Ok(Pass::Diverged(divergence)),
        };
        let [elbo, reconstruction, kl] = means;
        self.keep(network, optimizer, EpochMetrics { epoch, elbo, reconstruction, kl, validation_elbo })?;
        Ok(Pass::Whole)
    }

    /// The objective of this epoch.
    fn objective_of(&self, epoch: usize) -> Objective {
        let objective = self.config.objective();
        let warm_up = self.config.objective.warm_up.unwrap_or(0);
        if epoch < warm_up { objective.warming_up(epoch as f32 / warm_up as f32) } else { objective }
    }

    /// Zeros and ones for these windows, where each epoch draws its own.
    fn drawn_binary(&self, indices: &[usize], rng: &mut ChaCha8Rng) -> Option<Vec<f32>> {
        let is_drawn = self.config.data.binarise == Some(Binarise::Dynamic);
        let grey = self.train.windows(indices, self.network.architecture().inputs());
        is_drawn.then(|| binarise(grey.flatten().copied(), rng))
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
