//! Trains variational autoencoders on the desktop and exports them for `vae-core`.
//!
//! The binary `vae-train` is the way to use this crate; each of its verbs is one file under `cli`. The library is what the
//! verbs are made of: [`table`] reads CSV and, by [`table_format`], [`npy`], [`wav`], [`idx`] and Parquet, [`inspection`] looks at it,
//! [`dataset`] cuts windows and standardises, [`front_end`] puts them through the core's front-ends, [`drift`] lets levels wander,
//! [`network`], [`objective`] and [`training`] fit with burn, [`import`] takes what others have fitted, [`run`] keeps the run directory,
//! [`model_file`] writes the `.vae` file, [`signing`] signs it, [`scoring`] scores through `vae-core` (there is no second implementation
//! of scoring), [`metrics`] judges the scores, [`calibration`] says what is normal, [`tail`] and [`false_alarms`] how often normal windows
//! raise an alarm, [`detection`] runs the core's detector over a table, [`events`] counts its alarms, [`event_outcome`] says what became
//! of each event and why, [`false_alarm_test`], by [`poisson`], whether false alarms are too many, [`evaluation`] puts these together,
//! [`fitness`] says whether the model is fit for use, [`report`] makes a page of it all, [`device_log`] reads what a device prints,
//! [`uniformity`] tests p-values, [`motor`] and [`pump`] simulate data. What comes from outside passes [`input`] and [`foreign`], what is
//! written [`output`].

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))] // a test's expectation is another computation

mod adam;
pub mod autocorrelation;
pub mod calibration;
pub mod changes;
pub mod channel_calibration;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cost;
pub mod dataset;
pub mod density;
pub mod dependence;
pub mod detection;
pub mod device_log;
pub mod drift;
mod elementwise;
pub mod evaluation;
pub mod event_outcome;
pub mod events;
pub mod export;
pub mod extras;
pub mod false_alarm_test;
pub mod false_alarms;
pub mod fitness;
pub mod foreign;
pub mod front_end;
mod fused;
pub mod idx;
pub mod image;
pub mod import;
pub mod input;
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
pub mod poisson;
mod product;
pub mod pump;
pub mod quantisation;
pub mod report;
mod rhythm;
pub mod run;
pub mod scoring;
pub mod sequential;
pub mod signing;
mod step;
pub mod support;
pub mod table;
pub mod table_format;
pub mod tail;
pub mod tail_fit;
pub mod toy;
pub mod training;
pub mod uniformity;
mod votes_tail;
mod walk;
pub mod wav;
mod words;
