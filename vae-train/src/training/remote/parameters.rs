//! A network's parameters and their gradients as flat numbers, in the order in which burn visits them.

use anyhow::{Result, ensure};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};

use crate::{cpu::tensor::read, model::network::Vae};

/// All weights, and the number of tensors that they are.
///
/// # Errors
/// If the device cannot give them.
pub(super) fn weights(network: &Vae) -> Result<(Vec<f32>, usize)> {
    struct Reading {
        weights: Vec<f32>,
        tensors: usize,
        failed: Result<()>,
    }
    impl ModuleVisitor for Reading {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.tensors += 1;
            match read(parameter.val()) {
                Ok(values) => self.weights.extend(values),
                Err(error) => self.failed = Err(error),
            }
        }
    }
    let mut reading = Reading { weights: Vec::with_capacity(network.num_params()), tensors: 0, failed: Ok(()) };
    network.visit(&mut reading);
    reading.failed?;
    Ok((reading.weights, reading.tensors))
}

/// The network with these weights, each parameter a leaf of its own graph.
///
/// # Errors
/// If there are not as many.
pub(super) fn with_weights(network: Vae, weights: &[f32]) -> Result<Vae> {
    struct Filling<'w>(&'w [f32]);
    impl ModuleMapper for Filling<'_> {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = parameter.consume();
            let shape = tensor.dims();
            let (values, rest) = self.0.split_at(shape.iter().product());
            self.0 = rest;
            let filled = Tensor::from_data(TensorData::new(values.to_vec(), shape), &tensor.device());
            Param::from_mapped_value(id, filled.set_require_grad(tensor.is_require_grad()), mapper)
        }
    }
    let expected = network.num_params();
    ensure!(weights.len() == expected, "{} weights for a network of {expected}", weights.len());
    Ok(network.map(&mut Filling(weights)))
}

/// The gradients of all parameters, zeros for those that have none, and which have one.
///
/// # Errors
/// If the device cannot give them.
pub(super) fn flat(network: &Vae, gradients: &GradientsParams) -> Result<(Vec<f32>, Vec<bool>)> {
    struct Reading<'g> {
        gradients: &'g GradientsParams,
        values: Vec<f32>,
        present: Vec<bool>,
        failed: Result<()>,
    }
    impl ModuleVisitor for Reading<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let gradient = self.gradients.get::<D>(parameter.id);
            self.present.push(gradient.is_some());
            match gradient.map(read).transpose() {
                Ok(Some(values)) => self.values.extend(values),
                Ok(None) => {
                    self.values.resize(self.values.len() + parameter.val().dims().iter().product::<usize>(), 0.0)
                }
                Err(error) => self.failed = Err(error),
            }
        }
    }
    let values = Vec::with_capacity(network.num_params());
    let mut reading = Reading { gradients, values, present: Vec::new(), failed: Ok(()) };
    network.visit(&mut reading);
    reading.failed?;
    Ok((reading.values, reading.present))
}

/// The gradients of those parameters that have one, on a device.
///
/// # Errors
/// If there are not as many numbers as the network has.
pub(super) fn gradients(network: &Vae, values: &[f32], present: &[bool], device: &Device) -> Result<GradientsParams> {
    struct Registering<'g> {
        values: &'g [f32],
        present: std::slice::Iter<'g, bool>,
        device: &'g Device,
        gradients: GradientsParams,
    }
    impl ModuleVisitor for Registering<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let shape = parameter.val().dims();
            let (values, rest) = self.values.split_at(shape.iter().product());
            self.values = rest;
            if self.present.next() == Some(&true) {
                let gradient = Tensor::<D>::from_data(TensorData::new(values.to_vec(), shape), self.device);
                self.gradients.register(parameter.id, gradient);
            }
        }
    }
    let expected = network.num_params();
    ensure!(values.len() == expected, "gradients of {} numbers for a network of {expected}", values.len());
    let mut registering = Registering { values, present: present.iter(), device, gradients: GradientsParams::new() };
    network.visit(&mut registering);
    Ok(registering.gradients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn weights_and_gradients_survive_the_way_as_flat_numbers() {
        let mut config = Config::default();
        config.model.prior = Some(3);
        let architecture = config.architecture(4);
        let device = Device::flex().autodiff();
        let network = Vae::init(&architecture, 5, &device);
        let (values, tensors) = weights(&network).unwrap();
        assert_eq!(values.len(), network.num_params());

        let other = with_weights(Vae::init(&architecture, 6, &device), &values).unwrap();
        assert_eq!(weights(&other).unwrap().0, values);
        assert!(with_weights(other, &values[1..]).is_err());

        // Every second parameter has a gradient: its own values, and zeros are nothing that stands for one.
        let present: Vec<bool> = (0..tensors).map(|index| index % 2 == 0).collect();
        let found = gradients(&network, &values, &present, &Device::flex()).unwrap();
        let (read, there) = flat(&network, &found).unwrap();
        assert_eq!(there, present);
        assert!(read.iter().zip(&values).all(|(read, value)| read == value || *read == 0.0));
        assert_eq!(found.len(), present.iter().filter(|present| **present).count());
    }
}
