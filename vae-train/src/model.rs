//! The variational autoencoder as burn trains it, and what training maximises.

pub mod architecture;
pub mod batch;
pub mod network;
pub mod objective;
pub mod posterior;
mod prior;
