//! Functions of a tensor's elements, on the CPU with the same bits on every processor: burn's are the system's, which has other ones
//! for CPUs with and without fused multiply-adds.

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, unary},
        },
        flex::FlexTensor,
        ops::FloatTensorOps,
    },
    tensor::{Tensor, TensorData, activation},
};

use crate::cpu::tensor::{OnCpu, on_cpu};

/// `eᵛ`
pub(crate) fn exp<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    apply(v, Tensor::exp, |v| {
        let y = libm::expf(v);
        (y, y)
    })
}

/// Natural logarithm.
pub(crate) fn ln<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    apply(v, Tensor::log, |v| (libm::logf(v), 1.0 / v))
}

/// Logistic function.
pub(crate) fn sigmoid<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    apply(v, activation::sigmoid, |v| {
        let y = sigmoid_of(v);
        (y, y * (1.0 - y))
    })
}

/// `max(v, 0) + ln(1 + e^−|v|)`, as the core computes it; burn's own overflows for large logits.
pub(crate) fn softplus<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    let elsewhere = |v: Tensor<D>| {
        let tail = v.clone().abs().neg().exp().log1p();
        activation::relu(v) + tail
    };
    apply(v, elsewhere, |v| {
        // A NaN passes through.
        let positive = if v < 0.0 { 0.0 } else { v };
        (positive + libm::log1pf(libm::expf(-v.abs())), sigmoid_of(v))
    })
}

/// `ln softmax` along the second dimension.
pub(crate) fn log_softmax(v: Tensor<2>) -> Tensor<2> {
    let shifted = v.clone() - v.detach().max_dim(1);
    shifted.clone() - ln(exp(shifted).sum_dim(1))
}

fn sigmoid_of(v: f32) -> f32 {
    let u = libm::expf(-v.abs());
    (if v < 0.0 { u } else { 1.0 }) / (1.0 + u)
}

/// `function` gives a value and its derivative; `elsewhere` is burn's chain for tensors that are not on the CPU.
fn apply<const D: usize>(
    v: Tensor<D>,
    elsewhere: impl FnOnce(Tensor<D>) -> Tensor<D>,
    function: impl Fn(f32) -> (f32, f32),
) -> Tensor<D> {
    let both = |v: FlexTensor| {
        let v = v.to_contiguous();
        let (results, derivatives): (Vec<f32>, Vec<f32>) = v.storage::<f32>().iter().map(|v| function(*v)).unzip();
        [results, derivatives]
            .map(|results| FlexTensor::from_data(TensorData::new(results, v.layout().shape().clone())))
    };
    match on_cpu(v) {
        Ok(OnCpu::Plain(v)) => {
            let [values, _] = both(v);
            Tensor::from_primitive::<Flex>(values)
        }
        Ok(OnCpu::Differentiable(v)) => {
            let preparation = Elementwise.prepare::<NoCheckpointing>([v.node()]).compute_bound().stateful();
            let [values, derivatives] = both(v.into_primitive());
            let values = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(derivatives, values),
                OpsKind::UnTracked(preparation) => preparation.finish(values),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(values)
        }
        Err(v) => elsewhere(v),
    }
}

#[derive(Debug)]
struct Elementwise;

impl Backward<Flex, 1> for Elementwise {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let derivatives = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| Flex::float_mul(gradient, derivatives));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::cpu::tensor::read;

    #[test]
    fn functions_and_their_gradients_are_those_of_burn() {
        let device = Device::flex().autodiff();
        type Function = fn(Tensor<2>) -> Tensor<2>;
        let functions: [(&str, Function, Function, f32); 5] = [
            ("exp", exp, Tensor::exp, -3.0),
            ("ln", ln, Tensor::log, 0.1),
            ("sigmoid", sigmoid, activation::sigmoid, -6.0),
            ("softplus", softplus, |v| (v.exp() + 1.0).log(), -6.0),
            ("log softmax", log_softmax, |v| activation::log_softmax(v, 1), -3.0),
        ];
        for (name, ours, theirs, from) in functions {
            let run = |function: Function| {
                let values: Vec<f32> = (0..60).map(|i| from + 0.2 * i as f32).collect();
                let v = Tensor::<2>::from_data(TensorData::new(values, [4, 15]), &device).require_grad();
                let y = function(v.clone());
                let gradients = (y.clone() * y.clone()).sum().backward();
                (read(y).unwrap(), read(v.grad(&gradients).unwrap()).unwrap())
            };
            let (found, expected) = (run(ours), run(theirs));
            for (found, expected) in [(found.0, expected.0), (found.1, expected.1)] {
                for (found, expected) in found.into_iter().zip(expected) {
                    assert!(
                        (found - expected).abs() <= 2e-5 * (0.01 + expected.abs()),
                        "{name}: {found} for {expected}"
                    );
                }
            }
        }
    }
}
