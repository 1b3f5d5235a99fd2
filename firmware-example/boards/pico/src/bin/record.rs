//! Sends what the accelerometer measures through UART0, for `vae-train record --baud 460800`.
//!
//! TX on GP0 (pin 1), to the serial line of a debug probe or another adapter to USB. The sensor is wired as for the other program.
#![no_std]
#![no_main]

use board_shared::{BAUD, LIS2DW12, WATCHDOG_MS, record};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_rp::{
    bind_interrupts,
    i2c::{self, I2c},
    peripherals::I2C0,
    uart::{self, UartTx},
    watchdog::Watchdog,
};
use embassy_time::{Delay, Duration};
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    I2C0_IRQ => i2c::InterruptHandler<I2C0>;
});

const TIMEOUT: Duration = Duration::from_millis(WATCHDOG_MS as u64);

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_rp::init(embassy_rp::config::Config::default());
    let mut watchdog = Watchdog::new(p.WATCHDOG);
    watchdog.start(TIMEOUT);
    let mut config = uart::Config::default();
    config.baudrate = BAUD;
    let mut line = UartTx::new_blocking(p.UART0, p.PIN_0, config);
    let mut config = i2c::Config::default();
    config.frequency = 400_000;
    let bus = I2c::new_async(p.I2C0, p.PIN_5, p.PIN_4, Interrupts, config);
    let Err(error) = record(bus, &LIS2DW12, Delay, async |frame: &[u8]| {
        let _ = line.blocking_write(frame); // what is lost there, the frames' numbers tell
        watchdog.feed(TIMEOUT);
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
