//! Watches a motor with an STM32F411 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SCL on PB8, SDA on PB9, with pull-ups, as sensor boards have them. The core runs at the 16 MHz it starts with, which
//! suffices.
#![no_std]
#![no_main]

use core::convert::Infallible;

use board_shared::{Accelerometer, Error, LIS2DW12, POLL_MS, Verdict, WATCHDOG_MS, detector};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_stm32::{
    bind_interrupts, dma,
    gpio::{Level, Output, Speed},
    i2c::{self, I2c, Master},
    mode::Async,
    peripherals::{DMA1_CH0, DMA1_CH6, I2C1, IWDG},
    time::Hertz,
    wdg::IndependentWatchdog,
};
use embassy_time::{Duration, Ticker};
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
    let led = Output::new(p.PC13, Level::High, Speed::Low);
    let mut config = i2c::Config::default();
    config.frequency = Hertz::khz(400);
    let bus = I2c::new(p.I2C1, p.PB8, p.PB9, p.DMA1_CH6, p.DMA1_CH0, Interrupts, config);
    let Err(error) = watch(bus, led, watchdog).await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}

async fn watch(
    bus: I2c<'_, Async, Master>,
    mut led: Output<'_>,
    mut watchdog: IndependentWatchdog<'_, IWDG>,
) -> Result<Infallible, Error<i2c::Error>> {
    let (mut detector, mut scratch) = detector(&LIS2DW12)?;
    defmt::info!("threshold     {} nats", detector.threshold());
    let mut sensor = Accelerometer::start(bus, &LIS2DW12).await?;
    let mut ticker = Ticker::every(Duration::from_millis(POLL_MS));
    loop {
        let waiting = sensor.waiting().await?;
        if waiting.lost {
            defmt::warn!("samples lost");
            detector.gap();
        }
        for _ in 0..waiting.samples {
            let Some(verdict) = detector.push(&sensor.read().await?, &mut scratch)? else { continue };
            defmt::info!("{}", verdict); // what `vae-train watch` plots
            match verdict {
                Verdict::Normal(_) | Verdict::Drifting(_) => led.set_high(),
                Verdict::Anomalous(_) | Verdict::SensorFault(_) => led.set_low(),
            }
            break; // to see at once whether the queue overflowed meanwhile
        }
        watchdog.pet();
        ticker.next().await;
    }
}
