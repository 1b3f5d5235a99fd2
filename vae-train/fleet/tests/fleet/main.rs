//! The program and its library on histories of simulated motors.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "files of tests, and messages of those that are skipped"
)]

#[cfg(unix)]
mod arrays;
mod backtest;
mod bad_input;
#[cfg(feature = "ballista")]
mod cluster;
mod device;
mod fit;
#[path = "../../../src/simulator/motor/simulator.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods, reason = "the trainer's, which needs more of it")]
mod motor;
mod program;
mod recording;
#[cfg(feature = "object-stores")]
mod stores;
mod verdicts;
