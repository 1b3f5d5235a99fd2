//! What the generator makes is worth trying.
#![allow(missing_docs)]

use vae_cases::{Digest, File, Parts, SUBJECTS, Seeds, Subject};
use vae_core::{Calibration, Detector, LoadError, Model, Scratch};

const CASES: u32 = 2000;

/// The share of the cases of which `is_taken` holds.
fn share(subject: Subject, is_taken: impl Fn(&[u8]) -> bool) -> f32 {
    let seeds = Seeds::default();
    let taken = (0..CASES).filter(|number| is_taken(&subject.generate(&seeds, 1, *number))).count();
    taken as f32 / CASES as f32
}

#[test]
fn a_file_taken_apart_and_put_together_is_the_same() {
    let seeds = Seeds::default();
    for which in 0..22 {
        let parts = Parts::of(seeds.bytes(which)).unwrap();
        assert!(parts.file().bytes() == seeds.bytes(which), "{which}");
    }
}

#[test]
fn much_that_is_generated_is_not_refused() {
    let loaded = |case: &[u8], use_it: &dyn Fn(Model<'_>) -> bool| {
        let file = File::sealed(case);
        Model::from_bytes(file.bytes()).is_ok_and(use_it)
    };
    let sound = share(Subject::Model, |case| loaded(case, &|model| model.verify().is_ok()));
    let tested = share(Subject::Model, |case| {
        let test = |model: Model<'_>| model.self_test(&mut Scratch::new(&mut vec![0.0; model.scratch_len()]));
        loaded(case, &|model| test(model).is_ok())
    });
    let calibrations = share(Subject::Calibration, |case| {
        let values: Vec<f32> = case.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        Calibration::new(&values, 2).is_ok()
    });
    println!("sound {sound}, tested {tested}, calibrations {calibrations}");
    assert!((0.4..0.6).contains(&sound) && tested > 0.35 && (0.3..0.6).contains(&calibrations));
    let too_short = share(Subject::Loader, |case| matches!(Model::from_bytes(case), Err(LoadError::TooShort { .. })));
    assert!(too_short < 0.3, "{too_short}");
}

#[test]
fn most_snapshots_are_restored() {
    let seeds = Seeds::default();
    let restored = share(Subject::Snapshot, |case| {
        let model = seeds.model(case[0]);
        let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
        // Of a model without a calibration there is no snapshot.
        let Ok(mut detector) = Detector::over(model, &mut window, &mut state) else { return false };
        let mut record = seeds.snapshots(case[0])[0].clone();
        let end = record.len() - 4;
        record[8..end].iter_mut().zip(&case[2..]).for_each(|(slot, byte)| *slot = *byte);
        let sum = vae_cases::checksum(&record[..end]);
        record[end..].copy_from_slice(&sum.to_le_bytes());
        detector.restore(&record).is_ok()
    });
    println!("restored {restored}");
    assert!((0.5..0.8).contains(&restored), "{restored}");
}

#[test]
fn digests_follow_from_the_seed_and_differ_between_cases() {
    let seeds = Seeds::default();
    for (name, subject) in SUBJECTS {
        let digest = |seed, number| {
            let mut digest = Digest::default();
            subject.run(&seeds, &subject.generate(&seeds, seed, number), &mut digest);
            digest.value()
        };
        let digests: Vec<u64> = (0..40).map(|number| digest(1, number)).collect();
        assert_eq!(digests, (0..40).map(|number| digest(1, number)).collect::<Vec<_>>(), "{name}");
        let different: std::collections::BTreeSet<u64> = digests.into_iter().collect();
        assert!(different.len() > 15, "{name}: {}", different.len());
    }
}
