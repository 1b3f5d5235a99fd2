//! A detector in 16 KiB of flash and 2 KiB of RAM, model, vector table and stack included: the linker's memory map says so.
//!
//! The model has twelve features, one hidden layer of ReLU each way, int8 weights and the standard prior, so that none of the Cargo features of
//! `vae-core` is needed; it is verified by the compiler. A row that scores below the calibrated threshold votes, and votes raise the alarm. What
//! [`vae_core::Detector`] has beyond that (faults of sensors, drift, blame) takes more.
//!
//! The recording has normal rows, then as many that are not: the alarm must be raised by the latter alone. The runtime has painted the stack.
#![no_std]
#![no_main]

use core::{hint::black_box, panic::PanicInfo};

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use vae_core::{Model, Scratch, SelfTestError, Votes, include_model};

const MODEL: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/smallest.vae"));
/// Rows as a converter gives them.
static ROWS: &[u8] = include_bytes!(concat!(env!("VAE_BENCH"), "/smallest.i16"));

#[entry]
fn main() -> ! {
    let worked = run() == Ok((false, true));
    if let Ok(mut out) = hio::hstdout() {
        let _ = out.write_all(if worked { b"worked\n" } else { b"failed\n" });
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// Whether an alarm is raised by the first half of the rows, and by the second.
fn run() -> Result<(bool, bool), SelfTestError> {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    MODEL.self_test(&mut scratch)?;
    let calibration = MODEL.calibration()?;
    let (needed, of) = calibration.votes();
    let Some(mut votes) = Votes::new(needed, of) else { return Ok((true, false)) };
    let mut row = [0i16; MODEL.features()];
    let (mut first, mut second) = (false, false);
    let mut rest = black_box(ROWS);
    while let Some((values, others)) = rest.split_first_chunk::<{ 2 * MODEL.features() }>() {
        for (value, bytes) in row.iter_mut().zip(values.as_chunks::<2>().0) {
            *value = i16::from_le_bytes(*bytes);
        }
        rest = others;
        let score = MODEL.elbo_at_mean(&row, &mut scratch)?;
        let is_raised = votes.push(calibration.is_anomalous(score.elbo));
        if rest.len() >= ROWS.len() / 2 {
            first |= is_raised;
        } else {
            second |= is_raised;
        }
    }
    Ok((first, second))
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
