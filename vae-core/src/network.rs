//! Dense layers, read in place, and a pass through a half of the network.

pub(crate) mod curve;
pub(crate) mod error;
pub(crate) mod fixed;
pub(crate) mod input;
pub(crate) mod layer;
pub(crate) mod pass;
pub(crate) mod scratch;
pub(crate) mod standardise;
