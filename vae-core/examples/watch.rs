//! A stream of samples, as an interrupt would bring them, and what the detector says of it:
//! `cargo run -p vae-core --example watch`.
#![allow(clippy::print_stdout)]

use vae_core::{Alarms, Detector, DetectorError, Model, Scratch, Verdict, include_model};

const MODEL: Model<'static> = include_model!("../tests/tiny.vae");

fn main() -> Result<(), DetectorError> {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    MODEL.self_test(&mut scratch)?; // the desktop's bits, at each start

    let mut window = heapless::Vec::<f32, { MODEL.window_len() }>::new();
    let mut state = [0.0; MODEL.state_len()];
    let mut detector = Detector::new(MODEL, &mut window, &mut state)?.alarm_rate(Alarms::per_day(1.0))?;
    let mut was_raised = false;
    for index in 0_u16..600 {
        let phase = f32::from(index);
        // The second channel's amplitude is forty times as large after two thirds of it.
        let gain = if index < 400 { 1.0 } else { 40.0 };
        let sample = [libm::sinf(0.7 * phase), gain * libm::cosf(1.1 * phase)];
        let Some(verdict) = detector.push(&sample, &mut scratch)? else { continue };
        if detector.is_raised() != was_raised {
            was_raised = detector.is_raised();
            println!("sample {index}: {}", if was_raised { "alarm" } else { "clear" });
        }
        if index % 100 == 99 || matches!(verdict, Verdict::Anomalous(_)) && index % 20 == 1 {
            println!("sample {index}: {verdict}");
        }
    }
    Ok(())
}
