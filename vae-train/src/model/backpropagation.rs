//! The gradient of what most fits maximise, layer by layer on the CPU, without a graph.
//!
//! burn's automatic differentiation keeps a node for each operation: of a small batch that takes longer than the arithmetic. What is
//! computed here has the bits that its graph gives.

use burn::{
    backend::{Flex, flex::FlexTensor},
    nn::Linear,
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};

use crate::{
    cpu::{
        dense::Passed,
        latent::Latents,
        likelihood::Data,
        tensor::{in_one_buffer, matrix},
    },
    model::{
        architecture::LARGEST_LOG_VARIANCE,
        network::Vae,
        objective::{Bound, Objective},
        posterior::Estimator,
    },
    weights::family::{HiddenActivation, Posterior},
};

/// Windows on the host, of which a gradient is the mean.
#[derive(Clone, Copy)]
pub(crate) struct HostWindows<'a> {
    /// Windows and conditions, `architecture.inputs()` values each; NaN where not observed.
    pub(crate) rows: &'a [&'a [f32]],
    /// `[windows, latent]`
    pub(crate) noise: &'a [f32],
    /// `[windows, features]`: added to what the encoder sees; empty for nothing.
    pub(crate) blur: &'a [f32],
    /// What the gradient is multiplied by.
    pub(crate) share: f32,
}

/// A gradient and the means over the windows that a [`Loss`](crate::model::objective::Loss) has.
pub(crate) struct Backpropagated {
    pub(crate) gradients: GradientsParams,
    pub(crate) bound: f32,
    pub(crate) reconstruction: f32,
    pub(crate) kl: f32,
}

/// The gradient of [`Objective::loss`]'s surrogate; `None` where that needs a graph: on other devices than the CPU, of other posteriors than the
/// diagonal Gaussian, of other bounds than the ELBO, of several samples, and with free bits.
pub(crate) fn backpropagate(objective: &Objective, network: &Vae, windows: HostWindows<'_>) -> Option<Backpropagated> {
    let architecture = network.architecture();
    let usual = objective.bound == Bound::Elbo
        && objective.estimator == Estimator::Reparameterised
        && objective.samples == 1
        && objective.free_bits == 0.0;
    if !usual || architecture.posterior != Posterior::Diagonal {
        return None;
    }
    // First, as it tells a network on another device.
    let log_variance = LogVariance::new(network)?;
    let (count, latent) = (windows.rows.len(), architecture.latent);
    let scale = 1.0 / count as f32;
    let inputs = Inputs::new(windows, architecture.features);
    let mut gradients = GradientsParams::new();

    let (outputs, encoded) = forward(&network.encoder, inputs.seen, architecture.activation)?;
    let latents = Latents::new(outputs.storage(), windows.noise, latent);
    let z = joined(latents.sample(), inputs.condition.as_deref(), [count, latent]);
    let (output, decoded) = forward(&network.decoder, z, architecture.activation)?;
    let data = Data::new(network.family(), inputs.x, inputs.observed, log_variance.limited());
    let (nats, judged) = data.judge(network.family(), output);
    let reconstruction = nats.storage::<f32>().iter().fold(0.0, |sum, nats| sum + nats) * scale;

    let weights = vec![-windows.share * scale; count];
    if let Some(gradient) = log_variance.gradient(|| judged.log_variance_gradient(&weights)) {
        gradients.register(network.log_variance.id, Tensor::<1>::from_primitive::<Flex>(gradient));
    }
    let by_output = judged.output_gradient(&weights);
    let by_decoder = backward(&network.decoder, decoded, by_output, &mut gradients);
    let by_z = by_decoder.map(|(first, gradient)| first.input_gradient(&gradient))?;
    let by_z = by_z.narrow(1, 0, latent).to_contiguous();

    let weight = windows.share * objective.beta * scale;
    let (kl, by_latents) = match &network.prior {
        None => latents.standard_kl(weight),
        Some(prior) => prior.backpropagate(&latents, weight, &mut gradients)?,
    };
    let kl = kl * scale;
    let by_outputs = matrix(latents.gradient(by_z.storage(), by_latents), [count, 2 * latent]);
    backward(&network.encoder, encoded, by_outputs, &mut gradients);
    Some(Backpropagated { gradients, bound: reconstruction - kl, reconstruction, kl })
}

/// Windows as the network takes them.
struct Inputs {
    /// `[windows, features]`; 0 where not observed.
    x: FlexTensor,
    /// 1 where observed; `None` where everything is.
    observed: Option<FlexTensor>,
    /// What the encoder sees: `x` with what blurs it, and the condition.
    seen: FlexTensor,
    /// `[windows, conditions]`; `None` where there are none.
    condition: Option<Vec<f32>>,
}

impl Inputs {
    fn new(windows: HostWindows<'_>, features: usize) -> Self {
        let HostWindows { rows, blur, .. } = windows;
        let (count, width) = (rows.len(), rows.first().map_or(features, |row| row.len()));
        let mut x: Vec<f32> = Vec::with_capacity(count * features);
        rows.iter().for_each(|row| x.extend(&row[..features]));
        // By blocks without an exit inside, so that it is vectorised.
        let missing = x.chunks(1024).any(|block| block.iter().fold(false, |found, x| found | x.is_nan()));
        let observed = missing.then(|| x.iter().map(|x| if x.is_nan() { 0.0 } else { 1.0 }).collect::<Vec<f32>>());
        if missing {
            x.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
        }
        let known = |value: &f32| if value.is_nan() { 0.0 } else { *value };
        let condition =
            (width > features).then(|| rows.iter().flat_map(|row| &row[features..]).map(known).collect::<Vec<f32>>());
        let shape = [count, features];
        let blurred: Option<Vec<f32>> = (!blur.is_empty()).then(|| {
            let both = x.iter().zip(blur);
            match &observed {
                None => both.map(|(x, blur)| x + blur).collect(),
                Some(observed) => both.zip(observed).map(|((x, blur), observed)| x + blur * observed).collect(),
            }
        });
        let x = matrix(x, shape);
        let seen = match (blurred, &condition) {
            (None, None) => x.clone(),
            (Some(blurred), _) => joined(blurred.into_iter(), condition.as_deref(), shape),
            (None, Some(condition)) => joined(x.storage::<f32>().iter().copied(), Some(condition), shape),
        };
        Self { x, observed: observed.map(|observed| matrix(observed, shape)), seen, condition }
    }
}

/// Values and, where there are conditions, these behind them.
fn joined(mut values: impl Iterator<Item = f32>, condition: Option<&[f32]>, [count, width]: [usize; 2]) -> FlexTensor {
    let Some(condition) = condition else { return matrix(values.collect(), [count, width]) };
    let conditions = condition.len() / count;
    let mut joined = Vec::with_capacity(count * (width + conditions));
    for condition in condition.chunks_exact(conditions) {
        joined.extend(values.by_ref().take(width));
        joined.extend(condition);
    }
    matrix(joined, [count, width + conditions])
}

/// The log-variance of the likelihood, as it is learned or given.
struct LogVariance {
    values: FlexTensor,
    /// `None` where it is given.
    floors: Option<Vec<f32>>,
}

impl LogVariance {
    fn new(network: &Vae) -> Option<Self> {
        Some(Self { values: in_one_buffer(network.log_variance.val())?, floors: network.log_variance_floors() })
    }

    fn limited(&self) -> FlexTensor {
        let Some(floors) = &self.floors else { return self.values.clone() };
        let values: &[f32] = self.values.storage();
        // A NaN passes through.
        let above = values.iter().zip(floors).map(|(v, floor)| if v < floor { *floor } else { *v });
        let limited: Vec<f32> =
            above.map(|v| if v > LARGEST_LOG_VARIANCE { LARGEST_LOG_VARIANCE } else { v }).collect();
        let features = limited.len();
        FlexTensor::from_data(TensorData::new(limited, [features]))
    }

    /// The parameter's gradient by that of what is within the limits; `None` where it is given.
    fn gradient(&self, by_limited: impl FnOnce() -> FlexTensor) -> Option<FlexTensor> {
        let floors = self.floors.as_ref()?;
        let mut gradient = by_limited();
        let values = self.values.storage::<f32>().iter().zip(floors);
        for (gradient, (v, floor)) in gradient.storage_mut::<f32>().iter_mut().zip(values) {
            if v < floor || *v > LARGEST_LOG_VARIANCE {
                *gradient = 0.0;
            }
        }
        Some(gradient)
    }
}

/// Runs layers one after the other, with the activation behind all but the last.
fn forward(layers: &[Linear], mut x: FlexTensor, hidden: HiddenActivation) -> Option<(FlexTensor, Vec<Passed>)> {
    let mut passed = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let activation = if index + 1 < layers.len() { hidden } else { HiddenActivation::Identity };
        let (weight, bias) = (in_one_buffer(layer.weight.val())?, in_one_buffer(layer.bias.as_ref()?.val())?);
        let (output, pass) = Passed::new(x, weight, &bias, activation);
        x = output;
        passed.push(pass);
    }
    Some((x, passed))
}

/// Registers the gradients of layers by that of their output, and gives that of the first layer's activation's input, with its pass.
fn backward(
    layers: &[Linear],
    passed: Vec<Passed>,
    mut gradient: FlexTensor,
    gradients: &mut GradientsParams,
) -> Option<(Passed, FlexTensor)> {
    let mut first: Option<Passed> = None;
    for (layer, passed) in layers.iter().zip(passed).rev() {
        if let Some(above) = first {
            gradient = above.input_gradient(&gradient);
        }
        let by_bias = passed.bias_gradient(&mut gradient);
        let by_weight = passed.weight_gradient(&gradient);
        gradients.register(layer.weight.id, Tensor::<2>::from_primitive::<Flex>(by_weight));
        if let Some(bias) = &layer.bias {
            gradients.register(bias.id, Tensor::<1>::from_primitive::<Flex>(by_bias));
        }
        first = Some(passed);
    }
    first.map(|first| (first, gradient))
}

#[cfg(test)]
mod tests {
    use burn::{
        module::{Module, ModuleVisitor, Param},
        tensor::Device,
    };
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::format::FeatureFamily;

    use super::*;
    use crate::{
        config::Config,
        cpu::tensor::read,
        model::{architecture::Architecture, batch::Batch},
        weights::family::Likelihood,
    };

    const WINDOWS: usize = 70;
    const FEATURES: usize = 5;

    /// The gradient of each parameter, by its number.
    struct Found<'a> {
        gradients: &'a GradientsParams,
        values: Vec<(u64, Option<Vec<f32>>)>,
    }

    impl ModuleVisitor for Found<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let values = self.gradients.get::<D>(parameter.id).map(|gradient| read(gradient).unwrap());
            self.values.push((parameter.id.val(), values));
        }
    }

    fn values(network: &Vae, gradients: &GradientsParams) -> Vec<(u64, Option<Vec<f32>>)> {
        let mut found = Found { gradients, values: Vec::new() };
        network.visit(&mut found);
        found.values
    }

    /// Compares with burn's automatic differentiation of the objective's loss.
    fn compare(architecture: &Architecture, blurred: bool, missing: bool, share: f32) {
        let device = Device::flex().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let network = Vae::init(architecture, 5, &device);
        let mut config = Config::default();
        config.objective.beta = 0.7;
        let objective = config.objective();
        let mut draw =
            |count: usize, wide: f32| -> Vec<f32> { (0..count).map(|_| rng.random_range(-wide..wide)).collect() };
        let discrete = |feature: usize| matches!(architecture.likelihood, Likelihood::Bernoulli) || feature % 5 == 3;
        let mut inputs = draw(WINDOWS * architecture.inputs(), 2.0);
        for (at, value) in inputs.iter_mut().enumerate() {
            let feature = at % architecture.inputs();
            if feature < FEATURES && discrete(feature) {
                *value = f32::from(u8::from(*value > 0.0));
            }
            if missing && feature == 2 && at % 7 == 0 {
                *value = f32::NAN;
            }
        }
        let rows: Vec<&[f32]> = inputs.chunks_exact(architecture.inputs()).collect();
        // Far enough for log-variances beyond their limits, too.
        let noise = draw(WINDOWS * architecture.latent, 3.0);
        let blur = if blurred { draw(WINDOWS * FEATURES, 0.3) } else { Vec::new() };

        let windows = HostWindows { rows: &rows, noise: &noise, blur: &blur, share };
        let found = backpropagate(&objective, &network, windows).unwrap();
        let batch = Batch::new(inputs.clone(), architecture, &device).blurred(&blur, &device);
        let noise = Tensor::from_data(TensorData::new(noise, [WINDOWS, architecture.latent]), &device);
        let loss = objective.loss(&network, batch, noise);
        for (found, expected) in
            [(found.bound, loss.bound), (found.reconstruction, loss.reconstruction), (found.kl, loss.kl)]
        {
            assert_eq!(found, expected.into_scalar::<f32>(), "{architecture:?}");
        }
        let surrogate = if share == 1.0 { loss.surrogate } else { loss.surrogate.mul_scalar(share) };
        let expected = GradientsParams::from_grads(surrogate.backward(), &network);
        let (found, expected) = (values(&network, &found.gradients), values(&network, &expected));
        for ((id, found), (_, expected)) in found.into_iter().zip(expected) {
            let size = expected.iter().flatten().fold(0.0f32, |size, v| size.max(v.abs()));
            assert!(expected.is_none() || size > 0.0, "parameter {id} of {architecture:?} has no gradient to compare");
            assert_eq!(found, expected, "parameter {id} of {architecture:?}");
        }
    }

    fn architecture(set: impl FnOnce(&mut Architecture)) -> Architecture {
        let mut config = Config::default();
        (config.model.hidden, config.model.latent, config.model.prior) = (Some(vec![19, 11]), Some(3), Some(0));
        let mut architecture = config.architecture(FEATURES);
        set(&mut architecture);
        architecture
    }

    #[test]
    fn gradients_have_the_bits_of_automatic_differentiation() {
        for likelihood in
            [Likelihood::Gaussian, Likelihood::GaussianFixed, Likelihood::GaussianPredicted, Likelihood::Bernoulli]
        {
            compare(&architecture(|found| found.likelihood = likelihood), false, false, 1.0);
        }
        let covariance = |found: &mut Architecture| {
            (found.likelihood, found.covariance_rank) = (Likelihood::GaussianCovariance, 2);
        };
        compare(&architecture(covariance), false, true, 1.0);
        let mixed = |found: &mut Architecture| {
            found.likelihood = Likelihood::Mixed;
            found.families = vec![FeatureFamily::Gaussian; FEATURES];
            found.families[3] = FeatureFamily::Bernoulli;
        };
        compare(&architecture(mixed), true, true, 0.4);
        for activation in [HiddenActivation::Silu, HiddenActivation::Tanh, HiddenActivation::Identity] {
            for prior in [2, 4, 16] {
                let set = |found: &mut Architecture| (found.activation, found.prior) = (activation, prior);
                compare(&architecture(set), true, prior == 4, 1.0 / prior as f32);
            }
        }
        let conditional = |found: &mut Architecture| (found.conditions, found.prior) = (2, 3);
        compare(&architecture(conditional), true, true, 1.0);
    }

    #[test]
    fn gradients_end_at_the_limits_as_those_of_automatic_differentiation() {
        // A floor above what is learned, and an encoder whose log-variances go far.
        let set = |found: &mut Architecture| {
            found.variance_floors[1] = 2.0;
            (found.hidden, found.prior) = (Vec::new(), 2);
        };
        compare(&architecture(set), false, false, 1.0);
    }

    #[test]
    fn what_needs_a_graph_is_left_to_it() {
        let architecture = architecture(|_| {});
        let inputs = [0.5; FEATURES];
        let windows = HostWindows { rows: &[&inputs], noise: &[0.1; 3], blur: &[], share: 1.0 };
        let (flex, usual) = (Device::flex().autodiff(), Config::default().objective());
        let network = Vae::init(&architecture, 5, &flex);
        let is_closed = |objective: Objective| backpropagate(&objective, &network, windows).is_some();
        assert!(is_closed(usual));
        for objective in [
            Objective { bound: Bound::Importance, ..usual },
            Objective { samples: 2, ..usual },
            Objective { free_bits: 0.1, ..usual },
            Objective { estimator: Estimator::ScoreFunction, ..usual },
        ] {
            assert!(!is_closed(objective), "{objective:?}");
        }
    }
}
