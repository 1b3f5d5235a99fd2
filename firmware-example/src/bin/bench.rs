//! Counts the instructions of scores on an emulated core, for `vae-tests`' bench to gather.
//!
//! QEMU runs with `-icount shift=0`: every instruction takes a nanosecond of virtual time, which the core's timer counts.
//! Each count is taken over many runs; what the loop itself costs, a few instructions a run, is in it.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_example::{exit, start_timer, ticks, ticks_since};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use semihosting::println;
use vae_core::{InferError, Model, Scratch, include_model, kernel};

static INT8: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/int8.vae"));
static F32: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/f32.vae"));
static MOTOR: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/motor.vae"));

/// The largest of the three, in `f32`s.
const SCRATCH: usize = F32.scratch_len();
const FEATURES: usize = F32.features();
const CHUNK: usize = 48;

/// Counts.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    start_timer();
    let result = run();
    if let Err(error) = result {
        println!("{error}");
    }
    exit(result.is_err())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}

fn run() -> Result<(), InferError> {
    let mut memory = [0.0; SCRATCH];
    let mut x = [0.0; FEATURES];
    for (name, model) in [("int8", INT8), ("f32", F32), ("motor", MOTOR)] {
        let windows = match name {
            "motor" => &include_bytes!(concat!(env!("VAE_BENCH"), "/motor.f32"))[..],
            _ => include_bytes!(concat!(env!("VAE_BENCH"), "/window.f32")),
        };
        let x = x.get_mut(..model.features()).unwrap_or_default();
        for (x, bytes) in x.iter_mut().zip(windows.as_chunks::<4>().0) {
            *x = f32::from_le_bytes(*bytes);
        }
        let mut scratch = Scratch::new(&mut memory);
        let mut failed = Ok(());
        count(name, "score", 10, || failed = failed.and(model.elbo_at_mean(&*x, &mut scratch).map(drop)));
        let (mean, inverse_scale) = model.standardiser()?;
        // As the encoder reads its input: in chunks, of which the largest value is sought, and quantised where it is int8.
        count(name, "standardise", 10, || {
            let (mut chunk, mut halfwords, mut largest) = ([0.0; CHUNK], [0; CHUNK], 0);
            for (x, (mean, inverse_scale)) in x.chunks(CHUNK).zip(mean.chunks(CHUNK).zip(inverse_scale.chunks(CHUNK))) {
                let chunk = chunk.get_mut(..x.len()).unwrap_or_default();
                kernel::standardise(x, mean, inverse_scale, chunk);
                largest = kernel::largest_bits(chunk, largest);
                if name != "f32" {
                    kernel::quantise(chunk, 1.5 * 262_144.0, &mut halfwords);
                }
            }
            _ = black_box((largest, halfwords));
        });
        count(name, "encode", 10, || _ = black_box(model.encode(&*x, &mut scratch).is_ok()));
        let posterior = model.encode(&*x, &mut scratch)?;
        count(name, "kl", 100, || _ = black_box(posterior.kl()));
        for (samples, stage) in [(1, "k1"), (16, "k16")] {
            if name == "motor" {
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                count(name, stage, 10, || {
                    failed = failed.and(model.log_likelihood(&*x, samples, &mut rng, &mut scratch).map(drop));
                });
            }
        }
        failed?;
    }
    Ok(())
}

/// Prints the ticks of the timer that `runs` of `stage` take.
fn count(model: &str, stage: &str, runs: u32, mut run: impl FnMut()) {
    let start = ticks();
    for _ in 0..runs {
        run();
    }
    println!("{model} {stage} {runs} {}", ticks_since(start));
}
