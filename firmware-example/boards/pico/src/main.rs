//! Watches a motor with a Raspberry Pi Pico or Pico 2 and an accelerometer: the LED is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on GP4 (pin 6), SCL on GP5 (pin 7), with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use core::convert::Infallible;

use board_shared::{Accelerometer, Error, LIS2DW12, POLL_MS, Verdict, WATCHDOG_MS, detector};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_rp::{
    bind_interrupts,
    gpio::{Level, Output},
    i2c::{self, Async, I2c},
    peripherals::I2C0,
    watchdog::Watchdog,
};
use embassy_time::{Duration, Ticker};
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
    let led = Output::new(p.PIN_25, Level::Low); // not on a board with Wi-Fi, where the radio has it
    let mut config = i2c::Config::default();
    config.frequency = 400_000;
    let bus = I2c::new_async(p.I2C0, p.PIN_5, p.PIN_4, Interrupts, config);
    let Err(error) = watch(bus, led, watchdog).await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}

async fn watch(
    bus: I2c<'_, I2C0, Async>,
    mut led: Output<'_>,
    mut watchdog: Watchdog,
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
                Verdict::Normal(_) | Verdict::Drifting(_) => led.set_low(),
                Verdict::Anomalous(_) | Verdict::SensorFault(_) => led.set_high(),
            }
            break; // to see at once whether the queue overflowed meanwhile
        }
        watchdog.feed(TIMEOUT);
        ticker.next().await;
    }
}
