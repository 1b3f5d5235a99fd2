//! Distributions over latent vectors and features, and how far they are from each other.

#[cfg(feature = "covariance")]
pub(crate) mod covariance;
pub(crate) mod divergence;
pub(crate) mod input_mixture;
pub(crate) mod likelihood;
pub(crate) mod log_density;
#[cfg(feature = "mixed")]
pub(crate) mod mixed;
pub(crate) mod mixture;
pub(crate) mod posterior;
pub(crate) mod prior;
pub(crate) mod range;
pub(crate) mod relations;
pub(crate) mod squares;
