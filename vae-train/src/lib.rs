//! Trains variational autoencoders on the desktop and exports them for `vae-core`.
//!
//! The binary `vae-train` is the way to use this crate; each of its verbs is one file under `cli`. The library is what the
//! verbs are made of: [`table`] reads CSV, [`dataset`] cuts windows and standardises, [`drift`] lets levels wander, [`network`], [`objective`] and
//! [`training`] fit with burn, [`run`] keeps the run directory, [`model_file`] writes the `.vae` file, [`scoring`] scores through `vae-core` (there
//! is no second implementation of scoring), [`metrics`] judges the scores, and [`motor`] simulates the demonstration's data.

mod adam;
pub mod cli;
pub mod config;
pub mod cost;
pub mod dataset;
pub mod density;
pub mod drift;
pub mod export;
pub mod extras;
mod fused;
pub mod idx;
mod kernel;
pub mod likelihood;
pub mod metrics;
pub mod model_file;
pub mod motor;
pub mod network;
pub mod objective;
pub mod output;
pub mod quantisation;
pub mod run;
pub mod scoring;
mod step;
pub mod table;
pub mod toy;
pub mod training;
