//! Counts the instructions of a score on the emulated core.
//!
//! QEMU runs with `-icount shift=0`: every instruction takes a nanosecond of virtual time. SysTick counts it in steps of 40
//! (25 MHz), and the count is divided over many scores; what the loop itself costs, a few instructions a score, is in it.
#![no_std]
#![no_main]

use cortex_m::{Peripherals, peripheral::syst::SystClkSource};
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use vae_core::{Model, Scratch, include_model};

static MODEL: Model<'static> = include_model!("../../model/motor.vae");

const INSTRUCTIONS_PER_TICK: u32 = 40;
const SCORES: u32 = 40;

#[entry]
fn main() -> ! {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut x = [0.0; MODEL.features()];
    let recording = include_bytes!("../../model/stream.f32").as_chunks::<4>().0;
    for (x, bytes) in x.iter_mut().zip(recording) {
        *x = f32::from_le_bytes(*bytes);
    }
    let status = Peripherals::take().map(|peripherals| {
        let mut systick = peripherals.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(0x00FF_FFFF);
        systick.clear_current();
        systick.enable_counter();
        let mut failed = false;
        let mut count = |name: &str, runs: u32, score: &mut dyn FnMut() -> bool| {
            let mut total = 0u64;
            for _ in 0..runs {
                let start = cortex_m::peripheral::SYST::get_current();
                failed |= !score();
                let end = cortex_m::peripheral::SYST::get_current();
                total += u64::from(start.wrapping_sub(end) & 0x00FF_FFFF);
            }
            hprintln!(
                "motor.vae: {} instructions {}",
                total * u64::from(INSTRUCTIONS_PER_TICK) / u64::from(runs),
                name
            );
        };
        count("a score at the mean", SCORES, &mut || MODEL.elbo_at_mean(&x, &mut scratch).is_ok());
        for samples in [1, 16] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let name = if samples == 1 { "by importance sampling, K = 1" } else { "by importance sampling, K = 16" };
            count(name, SCORES, &mut || MODEL.log_likelihood(&x, samples, &mut rng, &mut scratch).is_ok());
        }
        if failed { debug::EXIT_FAILURE } else { debug::EXIT_SUCCESS }
    });
    loop {
        debug::exit(status.unwrap_or(debug::EXIT_FAILURE));
    }
}
