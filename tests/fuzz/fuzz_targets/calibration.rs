//! Any calibration in a sound model: p-values are probabilities and fall with the score, or the record is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae_core::{Alarms, Detector, LoadError, Model, Tail};
use vae_fuzz::{EXTREMES, File, MODELS, calibration_at, with_window};

/// A model with nothing behind its layers but calibration and card, so that their lengths are free.
const PLAIN: usize = 13;
/// What two roundings may make of what is equal.
const ROUNDING: f32 = 1e-5;

fuzz_target!(|data: &[u8]| {
    let values: Vec<f32> = data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    if let [start, rate, scale, shape, base, x, ..] = values[..] {
        // A tail by itself promises nothing, but it does not panic.
        let tail = Tail { start, rate, scale, shape, base };
        let _ = (tail.rate_above(x), tail.level(x));
    }
    let file = with_calibration(data);
    let model = Model::from_bytes(file.bytes()).unwrap();
    let is_finite = values.iter().all(|value| value.is_finite());
    match model.verify() {
        Ok(()) => assert!(is_finite),
        Err(error) => assert!(error == LoadError::Value && !is_finite, "{error}"),
    }
    let Ok(calibration) = model.calibration() else { return };

    let mut scores: Vec<f32> = values.iter().chain(&EXTREMES).flat_map(|v| [*v, -v]).collect();
    scores.extend((-60..=60).map(|step| step as f32 * 0.7));
    scores.extend((-12..=12).flat_map(|power| [1.7f32, -1.7].map(|sign| sign * 10f32.powi(3 * power))));
    let Tail { start, .. } = calibration.tail();
    scores.extend([-start, (-start).next_up(), (-start).next_down()]);
    scores.retain(|score| !score.is_nan());
    scores.sort_by(f32::total_cmp);
    let mut last = 0.0;
    for score in &scores {
        let p = calibration.p_value(*score);
        assert!((0.0..=1.0).contains(&p), "{p} at {score}: {calibration:?}");
        assert!(p >= last * (1.0 - ROUNDING), "{p} at {score}, {last} below: {calibration:?}");
        last = p;
    }

    let mut state = vec![0.0; model.state_len()];
    with_window(model.window_len(), false, |room| {
        let Ok(detector) = Detector::new(model, room, &mut state) else { return };
        let memory = calibration.drift_memory();
        assert!((memory == 0.0 || memory >= 2.0) && !detector.threshold().is_nan());
        // In the tail, fewer alarms take a lower score.
        let (start, mut threshold, mut detector) = (-calibration.alarm_tail().start, f32::INFINITY, detector);
        for count in [1e6, 3600.0, 1.0, 1e-3, 1e-9] {
            let Ok(set) = detector.alarm_rate(Alarms::per_hour(count)) else { return };
            let rounding = ROUNDING * threshold.abs().min(f32::MAX);
            assert!(threshold >= start || !(set.threshold() > threshold + rounding), "{calibration:?}");
            threshold = set.threshold();
            detector = set;
        }
    });
});

/// The plain model with these bytes for its calibration, as many whole numbers as there are.
fn with_calibration(data: &[u8]) -> File {
    let plain = File::new(MODELS[PLAIN]);
    let (at, count) = calibration_at(plain.bytes()).unwrap();
    let extras_at = 64 + Model::from_bytes(plain.bytes()).unwrap().prelude().extras_at as usize;
    let whole = data.len() / 4 * 4;
    let (before, card) = (&plain.bytes()[..extras_at], &plain.bytes()[at + 4 * count..]);
    let names: &[u8] = &[];
    let mut bytes = before.to_vec();
    bytes.extend(postcard::to_allocvec(names).unwrap());
    let length = |padding: usize| postcard::to_allocvec(&(whole + padding)).unwrap();
    let padding = (4 - (bytes.len() + length(0).len()) % 4) % 4;
    bytes.extend(length(padding));
    bytes.resize(bytes.len() + padding, 0);
    bytes.extend_from_slice(&data[..whole]);
    // Where the golden vectors would begin.
    let golden_at = bytes.len() as u32 - 64;
    bytes[60..64].copy_from_slice(&golden_at.to_le_bytes());
    bytes.extend_from_slice(card);
    File::sealed(&bytes)
}
