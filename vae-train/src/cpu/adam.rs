//! Adam in one pass over each parameter.

use burn::{
    backend::{Flex, flex::FlexTensor},
    optim::{Adam, AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use rayon::prelude::*;

use crate::cpu::kernel::{self, AdamStep};

const BETA: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;
/// Values that a thread takes at once; fewer are not worth a second thread.
const GRAIN: usize = 1 << 15;

/// Adam with PyTorch's defaults. On the CPU a step is one pass over parameter, moments and gradient; elsewhere it is burn's.
/// Its state is burn's, too, so that either reads the other's checkpoints.
#[derive(Clone)]
pub(crate) struct FusedAdam {
    elsewhere: Adam,
}

impl FusedAdam {
    /// The optimiser of a whole network.
    pub(crate) fn init() -> ModuleOptimizer {
        Self { elsewhere: config().build() }.into()
    }
}

fn config() -> AdamConfig {
    AdamConfig::new().with_beta_1(BETA[0]).with_beta_2(BETA[1]).with_epsilon(EPSILON)
}

impl Optimizer for FusedAdam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let (Some(parameter_values), Some(gradient_values)) = (on_cpu(&parameter), on_cpu(&gradient)) else {
            return self.elsewhere.step(rate, parameter, gradient, state);
        };
        let (time, first, second) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, gradient.zeros_like(), gradient.zeros_like()),
        };
        let (Some(first_values), Some(second_values)) = (on_cpu(&first), on_cpu(&second)) else {
            let state = (time > 0).then(|| AdamState::new(AdaptiveMomentumState::new(time, first, second)));
            return self.elsewhere.step(rate, parameter, gradient, state);
        };
        // With these handles gone the buffers have one owner each and are changed in place.
        drop((parameter, gradient, first, second));
        let time = time + 1;
        let [parameter, first, second] =
            update(rate as f32, time, [parameter_values, first_values, second_values], gradient_values);
        (parameter, Some(AdamState::new(AdaptiveMomentumState::new(time, first, second))))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        Adam::to_device(state, device)
    }
}

fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    tensor.clone().try_into_primitive::<Flex>().ok()
}

/// Parameter and moments after step `time`.
fn update<const D: usize>(rate: f32, time: usize, values: [FlexTensor; 3], gradient: FlexTensor) -> [Tensor<D>; 3] {
    let exponent = i32::try_from(time).unwrap_or(i32::MAX);
    let [remains_1, remains_2] = BETA.map(|beta| 1.0 - beta.powi(exponent));
    let root = remains_2.sqrt();
    let step = AdamStep { beta: BETA, rate, correction: root / remains_1, epsilon: EPSILON * root };
    let [mut parameter, mut first, mut second] = values.map(|tensor| tensor.to_contiguous());
    let gradient = gradient.to_contiguous();
    let parts = (parameter.storage_mut::<f32>(), first.storage_mut::<f32>(), second.storage_mut::<f32>());
    let gradient = gradient.storage::<f32>();
    if gradient.len() < 2 * GRAIN || rayon::current_num_threads() == 1 {
        kernel::adam(step, parts.0, [parts.1, parts.2], gradient);
    } else {
        (
            parts.0.par_chunks_mut(GRAIN),
            parts.1.par_chunks_mut(GRAIN),
            parts.2.par_chunks_mut(GRAIN),
            gradient.par_chunks(GRAIN),
        )
            .into_par_iter()
            .for_each(|(parameter, first, second, gradient)| kernel::adam(step, parameter, [first, second], gradient));
    }
    [parameter, first, second].map(Tensor::from_primitive::<Flex>)
}

#[cfg(test)]
mod tests {
    use burn::{
        module::{Module, Param},
        nn::Linear,
        optim::GradientsParams,
        tensor::TensorData,
    };

    use super::*;

    fn layer(device: &Device) -> Linear {
        let values =
            |count: usize, scale: f32| (0..count).map(|i| scale * ((i * 7 % 11) as f32 - 5.0)).collect::<Vec<f32>>();
        Linear {
            weight: Param::from_data(TensorData::new(values(300 * 260, 0.01), [300, 260]), device),
            bias: Some(Param::from_data(TensorData::new(values(260, 0.1), [260]), device)),
        }
    }

    fn gradients(layer: &Linear, scale: f32) -> GradientsParams {
        let device = layer.weight.val().device();
        let input = (0..2 * 300).map(|i| scale * ((i % 13) as f32 - 6.0)).collect::<Vec<f32>>();
        let output = layer.forward(Tensor::<2>::from_data(TensorData::new(input, [2, 300]), &device));
        GradientsParams::from_grads((output.clone() * output).sum().backward(), layer)
    }

    fn values(layer: &Linear) -> Vec<f32> {
        let mut values = crate::cpu::tensor::read(layer.weight.val()).unwrap();
        values.extend(crate::cpu::tensor::read(layer.bias.as_ref().unwrap().val()).unwrap());
        values
    }

    #[test]
    fn steps_are_those_of_burns_adam_and_go_on_from_its_checkpoint() {
        let device = Device::flex().autodiff();
        let (mut fused, mut plain) = (FusedAdam::init(), config().init());
        let mut ours = layer(&device);
        let mut theirs = ours.clone();
        for step in 0..6 {
            if step == 3 {
                fused = FusedAdam::init().from_bytes(plain.into_bytes().unwrap()).unwrap();
            }
            let scale = 0.1 / (1.0 + step as f32);
            let found = gradients(&ours, scale);
            ours = fused.step(1e-2, ours, found);
            let found = gradients(&theirs, scale);
            theirs = plain.step(1e-2, theirs, found);
            for (a, b) in values(&ours).into_iter().zip(values(&theirs)) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} and {b} after step {step}");
            }
        }
    }

    #[test]
    fn the_first_step_is_the_rate_against_the_gradients_sign() {
        // m / (1 − β₁) = g and √(v / (1 − β₂)) = |g|, so the step is the rate whatever the gradient.
        let device = Device::flex().autodiff();
        let before = layer(&device);
        let found = gradients(&before, 0.1);
        let bias = crate::cpu::tensor::read(found.get::<1>(before.bias.as_ref().unwrap().id).unwrap()).unwrap();
        let after = FusedAdam::init().step(1e-3, before.clone(), found);
        let bias_values = |layer: &Linear| crate::cpu::tensor::read(layer.bias.as_ref().unwrap().val()).unwrap();
        for ((before, after), gradient) in bias_values(&before).into_iter().zip(bias_values(&after)).zip(bias) {
            assert!((before - after - 1e-3 * gradient.signum()).abs() < 1e-6, "{before} to {after} by {gradient}");
        }
        assert_eq!(after.num_params(), 300 * 260 + 260);
    }
}
