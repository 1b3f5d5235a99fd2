//! Watches a motor with an ESP32-C3 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on GPIO6, SCL on GPIO7, with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use board_shared::{Event, LIS2DW12, Verdict, WATCHDOG_MS, watch};
use embassy_executor::Spawner;
use embassy_time::Delay;
use esp_backtrace as _;
use esp_hal::{
    gpio::{Level, Output, OutputConfig},
    i2c::master::{self, I2c},
    time::{self, Rate},
    timer::timg::{MwdtStage, TimerGroup},
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
    let mut led = Output::new(p.GPIO8, Level::High, OutputConfig::default());
    let config = master::Config::default().with_frequency(Rate::from_khz(400));
    let bus = match I2c::new(p.I2C0, config) {
        Ok(bus) => bus.with_sda(p.GPIO6).with_scl(p.GPIO7).into_async(),
        Err(error) => return defmt::error!("{}", error),
    };
    let Err(error) = watch(bus, &LIS2DW12, Delay, |event| {
        defmt::info!("{}", event); // what `vae-train watch` plots
        let Event::Verdict(verdict) = event else { return };
        match verdict {
            Verdict::Normal(_) | Verdict::Drifting(_) => led.set_high(),
            Verdict::Anomalous(_) | Verdict::SensorFault(_) => led.set_low(),
        }
        watchdog.feed();
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
