//! One score of each model in the pack between two marks, for the host to trace: see `vae-tests`' bench.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_example::{exit, pack};
use vae_core::{Aligned, InferError, Model, Scratch};

/// As [`pack::models`] reads it.
static PACK: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("VAE_BENCH"), "/models.pack")));

/// Enough for the models that are measured, in `f32`s.
const SCRATCH: usize = 2048;
const FEATURES: usize = 768;

/// Scores.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    exit(run().is_err())
}

fn run() -> Result<(), InferError> {
    let mut memory = [0.0; SCRATCH];
    let mut room = [0.0; FEATURES];
    for (file, window) in pack::models(&PACK.0) {
        let model = Model::from_bytes(file)?;
        let x = room.get_mut(..window.len()).unwrap_or_default();
        for (x, bytes) in x.iter_mut().zip(window) {
            *x = f32::from_le_bytes(*bytes);
        }
        let mut scratch = Scratch::new(&mut memory);
        mark();
        let score = model.elbo_at_mean(x, &mut scratch);
        mark();
        _ = black_box(score?);
    }
    Ok(())
}

/// Its place in the trace tells where a score begins and ends.
#[inline(never)]
fn mark() {
    black_box(());
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
