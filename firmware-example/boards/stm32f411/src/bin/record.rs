//! Sends what the accelerometer measures through USART2, for `vae-train record --baud 460800`.
//!
//! TX on PA2: a Nucleo's probe passes it on through USB, a Black Pill needs an adapter there. The sensor is wired as for the other program.
#![no_std]
#![no_main]

use board_shared::{BAUD, LIS2DW12, WATCHDOG_MS, record};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_stm32::{
    bind_interrupts, dma,
    i2c::{self, I2c},
    peripherals::{DMA1_CH0, DMA1_CH6, I2C1},
    time::Hertz,
    usart::{self, UartTx},
    wdg::IndependentWatchdog,
};
use embassy_time::Delay;
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    DMA1_STREAM0 => dma::InterruptHandler<DMA1_CH0>;
    DMA1_STREAM6 => dma::InterruptHandler<DMA1_CH6>;
    I2C1_EV => i2c::EventInterruptHandler<I2C1>;
    I2C1_ER => i2c::ErrorInterruptHandler<I2C1>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_stm32::init(embassy_stm32::Config::default());
    let mut watchdog = IndependentWatchdog::new(p.IWDG, 1000 * WATCHDOG_MS);
    watchdog.unleash();
    let mut config = usart::Config::default();
    config.baudrate = BAUD;
    let mut line = match UartTx::new_blocking(p.USART2, p.PA2, config) {
        Ok(line) => line,
        Err(error) => return defmt::error!("{}", error),
    };
    let mut config = i2c::Config::default();
    config.frequency = Hertz::khz(400);
    let bus = I2c::new(p.I2C1, p.PB8, p.PB9, p.DMA1_CH6, p.DMA1_CH0, Interrupts, config);
    let Err(error) = record(bus, &LIS2DW12, Delay, async |frame: &[u8]| {
        let _ = line.blocking_write(frame); // what is lost there, the frames' numbers tell
        watchdog.pet();
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
