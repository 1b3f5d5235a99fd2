//! Statistics of any numbers.

pub mod active_units;
pub mod density;
pub mod dependence;
pub mod metrics;
pub mod moments;
pub(crate) mod pieces;
pub mod poisson;
pub(crate) mod rhythm;
pub mod tail;
pub mod uniformity;
pub(crate) mod walk;
