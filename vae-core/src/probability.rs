//! Distributions over latent vectors and features, and how far they are from each other.

pub(crate) mod divergence;
pub(crate) mod likelihood;
pub(crate) mod log_density;
pub(crate) mod mixture;
pub(crate) mod posterior;
pub(crate) mod prior;
