//! What a training step is made of on the CPU.

pub(crate) mod adam;
pub(crate) mod elementwise;
pub(crate) mod fused;
pub(crate) mod kernel;
pub(crate) mod product;
pub(crate) mod tensor;
