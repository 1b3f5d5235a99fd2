//! Sends what the accelerometer measures through USB, for `vae-train record`.
//!
//! The sensor is wired as for the other program. What is logged goes the same way and is dropped by `record`, which says how much that was.
#![no_std]
#![no_main]

use board_shared::{LIS2DW12, WATCHDOG_MS, record};
use embassy_executor::Spawner;
use embassy_time::Delay;
use esp_backtrace as _;
use esp_hal::{
    i2c::master::{self, I2c},
    time::{self, Rate},
    timer::timg::{MwdtStage, TimerGroup},
    usb::usb_serial_jtag::UsbSerialJtag,
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
    let mut line = UsbSerialJtag::new(p.USB_DEVICE);
    let config = master::Config::default().with_frequency(Rate::from_khz(400));
    let bus = match I2c::new(p.I2C0, config) {
        Ok(bus) => bus.with_sda(p.GPIO6).with_scl(p.GPIO7).into_async(),
        Err(error) => return defmt::error!("{}", error),
    };
    let Err(error) = record(bus, &LIS2DW12, Delay, async |frame: &[u8]| {
        let _ = line.write(frame); // waits until the computer reads
        watchdog.feed();
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
