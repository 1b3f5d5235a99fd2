//! Numbers: what is applied to them, how they are drawn, and what may be given as a vector of them.

pub(crate) mod activation;
pub(crate) mod number;
pub(crate) mod random;
pub(crate) mod vector;
