//! Logs every verdict on a recording by defmt, through the emulator: what `vae-train watch - --elf` decodes.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cortex_m_rt::entry;
use defmt_semihosting as _;
use panic_semihosting as _;
use vae_core::{Detector, DetectorError, Model, Scratch, include_model};

const MODEL: Model<'static> = include_model!("../../model/motor.vae");
/// The recording's, in Hz.
const SAMPLE_RATE: u64 = 1600;
/// So far.
static SAMPLES: AtomicU32 = AtomicU32::new(0);

defmt::timestamp!("{=u64:us}", 1_000_000 * u64::from(SAMPLES.load(Relaxed)) / SAMPLE_RATE);

#[entry]
fn main() -> ! {
    let result = run();
    if let Err(error) = result {
        defmt::println!("error: {}", error);
    }
    firmware_example::exit(result.is_err())
}

fn run() -> Result<(), DetectorError> {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    MODEL.self_test(&mut scratch)?;
    let mut window = heapless::Vec::<f32, { MODEL.window_len() }>::new();
    let mut state = [0.0; MODEL.state_len()];
    let mut detector = Detector::new(MODEL, &mut window, &mut state)?;
    defmt::println!("threshold     {=f32} nats", detector.threshold());
    for sample in include_bytes!("../../model/stream.f32").as_chunks::<4>().0.as_chunks::<3>().0 {
        let verdict = detector.push(&sample.map(f32::from_le_bytes), &mut scratch)?;
        SAMPLES.store(SAMPLES.load(Relaxed) + 1, Relaxed);
        if let Some(verdict) = verdict {
            defmt::println!("{}", verdict);
        }
    }
    Ok(())
}
