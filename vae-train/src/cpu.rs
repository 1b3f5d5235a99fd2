//! What a training step is made of on the CPU.

pub(crate) mod adam;
pub(crate) mod dense;
pub(crate) mod elementwise;
pub(crate) mod kernel;
pub(crate) mod latent;
pub(crate) mod likelihood;
pub(crate) mod product;
pub(crate) mod tensor;
