//! What holds of every verdict, score and snapshot.

use alloc::{boxed::Box, vec, vec::Vec};

use vae_core::{Assessment, DetectorError, InferError, Model, Verdict};

/// What was asked of a model, `sound` where [`Model::verify`] passed it: such a one never turns out to be faulty.
pub fn judge<T>(sound: bool, outcome: Result<T, InferError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(InferError::Model(error)) if sound => panic!("verified, yet {error}"),
        Err(_) => None,
    }
}

/// What holds of every verdict.
pub fn check_verdict(model: &Model<'_>, verdict: &Verdict) {
    if let Some(Assessment { score, p_value, missing }) = verdict.assessment() {
        assert!(score.is_finite(), "{verdict:?}");
        assert!((0.0..=1.0).contains(&p_value), "{verdict:?}");
        assert!(missing as usize <= model.features(), "{verdict:?}");
    }
    match verdict {
        Verdict::Normal(_) | Verdict::Drifting(_) => {}
        Verdict::SensorFault(fault) => assert!((fault.channel as usize) < model.channels(), "{verdict:?}"),
        Verdict::Anomalous(anomaly) => {
            assert!((anomaly.channel as usize) < model.channels(), "{verdict:?}");
            assert!((anomaly.feature as usize) < model.features(), "{verdict:?}");
        }
    }
}

/// Words of a snapshot before the numbers that a detector has beside its channels'.
pub(crate) const SNAPSHOT_NUMBERS: usize = 11;
/// Those numbers.
pub(crate) const RUNNING: usize = 10;
/// Numbers of a channel, and those of them that neither a gap nor the next window clears.
const CHANNEL: usize = 14;
const LASTING: core::ops::Range<usize> = 8..13;

/// What holds of everything that a detector remembers: it is finite, and nothing in it silences the detector.
pub fn check_snapshot(model: &Model<'_>, record: &[u8]) {
    let words = record.as_chunks::<4>().0;
    let numbers: Vec<f32> = words.iter().skip(SNAPSHOT_NUMBERS).map(|word| f32::from_le_bytes(*word)).collect();
    let (running, learned) = numbers[..numbers.len() - 1].split_at(RUNNING);
    let (channels, shifts) = learned.split_at(CHANNEL * model.channels());
    assert!(shifts.iter().all(|shift| shift.is_finite()), "{shifts:?}");
    assert!(running.iter().all(|value| value.is_finite()), "{running:?}");
    let [shift, widening, change, health, needed, _, _, factor, _, _] = *running else { panic!("{running:?}") };
    assert!([shift, change, health, needed].iter().all(|sum| *sum >= 0.0), "{running:?}");
    assert!((1.0..=4.0).contains(&widening) && (0.25..=1.0).contains(&factor), "{running:?}");
    for channel in channels.chunks_exact(CHANNEL) {
        let [_, _, _, gain, ordinary_power] = channel[LASTING] else { panic!("{channel:?}") };
        assert!(channel[LASTING].iter().all(|value| value.is_finite()), "{channel:?}");
        assert!(gain > 0.0 && ordinary_power > 0.0, "{channel:?}");
    }
}

/// Room for a window: the least of some capacities that is enough for `len` values, and the largest that is not.
pub fn with_window<T>(len: usize, small: bool, use_it: impl FnOnce(&mut heapless::VecView<f32>) -> T) -> Option<T> {
    macro_rules! capacities {
        ($($capacity:literal)*) => {{
            let chosen = if small {
                [$($capacity),*].into_iter().filter(|capacity| *capacity < len).max()?
            } else {
                [$($capacity),*].into_iter().find(|capacity| *capacity >= len)?
            };
            match chosen {
                $($capacity => Some(use_it(&mut *Box::new(heapless::Vec::<f32, $capacity>::new()))),)*
                _ => None,
            }
        }};
    }
    capacities!(1 2 3 6 7 8 12 16 24 30 31 32 48 54 64 128 256 1024 8192 65_536)
}

/// Whether a detector refused for a reason that a sound model cannot give it.
#[must_use]
pub fn is_faulty(error: &DetectorError) -> bool {
    matches!(error, DetectorError::Infer(InferError::Model(_) | InferError::ScratchTooSmall { .. }))
}

/// So many zeros.
#[must_use]
pub fn zeros(len: usize) -> Vec<f32> {
    vec![0.0; len]
}
