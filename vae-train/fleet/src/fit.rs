//! A fleet's models: one base model, and for each machine its own calibration; or for each machine a model of its own. `vae-train` does the work, a
//! process for each step.

pub mod baseline;
pub mod census;
pub mod directory;
pub mod extract;
pub mod run;
pub mod split;
pub mod summary;
pub mod trainer;
