//! Tensors where they are on the CPU.

use anyhow::{Result, anyhow};
use burn::{
    backend::{Autodiff, Flex, flex::FlexTensor, tensor::FloatTensor},
    tensor::{Device, Tensor, TensorData},
};

pub(crate) type Differentiable = FloatTensor<Autodiff<Flex>>;

/// A tensor on the CPU.
pub(crate) enum OnCpu {
    Plain(FlexTensor),
    Differentiable(Differentiable),
}

/// The tensor's CPU representation, or the tensor itself if it is elsewhere.
#[expect(clippy::result_large_err, reason = "the tensor goes back to where it came from")]
pub(crate) fn on_cpu<const D: usize>(tensor: Tensor<D>) -> Result<OnCpu, Tensor<D>> {
    let (device, handle) = (tensor.device(), tensor.clone());
    // Devices compare equal with and without autodiff.
    let found = match (device == Device::flex(), device.is_autodiff()) {
        (true, false) => tensor.try_into_primitive::<Flex>().ok().map(OnCpu::Plain),
        (true, true) => tensor.try_into_primitive::<Autodiff<Flex>>().ok().map(OnCpu::Differentiable),
        (false, _) => None,
    };
    found.ok_or(handle)
}

/// The tensor's CPU representation, contiguous; `None` if it is elsewhere.
pub(crate) fn in_one_buffer<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    match on_cpu(tensor).ok()? {
        OnCpu::Plain(tensor) => Some(tensor.to_contiguous()),
        OnCpu::Differentiable(tensor) => Some(tensor.into_primitive().to_contiguous()),
    }
}

/// Values row after row, as the CPU has them.
pub(crate) fn matrix(values: Vec<f32>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor's values.
///
/// # Errors
/// If the device cannot give them.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|error| anyhow!("values cannot be read from the device: {error}"))
}
