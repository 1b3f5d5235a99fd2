//! Watches a motor with an nRF52840 DK and an accelerometer: LED 1 is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on P0.26, SCL on P0.27, with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use board_shared::{Event, LIS2DW12, Verdict, WATCHDOG_MS, watch};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_nrf::{
    bind_interrupts,
    gpio::{Level, Output, OutputDrive},
    peripherals::TWISPI0,
    twim::{self, Twim},
    wdt::{self, Watchdog},
};
use embassy_time::Delay;
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    TWISPI0 => twim::InterruptHandler<TWISPI0>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_nrf::init(embassy_nrf::config::Config::default());
    let mut config = wdt::Config::default();
    config.timeout_ticks = 32_768 * WATCHDOG_MS / 1000;
    let Ok((_, [mut watchdog])) = Watchdog::try_new(p.WDT, config) else {
        defmt::error!("the bootloader started the watchdog with other settings");
        return;
    };
    let mut led = Output::new(p.P0_13, Level::High, OutputDrive::Standard); // a low level lights it
    let mut config = twim::Config::default();
    config.frequency = twim::Frequency::K400;
    let mut ram = [0; 2]; // the peripheral cannot read flash: what is sent from there passes through here
    let bus = Twim::new(p.TWISPI0, Interrupts, p.P0_26, p.P0_27, config, &mut ram);
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
