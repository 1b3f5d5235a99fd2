//! Operations of a training step that burn's CPU backend would run as long chains, each with its own derivative.
//!
//! Tensors on any other device take the chains.

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    nn::Linear,
    tensor::{Tensor, TensorData},
};
use vae_core::format::FeatureFamily;

use crate::{
    cpu::{
        kernel::{
            self, covariance,
            log_likelihood::{self, Observations},
        },
        product::{product, transposed},
        tensor::{OnCpu, on_cpu},
    },
    weights::family::HiddenActivation,
};

/// A constant's CPU representation.
fn constant(tensor: &Tensor<2>) -> Option<FlexTensor> {
    match on_cpu(tensor.clone()).ok()? {
        OnCpu::Plain(tensor) => Some(whole(tensor)),
        OnCpu::Differentiable(tensor) => Some(whole(tensor.into_primitive())),
    }
}

fn matrix(values: Vec<f32>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// As a whole contiguous buffer, not copied if it is one.
fn whole(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// `activation(x W + b)`, or `None` where the tensors are not on the CPU.
pub(crate) fn dense(layer: &Linear, x: &Tensor<2>, activation: HiddenActivation) -> Option<Tensor<2>> {
    let bias = layer.bias.as_ref()?.val();
    match (on_cpu(x.clone()).ok()?, on_cpu(layer.weight.val()).ok()?, on_cpu(bias).ok()?) {
        (OnCpu::Plain(x), OnCpu::Plain(weight), OnCpu::Plain(bias)) => {
            Some(Tensor::from_primitive::<Flex>(dense_forward(&x, &weight, &bias, activation).0))
        }
        (OnCpu::Differentiable(x), OnCpu::Differentiable(weight), OnCpu::Differentiable(bias)) => {
            let preparation =
                Dense.prepare::<NoCheckpointing>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
            let (x, weight) = (x.into_primitive(), weight.into_primitive());
            let (output, kept) = dense_forward(&x, &weight, bias.primitive(), activation);
            let output = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(DenseState { x, weight, kept, activation }, output),
                OpsKind::UnTracked(preparation) => preparation.finish(output),
            };
            Some(Tensor::from_primitive::<Autodiff<Flex>>(output))
        }
        _ => None,
    }
}

/// The layer's output, and what [`kernel::activation_gradient`] needs of it.
fn dense_forward(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    activation: HiddenActivation,
) -> (FlexTensor, Option<FlexTensor>) {
    let mut output = product(x, weight);
    let bias = bias.to_contiguous();
    let bias: &[f32] = bias.storage();
    if activation == HiddenActivation::Silu {
        kernel::add_bias_and_activate(output.storage_mut(), bias, HiddenActivation::Identity);
        let input = output.clone();
        kernel::add_bias_and_activate(output.storage_mut(), &vec![0.0; bias.len()], activation);
        return (output, Some(input));
    }
    kernel::add_bias_and_activate(output.storage_mut(), bias, activation);
    let kept = (activation != HiddenActivation::Identity).then(|| output.clone());
    (output, kept)
}

#[derive(Debug)]
struct Dense;

#[derive(Clone, Debug)]
struct DenseState {
    x: FlexTensor,
    weight: FlexTensor,
    kept: Option<FlexTensor>,
    activation: HiddenActivation,
}

impl Backward<Flex, 3> for Dense {
    type State = DenseState;

    fn backward(self, ops: Ops<DenseState, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = whole(gradients.consume::<Flex>(&ops.node));
        let DenseState { x, weight, kept, activation } = ops.state;
        let width = weight.layout().shape()[1];
        let sums = {
            let kept = kept.as_ref().map_or(&[][..], FlexTensor::storage);
            kernel::activation_gradient(gradient.storage_mut(), kept, width, activation)
        };
        let [x_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            gradients.register::<Flex>(node.id, FlexTensor::from_data(TensorData::new(sums, [width])));
        }
        if let Some(node) = weight_node {
            gradients.register::<Flex>(node.id, product(&transposed(x), &gradient));
        }
        if let Some(node) = x_node {
            gradients.register::<Flex>(node.id, product(&gradient, &transposed(weight)));
        }
    }
}

/// Which likelihood a decoder's output parametrises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family<'f> {
    /// Logits.
    Bernoulli,
    /// Means; the log-variances are given.
    Gaussian,
    /// Means, then log-variances, which are held within the bounds.
    GaussianPredicted((f32, f32)),
    /// Means, then log-variances, which are held within the bounds, then the columns of a covariance's product `U Uᵀ`.
    GaussianCovariance((f32, f32)),
    /// Means, whose log-variances are given, and logits, by the family of each feature.
    Mixed(&'f [FeatureFamily]),
}

/// `ln p(x|z)` of each row, `[rows, 1]`; gives `output` back where it is not on the CPU. `log_variance` is that of
/// [`Family::Gaussian`] and of Gaussian features, and unused by the others.
#[expect(clippy::result_large_err, reason = "the tensor goes back to where it came from")]
pub(crate) fn log_likelihood(
    family: Family<'_>,
    output: Tensor<2>,
    x: &Tensor<2>,
    observed: Option<&Tensor<2>>,
    log_variance: Tensor<1>,
) -> Result<Tensor<2>, Tensor<2>> {
    let (Some(x), observed, Ok(log_variance)) = (constant(x), observed.map(constant), on_cpu(log_variance)) else {
        return Err(output);
    };
    let not_gaussian = match family {
        Family::Mixed(families) => (0..families.len()).filter(|feature| families[*feature].is_discrete()).collect(),
        _ => Vec::new(),
    };
    let data = |log_variance| Data { x, observed: observed.flatten(), log_variance: whole(log_variance), not_gaussian };
    match (on_cpu(output)?, log_variance) {
        (OnCpu::Plain(output), OnCpu::Plain(log_variance)) => {
            Ok(Tensor::from_primitive::<Flex>(data(log_variance).forward(family, output).0))
        }
        (OnCpu::Differentiable(output), OnCpu::Differentiable(log_variance)) => {
            let preparation = LogLikelihood
                .prepare::<NoCheckpointing>([output.node(), log_variance.node()])
                .compute_bound()
                .stateful();
            let data = data(log_variance.into_primitive());
            let (nats, derivatives) = data.forward(family, output.into_primitive());
            let nats = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(LogLikelihoodState { data, derivatives }, nats),
                OpsKind::UnTracked(preparation) => preparation.finish(nats),
            };
            Ok(Tensor::from_primitive::<Autodiff<Flex>>(nats))
        }
        (OnCpu::Plain(output), OnCpu::Differentiable(_)) => Err(Tensor::from_primitive::<Flex>(output)),
        (OnCpu::Differentiable(output), OnCpu::Plain(_)) => Err(Tensor::from_primitive::<Autodiff<Flex>>(output)),
    }
}

#[derive(Clone, Debug)]
struct Data {
    x: FlexTensor,
    observed: Option<FlexTensor>,
    log_variance: FlexTensor,
    /// The features whose log-variance is no parameter.
    not_gaussian: Vec<usize>,
}

impl Data {
    /// The rows' nats and their derivatives with respect to `output`.
    fn forward(&self, family: Family<'_>, output: FlexTensor) -> (FlexTensor, FlexTensor) {
        let mut output = whole(output);
        let shape = self.x.layout().shape();
        let (rows, features) = (shape[0], shape[1]);
        let observed = self.observed.as_ref().map(FlexTensor::storage);
        let data = Observations { x: self.x.storage(), observed, features };
        let values = output.storage_mut();
        let nats = match family {
            Family::Bernoulli => log_likelihood::bernoulli(values, data),
            Family::Gaussian => log_likelihood::gaussian(values, data, self.log_variance.storage()),
            Family::GaussianPredicted(bounds) => log_likelihood::gaussian_predicted(values, data, bounds),
            Family::GaussianCovariance(bounds) => covariance::gaussian_covariance(values, data, bounds),
            Family::Mixed(families) => log_likelihood::mixed(values, data, self.log_variance.storage(), families),
        };
        (matrix(nats, [rows, 1]), output)
    }
}

#[derive(Debug)]
struct LogLikelihood;

#[derive(Clone, Debug)]
struct LogLikelihoodState {
    data: Data,
    derivatives: FlexTensor,
}

impl Backward<Flex, 2> for LogLikelihood {
    type State = LogLikelihoodState;

    fn backward(self, ops: Ops<LogLikelihoodState, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let weights = whole(gradients.consume::<Flex>(&ops.node));
        let LogLikelihoodState { data, mut derivatives } = ops.state;
        let [output_node, log_variance_node] = ops.parents;
        if let Some(node) = log_variance_node {
            let mut sums = log_likelihood::log_variance_gradient(
                derivatives.storage(),
                data.observed.as_ref().map(FlexTensor::storage),
                weights.storage(),
                data.log_variance.storage(),
            );
            data.not_gaussian.iter().for_each(|feature| sums[*feature] = 0.0);
            let width = sums.len();
            gradients.register::<Flex>(node.id, FlexTensor::from_data(TensorData::new(sums, [width])));
        }
        if let Some(node) = output_node {
            kernel::scale_rows(derivatives.storage_mut(), weights.storage());
            gradients.register::<Flex>(node.id, derivatives);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::Param, tensor::Device};

    use super::*;
    use crate::{
        cpu::tensor::read,
        model::{batch::Batch, layers, network},
    };

    const ROWS: usize = 5;

    /// Values on both sides of zero and none at it, where burn's chains have no derivative.
    fn leaf<const D: usize>(shape: [usize; D], scale: f32, device: &Device) -> Tensor<D> {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|i| scale * ((i * 37 % 101) as f32 / 50.0 - 1.003)).collect::<Vec<f32>>();
        Tensor::from_data(TensorData::new(values, shape), device).require_grad()
    }

    fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, what: &str) {
        for (found, expected) in read(found).unwrap().into_iter().zip(read(expected).unwrap()) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{what}: {found} for {expected}");
        }
    }

    #[test]
    fn a_dense_layer_and_its_gradients_are_those_of_burns_operations() {
        let device = Device::flex().autodiff();
        for activation in [
            HiddenActivation::Identity,
            HiddenActivation::Relu,
            HiddenActivation::LeakyRelu,
            HiddenActivation::Tanh,
            HiddenActivation::Silu,
            HiddenActivation::Sigmoid,
            HiddenActivation::Softplus,
        ] {
            let run = |fused: bool| {
                let layer = Linear {
                    weight: Param::from_tensor(leaf([7, 19], 0.9, &device)),
                    bias: Some(Param::from_tensor(leaf([19], 0.3, &device))),
                };
                let x = leaf([ROWS, 7], 2.0, &device);
                let y = if fused {
                    dense(&layer, &x, activation).unwrap()
                } else {
                    layers::activate(layer.forward(x.clone()), activation)
                };
                let gradients = (y.clone() * leaf([ROWS, 19], 1.0, &device).detach()).sum().backward();
                let bias = layer.bias.unwrap().val().grad(&gradients).unwrap();
                (y.inner(), x.grad(&gradients).unwrap(), layer.weight.val().grad(&gradients).unwrap(), bias)
            };
            let (found, expected) = (run(true), run(false));
            assert_close(found.0, expected.0, &format!("{activation:?}"));
            assert_close(found.1, expected.1, &format!("{activation:?} by x"));
            assert_close(found.2, expected.2, &format!("{activation:?} by W"));
            assert_close(found.3, expected.3, &format!("{activation:?} by b"));
        }
    }

    #[test]
    fn likelihoods_and_their_gradients_are_those_of_burns_operations() {
        // More than one block of lanes, and some over.
        const FEATURES: usize = 37;
        let device = Device::flex().autodiff();
        // Columns of 2, 3 and 1 categories between numbers and zeros and ones.
        let mixed: Vec<FeatureFamily> = (0..FEATURES)
            .map(|feature| match feature % 9 {
                0 | 6 => FeatureFamily::Gaussian,
                1 | 3 | 8 => FeatureFamily::FirstCategory { log_other: -3.0 },
                7 => FeatureFamily::Bernoulli,
                _ => FeatureFamily::NextCategory,
            })
            .collect();
        let families = [
            Family::Bernoulli,
            Family::Gaussian,
            Family::GaussianPredicted((-0.8, 0.9)),
            Family::GaussianCovariance((-0.8, 0.9)),
            Family::Mixed(&mixed),
        ];
        for (family, masked) in families.into_iter().flat_map(|family| [(family, false), (family, true)]) {
            let run = |fused: bool| {
                let width = match family {
                    Family::GaussianPredicted(_) => 2 * FEATURES,
                    Family::GaussianCovariance(_) => 5 * FEATURES,
                    _ => FEATURES,
                };
                let (output, log_variance) = (leaf([ROWS, width], 1.5, &device), leaf([FEATURES], 0.7, &device));
                let x = leaf([ROWS, FEATURES], 1.0, &device).detach().abs();
                let observed = masked.then(|| x.clone().lower_elem(0.6).float());
                // As a batch has it: 0 where it was not observed.
                let x = match (&observed, family) {
                    (Some(observed), Family::Mixed(_)) => x * observed.clone(),
                    _ => x,
                };
                let nats = if fused {
                    log_likelihood(family, output.clone(), &x, observed.as_ref(), log_variance.clone()).unwrap()
                } else {
                    let batch = Batch { x, observed, condition: None, blurred: None };
                    network::log_likelihood(family, output.clone(), batch, log_variance.clone())
                };
                let gradients = (nats.clone() * leaf([ROWS, 1], 1.0, &device).detach()).sum().backward();
                let has_variances = matches!(family, Family::Gaussian | Family::Mixed(_));
                let by_variance = if has_variances { log_variance.grad(&gradients) } else { None };
                (nats.inner(), output.grad(&gradients).unwrap(), by_variance)
            };
            let (found, expected) = (run(true), run(false));
            assert_close(found.0, expected.0, &format!("{family:?}"));
            assert_close(found.1, expected.1, &format!("{family:?} by the output"));
            if let (Some(found), Some(expected)) = (found.2, expected.2) {
                assert_close(found, expected, "by the log-variance");
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_so() {
        let device = Device::flex();
        let nan = Tensor::<2>::full([1, 3], f32::NAN, &device);
        let x = Tensor::<2>::zeros([1, 3], &device);
        let log_variance = Tensor::<1>::zeros([3], &device);
        let values = |count| vec![0.5f32; count];
        let layer = Linear {
            weight: Param::from_data(TensorData::new(values(6), [3, 2]), &device),
            bias: Some(Param::from_data(TensorData::new(values(2), [2]), &device)),
        };
        for activation in [HiddenActivation::Relu, HiddenActivation::Tanh, HiddenActivation::Silu] {
            assert!(
                read(dense(&layer, &nan, activation).unwrap()).unwrap().iter().all(|y| y.is_nan()),
                "{activation:?}"
            );
        }
        for family in [Family::Bernoulli, Family::Gaussian] {
            let nats = log_likelihood(family, nan.clone(), &x, None, log_variance.clone()).unwrap();
            assert!(nats.into_scalar::<f32>().is_nan(), "{family:?}");
        }
    }
}
