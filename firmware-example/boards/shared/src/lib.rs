//! What the boards' programs have in common: an accelerometer on I2C, and what judges its samples.
//!
//! Each program sets up its bus, its LED and its watchdog, and then goes round:
//!
//! ```ignore
//! let (mut detector, mut scratch) = detector(&LIS2DW12)?;
//! let mut sensor = Accelerometer::start(bus, &LIS2DW12).await?;
//! loop {
//!     for _ in 0..sensor.waiting().await?.samples {
//!         let verdict = detector.push(&sensor.read().await?, &mut scratch)?;
//!     }
//! }
//! ```
#![no_std]

mod accelerometer;
mod detector;

pub use accelerometer::{ADXL345, Accelerometer, LIS2DW12, LIS3DH, Sensor, Waiting};
pub use detector::detector;
pub use vae_core::Verdict;

use vae_core::DetectorError;

/// How often the sensor's queue is emptied, in milliseconds: 8 samples at 1600 Hz.
///
/// The queue holds 32, so that a verdict may take 15 ms: see the figures of `README.md` for the slowest core.
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
    /// The model cannot be used here, or not with this sensor.
    Detector(DetectorError),
}

impl<B> From<DetectorError> for Error<B> {
    fn from(error: DetectorError) -> Self {
        Self::Detector(error)
    }
}
