//! Trains variational autoencoders on the desktop and exports them for `vae-core`.
//!
//! The binary `vae-train` is the way to use this crate; each of its verbs is one file under `cli`. The library is what the
//! verbs are made of: [`table`] reads CSV and, by [`table_format`], [`npy`], [`wav`], [`idx`] and Parquet, [`inspection`] looks at it,
//! [`dataset`] cuts windows and standardises, [`front_end`] puts them through the core's front-ends, [`drift`] lets levels wander,
//! [`network`], [`objective`] and [`training`] fit with burn, [`import`] takes what others have fitted, [`run`] keeps the run directory,
//! [`model_file`] writes the `.vae` file, [`scoring`] scores through `vae-core` (there is no second implementation of scoring),
//! [`metrics`] judges the scores, [`calibration`] says what is normal, [`tail`] and [`false_alarms`] how often normal windows raise an
//! alarm, [`detection`] runs the core's detector over a table, [`events`] judges its alarms, [`uniformity`] tests p-values, and [`motor`]
//! simulates the demonstration's data.

mod adam;
pub mod autocorrelation;
pub mod calibration;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cost;
pub mod dataset;
pub mod density;
pub mod detection;
pub mod drift;
pub mod events;
pub mod export;
pub mod extras;
pub mod false_alarms;
pub mod front_end;
mod fused;
pub mod idx;
pub mod import;
pub mod inspection;
mod kernel;
pub mod likelihood;
pub mod metrics;
pub mod model_file;
pub mod motor;
pub mod network;
pub mod npy;
pub mod objective;
pub mod output;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod quantisation;
pub mod run;
pub mod scoring;
mod step;
pub mod table;
pub mod table_format;
pub mod tail;
pub mod toy;
pub mod training;
pub mod uniformity;
pub mod wav;
