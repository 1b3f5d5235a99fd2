//! Windows on the device, as a network takes them.

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::architecture::Architecture;

/// A batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `[windows, features]`; 0 where not observed.
    pub(crate) x: Tensor<2>,
    /// 1 where observed; `None` where everything is.
    pub(crate) observed: Option<Tensor<2>>,
    /// `[windows, conditions]`
    pub(crate) condition: Option<Tensor<2>>,
    /// `[windows, features]`: what the encoder sees, where that is not `x`.
    pub(crate) blurred: Option<Tensor<2>>,
}

impl Batch {
    /// Moves a batch to a device: `inputs` has, for each window, its standardised features (NaN for those not observed) and
    /// then its condition.
    #[must_use]
    pub fn new(mut inputs: Vec<f32>, architecture: &Architecture, device: &Device) -> Self {
        let (features, width) = (architecture.features, architecture.inputs());
        let windows = inputs.len() / width;
        // By blocks without an exit inside, so that it is vectorised.
        let missing = inputs.chunks(1024).any(|block| block.iter().fold(false, |found, x| found | x.is_nan()));
        let observed = missing.then(|| {
            let rows = inputs.chunks_exact(width).flat_map(|row| &row[..features]);
            let mask: Vec<f32> = rows.map(|x| if x.is_nan() { 0.0 } else { 1.0 }).collect();
            inputs.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
            Tensor::from_data(TensorData::new(mask, [windows, features]), device)
        });
        let all: Tensor<2> = Tensor::from_data(TensorData::new(inputs, [windows, width]), device);
        if architecture.conditions == 0 {
            return Self { x: all, observed, condition: None, blurred: None };
        }
        let condition = all.clone().narrow(1, features, architecture.conditions);
        Self { x: all.narrow(1, 0, features), observed, condition: Some(condition), blurred: None }
    }

    /// The batch with `blur` (`[windows, features]`; empty for nothing) added to what the encoder sees of it; what is not observed stays the
    /// mean, as on the device.
    ///
    /// # Source
    /// Im, Ahn, Memisevic & Bengio (2017), *Denoising Criterion for Variational Auto-Encoding Framework*, section 3.
    #[must_use]
    pub(crate) fn blurred(mut self, blur: &[f32], device: &Device) -> Self {
        self.blurred = (!blur.is_empty()).then(|| {
            let blur = Tensor::from_data(TensorData::new(blur.to_vec(), self.x.dims()), device);
            self.x.clone()
                + match &self.observed {
                    Some(observed) => blur * observed.clone(),
                    None => blur,
                }
        });
        self
    }
}
