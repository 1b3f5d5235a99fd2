//! Log-mel energies: against librosa's definition, and in a detector.

use std::{fs, path::Path, process::Command};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, Detector, DetectorError, FrontEnd, InferError, ScoreKind, Scoring, Scratch, format::Precision,
};
use vae_tests::{bench::mlperf_model, plain_model, random_layer, root};
use vae_train::file::{
    calibration::CalibrationRecord,
    model_file::{AlignedFile, ModelFile},
};

fn numbers(path: &Path) -> Vec<f32> {
    fs::read(path).unwrap().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn energies_are_those_of_librosas_definition() {
    let Some(python) = vae_tests::python("import numpy", "numpy") else { return };
    let place = tempfile::tempdir().unwrap();
    let output = Command::new(python).arg(root().join("tests/python/mel.py")).arg(place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("against {}", String::from_utf8_lossy(&output.stdout).trim());
    // The cases of the script.
    for (name, rate, len, bands) in
        [("toy_car", 16_000, 1024, 128u8), ("slow", 1600, 64, 12), ("music", 44_100, 2048, 40)]
    {
        let samples = numbers(&place.path().join(name).with_extension("f32"));
        let expected = numbers(&place.path().join(name).with_extension("log.f32"));
        let count = usize::from(bands);
        assert_eq!(expected.len(), (samples.len() / (len / 2) - 1) * count);
        // Five successive frames each hop, as MLPerf Tiny stacks them.
        let front_end = FrontEnd::Mel { bands, frames: 5, rate };
        let (mut work, mut features) = (vec![0.0; 3 * len], vec![0.0; 5 * count]);
        for (hop, expected) in expected.windows(5 * count).step_by(count).enumerate() {
            let window = &samples[hop * (len / 2)..][..3 * len];
            front_end.extract(window, (0, 1), &mut work, &mut features).unwrap();
            for (index, (found, expected)) in features.iter().zip(expected).enumerate() {
                // The noise, 0.01, leaves no band more than 1e5 below the loudest, of whose amplitude f32 has a millionth.
                assert!((found - expected).abs() < 2e-3, "{name}, hop {hop}, {index}: {found} for {expected}");
            }
        }
    }
}

/// One layer each way, calibrated, of windows with these front-ends.
fn model(front_ends: Vec<FrontEnd>, window: usize, hop: usize) -> ModelFile {
    let features = front_ends.iter().map(|front_end| front_end.features(window)).sum();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut layer = |rows, columns| random_layer(&mut rng, rows, columns, Activation::Identity, 1.0);
    let (encoder, decoder) = (vec![layer(4, features)], vec![layer(features, 2)]);
    let calibration = CalibrationRecord {
        quantiles: vec![-2000.0, -1000.0, -500.0],
        scores: 100,
        threshold: -1e9,
        votes: (1, 1),
        score_kind: ScoreKind::AtMean,
        ..CalibrationRecord::default()
    };
    ModelFile {
        channels: (0..front_ends.len()).map(|channel| format!("c{channel}")).collect(),
        window,
        hop,
        front_ends,
        calibration,
        mean: vec![-3.0; features],
        scale: vec![4.0; features],
        ..plain_model(encoder, decoder, vae_core::format::LikelihoodKind::GaussianFixed, 1.0)
    }
}

#[test]
fn a_detector_scores_the_models_features() {
    let mel = |bands, frames| FrontEnd::Mel { bands, frames, rate: 8000 };
    let front_ends = vec![mel(5, 3), FrontEnd::Raw, FrontEnd::Bands(4), mel(7, 1)];
    for precision in [Precision::F32, Precision::Int8] {
        let file = ModelFile { precision, ..model(front_ends.clone(), 64, 24) };
        let file = AlignedFile::new(&file.to_bytes().unwrap());
        let model = file.model().unwrap();
        assert_eq!(model.features(), 15 + 64 + 4 + 7);
        assert_eq!((0..4).map(|channel| model.front_end(channel).unwrap()).collect::<Vec<_>>(), front_ends);
        let owners = [(0, 0), (14, 0), (15, 1), (78, 1), (79, 2), (82, 2), (83, 3), (89, 3)];
        assert!(owners.iter().all(|(feature, channel)| model.channel_of(*feature) == Ok(*channel)));
        let counts: Vec<usize> = model.feature_channels().unwrap().collect();
        assert_eq!([0, 1, 2, 3].map(|channel| counts.iter().filter(|own| **own == channel).count()), [15, 64, 4, 7]);

        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let samples: Vec<[f32; 4]> = (0..200).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let mut detector = Detector::over(model, &mut window, &mut state).unwrap();
        let mut found = Vec::new();
        for sample in &samples {
            found.extend(detector.push(sample, &mut scratch).unwrap());
        }
        assert_eq!(found.len(), (200 - 64) / 24 + 1);
        let calibration = model.calibration().unwrap();
        for (index, verdict) in found.iter().enumerate() {
            let (mut work, mut features) = ([0.0; 64], [0.0; 90]);
            let window = samples[24 * index..][..64].as_flattened();
            model.extract(window, &mut work, &mut features).unwrap();
            let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
            let expected = model.score(&features, &calibration, scoring, &mut scratch).unwrap();
            assert_eq!(verdict.assessment().unwrap().score.to_bits(), expected.to_bits(), "window {index}");
        }
    }
}

#[test]
fn the_network_of_mlperf_tiny_takes_a_stream() {
    let calibration = model(vec![FrontEnd::Mean], 2, 1).calibration;
    let file = ModelFile {
        channels: vec!["sound".into()],
        window: 3072,
        hop: 512,
        front_ends: vec![FrontEnd::Mel { bands: 128, frames: 5, rate: 16_000 }],
        calibration,
        ..mlperf_model(Precision::Int8)
    };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    assert_eq!((model.features(), model.latent()), (640, 8));
    let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut detector = Detector::over(model, &mut window, &mut state).unwrap();
    let verdicts = (0..4096).filter_map(|i| detector.push(&[(0.3 * i as f32).sin()], &mut scratch).unwrap());
    assert_eq!(verdicts.count(), 1 + (4096 - 3072) / 512);
}

#[test]
fn mel_bands_that_windows_do_not_fit_or_without_a_rate_are_refused() {
    for (front_end, window) in [
        (FrontEnd::Mel { bands: 4, frames: 3, rate: 0 }, 64),
        (FrontEnd::Mel { bands: 4, frames: 3, rate: 8000 }, 48),
        (FrontEnd::Mel { bands: 4, frames: 2, rate: 8000 }, 64),
        (FrontEnd::Mel { bands: 17, frames: 3, rate: 8000 }, 64),
    ] {
        let file = AlignedFile::new(&model(vec![front_end], window, 1).to_bytes().unwrap());
        let model = file.model().unwrap();
        let (mut buffer, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
        let refused = Detector::over(model, &mut buffer, &mut state).unwrap_err();
        assert_eq!(refused, DetectorError::Infer(InferError::Unsupported), "{front_end:?} {window}");
    }
}
