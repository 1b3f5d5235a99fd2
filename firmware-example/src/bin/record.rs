//! Sends raw samples, as `vae-train record` reads them: what a model is trained on, before there is one.
//!
//! `cargo run --release --bin record | vae-train record - --out day1.csv --for 10m`. Motor and accelerometer are simulated here, for ever and as fast
//! as the emulator goes; with `VAE_FAULT=bearing` (or another condition of the simulator) before `cargo`, the motor has that fault after ten seconds.
//! On a board, read the sensor where this program simulates it, and send the frames through the serial line: `boards/` has it for four of them.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use firmware_example::{
    exit,
    frame::{Counts, Head, WriteError, frame_len, write},
    motor::{Condition, Motor, SAMPLE_RATE},
};
use semihosting::io::{self, Write};

/// What the accelerometer of `boards/` says: 14 bits in the upper ones of 16, ±8 g.
const HEAD: Head<'static> =
    Head { rate: SAMPLE_RATE, scale: 8.0 / 32_768.0, full_scale: 8.0 * 32_764.0 / 32_768.0, channels: "x,y,z" };
/// Samples of a frame: the sensor's queue.
const SAMPLES: usize = 32;
const FAULT: Option<&str> = option_env!("VAE_FAULT");
const SAMPLES_BEFORE_FAULT: u64 = 10 * SAMPLE_RATE as u64;

/// Records.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    exit(run().is_err())
}

fn run() -> Result<(), WriteError> {
    let fault = FAULT.and_then(|name| Condition::FAULTS.into_iter().find(|fault| fault.name() == name));
    // Another course of speeds and loads than that of a healthy motor.
    let mut motor = Motor::new(1, u64::from(fault.is_some()));
    let mut buffer = [0; frame_len(HEAD.channels.len(), 3 * SAMPLES, 2)];
    let Ok(mut out) = io::stdout() else { return Ok(()) };
    let mut taken = 0;
    loop {
        let mut counts = [[0; 3]; SAMPLES];
        for (sample, number) in counts.iter_mut().zip(taken..) {
            let condition = fault.filter(|_| number >= SAMPLES_BEFORE_FAULT).unwrap_or(Condition::Normal);
            *sample = motor.sample(condition).map(|g| 4 * (g / (4.0 * HEAD.scale)) as i16);
        }
        let frame = write(&HEAD, taken, Counts::Short(counts.as_flattened()), &mut buffer)?;
        if out.write_all(frame).is_err() {
            return Ok(()); // nobody reads any more
        }
        taken += SAMPLES as u64;
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
