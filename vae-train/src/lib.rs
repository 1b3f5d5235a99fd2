//! Trains variational autoencoders on the desktop and exports them for `vae-core`.
//!
//! The binary `vae-train` is the way to use this crate; each of its verbs is one file under [`cli`]. The library is what the verbs are made
//! of, floor by floor, each of which imports from those before it: [`words`] and files, [`statistics`], [`weights`], [`tables`], the
//! [`simulator`], the loops of a training step on the CPU, the [`model`], [`inspection`] of a table, the [`config`] of a fit, [`data`] in
//! windows, [`training`], model files ([`mod@file`]), [`scoring`] through `vae-core` (there is no second implementation of scoring), [`calibration`],
//! the [`run`] directory, [`fitness`] for use, the [`report`], a device's log ([`device_log`]), and its samples, recorded ([`recorder`]).

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))] // a test's expectation is another computation

pub mod calibration;
pub mod cli;
pub mod config;
mod cpu;
pub mod data;
pub mod device_log;
pub mod file;
pub mod fitness;
pub mod inspection;
pub mod model;
pub mod recorder;
pub mod report;
pub mod run;
pub mod scoring;
pub mod simulator;
pub mod statistics;
pub mod tables;
pub mod training;
pub mod weights;
pub mod words;
