//! The board's other loop in QEMU's STM32F405, as `emulated.rs` has the first: ten seconds of a healthy motor go as frames through USART1, for
//! `vae-train record`.
#![no_std]
#![no_main]

#[path = "../usart.rs"]
mod usart;

use board_shared::{
    LIS2DW12, Simulated,
    motor::{Condition, Motor},
    record,
};
use cortex_m::peripheral::SCB;
use defmt_rtt as _;
use embassy_executor::Spawner;
use panic_probe as _;
use usart::{NoDelay, Usart};

/// Samples per second, and in all.
const RATE: u32 = 1600;
const SAMPLES: u32 = 10 * RATE;
/// Samples that the sensor takes between two looks.
const PACE: u8 = 16;

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut usart = Usart::start();
    let mut motor = Motor::new(1, 0);
    let samples = (0..SAMPLES).map(|_| motor.sample(Condition::Normal));
    // Behind the last sample, the bus fails.
    let Err(_) = record(Simulated::new(&LIS2DW12, samples, PACE), &LIS2DW12, NoDelay, async |frame: &[u8]| {
        usart.send(frame);
    })
    .await;
    SCB::sys_reset(); // which ends QEMU, with -no-reboot
}
