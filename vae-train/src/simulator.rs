//! Simulated machines and toy sets.

pub mod files;
pub mod motor;
pub mod plane;
pub mod pump;
pub mod toy;
