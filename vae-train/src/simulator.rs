//! Simulated machines and toy sets.

pub mod files;
pub mod motor;
pub mod plane;
pub mod plant;
pub mod pump;
pub mod toy;
