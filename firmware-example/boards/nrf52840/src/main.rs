//! Watches a motor with an nRF52840 DK and an accelerometer: LED 1 is on while the motor runs unlike itself
//! or the sensor is not to be believed.
//!
//! SDA on P0.26, SCL on P0.27, with pull-ups, as sensor boards have them.
#![no_std]
#![no_main]

use core::convert::Infallible;

use board_shared::{Accelerometer, Error, LIS2DW12, POLL_MS, Verdict, WATCHDOG_MS, detector};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_nrf::{
    bind_interrupts,
    gpio::{Level, Output, OutputDrive},
    peripherals::TWISPI0,
    twim::{self, Twim},
    wdt::{self, Watchdog, WatchdogHandle},
};
use embassy_time::{Duration, Ticker};
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    TWISPI0 => twim::InterruptHandler<TWISPI0>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_nrf::init(embassy_nrf::config::Config::default());
    let mut config = wdt::Config::default();
    config.timeout_ticks = 32_768 * WATCHDOG_MS / 1000;
    let Ok((_, [watchdog])) = Watchdog::try_new(p.WDT, config) else {
        defmt::error!("the bootloader started the watchdog with other settings");
        return;
    };
    let led = Output::new(p.P0_13, Level::High, OutputDrive::Standard); // a low level lights it
    let mut config = twim::Config::default();
    config.frequency = twim::Frequency::K400;
    let mut ram = [0; 2]; // the peripheral cannot read flash: what is sent from there passes through here
    let bus = Twim::new(p.TWISPI0, Interrupts, p.P0_26, p.P0_27, config, &mut ram);
    let Err(error) = watch(bus, led, watchdog).await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}

async fn watch(
    bus: Twim<'_>,
    mut led: Output<'_>,
    mut watchdog: WatchdogHandle,
) -> Result<Infallible, Error<twim::Error>> {
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
