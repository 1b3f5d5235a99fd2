//! The training loop: Adam on the negative ELBO, early stopping on the validation ELBO, checkpoints that survive anything.

pub mod extras;
pub(crate) mod step;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use burn::{
    module::Module,
    optim::{GradientsParams, ModuleOptimizer},
    store::ModuleRecord,
    tensor::{Bytes, Device, Tensor, TensorData},
};
use burn_pack::{Reader, Writer};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    config::{Binarise, Config},
    cpu::adam::FusedAdam,
    data::part::{Part, binarise},
    model::{
        network::{Architecture, Batch, Vae},
        objective::{Loss, Objective},
    },
    training::step::HostBatch,
};

/// Windows that validation runs through the network at once.
const VALIDATION_BATCH: usize = 512;
/// Quantisation-aware fine-tuning's learning rate, as a share of the fit's.
const FINE_TUNING_RATE: f64 = 0.1;
/// At least this long between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// Most windows in an epoch: of more, each epoch has a random part, so that validation, checkpoints and early stopping come in
/// time on large data.
pub const LARGEST_EPOCH: usize = 1_000_000;
/// Times that a fit is taken back, each at half the rate, before it stops.
const MOST_DIVERGENCES: usize = 6;

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
    /// Set once quantisation-aware fine-tuning began.
    fine_tuning: Option<FineTuning>,
    /// What went wrong and was taken back, in order; each halved the learning rate.
    pub divergences: Vec<Divergence>,
    /// Whether the fit ended by itself.
    pub done: bool,
}

/// Where quantisation-aware fine-tuning began. In epochs after it, `validation_elbo` is that of the rounded weights.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct FineTuning {
    /// Epochs before it.
    after: usize,
    /// Validation ELBO of the best epoch's rounded weights: what fine-tuning has to exceed.
    elbo: f64,
}

/// A batch that gave a loss or a gradient that is not finite. The epoch was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1 in the epoch; `None` for the validation after it.
    pub step: Option<usize>,
    /// What was not finite.
    pub quantity: String,
    /// Rows of the data, counted from 1 (of a window its last), in order: those of the batch that are not finite by themselves,
    /// or where all are, the one with the lowest bound.
    pub rows: Vec<usize>,
    /// Windows in the batch.
    pub batch: usize,
    /// The rate that it came to this at.
    pub learning_rate: f64,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "epoch {}, ", self.epoch)?;
        match self.step {
            Some(step) => write!(f, "step {step}")?,
            None => f.write_str("validation")?,
        }
        let rows: Vec<String> = self.rows.iter().take(SHOWN).map(ToString::to_string).collect();
        let rows = rows.join(", ") + if self.rows.len() > SHOWN { " …" } else { "" };
        let (quantity, batch, found) = (&self.quantity, self.batch, self.rows.len());
        write!(f, ": the {quantity} of a batch of {batch} is not finite, by {found} of its rows: {rows}")?;
        write!(f, " (learning rate {:.3e})", self.learning_rate)
    }
}

/// What a fit says while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step is done.
    Step {
        /// Counted from 1.
        epoch: usize,
        /// Windows of the epoch that are done.
        windows: usize,
        /// Windows in the epoch.
        of: usize,
        /// Mean bound of those that are done.
        elbo: f64,
    },
    /// An epoch is done: its metrics are the checkpoint's last.
    Epoch(&'a EpochMetrics, &'a Checkpoint),
    /// An epoch is taken back, and tried again at half the rate.
    TakenBack(&'a Divergence),
}

/// How an epoch ended.
enum Pass {
    Whole,
    Interrupted,
    Diverged(Divergence),
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
        config.learning_rate * 0.5f64.powi(self.divergences.len() as i32)
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
    train: Part<'a>,
    validation: Part<'a>,
    device: Device,
    network: Vae,
    optimizer: ModuleOptimizer,
    checkpoint: Checkpoint,
}

impl<'a> Training<'a> {
    /// Starts a fit, or goes on from `checkpoint`.
    ///
    /// # Errors
    /// If the checkpoint is not of this architecture.
    pub fn new(
        config: &'a Config,
        architecture: &'a Architecture,
        train: Part<'a>,
        validation: Part<'a>,
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
                fine_tuning: None,
                divergences: Vec::new(),
                done: false,
            },
        };
        Ok(Self { config, architecture, train, validation, device, network, optimizer, checkpoint })
    }

    /// Trains until done or `stop` is set, and tells `watch` of every step and epoch; a checkpoint is given to `save` every
    /// few seconds and at the end. An epoch that diverges is taken back and tried again at half the learning rate.
    ///
    /// # Errors
    /// If training diverges where a lower rate does not help, or `save` fails.
    pub fn run(
        mut self,
        stop: &AtomicBool,
        mut watch: impl FnMut(Progress<'_>),
        mut save: impl FnMut(&Checkpoint) -> Result<()>,
    ) -> Result<(Checkpoint, Ending)> {
        let mut saved = Instant::now();
        let mut fresh = false;
        while !self.is_done() {
            if self.has_converged() && self.checkpoint.fine_tuning.is_none() {
                self.start_fine_tuning()?;
            }
            match self.epoch(stop, &mut watch)? {
                Pass::Whole => {}
                Pass::Interrupted => {
                    if fresh {
                        save(&self.checkpoint)?;
                    }
                    return Ok((self.checkpoint, Ending::Interrupted));
                }
                Pass::Diverged(divergence) => {
                    if let Some(reason) = self.is_hopeless(&divergence) {
                        if fresh {
                            save(&self.checkpoint)?;
                        }
                        bail!("training diverged in {divergence}; {reason}");
                    }
                    watch(Progress::TakenBack(&divergence));
                    self.checkpoint.divergences.push(divergence);
                    continue;
                }
            }
            fresh = true;
            if let Some(metrics) = self.checkpoint.metrics.last() {
                watch(Progress::Epoch(metrics, &self.checkpoint));
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

    /// Why a lower rate will not help, with advice.
    fn is_hopeless(&self, divergence: &Divergence) -> Option<String> {
        let (given, taken_back) = (self.config.learning_rate, self.checkpoint.divergences.len());
        if divergence.step == Some(1) {
            // The epoch's first step comes before its first update: no rate changes it.
            return Some(format!(
                "no learning rate can change that, as it is the epoch's first step: mend or remove the row, use fewer \
                 --hidden layers, or start anew with a lower --learning-rate (now {given})"
            ));
        }
        (taken_back >= MOST_DIVERGENCES).then(|| {
            format!(
                "half the rate was tried {taken_back} times, without avail: look for extreme values in the data, then start anew \
                 with a lower --learning-rate (now {given}), fewer --hidden layers or a larger --batch"
            )
        })
    }

    fn is_done(&self) -> bool {
        match self.checkpoint.fine_tuning {
            Some(start) => self.checkpoint.metrics.len() >= start.after + self.config.quantisation_aware,
            None => self.has_converged() && self.config.quantisation_aware == 0,
        }
    }

    /// Goes back to the best epoch's weights, with a fresh optimiser.
    fn start_fine_tuning(&mut self) -> Result<()> {
        self.network = load(self.network.clone(), &self.checkpoint.best)?;
        self.optimizer = FusedAdam::init();
        let start = FineTuning {
            after: self.checkpoint.metrics.len(),
            elbo: match self.validate(&self.network.quantised()?) {
                Ok(bound) => bound,
                Err(divergence) => bail!("the rounded weights cannot be fine-tuned: {divergence}"),
            },
        };
        self.checkpoint.last.clone_from(&self.checkpoint.best);
        self.checkpoint.optimizer = self.record_optimizer()?;
        self.checkpoint.fine_tuning = Some(start);
        Ok(())
    }

    /// Whether the fit proper is over.
    fn has_converged(&self) -> bool {
        let epochs = self.checkpoint.metrics.len();
        epochs >= self.config.epochs || epochs - self.checkpoint.best_epoch.min(epochs) >= self.config.patience
    }

    /// One pass over the training windows (at most [`LARGEST_EPOCH`]), in an order and with noise that depend on the seed and
    /// the epoch alone, so that a resumed fit sees what an uninterrupted one would have seen. Unless the pass is whole,
    /// nothing changes.
    fn epoch(&mut self, stop: &AtomicBool, watch: &mut impl FnMut(Progress<'_>)) -> Result<Pass> {
        let inputs = self.architecture.inputs();
        let epoch = self.checkpoint.metrics.len() + 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch as u64);
        let mut order = self.train.chosen.to_vec();
        let (order, _) = order.partial_shuffle(&mut rng, LARGEST_EPOCH);

        let aware = self.checkpoint.fine_tuning.is_some();
        let learning_rate = self.checkpoint.learning_rate(self.config) * if aware { FINE_TUNING_RATE } else { 1.0 };
        // What computes and is judged: in fine-tuning the rounded weights, whose gradient goes straight to the others.
        let judged = |network: &Vae| if aware { network.quantised() } else { Ok(network.clone()) };
        let mut objective = self.config.objective();
        if epoch < self.config.warm_up {
            objective.beta *= epoch as f32 / self.config.warm_up as f32;
        }
        let (mut bound, mut reconstruction, mut kl) = (0.0, 0.0, 0.0);
        let mut windows = 0;
        let mut network = self.network.clone();
        let mut optimizer = self.optimizer.clone();
        for (step, indices) in order.chunks(self.config.batch).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(Pass::Interrupted);
            }
            let computing = judged(&network)?;
            let mut rows: Vec<&[f32]> = self.train.windows(indices, inputs).collect();
            let binary;
            if self.config.binarise == Some(Binarise::Dynamic) {
                binary = binarise(rows.into_iter().flatten().copied(), &mut rng);
                rows = binary.chunks_exact(inputs).collect();
            }
            let noise = objective.noise(self.architecture, indices.len(), &mut rng);
            let blur = self.config.blur(indices.len() * self.architecture.features, &mut rng);
            let batch = HostBatch { rows: &rows, noise: &noise, blur: &blur };
            let found = step::gradient(&objective, &computing, self.architecture, batch, &self.device);
            let share = indices.len() as f64 / order.len() as f64;
            bound += share * found.bound;
            reconstruction += share * found.reconstruction;
            kl += share * found.kl;
            // Before the update: a gradient whose square is finite leaves weights and moments finite.
            let finite =
                [("loss", (bound + reconstruction + kl).is_finite()), ("gradient", found.squared_norm.is_finite())];
            if let Some((quantity, _)) = finite.iter().find(|(_, finite)| !finite) {
                let rows = self.culprits(objective, &computing, &rows.concat(), &noise, &self.device);
                let rows = rows.iter().map(|window| self.train.last_row[indices[*window]] + 1);
                return Ok(Pass::Diverged(self.divergence(Some(step + 1), quantity, rows, indices.len())));
            }
            network = optimizer.step_multi(learning_rate, network, found.gradients);
            windows += indices.len();
            let elbo = bound * order.len() as f64 / windows as f64;
            watch(Progress::Step { epoch, windows, of: order.len(), elbo });
        }
        let validation_elbo = match self.validate(&judged(&network)?) {
            Ok(bound) => bound,
            Err(divergence) => return Ok(Pass::Diverged(divergence)),
        };
        self.network = network;
        self.optimizer = optimizer;

        let metrics = EpochMetrics { epoch, elbo: bound, reconstruction, kl, validation_elbo };
        let last = record(&self.network)?;
        if metrics.validation_elbo > self.checkpoint.best_elbo() {
            self.checkpoint.best_epoch = epoch;
            self.checkpoint.best.clone_from(&last);
        }
        self.checkpoint.metrics.push(metrics);
        self.checkpoint.last = last;
        self.checkpoint.optimizer = self.record_optimizer()?;
        Ok(Pass::Whole)
    }

    fn record_optimizer(&self) -> Result<Vec<u8>> {
        let bytes = self.optimizer.into_bytes().context("cannot record the optimizer's state")?;
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

    /// Mean bound of the held-out windows, with the same noise in every epoch, so that epochs are compared and not draws;
    /// if it is not finite, the rows that make it so.
    fn validate(&self, network: &Vae) -> Result<f64, Divergence> {
        let inputs = self.architecture.inputs();
        let network = network.valid();
        let device = self.device.clone().inner();
        let objective = self.config.objective().plain();
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let mut sum = 0.0;
        for indices in self.validation.chosen.chunks(VALIDATION_BATCH) {
            let x: Vec<f32> = self.validation.gather(indices, inputs).collect();
            let noise = objective.noise(self.architecture, indices.len(), &mut rng);
            let loss = self.loss(objective, &network, x.clone(), noise.clone(), &device);
            let bound = f64::from(loss.bound.into_scalar::<f32>());
            if !bound.is_finite() {
                let rows = self.culprits(objective, &network, &x, &noise, &device);
                let rows = rows.iter().map(|window| self.validation.last_row[indices[*window]] + 1);
                return Err(self.divergence(None, "loss", rows, indices.len()));
            }
            sum += indices.len() as f64 * bound;
        }
        Ok(sum / self.validation.chosen.len() as f64)
    }

    fn loss(&self, objective: Objective, network: &Vae, x: Vec<f32>, noise: Vec<f32>, device: &Device) -> Loss {
        let windows = x.len() / self.architecture.inputs();
        let shape = [windows * objective.samples, self.architecture.latent];
        let noise = Tensor::from_data(TensorData::new(noise, shape), device);
        objective.loss(network, self.architecture, Batch::new(x, self.architecture, device), noise)
    }

    /// The windows of a batch whose own loss or gradient is not finite, given its noise; where all are, the one with the
    /// lowest bound.
    fn culprits(&self, objective: Objective, network: &Vae, x: &[f32], noise: &[f32], device: &Device) -> Vec<usize> {
        let (inputs, latent) = (self.architecture.inputs(), self.architecture.latent);
        let windows = x.len() / inputs;
        let (mut found, mut lowest) = (Vec::new(), (f32::INFINITY, 0));
        for (window, x) in x.chunks_exact(inputs).enumerate() {
            let samples = (0..objective.samples).flat_map(|s| &noise[(s * windows + window) * latent..][..latent]);
            let loss = self.loss(objective, network, x.to_vec(), samples.copied().collect(), device);
            let bound = loss.bound.into_scalar::<f32>();
            // Validation has no gradients.
            let finite = bound.is_finite()
                && (!device.is_autodiff() || {
                    let gradients = GradientsParams::from_grads(loss.surrogate.backward(), network);
                    step::squared_norm(network, &gradients).is_finite()
                });
            if !finite {
                found.push(window);
            } else if bound < lowest.0 {
                lowest = (bound, window);
            }
        }
        if found.is_empty() { vec![lowest.1] } else { found }
    }
}

fn record(network: &Vae) -> Result<Vec<u8>> {
    Ok(network.clone().into_record().into_bytes().context("cannot record the weights")?.to_vec())
}

fn load(network: Vae, bytes: &[u8]) -> Result<Vae> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()))
        .context("the checkpoint's weights are damaged")?;
    network.try_load_record(record).context("the checkpoint's weights do not fit the configuration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::family::{HiddenActivation, Likelihood};

    const ROWS: usize = 80;

    /// Two features that follow one number; all windows but the last 16 are trained on.
    fn values() -> Vec<f32> {
        let noise = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
        (0..ROWS).flat_map(|i| [noise(i), 0.1 * noise(i + 500) - noise(i)]).collect()
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
        let (mut saved, mut taken_back) = (Vec::new(), 0);
        let (end, _) = training.run(
            &AtomicBool::new(false),
            |progress| taken_back += usize::from(matches!(progress, Progress::TakenBack(_))),
            |checkpoint| {
                saved.push(checkpoint.clone());
                Ok(())
            },
        )?;
        Ok((end, saved, taken_back))
    }

    #[test]
    fn a_row_that_no_rate_can_mend_is_named() {
        let config = Config { batch: 8, hidden: Some(vec![4]), epochs: 300, patience: 30, ..Config::default() };
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
        let config = Config {
            batch: 8,
            hidden: Some(vec![32; 10]),
            activation: HiddenActivation::Relu,
            likelihood: Likelihood::GaussianFixed,
            learning_rate: 0.9,
            epochs: 4,
            patience: 4,
            ..Config::default()
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
