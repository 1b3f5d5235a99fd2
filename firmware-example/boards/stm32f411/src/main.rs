//! Watches a motor with an STM32F411 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SCL on PB8, SDA on PB9, with pull-ups, as sensor boards have them. The core runs at the 16 MHz it starts with, which
//! suffices.
#![no_std]
#![no_main]

use board_shared::{Event, LIS2DW12, Verdict, WATCHDOG_MS, watch};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_stm32::{
    bind_interrupts, dma,
    gpio::{Level, Output, Speed},
    i2c::{self, I2c},
    peripherals::{DMA1_CH0, DMA1_CH6, I2C1},
    time::Hertz,
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
    // The Black Pill's LED, which a low level lights. Nucleo: PA5, and a high level.
    let mut led = Output::new(p.PC13, Level::High, Speed::Low);
    let mut config = i2c::Config::default();
    config.frequency = Hertz::khz(400);
    let bus = I2c::new(p.I2C1, p.PB8, p.PB9, p.DMA1_CH6, p.DMA1_CH0, Interrupts, config);
    let Err(error) = watch(bus, &LIS2DW12, Delay, |event| {
        defmt::info!("{}", event); // what `vae-train watch` plots
        let Event::Verdict(verdict) = event else { return };
        match verdict {
            Verdict::Normal(_) | Verdict::Drifting(_) => led.set_high(),
            Verdict::Anomalous(_) | Verdict::SensorFault(_) => led.set_low(),
        }
        watchdog.pet();
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
