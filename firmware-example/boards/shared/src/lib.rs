//! What the boards' programs have in common: an accelerometer on I2C, and what judges its samples.
//!
//! Each program sets up its bus, its LED and its watchdog, and then does this:
//!
//! ```ignore
//! let Err(error) = watch(bus, &LIS2DW12, Delay, |event| {
//!     defmt::info!("{}", event);
//!     if let Event::Verdict(verdict) = event { /* the LED; and the program is alive */ }
//! }).await;
//! ```
//!
//! or, before there is a model, [`record()`], which sends the samples themselves.
#![no_std]

mod accelerometer;
mod detector;
#[path = "../../../../vae-train/src/recorder/frame.rs"]
pub mod frame;
#[cfg(feature = "emulated")]
#[path = "../../../../vae-train/src/simulator/motor/simulator.rs"]
pub mod motor;
mod record;
#[cfg(any(test, feature = "emulated"))]
mod simulated;
mod watch;

pub use accelerometer::{ADXL345, Accelerometer, LIS2DW12, LIS3DH, Sensor, Waiting};
pub use record::{BAUD, record};
#[cfg(any(test, feature = "emulated"))]
pub use simulated::Simulated;
pub use vae_core::Verdict;
pub use watch::{Event, watch};

use vae_core::DetectorError;

/// The watchdog resets a board that gives no verdict for this long, in milliseconds.
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

#[cfg(test)]
mod tests {
    use core::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use embedded_hal_async::delay::DelayNs;

    /// Waits for nothing.
    pub(crate) struct NoDelay;

    impl DelayNs for NoDelay {
        async fn delay_ns(&mut self, _: u32) {}
    }

    /// What a future that never waits gives.
    pub(crate) fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }
}
