//! Scores a motor's vibration: checks the embedded model at boot, then judges window after window.
//!
//! The accelerometer is a recording here, made by `vae-train demo`: healthy running, then one fault after the other. On a
//! board, read the sensor where this program reads `samples()`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use static_cell::ConstStaticCell;
use vae_core::{Model, Scratch, Window, include_model};

static MODEL: Model<'static> = include_model!("../model/motor.vae"); // a damaged file fails the build
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.features() }>> = ConstStaticCell::new(heapless::Vec::new());

/// The recording's parts, in order, each of the same length.
const CONDITIONS: [&str; 6] = ["normal", "imbalance", "bearing", "misalignment", "looseness", "stuck-sensor"];

#[entry]
fn main() -> ! {
    let status = match run() {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(error) => {
            hprintln!("error: {}", error);
            debug::EXIT_FAILURE
        }
    };
    loop {
        debug::exit(status);
    }
}

fn run() -> Result<(), vae_core::SelfTestError> {
    let mut scratch = Scratch::new(SCRATCH.take());
    MODEL.self_test(&mut scratch)?; // the desktop's bits, checked at boot
    hprintln!(
        "self-test passed: {} bytes of model, {} bytes of scratch, {} features",
        MODEL.flash_len(),
        4 * MODEL.scratch_len(),
        MODEL.features()
    );

    let calibration = MODEL.calibration()?;
    let mut window = Window::new(&MODEL, WINDOW.take())?;
    hprintln!(
        "{:>6} {:>10} {:>14} {:>7}  {:<8} {}",
        "sample",
        "elbo",
        "reconstruction",
        "kl",
        "verdict",
        "recorded as"
    );
    let part = samples().count() / CONDITIONS.len();
    for (index, sample) in samples().enumerate() {
        if let Some(x) = window.push(&sample)? {
            let score = MODEL.elbo_at_mean(x, &mut scratch)?;
            let verdict = if calibration.is_anomalous(score.elbo) { "ANOMALY" } else { "normal" };
            let condition = CONDITIONS.get(index / part).copied().unwrap_or_default();
            hprintln!(
                "{:>6} {:>10.3} {:>14.3} {:>7.3}  {:<8} {}",
                index,
                score.elbo,
                score.reconstruction,
                score.kl,
                verdict,
                condition
            );
        }
    }
    Ok(())
}

/// The recording: x, y and z in g, 1600 times a second.
fn samples() -> impl Iterator<Item = [f32; 3]> {
    let values = include_bytes!("../model/stream.f32").as_chunks::<4>().0;
    values.as_chunks::<3>().0.iter().map(|sample| sample.map(f32::from_le_bytes))
}
