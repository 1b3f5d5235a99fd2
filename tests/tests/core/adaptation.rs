//! A new machine of the same kind: what features are off is found and subtracted, kept, revoked, and does no harm where it is measured badly.

use crc::{CRC_32_ISO_HDLC, Crc};
use vae_core::{
    Activation, ChannelCalibration, Detector, DetectorError, FrontEnd, Model, Scratch, Verdict,
    format::{LikelihoodKind, Precision},
};
use vae_tests::plain_model;
use vae_train::{
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    weights::dense::Dense,
};

const WINDOW: usize = 16;
const FEATURES: usize = 6;
/// Words of a snapshot before the channels', and of a channel.
const FIXED: usize = 21;
const CHANNEL: usize = 14;
/// Reconstructions, in the units of the likelihood's deviations.
const RECONSTRUCTED: [f32; FEATURES] = [0.5, -0.25, 0.0, 1.0, -1.0, 0.125];
const MEAN: [f32; FEATURES] = [0.0, -0.5, 0.5, 1.5, 2.0, 0.4];
const SCALE: [f32; FEATURES] = [0.5, 0.25, 0.5, 0.25, 0.5, 0.125];
const VARIANCE: f32 = 0.25;

/// One channel through its statistics, all of whose windows are reconstructed alike.
fn model(threshold: f32) -> AlignedFile {
    let layer = |rows: usize, columns: usize, bias: &[f32]| Dense {
        activation: Activation::Identity,
        rows,
        columns,
        weights: vec![0.0; rows * columns],
        bias: bias.to_vec(),
    };
    // The decoder's outputs are standardised; the file's are in deviations.
    let output = RECONSTRUCTED.map(|value| value * VARIANCE.sqrt());
    let calibration = CalibrationRecord {
        scores: 100,
        threshold,
        quantiles: vec![-1e3, 1e3],
        // Scores of all sizes are of one normal machine.
        location_and_scale: (0.0, 1e4),
        channels: vec![ChannelCalibration { longest_gap: 1e6, ..ChannelCalibration::UNKNOWN }],
        ..CalibrationRecord::default()
    };
    let file = ModelFile {
        channels: vec!["x".into()],
        window: WINDOW,
        hop: WINDOW,
        front_ends: vec![FrontEnd::Statistics],
        mean: MEAN.to_vec(),
        scale: SCALE.to_vec(),
        calibration,
        precision: Precision::F32,
        ..plain_model(
            vec![layer(2, FEATURES, &[0.0; 2])],
            vec![layer(FEATURES, 1, &output)],
            LikelihoodKind::GaussianPerFeature,
            VARIANCE,
        )
    };
    AlignedFile::new(&file.to_bytes().unwrap())
}

fn with_detector<'m, T>(model: Model<'m>, use_it: impl FnOnce(&mut Detector<'m, '_>, &mut Scratch<'_>) -> T) -> T {
    let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut detector = Detector::over(model, &mut window, &mut state).unwrap();
    use_it(&mut detector, &mut Scratch::new(&mut memory))
}

/// A window of a wave whose level is 0 and whose shape and size differ from window to window.
fn wave(index: usize) -> [f32; WINDOW] {
    let (size, beat) = (1.0 + 0.3 * (0.7 * index as f32).sin(), 0.2 * (0.4 * index as f32).cos());
    let turn = |i: usize| core::f32::consts::TAU * i as f32 / WINDOW as f32;
    core::array::from_fn(|i| size * ((2.0 * turn(i) + 0.3).sin() + beat * (5.0 * turn(i)).sin()))
}

fn features(model: Model<'_>, samples: &[f32]) -> Vec<f32> {
    let (mut work, mut features) = (vec![0.0; model.window()], vec![0.0; model.features()]);
    model.extract(samples, &mut work, &mut features).unwrap();
    features
}

fn push(detector: &mut Detector<'_, '_>, scratch: &mut Scratch<'_>, samples: &[f32]) -> Vec<Verdict> {
    samples.iter().filter_map(|sample| detector.push(&[*sample], scratch).unwrap()).collect()
}

/// Makes a baseline of so many windows, by the samples of each.
fn rebaseline(
    detector: &mut Detector<'_, '_>,
    scratch: &mut Scratch<'_>,
    windows: u32,
    samples: impl Fn(usize) -> [f32; WINDOW],
) {
    detector.rebaseline(windows).unwrap();
    for index in 0..windows as usize {
        assert!(detector.is_rebaselining(), "window {index} of {windows}");
        assert_eq!(push(detector, scratch, &samples(index)), []);
    }
    assert!(!detector.is_rebaselining());
}

fn record(detector: &Detector<'_, '_>) -> Vec<u8> {
    let mut record = vec![0; detector.model().snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    record
}

/// What features are off, as a snapshot has it.
fn shifts(detector: &Detector<'_, '_>) -> Vec<f32> {
    let record = record(detector);
    let words = record.as_chunks::<4>().0;
    words[FIXED + CHANNEL..words.len() - 1].iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn a_feature_that_is_off_by_the_same_in_each_window_is_followed_by_the_closed_form() {
    let file = model(-1e9);
    let model = file.model().unwrap();
    let found = features(model, &wave(0));
    for windows in [32u32, 64, 400, 4096] {
        with_detector(model, |detector, scratch| {
            rebaseline(detector, scratch, windows, |_| wave(0));
            // Of the weights 2 / (i + 8), i up to n, each leaves (i + 6) / (i + 8) of what is left: together 7 · 8 / ((n + 7) (n + 8)).
            let n = f64::from(windows / 2 - windows / 4);
            let left = 56.0 / ((n + 7.0) * (n + 8.0));
            for (feature, shift) in shifts(detector).into_iter().enumerate() {
                let deviation = f64::from(SCALE[feature] * VARIANCE.sqrt());
                let off = f64::from(found[feature] - MEAN[feature]) - f64::from(RECONSTRUCTED[feature]) * deviation;
                assert!(off.abs() < 4.0 * deviation, "feature {feature} is beyond the reach");
                let expected = off * (1.0 - left);
                assert!((f64::from(shift) - expected).abs() < 1e-5, "{windows}, {feature}: {shift} for {expected}");
            }
        });
    }
}

#[test]
fn a_feature_far_off_is_followed_by_four_deviations_a_window() {
    let file = model(-1e9);
    with_detector(file.model().unwrap(), |detector, scratch| {
        // 20 million times as loud: the logarithms are off by 17, 136 deviations.
        rebaseline(detector, scratch, 64, |index| wave(index).map(|value| 2e7 * value));
        let expected = (1..=16).map(|n| 4.0 * 0.125 * 2.0 / (f64::from(n) + 8.0)).sum::<f64>();
        let found = shifts(detector)[1];
        assert!((f64::from(found) - expected).abs() < 1e-5, "{found} for {expected}");
    });
}

#[test]
fn scores_are_the_models_own_of_features_less_what_they_are_off() {
    let file = model(-1e9);
    let model = file.model().unwrap();
    let louder = |index: usize| wave(index).map(|value| 1.2 * value);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut own = Scratch::new(&mut memory);
    let mut scores = [vec![], vec![]];
    for (loud, scores) in [false, true].into_iter().zip(&mut scores) {
        let samples = |index: usize| if loud { louder(index) } else { wave(index) };
        with_detector(model, |detector, scratch| {
            rebaseline(detector, scratch, 4096, samples);
            let shifts = shifts(detector);
            for index in 5000..5040 {
                let [verdict] = push(detector, scratch, &samples(index))[..] else { panic!("no verdict") };
                let score = verdict.assessment().unwrap().score;
                // The channel's own shift is that of its mean, 0 but for rounding.
                let x: Vec<f32> =
                    features(model, &samples(index)).iter().zip(&shifts).map(|(value, shift)| value - shift).collect();
                let expected = model.elbo_at_mean(&x[..], &mut own).unwrap().elbo;
                assert!((score - expected).abs() < 1e-4, "{index}: {score} for {expected}");
                scores.push(score);
            }
        });
    }
    // The louder machine's logarithms are off by ln 1.2, of which 56 / (1031 · 1032) is left; it scores as the other one.
    for (score, expected) in scores[1].iter().zip(&scores[0]) {
        assert!((score - expected).abs() < 2e-3, "{score} for {expected}");
    }
    // Without the baseline it does not.
    let unlike = with_detector(model, |detector, scratch| push(detector, scratch, &louder(5000)));
    assert!((unlike[0].assessment().unwrap().score - scores[0][0]).abs() > 1.0);
}

#[test]
fn a_baseline_is_kept_by_a_snapshot_and_revoked_by_forgetting_or_by_an_older_one() {
    let file = model(-1e9);
    let model = file.model().unwrap();
    let louder = |index: usize| wave(index).map(|value| 1.2 * value);
    let judged = |detector: &mut Detector<'_, '_>, scratch: &mut Scratch<'_>| {
        (100..110).flat_map(|index| push(detector, scratch, &louder(index))).collect::<Vec<_>>()
    };
    let factory = with_detector(model, judged);
    let (before, kept, adapted) = with_detector(model, |detector, scratch| {
        let before = record(detector);
        rebaseline(detector, scratch, 64, louder);
        let kept = record(detector);
        (before, kept, judged(detector, scratch))
    });
    assert_ne!(adapted, factory);
    with_detector(model, |detector, scratch| {
        detector.restore(&kept).unwrap();
        assert_eq!(judged(detector, scratch), adapted);
        detector.restore(&before).unwrap();
        assert_eq!(judged(detector, scratch), factory);
        detector.restore(&kept).unwrap();
        detector.forget().unwrap();
        assert_eq!(shifts(detector), [0.0; FEATURES]);
        assert_eq!(judged(detector, scratch), factory);
    });
    // In the midst of measuring, it goes on.
    let whole = with_detector(model, |detector, scratch| {
        rebaseline(detector, scratch, 64, louder);
        shifts(detector)
    });
    with_detector(model, |detector, scratch| {
        detector.rebaseline(64).unwrap();
        (0..24).for_each(|index| drop(push(detector, scratch, &louder(index))));
        let half = record(detector);
        detector.forget().unwrap();
        detector.restore(&half).unwrap();
        (24..64).for_each(|index| drop(push(detector, scratch, &louder(index))));
        assert!(!detector.is_rebaselining());
        assert_eq!(shifts(detector), whole);
    });
}

#[test]
fn what_is_missing_absurd_or_constant_does_no_harm() {
    let file = model(-1e9);
    let model = file.model().unwrap();
    let measured = |samples: &dyn Fn(usize) -> [f32; WINDOW]| {
        with_detector(model, |detector, scratch| {
            rebaseline(detector, scratch, 128, samples);
            shifts(detector)
        })
    };
    let clean = measured(&wave);
    // Windows 32 to 63 measure the features.
    for (bad, windows) in [(f32::NAN, 40..41), (1e9, 40..41), (-1e30, 32..33), (f32::MAX, 63..64), (f32::NAN, 32..60)] {
        let one = |index: usize| {
            let mut samples = wave(index);
            if windows.contains(&index) {
                let many = if bad.is_nan() { WINDOW } else { 1 };
                samples[..many].fill(bad);
            }
            samples
        };
        let found = measured(&one);
        for (feature, (found, clean)) in found.iter().zip(&clean).enumerate() {
            let deviation = SCALE[feature] * VARIANCE.sqrt();
            // What the absurd window adds, and what the ordinary one in its place would have added; of windows that are missing, the others
            // have not come as far.
            let most = if bad.is_nan() { 0.1 + clean.abs() / deviation } else { 2.0 * 4.0 * 2.0 / (32.0 + 8.0) };
            let off = (found - clean).abs() / deviation;
            assert!(off <= most, "{bad} in {windows:?}, feature {feature}: off by {off} deviations");
        }
    }
    let still = measured(&|_| [0.5; WINDOW]);
    assert!(still.iter().all(|shift| shift.is_finite()), "{still:?}");
}

#[test]
fn baselines_that_may_not_be_made_are_refused_and_nothing_changes() {
    let file = model(1e9);
    with_detector(file.model().unwrap(), |detector, scratch| {
        assert_eq!(detector.rebaseline(31), Err(DetectorError::ShortBaseline { needed: 32, found: 31 }));
        push(detector, scratch, &wave(0));
        assert!(detector.is_raised());
        assert_eq!(detector.rebaseline(64), Err(DetectorError::Alarmed));
        detector.acknowledge();
        rebaseline(detector, scratch, 64, wave);
        let (kept, learned) = (record(detector), shifts(detector));
        detector.lock();
        for refused in [detector.rebaseline(64), detector.forget(), detector.restore(&kept)] {
            assert_eq!(refused, Err(DetectorError::Locked));
        }
        assert_eq!(shifts(detector), learned);
    });
    // A shift that no detector leaves behind, under a checksum that is right.
    with_detector(file.model().unwrap(), |detector, _| {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut record = record(detector);
            let end = record.len() - 4;
            record[end - 4..end].copy_from_slice(&bad.to_le_bytes());
            let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&record[..end]);
            record[end..].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(detector.restore(&record), Err(DetectorError::SnapshotDamaged));
        }
    });
}
