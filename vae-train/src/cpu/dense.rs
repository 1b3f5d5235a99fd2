//! A dense layer as one operation, in which burn's CPU backend would run a chain, each link with its own derivative.

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

use crate::{
    cpu::{
        kernel,
        product::{product, transposed},
        tensor::{OnCpu, on_cpu},
    },
    weights::family::HiddenActivation,
};

/// `activation(x W + b)`, or `None` where the tensors are not on the CPU.
pub(crate) fn dense(layer: &Linear, x: &Tensor<2>, activation: HiddenActivation) -> Option<Tensor<2>> {
    let bias = layer.bias.as_ref()?.val();
    match (on_cpu(x.clone()).ok()?, on_cpu(layer.weight.val()).ok()?, on_cpu(bias).ok()?) {
        (OnCpu::Plain(x), OnCpu::Plain(weight), OnCpu::Plain(bias)) => {
            Some(Tensor::from_primitive::<Flex>(Passed::new(x, weight, &bias, activation).0))
        }
        (OnCpu::Differentiable(x), OnCpu::Differentiable(weight), OnCpu::Differentiable(bias)) => {
            let preparation =
                Dense.prepare::<NoCheckpointing>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
            let (output, passed) =
                Passed::new(x.into_primitive(), weight.into_primitive(), bias.primitive(), activation);
            let output = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(passed, output),
                OpsKind::UnTracked(preparation) => preparation.finish(output),
            };
            Some(Tensor::from_primitive::<Autodiff<Flex>>(output))
        }
        _ => None,
    }
}

/// What a layer's derivatives need of a pass.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    x: FlexTensor,
    weight: FlexTensor,
    /// See [`kernel::activation_gradient`].
    kept: Option<FlexTensor>,
    activation: HiddenActivation,
}

impl Passed {
    /// The layer's output with what remains of the pass.
    pub(crate) fn new(
        x: FlexTensor,
        weight: FlexTensor,
        bias: &FlexTensor,
        activation: HiddenActivation,
    ) -> (FlexTensor, Self) {
        let mut output = product(&x, &weight);
        let bias = bias.to_contiguous();
        let bias: &[f32] = bias.storage();
        let kept = if activation == HiddenActivation::Silu {
            let shape = output.layout().shape().clone();
            let activated = kernel::add_bias_and_silu(output.storage_mut(), bias);
            let activated = FlexTensor::from_data(TensorData::new(activated, shape));
            Some(std::mem::replace(&mut output, activated))
        } else {
            kernel::add_bias_and_activate(output.storage_mut(), bias, activation);
            (activation != HiddenActivation::Identity).then(|| output.clone())
        };
        (output, Self { x, weight, kept, activation })
    }

    /// Takes the gradient of the layer's output to that of its activation's input, and gives the bias's, which is its sum over the rows.
    pub(crate) fn bias_gradient(&self, gradient: &mut FlexTensor) -> FlexTensor {
        let width = self.weight.layout().shape()[1];
        let kept = self.kept.as_ref().map_or(&[][..], FlexTensor::storage);
        let sums = kernel::activation_gradient(gradient.storage_mut(), kept, width, self.activation);
        FlexTensor::from_data(TensorData::new(sums, [width]))
    }

    /// The weights' gradient, by that of the activation's input.
    pub(crate) fn weight_gradient(&self, gradient: &FlexTensor) -> FlexTensor {
        product(&transposed(self.x.clone()), gradient)
    }

    /// The gradient of the layer's input, by that of the activation's.
    pub(crate) fn input_gradient(&self, gradient: &FlexTensor) -> FlexTensor {
        product(gradient, &transposed(self.weight.clone()))
    }
}

#[derive(Debug)]
struct Dense;

impl Backward<Flex, 3> for Dense {
    type State = Passed;

    fn backward(self, ops: Ops<Passed, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let passed = ops.state;
        let sums = passed.bias_gradient(&mut gradient);
        let [x_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            gradients.register::<Flex>(node.id, sums);
        }
        if let Some(node) = weight_node {
            gradients.register::<Flex>(node.id, passed.weight_gradient(&gradient));
        }
        if let Some(node) = x_node {
            gradients.register::<Flex>(node.id, passed.input_gradient(&gradient));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::Param, tensor::Device};

    use super::*;
    use crate::{cpu::tensor::read, model::layers};

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
    fn what_is_no_number_stays_so() {
        let device = Device::flex();
        let nan = Tensor::<2>::full([1, 3], f32::NAN, &device);
        let values = |count| vec![0.5f32; count];
        let layer = Linear {
            weight: Param::from_data(TensorData::new(values(6), [3, 2]), &device),
            bias: Some(Param::from_data(TensorData::new(values(2), [2]), &device)),
        };
        for activation in [HiddenActivation::Relu, HiddenActivation::Tanh, HiddenActivation::Silu] {
            let found = read(dense(&layer, &nan, activation).unwrap()).unwrap();
            assert!(found.iter().all(|y| y.is_nan()), "{activation:?}");
        }
    }
}
