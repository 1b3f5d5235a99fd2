//! Dense layers, one after the other.

use burn::{
    nn::Linear,
    tensor::{Tensor, activation},
};

use crate::{
    cpu::{dense::dense, elementwise::softplus},
    weights::family::HiddenActivation,
};

/// Values and, where there are conditions, these behind them.
pub(crate) fn join(values: Tensor<2>, condition: &Option<Tensor<2>>) -> Tensor<2> {
    match condition {
        None => values,
        Some(condition) => Tensor::cat(vec![values, condition.clone()], 1),
    }
}

/// Runs layers one after the other, with the activation behind all but the last.
pub(crate) fn forward(layers: &[Linear], mut x: Tensor<2>, hidden: HiddenActivation) -> Tensor<2> {
    for (index, layer) in layers.iter().enumerate() {
        let activation = if index + 1 < layers.len() { hidden } else { HiddenActivation::Identity };
        x = match dense(layer, &x, activation) {
            Some(output) => output,
            None => activate(layer.forward(x), activation),
        };
    }
    x
}

/// The activation as burn has it.
pub(crate) fn activate(x: Tensor<2>, activation: HiddenActivation) -> Tensor<2> {
    match activation {
        HiddenActivation::Identity => x,
        HiddenActivation::Relu => activation::relu(x),
        HiddenActivation::LeakyRelu => activation::leaky_relu(x, 0.01),
        HiddenActivation::Tanh => activation::tanh(x),
        HiddenActivation::Silu => activation::silu(x),
        HiddenActivation::Sigmoid => activation::sigmoid(x),
        HiddenActivation::Softplus => softplus(x),
    }
}
