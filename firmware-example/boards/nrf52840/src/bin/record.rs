//! Sends what the accelerometer measures through the serial line of the board's probe, for `vae-train record --baud 460800`.
//!
//! TX on P0.06, which the probe passes on through USB. The sensor is wired as for the other program.
#![no_std]
#![no_main]

use board_shared::{LIS2DW12, WATCHDOG_MS, record};
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_nrf::{
    bind_interrupts,
    peripherals::{TWISPI0, UARTE0},
    twim::{self, Twim},
    uarte::{self, Baudrate, UarteTx},
    wdt::{self, Watchdog},
};
use embassy_time::Delay;
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    TWISPI0 => twim::InterruptHandler<TWISPI0>;
    UARTE0 => uarte::InterruptHandler<UARTE0>;
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
    let mut config = uarte::Config::default();
    config.baudrate = Baudrate::Baud460800; // `BAUD`
    let mut line = UarteTx::new(p.UARTE0, Interrupts, p.P0_06, config);
    let mut config = twim::Config::default();
    config.frequency = twim::Frequency::K400;
    let mut ram = [0; 2]; // the peripheral cannot read flash: what is sent from there passes through here
    let bus = Twim::new(p.TWISPI0, Interrupts, p.P0_26, p.P0_27, config, &mut ram);
    let Err(error) = record(bus, &LIS2DW12, Delay, async |frame: &[u8]| {
        let _ = line.write(frame).await; // what is lost there, the frames' numbers tell
        watchdog.pet();
    })
    .await;
    defmt::error!("{}", error); // and the watchdog, which nobody feeds any more, starts the board again
}
