//! Any record with a valid checksum, restored into a detector that then goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae_core::{Detector, DetectorError, Model, Scratch};
use vae_fuzz::{EXTREMES, File, MODELS, check_snapshot, check_verdict, checksum, is_faulty, with_window};

/// What a snapshot begins with.
const MAGIC: [u8; 4] = *b"VDS\x02";

fuzz_target!(|data: &[u8]| {
    let Some(([which, length], data)) = data.split_first_chunk() else { return };
    let file = File::new(MODELS[usize::from(*which) % MODELS.len()]);
    let model = Model::from_bytes(file.bytes()).unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut state = vec![0.0; model.state_len()];
    with_window(model.window_len(), false, |room| {
        let Ok(mut detector) = Detector::new(model, room, &mut state) else { return };
        detector.given(&vec![0.5; model.conditions()]).unwrap();
        let before = record_of(&detector);
        // As it is.
        assert!(detector.restore(data).is_err() || data == before);
        assert_eq!(record_of(&detector), before, "refused, yet changed");

        let mut record = before.clone();
        let (fixed, end) = (8, record.len() - 4);
        for (slot, byte) in record[fixed..end].iter_mut().zip(data) {
            *slot = *byte;
        }
        record[..4].copy_from_slice(&MAGIC);
        let sum = checksum(&record[..end]);
        record[end..].copy_from_slice(&sum.to_le_bytes());
        let wrong = usize::from(*length) % record.len();
        assert!(detector.restore(&record[..wrong]).is_err());
        match detector.restore(&record) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, DetectorError::SnapshotDamaged);
                assert_eq!(record_of(&detector), before, "refused, yet changed");
                return;
            }
        }
        let after = record_of(&detector);
        check_snapshot(&model, &after);
        detector.restore(&after).unwrap();
        assert_eq!(record_of(&detector), after);
        let mut scratch = Scratch::new(&mut memory);
        let rest = data.get(record.len()..).unwrap_or_default();
        let codes = rest.iter().copied().chain((0..=255).cycle().take(300));
        let mut values = codes.map(|code| match code {
            0..16 => EXTREMES[usize::from(code)],
            _ => (f32::from(code) - 140.0) / 16.0,
        });
        while let Some(first) = values.next() {
            let mut sample = vec![first];
            sample.extend(values.by_ref().take(model.channels() - 1));
            sample.resize(model.channels(), 0.0);
            match detector.push(&sample, &mut scratch) {
                Ok(verdict) => verdict.iter().for_each(|verdict| check_verdict(&model, verdict)),
                Err(error) => assert!(!is_faulty(&error), "{error}"),
            }
        }
        check_snapshot(&model, &record_of(&detector));
    });
});

fn record_of(detector: &Detector<'_, '_>) -> Vec<u8> {
    let mut record = vec![0; detector.model().snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    record
}
