//! The gradient of a training step on one device: on the CPU, of two parts of the batch side by side.

use std::ops::Range;

use anyhow::Result;
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    cpu::{
        kernel,
        tensor::{OnCpu, on_cpu, read},
    },
    model::{
        backpropagation::{Backpropagated, HostWindows, backpropagate},
        batch::Batch,
        network::Vae,
        objective::{Loss, Objective},
    },
};

/// Multiply-adds of a forward pass from which on a batch is worth two parts: fewer take less time than a second graph.
const WORTH_TWO_PARTS: usize = 8_000_000;

/// The gradient of a batch's loss, or of some of its windows' share of that, in nats of standardised units.
pub(crate) struct Gradient {
    /// Of the surrogate loss.
    pub(crate) gradients: GradientsParams,
    pub(crate) sums: Sums,
}

/// What is known of a batch's loss beside its gradient: a sum over its windows, each divided by their number.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sums {
    /// See [`Loss::bound`].
    pub(crate) bound: f64,
    /// See [`Loss::reconstruction`].
    pub(crate) reconstruction: f64,
    /// See [`Loss::kl`].
    pub(crate) kl: f64,
    /// Sum over the parts of the squared Euclidean norms of their gradients: finite only where these are.
    pub(crate) squared_norm: f64,
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bound: self.bound + other.bound,
            reconstruction: self.reconstruction + other.reconstruction,
            kl: self.kl + other.kl,
            squared_norm: self.squared_norm + other.squared_norm,
        }
    }
}

/// A batch on the host.
#[derive(Clone, Copy)]
pub(crate) struct HostBatch<'a> {
    /// Windows and conditions, `architecture.inputs()` values each.
    pub(crate) rows: &'a [&'a [f32]],
    /// `[draws · windows, latent]`, all windows of the first draw first.
    pub(crate) noise: &'a [f32],
    /// `[windows, features]`: added to what the encoder sees; empty for nothing.
    pub(crate) blur: &'a [f32],
    /// Windows that the loss is the mean of: these, or more where these are a device's share of a batch.
    pub(crate) of: usize,
}

impl HostBatch<'_> {
    /// The noise of some of the windows, all of them of the first draw first.
    pub(crate) fn noise_of(&self, range: &Range<usize>, latent: usize) -> Vec<f32> {
        let of_draws = self.noise.chunks_exact(self.rows.len() * latent);
        of_draws.flat_map(|draw| &draw[range.start * latent..range.end * latent]).copied().collect()
    }

    /// What is added to what the encoder sees of some of the windows.
    pub(crate) fn blur_of(&self, range: &Range<usize>, features: usize) -> &[f32] {
        if self.blur.is_empty() { &[] } else { &self.blur[range.start * features..range.end * features] }
    }
}

/// Gives each parameter a graph of its own: parts whose parameters are the same node would wait for each other.
struct Apart;

impl ModuleMapper for Apart {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = parameter.consume();
        let tensor = if tensor.is_require_grad() { tensor.detach().require_grad() } else { tensor.detach() };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// The gradient of what these windows of `batch` add to the objective's loss, by a network on a device that differentiates.
///
/// How they are divided depends on the network and their number alone, and the parts' gradients are added in one order, so that
/// the result does not depend on the number of threads.
///
/// # Errors
/// If the device cannot give back what it computed.
pub(crate) fn gradient(
    objective: &Objective,
    network: &Vae,
    batch: HostBatch<'_>,
    windows: Range<usize>,
    device: &Device,
) -> Result<Gradient> {
    let part = |range: Range<usize>, network: Vae| -> Result<Gradient> {
        let share = range.len() as f64 / batch.of as f64;
        if let Some(found) = backpropagated(objective, &network, batch, range.clone(), share) {
            let Backpropagated { gradients, bound, reconstruction, kl } = found;
            let squared_norm = squared_norm(&network, &gradients)?;
            let [bound, reconstruction, kl] = [bound, reconstruction, kl].map(|mean| share * f64::from(mean));
            return Ok(Gradient { gradients, sums: Sums { bound, reconstruction, kl, squared_norm } });
        }
        let loss = loss(objective, &network, batch, range, device);
        let scaled = |value| read(value).map(|value| share * f64::from(value[0]));
        let (bound, reconstruction, kl) = (scaled(loss.bound)?, scaled(loss.reconstruction)?, scaled(loss.kl)?);
        let surrogate = if share == 1.0 { loss.surrogate } else { loss.surrogate.mul_scalar(share) };
        let gradients = GradientsParams::from_grads(surrogate.backward(), &network);
        let squared_norm = squared_norm(&network, &gradients)?;
        Ok(Gradient { gradients, sums: Sums { bound, reconstruction, kl, squared_norm } })
    };
    let count = windows.len();
    // Free bits are paid on the mean over the batch, which no part knows.
    let one = objective.free_bits > 0.0
        || count * objective.draws(network.architecture()) * network.num_params() < WORTH_TWO_PARTS;
    if one || count < 2 {
        return part(windows, network.clone());
    }
    let middle = windows.start + count / 2;
    let others = network.clone().map(&mut Apart);
    let (first, second) =
        rayon::join(|| part(windows.start..middle, network.clone()), || part(middle..windows.end, others));
    Ok(sum(network, first?, second?))
}

/// The part of some of a batch's windows, which are this share of it, where it needs no graph.
fn backpropagated(
    objective: &Objective,
    network: &Vae,
    batch: HostBatch<'_>,
    range: Range<usize>,
    share: f64,
) -> Option<Backpropagated> {
    let architecture = network.architecture();
    let windows = HostWindows {
        rows: &batch.rows[range.clone()],
        noise: batch.noise.get(range.start * architecture.latent..range.end * architecture.latent)?,
        blur: batch.blur_of(&range, architecture.features),
        share: share as f32,
    };
    backpropagate(objective, network, windows)
}

/// `a + b`, which is on `a`'s device.
pub(crate) fn sum(network: &Vae, mut a: Gradient, b: Gradient) -> Gradient {
    struct Adding<'a> {
        to: &'a mut GradientsParams,
        from: GradientsParams,
    }
    impl ModuleVisitor for Adding<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let Some(more) = self.from.remove::<D>(parameter.id) else { return };
            let sum = match self.to.remove::<D>(parameter.id) {
                Some(tensor) => {
                    let device = tensor.device();
                    tensor + more.to_device(&device)
                }
                None => more,
            };
            self.to.register(parameter.id, sum);
        }
    }
    network.visit(&mut Adding { to: &mut a.gradients, from: b.gradients });
    Gradient { gradients: a.gradients, sums: a.sums + b.sums }
}

/// The squared Euclidean norm of all gradients.
///
/// # Errors
/// If the device cannot give it back.
pub(crate) fn squared_norm(network: &Vae, gradients: &GradientsParams) -> Result<f64> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        on_cpu: f64,
        elsewhere: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            match self.gradients.get::<D>(parameter.id).map(on_cpu) {
                None => {}
                Some(Ok(OnCpu::Plain(gradient))) => {
                    self.on_cpu += f64::from(kernel::sum_of_squares(gradient.to_contiguous().storage()));
                }
                Some(Ok(OnCpu::Differentiable(gradient))) => {
                    let gradient = gradient.into_primitive().to_contiguous();
                    self.on_cpu += f64::from(kernel::sum_of_squares(gradient.storage()));
                }
                Some(Err(gradient)) => {
                    // Read once, as a device is waited for then.
                    let squares = (gradient.clone() * gradient).sum();
                    self.elsewhere = Some(match self.elsewhere.take() {
                        Some(sum) => sum + squares,
                        None => squares,
                    });
                }
            }
        }
    }
    let mut squares = Squares { gradients, on_cpu: 0.0, elsewhere: None };
    network.visit(&mut squares);
    let elsewhere = squares.elsewhere.map(read).transpose()?;
    Ok(squares.on_cpu + elsewhere.map_or(0.0, |sum| f64::from(sum[0])))
}

/// The loss of some of a batch's windows.
fn loss(objective: &Objective, network: &Vae, batch: HostBatch<'_>, range: Range<usize>, device: &Device) -> Loss {
    let architecture = network.architecture();
    let latent = architecture.latent;
    let shape = [range.len() * objective.draws(architecture), latent];
    let x = batch.rows[range.clone()].concat();
    let blur = batch.blur_of(&range, architecture.features);
    let noise = Tensor::from_data(TensorData::new(batch.noise_of(&range, latent), shape), device);
    objective.loss(network, Batch::new(x, architecture, device).blurred(blur, device), noise)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        config::{Config, model::PosteriorFamily},
        cpu::tensor::read,
        model::{objective::Bound, posterior::Estimator},
    };

    #[test]
    fn blur_is_seen_by_the_encoder_and_not_by_the_likelihood() {
        let architecture = Config::default().architecture(2);
        let device = Device::flex();
        let network = Vae::init(&architecture, 5, &device);
        let batch = |x: &[f32]| Batch::new(x.to_vec(), &architecture, &device);
        let blurred = batch(&[0.5, -1.0]).blurred(&[0.25, 2.0], &device);
        let encoded = |batch: &Batch| read(network.encode(batch)).unwrap();
        assert_eq!(encoded(&blurred), encoded(&batch(&[0.75, 1.0])));
        assert_ne!(encoded(&blurred), encoded(&batch(&[0.5, -1.0])));
        assert_eq!(read(blurred.x).unwrap(), [0.5, -1.0]);
    }

    #[test]
    fn what_is_missing_is_the_mean_to_the_encoder_in_training_as_on_the_device() {
        let architecture = Config::default().architecture(2);
        let device = Device::flex();
        let network = Vae::init(&architecture, 5, &device);
        let batch = |x: &[f32], blur: &[f32]| Batch::new(x.to_vec(), &architecture, &device).blurred(blur, &device);
        let encoded = |batch: &Batch| read(network.encode(batch)).unwrap();
        let missing = batch(&[0.5, f32::NAN], &[0.25, 2.0]);
        assert_eq!(encoded(&missing), encoded(&batch(&[0.75, 0.0], &[])));
        assert_eq!(read(missing.observed.unwrap()).unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn two_parts_have_the_gradient_of_the_whole() {
        const WINDOWS: usize = 3001;
        let mut config = Config::default();
        config.objective.samples = Some(2);
        let architecture = config.architecture(10);
        let device = Device::flex().autodiff();
        let network = Vae::init(&architecture, 5, &device);
        let objective = config.objective();
        assert!(WINDOWS * 2 * network.num_params() > WORTH_TWO_PARTS);

        let noise = objective.noise(&architecture, WINDOWS, &mut ChaCha8Rng::seed_from_u64(2));
        let inputs: Vec<f32> = (0..WINDOWS * 10).map(|i| (i * 31 % 97) as f32 / 40.0 - 1.2).collect();
        let rows: Vec<&[f32]> = inputs.chunks_exact(10).collect();
        let blur: Vec<f32> = (0..WINDOWS * 10).map(|i| (i * 17 % 89) as f32 / 200.0 - 0.2).collect();
        let batch = HostBatch { rows: &rows, noise: &noise, blur: &blur, of: WINDOWS };
        let found = gradient(&objective, &network, batch, 0..WINDOWS, &device).unwrap();

        let whole = loss(&objective, &network, batch, 0..WINDOWS, &device);
        let bound = f64::from(whole.bound.into_scalar::<f32>());
        assert!((found.sums.bound - bound).abs() < 1e-4 * bound.abs(), "{} for {bound}", found.sums.bound);
        let whole = GradientsParams::from_grads(whole.surrogate.backward(), &network);
        for layer in &network.encoder {
            let id = layer.weight.id;
            let sum = found.gradients.get::<2>(id).unwrap();
            for (found, expected) in read(sum).unwrap().into_iter().zip(read(whole.get::<2>(id).unwrap()).unwrap()) {
                assert!((found - expected).abs() < 1e-4 * (0.01 + expected.abs()), "{found} for {expected}");
            }
        }
    }

    /// Every number of a gradient that was not taken in parts.
    struct Flat<'a> {
        gradients: &'a GradientsParams,
        values: Vec<f64>,
    }

    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
                self.values.extend(read(gradient).unwrap().into_iter().map(f64::from));
            }
        }
    }

    const WINDOWS: usize = 6;
    const TAKEN: usize = 2;

    /// The gradient of all windows, and its expectation over minibatches of two of them, each as likely as any other; each window has its own
    /// noise, whatever batch it is in.
    fn expected_gradients(config: &Config) -> [Vec<f64>; 2] {
        let architecture = config.architecture(3);
        let (device, latent) = (Device::flex().autodiff(), architecture.latent);
        let network = Vae::init(&architecture, 5, &device);
        let objective = config.objective();
        let noise = objective.noise(&architecture, WINDOWS, &mut ChaCha8Rng::seed_from_u64(2));
        let inputs: Vec<f32> = (0..WINDOWS * 3).map(|i| (i * 31 % 97) as f32 / 40.0 - 1.2).collect();
        let of = |chosen: &[usize]| {
            let rows: Vec<&[f32]> = chosen.iter().map(|window| &inputs[3 * window..][..3]).collect();
            let noise: Vec<f32> = noise
                .chunks_exact(WINDOWS * latent)
                .flat_map(|sample| chosen.iter().flat_map(|window| &sample[latent * window..][..latent]))
                .copied()
                .collect();
            let batch = HostBatch { rows: &rows, noise: &noise, blur: &[], of: rows.len() };
            let found = gradient(&objective, &network, batch, 0..rows.len(), &device).unwrap().gradients;
            let mut flat = Flat { gradients: &found, values: Vec::new() };
            network.visit(&mut flat);
            flat.values
        };
        let whole = of(&std::array::from_fn::<_, WINDOWS, _>(|window| window));
        let batches: Vec<[usize; TAKEN]> =
            (0..WINDOWS).flat_map(|first| (first + 1..WINDOWS).map(move |second| [first, second])).collect();
        let mut mean = vec![0.0; whole.len()];
        for batch in &batches {
            mean.iter_mut().zip(of(batch)).for_each(|(mean, value)| *mean += value / batches.len() as f64);
        }
        [whole, mean]
    }

    /// How far the expectation is from the gradient of all windows, as a share of that.
    fn bias(config: &Config) -> f64 {
        let [whole, mean] = expected_gradients(config);
        let size = whole.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!(size > 0.1, "{size}");
        whole.iter().zip(&mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt() / size
    }

    #[test]
    fn a_minibatchs_gradient_is_that_of_all_windows_in_expectation() {
        let mut configs = vec![Config::default(); 5];
        configs[1].model.posterior = PosteriorFamily::Full;
        configs[1].model.prior = Some(4);
        configs[2].model.posterior = PosteriorFamily::Bernoulli;
        configs[2].objective.samples = Some(3);
        configs[3].objective.objective = Some(Bound::Importance);
        configs[3].objective.samples = Some(3);
        configs[4].model.posterior = PosteriorFamily::Categorical;
        configs[4].objective.estimator = Some(Estimator::Enumeration);
        // The mean over all minibatches is the expectation itself: what is left is f32's rounding. The sum over N windows is N times the mean
        // over them, so that N / M times a minibatch's sum is without bias for it.
        for (index, config) in configs.iter().enumerate() {
            let bias = bias(config);
            assert!(bias < 2e-6, "{index}: {bias}");
        }
    }
}
