//! The detector on a long and eventful stream, with the model and for as many windows as the host's soak puts into `VAE_BENCH`: prints a
//! digest of verdicts and state now and then, for comparison with the host's.
#![no_std]
#![no_main]

use firmware_example::{
    exit,
    soak::{Stream, advance, digest},
};
use semihosting::println;
use vae_core::{Detector, DetectorError, Model, Scratch, include_model};

static MODEL: Model<'static> = include_model!(concat!(env!("VAE_BENCH"), "/soak.vae"));
/// Seed, windows, windows between two lines, and windows of a new baseline.
static SETTINGS: &[u8; 16] = include_bytes!(concat!(env!("VAE_BENCH"), "/soak.settings"));

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let failed = run().inspect_err(|error| println!("{error}")).is_err();
    exit(failed)
}

fn run() -> Result<(), DetectorError> {
    let mut settings = SETTINGS.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let mut setting = || settings.next().unwrap_or_default();
    let (seed, windows, every, baseline) = (setting(), setting(), setting(), setting());
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    MODEL.self_test(&mut scratch)?;
    let (mut window, mut state) = (heapless::Vec::<f32, { MODEL.window_len() }>::new(), [0.0; MODEL.state_len()]);
    let mut detector = Detector::new(MODEL, &mut window, &mut state)?;
    let mut record = [0; MODEL.snapshot_len()];
    let (mut stream, mut hash, mut done) = (Stream::new(seed.into(), true), 0, 0);
    while done < windows {
        let outcome = advance(&mut stream, &mut detector, &mut scratch, (&mut record, baseline))?;
        if outcome.is_complete {
            done += 1;
            hash = digest(hash, outcome.verdict);
            if done % every == 0 {
                let state = detector.snapshot(&mut record)?.last_chunk().map_or(0, |end| u32::from_le_bytes(*end));
                println!("{done} {hash:08x} {state:08x}");
            }
        }
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
