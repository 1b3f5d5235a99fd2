//! The least firmware that loads a model at run time, self-tests it and scores a window, for measuring flash, RAM and stack.
//!
//! It prints only whether it worked, without formatting, and then waits for the emulator's RAM to be read: the runtime has
//! painted the stack, so that its depth shows.
#![no_std]
#![no_main]

use core::{hint::black_box, panic::PanicInfo};

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use vae_core::{Aligned, Model, Scratch, SelfTestError, include_model};

#[cfg(not(feature = "built-in"))]
static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("VAE_BENCH"), "/int8.vae")));
static WINDOW: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("VAE_BENCH"), "/window.f32")));
/// Read while the program is compiled: for the sizes alone, but with the feature `built-in`.
const SIZES: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/int8.vae"));

#[entry]
fn main() -> ! {
    let mut memory = [0.0; SIZES.scratch_len()];
    let worked = run(&mut Scratch::new(&mut memory)).is_ok_and(f32::is_finite);
    if let Ok(mut out) = hio::hstdout() {
        let _ = out.write_all(if worked { b"worked\n" } else { b"failed\n" });
    }
    loop {
        cortex_m::asm::wfi();
    }
}

fn run(scratch: &mut Scratch<'_>) -> Result<f32, SelfTestError> {
    #[cfg(not(feature = "built-in"))]
    let model = Model::from_bytes(black_box(&FILE.0))?;
    #[cfg(feature = "built-in")]
    let model = SIZES;
    model.self_test(scratch)?;
    let mut x = [0.0; SIZES.features()];
    for (x, bytes) in x.iter_mut().zip(WINDOW.0.as_chunks::<4>().0) {
        *x = f32::from_le_bytes(*bytes);
    }
    Ok(model.elbo_at_mean(black_box(&x), scratch)?.elbo)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
