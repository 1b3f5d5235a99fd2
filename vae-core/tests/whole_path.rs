//! Everything that a device does with a model, small enough for Miri:
//! `cargo +nightly miri test -p vae-core --tests`.

use core::task::Poll;

use rand_pcg::{Pcg32, rand_core::SeedableRng};
use vae_core::{
    Alarms, Aligned, Detector, DetectorError, LoadError, Model, ScoreKind, Scoring, Scratch, SensorFaultKind, Verdict,
};

/// Two channels × four samples, hop 2, two latent dimensions, int8; `tests/tests/core/tiny_model.rs` writes it.
static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("tiny.vae"));
const MODEL: Model<'static> = vae_core::include_model!("tiny.vae");

const WINDOW: [f32; 8] = [1.0, -2.0, 0.0, 3.0, -1.0, 2.0, 2.0, -3.0];
const SCRATCH: usize = MODEL.scratch_len();

/// A sample of an ordinary stream: neither channel ever repeats itself.
fn sample(index: u16) -> [f32; 2] {
    let phase = f32::from(index);
    [libm::sinf(0.7 * phase), libm::cosf(1.1 * phase)]
}

#[test]
fn a_file_is_read_and_tests_itself() {
    let mut memory = [0.0; SCRATCH];
    let model = Model::from_bytes(&FILE.0).unwrap();
    model.self_test(&mut Scratch::new(&mut memory)).unwrap();
    assert_eq!((model.features(), model.latent(), model.layers().unwrap().count()), (8, 2, 4));
    assert_eq!(model.card().unwrap().channels, "a\nb");
    assert_eq!(model.attributes().unwrap().next().unwrap().unwrap(), ("load", &[1.0, -0.5][..]));
    // Too little memory is said, not overrun.
    assert!(model.self_test(&mut Scratch::new(&mut memory[1..])).is_err());
}

#[test]
fn scores_agree_with_each_other() {
    let mut memory = [0.0; SCRATCH];
    let mut scratch = Scratch::new(&mut memory);
    let mut rng = Pcg32::seed_from_u64(1);
    let mut z = [0.0; 2];
    let posterior = MODEL.encode(&WINDOW, &mut scratch).unwrap();
    assert!(posterior.kl() > 0.0);
    posterior.sample(&mut rng, &mut z).unwrap();
    posterior.mean(&mut z).unwrap();

    let at_mean = MODEL.elbo_at_mean(&WINDOW, &mut scratch).unwrap();
    assert_eq!(at_mean.elbo, at_mean.reconstruction - at_mean.kl);
    // ln p(x|z) = ln p(x, z) − ln p(z), at the mean.
    let log_conditional = MODEL.log_joint(&WINDOW, &z, &mut scratch).unwrap() - MODEL.log_prior(&z).unwrap();
    assert!((log_conditional - at_mean.reconstruction).abs() < 1e-4 * log_conditional.abs());
    let sampled = MODEL.elbo(&WINDOW, 8, &mut rng, &mut scratch).unwrap();
    let sigma = MODEL.elbo_sigma_points(&WINDOW, &mut scratch).unwrap();
    assert!((sampled.elbo - sigma.elbo).abs() < 6.0 * sampled.standard_error + 1.0, "{sampled:?} {sigma:?}");
    let likelihood = MODEL.log_likelihood(&WINDOW, 8, &mut rng, &mut scratch).unwrap();
    assert!(likelihood.value.is_finite() && likelihood.effective_samples >= 1.0);
    // As counts of a converter they are the same numbers, hence the same bits; and a slice may begin anywhere.
    let mut counts = [0; 9];
    counts.iter_mut().skip(1).zip(WINDOW).for_each(|(count, value)| *count = value as i16);
    assert_eq!(MODEL.elbo_at_mean(&counts[1..], &mut scratch).unwrap(), at_mean);
    // What is not observed is left out.
    let mut gap = WINDOW;
    gap[3] = f32::NAN;
    let left_out = MODEL.elbo_at_mean(&gap, &mut scratch).unwrap();
    assert_eq!(left_out.missing, 1);
    // It counts as an ordinary one to the score, which else is the ELBO.
    let (normal, scoring) =
        (MODEL.calibration().unwrap(), Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 });
    assert_eq!(MODEL.score(&counts[1..], &normal, scoring, &mut scratch).unwrap(), at_mean.elbo);
    assert_ne!(MODEL.score(&gap, &normal, scoring, &mut scratch).unwrap(), left_out.elbo);
    let importance = Scoring { kind: ScoreKind::Importance(20), threshold: Some(at_mean.elbo), seed: 7 };
    assert!(MODEL.score(&gap, &normal, importance, &mut scratch).unwrap().is_finite());
    assert!(MODEL.elbo_at_mean(&WINDOW[1..], &mut scratch).is_err());

    let (mut x, mut nats) = ([0.0; 8], 0.0);
    MODEL.attribute(&WINDOW, &mut scratch, &mut |_, cost| nats += cost).unwrap();
    assert!(nats > 0.0);
    MODEL.decode(&z, &mut x, &mut scratch).unwrap();
    MODEL.sample_prior(&mut rng, &mut z).unwrap();
    MODEL.sample_aggregate(&mut rng, &mut z).unwrap();
    MODEL.sample_second_stage(&mut rng, &mut z, &mut scratch).unwrap();
    MODEL.move_along("load", 2.0, &mut z).unwrap();
    MODEL.decode_sample(&z, &mut rng, &mut x, &mut scratch).unwrap();
    assert!(x.iter().all(|value| value.is_finite()));
}

#[test]
fn a_detector_watches_remembers_and_goes_on() {
    let mut memory = [0.0; SCRATCH];
    let mut scratch = Scratch::new(&mut memory);
    let (mut state, mut window) = ([0.0; MODEL.state_len()], heapless::Vec::<f32, { MODEL.window_len() }>::new());
    let mut detector = Detector::new(MODEL, &mut window, &mut state).unwrap().alarm_rate(Alarms::per_day(1.0)).unwrap();
    let mut record = [0; MODEL.snapshot_len()];
    detector.rebaseline(32).unwrap();
    let mut normal = 0;
    for index in 0..80 {
        let verdict = detector.push(&sample(index), &mut scratch).unwrap();
        normal += u32::from(matches!(verdict, Some(Verdict::Normal(_))));
    }
    assert!(!detector.is_rebaselining() && normal > 0);

    detector.snapshot(&mut record).unwrap();
    detector.gap();
    let mut after = [None; 20];
    for (index, verdict) in (80..).zip(&mut after) {
        *verdict = detector.push(&sample(index), &mut scratch).unwrap();
    }
    let (mut state, mut window) = ([0.0; MODEL.state_len()], heapless::Vec::<f32, { MODEL.window_len() }>::new());
    let detector = Detector::new(MODEL, &mut window, &mut state).unwrap();
    let mut restored = detector.alarm_rate(Alarms::per_day(1.0)).unwrap();
    restored.restore(&record).unwrap();
    for (index, verdict) in (80..).zip(after) {
        assert_eq!(restored.push(&sample(index), &mut scratch).unwrap(), verdict);
    }
    let mut damaged = record;
    damaged[20] ^= 1;
    assert!(restored.restore(&damaged).is_err() && restored.restore(&record[1..]).is_err());

    // A channel that repeats itself, one that says nothing, and a window that nobody has seen before.
    let mut last = None;
    let mut push = |sample: &[f32; 2], times: u16| {
        (0..times).for_each(|_| last = restored.push(sample, &mut scratch).unwrap().or(last));
        last
    };
    assert!(
        matches!(push(&[0.5, 0.25], 12), Some(Verdict::SensorFault(fault)) if fault.kind == SensorFaultKind::Stuck)
    );
    assert!(
        matches!(push(&[f32::NAN, 0.25], 12), Some(Verdict::SensorFault(fault)) if fault.kind == SensorFaultKind::Missing)
    );
    assert!(
        matches!(push(&[1e9, 0.5], 2), Some(Verdict::SensorFault(fault)) if fault.kind == SensorFaultKind::OutOfRange)
    );
    restored.gap();
    restored.replace(MODEL, &mut scratch).unwrap();
    for index in 0..10 {
        let wild = sample(index).map(|value| 90.0 * value);
        if let Some(verdict) = restored.push(&wild, &mut scratch).unwrap() {
            assert!(matches!(verdict, Verdict::Anomalous(_)), "{verdict:?}");
        }
    }
}

/// Without that, the detector would wait for a scratch that others have used since.
#[test]
fn a_window_is_given_up_where_its_judging_is_dropped() {
    let mut memory = [0.0; SCRATCH];
    let mut scratch = Scratch::new(&mut memory);
    let (mut state, mut window) = ([0.0; MODEL.state_len()], heapless::Vec::<f32, { MODEL.window_len() }>::new());
    let mut detector = Detector::new(MODEL, &mut window, &mut state).unwrap();
    for index in 0..4 {
        assert_eq!(detector.feed(&sample(index)), Ok(index == 3));
    }
    assert_eq!(detector.feed(&sample(4)), Err(DetectorError::Busy));
    let mut judging = detector.judge(&mut scratch);
    assert_eq!((judging.step(), judging.step()), (Ok(Poll::Pending), Ok(Poll::Pending)));
    drop(judging);

    assert_eq!(detector.step(&mut scratch), Ok(Poll::Ready(None)));
    assert_eq!(detector.feed(&sample(4)), Ok(false));
    // The next window is judged as if it were the first.
    let verdict = detector.push(&sample(5), &mut scratch).unwrap().unwrap();
    let mut x = [0.0; 8];
    x.as_chunks_mut::<2>().0.iter_mut().zip(2..).for_each(|(slots, index)| *slots = sample(index));
    let calibration = MODEL.calibration().unwrap();
    let scoring = Scoring { kind: calibration.score_kind(), threshold: Some(detector.threshold()), seed: 0 };
    let score = MODEL.score(&x, &calibration, scoring, &mut scratch).unwrap();
    assert_eq!(verdict.assessment().map(|assessment| assessment.score), Some(score));
}

#[test]
fn bytes_that_are_damaged_or_lie_askew_are_refused() {
    let mut memory = [0.0; SCRATCH];
    let mut scratch = Scratch::new(&mut memory);
    let mut place = Aligned([0; 8 + FILE.0.len()]);
    for offset in 0..4 {
        let bytes = &mut place.0[offset..][..FILE.0.len()];
        bytes.copy_from_slice(&FILE.0);
        let model = Model::from_bytes(bytes).unwrap();
        let tested = model.self_test(&mut scratch);
        match offset {
            0 => tested.unwrap(),
            _ => assert_eq!(tested, Err(LoadError::Misaligned.into()), "{offset}"),
        }
        assert_eq!(model.elbo_at_mean(&WINDOW, &mut scratch).is_ok(), offset == 0);
    }
    place.0[..FILE.0.len()].copy_from_slice(&FILE.0);
    for len in (0..FILE.0.len()).step_by(97) {
        assert!(Model::from_bytes(&place.0[..len]).is_err(), "{len} bytes");
    }
    for byte in (0..FILE.0.len()).step_by(211) {
        place.0[byte] ^= 4;
        assert!(Model::from_bytes(&place.0[..FILE.0.len()]).is_err(), "byte {byte}");
        place.0[byte] ^= 4;
    }
}
