//! Statistics of any numbers.

pub mod active_units;
pub mod density;
pub mod dependence;
pub mod gaussian_mixture;
pub(crate) mod k_means;
pub mod kernel_density;
pub mod metrics;
pub mod moments;
pub(crate) mod pieces;
pub mod poisson;
pub mod relations;
pub(crate) mod rhythm;
pub mod tail;
pub mod two_sample;
pub mod uniformity;
pub(crate) mod walk;
