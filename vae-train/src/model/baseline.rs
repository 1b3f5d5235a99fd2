//! The learned baseline of the score function's gradient.

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    model::{architecture::Architecture, layers::forward},
    weights::family::HiddenActivation,
};

/// Hidden units.
const HIDDEN: usize = 64;

/// What `ln p(x|z)` is expected to be of a window, whatever `z` is drawn: a network with a hidden layer of its own, which is trained beside the
/// model by the squared error and belongs to no file.
///
/// # Source
/// Mnih & Gregor (2014), *Neural Variational Inference and Learning in Belief Networks*, equation 9.
#[derive(Module, Debug)]
pub(crate) struct Baseline {
    layers: Vec<Linear>,
    #[module(skip)]
    features: usize,
}

impl Baseline {
    /// One that expects 0 nats of every window.
    pub(crate) fn init(architecture: &Architecture, seed: u64, device: &Device) -> Self {
        let (mut rng, inputs) = (ChaCha8Rng::seed_from_u64(seed), architecture.inputs());
        let bound = 1.0 / (inputs as f32).sqrt();
        let weights = (0..inputs * HIDDEN).map(|_| rng.random_range(-bound..bound)).collect();
        let layer = |weights: Vec<f32>, shape: [usize; 2]| Linear {
            weight: Param::from_data(TensorData::new(weights, shape), device),
            bias: Some(Param::from_data(TensorData::zeros::<f32, _>([shape[1]]), device)),
        };
        let layers = vec![layer(weights, [inputs, HIDDEN]), layer(vec![0.0; HIDDEN], [HIDDEN, 1])];
        Self { layers, features: architecture.features }
    }

    /// Nats that it expects of each window, `[windows, 1]`, from windows with their conditions.
    pub(crate) fn expected(&self, inputs: Tensor<2>) -> Tensor<2> {
        forward(&self.layers, inputs, HiddenActivation::Tanh).mul_scalar(self.features as f32)
    }

    /// Half the mean squared error per feature, whose gradient trains it, of expected and found nats.
    pub(crate) fn loss(&self, expected: Tensor<2>, found: Tensor<2>) -> Tensor<1> {
        let error = (expected - found).mul_scalar(1.0 / self.features as f32);
        (error.clone() * error).mean().mul_scalar(0.5)
    }
}
