//! The board's loop in QEMU's STM32F405 (`netduinoplus2`), which has the core, its FPU and the USARTs, but neither the clocks' registers
//! nor an I2C bus: a simulated sensor is read instead, on a simulated motor whose bearing spalls after 20 s. What there is to tell goes
//! as text through USART1, as it would on a board, for `vae-train watch`.
//!
//! The F405's USART1 stands where the F411's does, and its memories begin there and are larger.
#![no_std]
#![no_main]

#[path = "../usart.rs"]
mod usart;

use core::{cell::Cell, fmt::Write};

use board_shared::{
    LIS2DW12, Simulated,
    motor::{Condition, Motor},
    watch,
};
use cortex_m::peripheral::SCB;
use defmt_rtt as _;
use embassy_executor::Spawner;
use panic_probe as _;
use usart::{NoDelay, Usart};

/// Samples per second, before the fault, and of it.
const RATE: u32 = 1600;
const HEALTHY: u32 = 20 * RATE;
const FAULTY: u32 = 5 * RATE;
/// Samples that the sensor takes in the 5 ms between two looks.
const PACE: u8 = 8;

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut usart = Usart::start();
    let (mut motor, taken) = (Motor::new(1, 0), Cell::new(0));
    let samples = (0..HEALTHY + FAULTY).map(|index| {
        taken.set(index + 1);
        motor.sample(if index < HEALTHY { Condition::Normal } else { Condition::Bearing })
    });
    let ended = watch(Simulated::new(&LIS2DW12, samples, PACE), &LIS2DW12, NoDelay, |event| {
        let seconds = taken.get() as f32 / RATE as f32;
        let _ = writeln!(usart, "{seconds:.2} s  {event}"); // it cannot fail
    });
    let Err(error) = ended.await; // behind the last sample, the bus fails
    let _ = writeln!(usart, "-- {error:?}");
    SCB::sys_reset(); // which ends QEMU, with -no-reboot
}
