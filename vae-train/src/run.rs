//! The run directory: all that is needed to go on with a fit, to export its model, and to understand it a year later.
//!
//! - `checkpoint.bin`: configuration, schema, weights and optimiser state, replaced as a whole; what the verbs read
//! - `imported.bin`: in its place, a model that was trained elsewhere
//! - `extras.bin`: what was learned after the model: mixture, posteriors, second stage, attributes
//! - `normal.bin`: the normal data that `calibrate` was given, and what was asked of it
//! - `holdout.safetensors`: the held-out normal windows, in physical units, that `export` calibrates on where there is no `normal.bin`
//! - `config.toml`, `metrics.csv`, `standardiser.csv`: the same for people; `summary.json`: what the fit came to, on which data; `auto.json`:
//!   what `--auto` tried
//! - `.lock`: locked by who uses the directory, as long as the process lives; holds the number of one that writes, and nothing else
//!
//! Each file is replaced as a whole. What a run begins with is put in place at once, without a checkpoint meanwhile: a process that is
//! killed leaves the old run, none, or the new one, and never parts of both.

pub mod candidate;
pub mod collapse;
pub mod directory;
pub mod export;
pub mod fit;
pub mod import;
pub mod lock;
mod normal_file;
pub mod posteriors;
pub mod quantisation;
pub mod relations;
pub mod screening;
pub mod search;
mod second_stage;
pub mod simpler;
pub mod standing_out;
pub mod tensor_file;
