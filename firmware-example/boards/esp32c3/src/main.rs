//! Watches a motor with an ESP32-C3 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on GPIO6, SCL on GPIO7, with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use core::convert::Infallible;

use board_shared::{Accelerometer, Error, LIS2DW12, POLL_MS, Verdict, WATCHDOG_MS, detector};
use embassy_executor::Spawner;
use embassy_time::{Duration, Ticker};
use esp_backtrace as _;
use esp_hal::{
    Async,
    gpio::{Level, Output, OutputConfig},
    i2c::master::{self, I2c},
    peripherals::TIMG1,
    time::{self, Rate},
    timer::timg::{MwdtStage, TimerGroup, Wdt},
};
use esp_println as _;

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_rtos::main]
async fn main(_spawner: Spawner) {
    let p = esp_hal::init(esp_hal::Config::default());
    esp_rtos::start(TimerGroup::new(p.TIMG0).timer0, p.FROM_CPU_INTR0);
    let mut watchdog = TimerGroup::new(p.TIMG1).wdt;
    watchdog.set_timeout(MwdtStage::Stage0, time::Duration::from_millis(WATCHDOG_MS.into()));
    watchdog.enable();
    // The Super Mini's LED, which a low level lights. Espressif's own boards have a coloured one there, which needs a driver.
    let led = Output::new(p.GPIO8, Level::High, OutputConfig::default());
    let config = master::Config::default().with_frequency(Rate::from_khz(400));
    let bus = match I2c::new(p.I2C0, config) {
        Ok(bus) => bus.with_sda(p.GPIO6).with_scl(p.GPIO7).into_async(),
        Err(error) => return defmt::error!("{}", error),
    };
    let Err(error) = watch(bus, led, watchdog).await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}

async fn watch(
    bus: I2c<'_, Async>,
    mut led: Output<'_>,
    mut watchdog: Wdt<TIMG1<'_>>,
) -> Result<Infallible, Error<master::Error>> {
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
        watchdog.feed();
        ticker.next().await;
    }
}
