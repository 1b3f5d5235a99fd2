//! The variational autoencoder as burn trains it, and what training maximises.

pub mod architecture;
pub(crate) mod backpropagation;
pub(crate) mod baseline;
pub mod batch;
pub(crate) mod covariance;
pub(crate) mod layers;
pub mod network;
pub mod objective;
pub mod posterior;
mod prior;
