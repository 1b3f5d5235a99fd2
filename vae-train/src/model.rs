//! The variational autoencoder as burn trains it, and what training maximises.

pub mod network;
pub mod objective;
