//! The small model that `vae-core/tests/whole_path.rs` runs, also under Miri.
//!
//! After a change of the format, `cargo test -p vae-tests --test core tiny_model -- --ignored` writes it anew.

use std::{fs, path::PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, Tail,
    format::{LikelihoodKind, Precision},
};
use vae_tests::{ORDINARY_CHANNEL, plain_model, random_layer, root};
use vae_train::{
    file::{calibration::CalibrationRecord, model_file::ModelFile},
    weights::{attribute::Attribute, mixture::Mixture, second_stage::SecondStage},
};

fn path() -> PathBuf {
    root().join("vae-core/tests/tiny.vae")
}

/// Two channels × four samples, with one of everything that a file may hold.
fn tiny_model() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    use Activation::{Identity, Tanh};
    let mut layers = |widths: [usize; 3]| {
        let first = random_layer(&mut rng, widths[1], widths[0], Tanh, 2.0);
        vec![first, random_layer(&mut rng, widths[2], widths[1], Identity, 2.0)]
    };
    let (encoder, decoder, second) = (layers([8, 5, 4]), layers([2, 5, 8]), layers([1, 3, 2]));
    let golden_inputs = (0..2).map(|_| (0..8).map(|_| rng.random_range(-2.0..2.0)).collect()).collect();
    let tail = Tail { start: 1e3, rate: 0.02, scale: 4.0, shape: 0.5, base: 1.0 };
    let mixture =
        || Mixture { weight: vec![0.25, 0.75], mean: vec![-1.0, 0.0, 1.0, 0.5], deviation: vec![0.5, 0.5, 1.0, 0.75] };
    let model = ModelFile {
        precision: Precision::Int8,
        channels: vec!["a".into(), "b".into()],
        window: 4,
        hop: 2,
        prior: Some(mixture()),
        mixture: Some(mixture()),
        second_stage: Some(SecondStage { decoder: second, deviation: vec![0.1, 0.2] }),
        attributes: vec![Attribute { name: "load".into(), direction: vec![1.0, -0.5] }],
        calibration: CalibrationRecord {
            quantiles: vec![-1e3, -100.0, -10.0, 0.0],
            scores: 100,
            threshold: -1e3,
            sample_rate: 10.0,
            votes: (1, 2),
            tail,
            alarms: tail,
            dependence: 1.0,
            changes: Tail { start: 5.0, rate: 0.02, scale: 8.0, shape: 1.0, base: 1.0 },
            drift_memory: 4.0,
            drift_step: 0.5,
            drift_limits: (10.0, 1.0),
            channels: vec![ORDINARY_CHANNEL; 2],
            ..CalibrationRecord::default()
        },
        golden_inputs,
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5)
    };
    model.to_bytes().unwrap()
}

#[test]
fn the_tiny_model_is_what_the_trainer_writes() {
    let bytes = tiny_model();
    assert!(bytes.len() < 4096, "{} bytes", bytes.len());
    assert!(fs::read(path()).unwrap() == bytes, "write it anew: see the head of this file");
}

#[test]
#[ignore = "writes vae-core/tests/tiny.vae"]
fn write_the_tiny_model() {
    fs::write(path(), tiny_model()).unwrap();
}
