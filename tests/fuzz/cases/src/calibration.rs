//! Any calibration in a sound model: p-values are probabilities and fall with the score, or the record is refused.

use alloc::vec::Vec;

use vae_core::{Alarms, Calibration, Detector, LoadError, Model, Tail};

use crate::{Digest, EXTREMES, File, Seeds, checks::zeros};

/// A model with nothing behind its layers but calibration and card, so that their lengths are free.
const PLAIN: usize = 13;
/// Its channels.
const CHANNELS: usize = 2;
/// What two roundings may make of what is equal.
const ROUNDING: f32 = 1e-5;
/// One of so many calibrations that a generator makes is also put into a file: that takes ten times as long.
pub(crate) const SELDOM: u32 = 16;

/// Reads `data` as a calibration; `whole` also puts them into a file, which a detector is given.
pub fn run(seeds: &Seeds, data: &[u8], whole: bool, digest: &mut Digest) {
    let values: Vec<f32> = data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    if let [start, rate, scale, shape, base, x, ..] = values[..] {
        // A tail by itself promises nothing, but it does not panic.
        let tail = Tail { start, rate, scale, shape, base };
        digest.numbers(&[tail.rate_above(x), tail.level(x)]);
    }
    if whole {
        in_a_file(seeds, data, &values, digest);
    }
    match Calibration::new(&values, CHANNELS) {
        Ok(calibration) => ascends(&calibration, &values, digest),
        Err(error) => digest.fault(&error),
    }
}

/// The more normal a score, the likelier what is as low.
fn ascends(calibration: &Calibration<'_>, values: &[f32], digest: &mut Digest) {
    let mut scores: Vec<f32> = values.iter().chain(&EXTREMES).flat_map(|v| [*v, -v]).collect();
    scores.extend((-20..=20).map(|step| step as f32 * 2.1));
    let mut power = 1.7e-36;
    for _ in 0..24 {
        scores.extend([power, -power]);
        power *= 1e3;
    }
    let Tail { start, .. } = calibration.tail();
    scores.extend([-start, (-start).next_up(), (-start).next_down()]);
    scores.retain(|score| !score.is_nan());
    scores.sort_unstable_by(f32::total_cmp);
    let mut last = 0.0;
    for score in &scores {
        let p = calibration.p_value(*score);
        assert!((0.0..=1.0).contains(&p), "{p} at {score}: {calibration:?}");
        assert!(p >= last * (1.0 - ROUNDING), "{p} at {score}, {last} below: {calibration:?}");
        last = p;
        digest.number(p);
    }
}

fn in_a_file(seeds: &Seeds, data: &[u8], values: &[f32], digest: &mut Digest) {
    let file = with_calibration(&seeds.model(PLAIN as u8), seeds.bytes(PLAIN as u8), data);
    let model = Model::from_bytes(file.bytes()).unwrap();
    let is_finite = values.iter().all(|value| value.is_finite());
    match model.verify() {
        Ok(()) => assert!(is_finite),
        Err(error) => assert!(error == LoadError::Value && !is_finite, "{error}"),
    }
    let Ok(calibration) = model.calibration() else { return };
    let (mut window, mut state) = (zeros(model.window_len()), zeros(model.state_len()));
    let Ok(mut detector) = Detector::over(model, &mut window, &mut state) else { return };
    let memory = calibration.drift_memory();
    assert!((memory == 0.0 || memory >= 2.0) && !detector.threshold().is_nan());
    // In the tail, fewer alarms take a lower score.
    let (start, mut threshold) = (-calibration.alarm_tail().start, f32::INFINITY);
    for count in [1e6, 3600.0, 1.0, 1e-3, 1e-9] {
        let Ok(set) = detector.alarm_rate(Alarms::per_hour(count)) else { return };
        let rounding = ROUNDING * threshold.abs().min(f32::MAX);
        let rises = set.threshold() > threshold + rounding;
        assert!(threshold >= start || !rises, "{calibration:?}");
        threshold = set.threshold();
        digest.number(threshold);
        detector = set;
    }
}

/// The plain model with these bytes for its calibration, as many whole numbers as there are.
fn with_calibration(plain: &Model<'_>, file: &[u8], data: &[u8]) -> File {
    let (extras_at, card_at) = (64 + plain.prelude().extras_at as usize, 64 + plain.prelude().golden_at as usize);
    let whole = data.len() / 4 * 4;
    let (before, card) = (&file[..extras_at], &file[card_at..]);
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
