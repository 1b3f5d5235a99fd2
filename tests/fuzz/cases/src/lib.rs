//! Hostile files, records and streams, and what must hold of what the core makes of them.
//!
//! A *subject* is given bytes, asserts what must hold, and adds every bit of what comes out to a digest. Bytes come from libFuzzer
//! (`fuzz_targets/`), or from [`generate`], which changes what they mean: then there is no instrumentation, and the same seeds give the
//! same digests with and without debug assertions, on the host and on a core (`src/bin/differential.rs`).
#![no_std]

extern crate alloc;

pub mod calibration;
mod change;
pub mod checks;
pub mod detector;
mod digest;
mod file;
pub mod generate;
pub mod loader;
pub mod model;
mod numbers;
mod parts;
pub mod snapshot;
mod subject;

pub use digest::Digest;
pub use file::{File, checksum};
pub use numbers::{Draws, EXTREMES, Numbers};
pub use parts::Parts;
pub use subject::{SUBJECTS, Seeds, Subject};
