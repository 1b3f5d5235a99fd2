//! What the programs for QEMU's STM32F405 share: a way out, and time that passes with the samples.

use core::fmt;

use embassy_stm32::pac::USART1;
use embedded_hal_async::delay::DelayNs;

/// The USART that QEMU connects first.
pub(crate) struct Usart;

impl Usart {
    /// Sets it going.
    pub(crate) fn start() -> Self {
        USART1.cr1().write(|w| {
            w.set_ue(true);
            w.set_te(true);
        });
        Self
    }

    /// Waits until all is sent.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while !USART1.sr().read().txe() {}
            USART1.dr().write(|w| w.set_dr((*byte).into()));
        }
    }
}

impl fmt::Write for Usart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send(text.as_bytes());
        Ok(())
    }
}

/// Time passes with the samples.
pub(crate) struct NoDelay;

impl DelayNs for NoDelay {
    async fn delay_ns(&mut self, _: u32) {}
}
