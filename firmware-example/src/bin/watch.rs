//! The least firmware that watches a stream: everything that a detector can do, for what is linked into an image and what is not.
//!
//! It is built and looked at, not run: see `tests/tests/core/footprint.rs`.
#![no_std]
#![no_main]

use core::{hint::black_box, panic::PanicInfo};

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use vae_core::{Alarms, Aligned, Detector, DetectorError, Model, Scratch, Verdict, include_model};

static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("../../model/motor.vae"));
/// Read while the program is compiled, for the sizes alone.
const SIZES: Model<'static> = include_model!("../../model/motor.vae");

#[entry]
fn main() -> ! {
    let worked = run().is_ok_and(|anomalies| black_box(anomalies) == 0);
    if let Ok(mut out) = hio::hstdout() {
        let _ = out.write_all(if worked { b"worked\n" } else { b"failed\n" });
    }
    loop {
        cortex_m::asm::wfi();
    }
}

fn run() -> Result<u32, DetectorError> {
    let model = Model::from_bytes(black_box(&FILE.0)).map_err(vae_core::InferError::Model)?;
    let mut memory = [0.0; SIZES.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    model.self_test(&mut scratch)?;
    let mut window = heapless::Vec::<f32, { SIZES.window_len() }>::new();
    let mut state = [0.0; SIZES.state_len()];
    let mut detector = Detector::new(model, &mut window, &mut state)?.sample_rate(1600.0)?.votes(3, 5)?;
    detector = detector.alarm_rate(Alarms::per_week(1.0))?;
    let mut record = [0; SIZES.snapshot_len()];
    let mut anomalies = 0;
    detector.rebaseline(black_box(4000))?;
    detector.gap();
    for sample in 0..black_box(100u16) {
        let verdict = detector.push(&[f32::from(sample), 0.0, 1.0], &mut scratch)?;
        anomalies += u32::from(matches!(verdict, Some(Verdict::Anomalous(_))));
    }
    detector.snapshot(&mut record)?;
    detector.restore(black_box(&record))?;
    detector.replace(model, &mut scratch)?;
    #[cfg(feature = "control_panic")]
    black_box(record[black_box(anomalies) as usize]);
    #[cfg(feature = "control_fmt")]
    if let Ok(mut out) = hio::hstdout() {
        let _ = core::fmt::Write::write_fmt(&mut out, format_args!("{}", black_box(anomalies)));
    }
    #[cfg(feature = "control_f64")]
    black_box(black_box(1.5) * f64::from(anomalies));
    Ok(anomalies)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
