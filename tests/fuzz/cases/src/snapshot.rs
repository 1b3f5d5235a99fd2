//! Any record with a valid checksum, restored into a detector that then goes on.

use alloc::{vec, vec::Vec};

use vae_core::{Detector, DetectorError, Scratch};

use crate::{
    Digest, EXTREMES, Seeds,
    checks::{check_snapshot, zeros},
    checksum,
    detector::Steps,
};

/// Bytes of a record before those that are the subject's: magic and version, and the model's fingerprint.
pub(crate) const FIXED: usize = 8;
/// Values that follow those of the subject, so that there is always a window or two.
const TAIL: u8 = 48;

/// Restores `data`, as they are and with a valid beginning and end, into a detector of the model that the first byte chooses.
pub fn run(seeds: &Seeds, data: &[u8], digest: &mut Digest) {
    let Some(([which, length], data)) = data.split_first_chunk() else { return };
    let model = seeds.model(*which);
    let (mut window, mut state) = (zeros(model.window_len()), zeros(model.state_len()));
    let Ok(mut detector) = Detector::over(model, &mut window, &mut state) else { return };
    detector.given(&vec![0.5; model.conditions()]).unwrap();
    // What one that has seen nothing remembers.
    let before = &seeds.snapshots(*which)[0];
    // As it is.
    assert!(detector.restore(data).is_err() || data == before);

    let mut record = before.clone();
    let end = record.len() - 4;
    for (slot, byte) in record[FIXED..end].iter_mut().zip(data) {
        *slot = *byte;
    }
    let sum = checksum(&record[..end]);
    record[end..].copy_from_slice(&sum.to_le_bytes());
    let wrong = usize::from(*length) % record.len();
    assert!(detector.restore(&record[..wrong]).is_err());
    if let Err(error) = detector.restore(&record) {
        assert_eq!(error, DetectorError::SnapshotDamaged);
        assert_eq!(record_of(&detector), *before, "refused, yet changed");
        digest.word(0);
        return;
    }
    let after = record_of(&detector);
    check_snapshot(&model, &after);
    detector.restore(&after).unwrap();
    assert_eq!(record_of(&detector), after);
    digest.bytes(&after);

    let mut memory = zeros(model.scratch_len());
    let mut scratch = Scratch::new(&mut memory);
    let steps = Steps::of(&model).unwrap();
    let rest = data.get(record.len()..).unwrap_or_default();
    let mut values = rest.iter().copied().chain(0..TAIL).map(|code| match code {
        0..16 => EXTREMES[usize::from(code)],
        _ => (f32::from(code) - 140.0) / 16.0,
    });
    while let Some(first) = values.next() {
        let mut sample = vec![first];
        sample.extend(values.by_ref().take(model.channels() - 1));
        sample.resize(model.channels(), 0.0);
        steps.push(&mut detector, &sample, &mut scratch, true, digest);
    }
    let record = record_of(&detector);
    check_snapshot(&model, &record);
    digest.bytes(&record);
}

/// What a detector remembers.
pub(crate) fn record_of(detector: &Detector<'_, '_>) -> Vec<u8> {
    let mut record = vec![0; detector.model().snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    record
}
