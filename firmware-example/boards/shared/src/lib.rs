//! What the boards' programs have in common: an accelerometer on I2C, and what judges its samples.
//!
//! Each program sets up its bus, its LED and its watchdog, and then goes round:
//!
//! ```ignore
//! let mut monitor = Monitor::new()?;
//! let mut sensor = Accelerometer::start(bus, &LIS2DW12).await?;
//! loop {
//!     for _ in 0..sensor.waiting().await?.samples {
//!         let verdict = monitor.push(&sensor.read().await?)?;
//!     }
//! }
//! ```
#![no_std]

mod accelerometer;
mod monitor;

pub use accelerometer::{ADXL345, Accelerometer, LIS2DW12, LIS3DH, Sensor, Waiting};
pub use monitor::{Monitor, Verdict};

use vae_core::{InferError, SelfTestError};

/// How often the sensor's queue is emptied, in milliseconds: 8 samples at 1600 Hz.
///
/// The queue holds 32, so that a score may take 15 ms: see the figures of `README.md` for the slowest core.
pub const POLL_MS: u64 = 5;

/// The watchdog resets a board that does not get around to feeding it for this long, in milliseconds.
pub const WATCHDOG_MS: u32 = 1000;

/// Why the monitoring ended; `B` is the bus's error.
#[derive(Clone, Copy, Debug, PartialEq, defmt::Format)]
pub enum Error<B> {
    /// The sensor could not be talked to: is it wired, and at this address?
    Bus(B),
    /// Another sensor answers at this address.
    WrongSensor {
        /// What its identity register should hold.
        expected: u8,
        /// What it holds.
        found: u8,
    },
    /// The model does not compute what it computed on the desktop.
    SelfTest(SelfTestError),
    /// A window could not be scored.
    Infer(InferError),
}

impl<B> From<SelfTestError> for Error<B> {
    fn from(error: SelfTestError) -> Self {
        Self::SelfTest(error)
    }
}

impl<B> From<InferError> for Error<B> {
    fn from(error: InferError) -> Self {
        Self::Infer(error)
    }
}
