//! Device detectors over histories of whole fleets: the core that runs on the device, as a function of SQL and over files of any size.
//!
//! [`model`] reads a `.vae` file, [`judge`] is one machine's detector, [`function`] makes SQL's `vae(…) OVER (…)` of it, [`engine`] and [`query`] run
//! it.

pub mod backtest;
pub mod cli;
pub mod clock;
#[cfg(feature = "ballista")]
pub mod cluster;
pub mod engine;
pub mod fit;
pub mod function;
pub mod history;
pub mod judge;
pub mod model;
pub mod query;
pub mod results;
pub mod statistics;
pub mod words;
