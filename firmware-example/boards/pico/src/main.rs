//! Watches a motor with a Raspberry Pi Pico or Pico 2 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on GP4 (pin 6), SCL on GP5 (pin 7), with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use board_shared::{Event, LIS2DW12, Verdict, WATCHDOG_MS, watch};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_rp::{
    bind_interrupts,
    gpio::{Level, Output},
    i2c::{self, I2c},
    peripherals::I2C0,
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
    let mut led = Output::new(p.PIN_25, Level::Low); // not on a board with Wi-Fi, where the radio has it
    let mut config = i2c::Config::default();
    config.frequency = 400_000;
    let bus = I2c::new_async(p.I2C0, p.PIN_5, p.PIN_4, Interrupts, config);
    let Err(error) = watch(bus, &LIS2DW12, Delay, |event| {
        defmt::info!("{}", event); // what `vae-train watch` plots
        let Event::Verdict(verdict) = event else { return };
        match verdict {
            Verdict::Normal(_) | Verdict::Drifting(_) => led.set_low(),
            Verdict::Anomalous(_) | Verdict::SensorFault(_) => led.set_high(),
        }
        watchdog.feed(TIMEOUT);
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
