//! The same model file and input give the same `f32` bits on the host and on every core.

use std::{fmt::Write, path::Path};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, FrontEnd, ScoreKind, Scoring, Scratch,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_tests::{
    Family,
    bench::CORES,
    family_model,
    mixed::{mixed_model, sample_window},
    plain_model, random_layer, related_model, varied_model,
};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    weights::dense::Dense,
};

/// 256 windows: ordinary, extreme, constant, denormal, and with missing values.
fn windows(features: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let mut values = Vec::new();
    for window in 0..256 {
        for feature in 0..features {
            values.push(match window % 8 {
                0..=2 => rng.random_range(-8.0..8.0),
                3 => {
                    if rng.random_bool(0.5) {
                        1e6
                    } else {
                        -1e6
                    }
                }
                4 => window as f32 / 16.0 - 8.0,
                5 => f32::from_bits(rng.random_range(1..0x0080_0000)),
                6 => rng.random_range(-1.0f32..1.0) * 10f32.powi(rng.random_range(-30..30)),
                _ => {
                    if feature % 5 == 0 {
                        f32::NAN
                    } else {
                        rng.random_range(-2.0..2.0)
                    }
                }
            });
        }
    }
    values
}

/// What `firmware-example/src/bin/bits.rs` prints, computed here.
fn host(directory: &Path, windows: &[f32]) -> String {
    let mut lines = String::new();
    for name in ["f32", "int8"] {
        let file = AlignedFile::read(&directory.join(name).with_extension("vae")).unwrap();
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        model.self_test(&mut scratch).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (mut work, mut features) = (vec![0.0; model.window()], vec![0.0; model.features()]);
        for window in windows.chunks(model.window_len() + model.conditions()) {
            let (samples, condition) = window.split_at(model.window_len());
            let model = model.given(condition).unwrap();
            model.extract(samples, &mut work, &mut features).unwrap();
            if model.has_front_end() {
                let sum = features.iter().fold(0u32, |sum, x| sum.wrapping_mul(31).wrapping_add(x.to_bits()));
                writeln!(lines, "{name} features {sum:08x}").unwrap();
            }
            let x = &features[..];
            for (method, score) in
                [("mean", model.elbo_at_mean(x, &mut scratch)), ("sigma", model.elbo_sigma_points(x, &mut scratch))]
            {
                match score {
                    Ok(score) => {
                        let bits = [score.elbo, score.reconstruction, score.kl, score.standard_error].map(f32::to_bits);
                        let [elbo, reconstruction, kl, error] = bits;
                        let missing = score.missing;
                        writeln!(
                            lines,
                            "{name} {method} {elbo:08x} {reconstruction:08x} {kl:08x} {error:08x} {missing}"
                        )
                    }
                    Err(error) => writeln!(lines, "{name} {method} {error:?}"),
                }
                .unwrap();
            }
            let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
            let scored = model.score(x, &model.calibration().unwrap(), scoring, &mut scratch);
            let mut digest = 0u32;
            let mut each = |feature: usize, nats: f32| {
                digest = digest.wrapping_mul(31).wrapping_add(nats.to_bits() ^ feature as u32)
            };
            match scored.and_then(|score| model.attribute(x, &mut scratch, &mut each).map(|()| score)) {
                Ok(score) => writeln!(lines, "{name} score {:08x} {digest:08x}", score.to_bits()).unwrap(),
                Err(error) => writeln!(lines, "{name} score {error}").unwrap(),
            }
            let estimate = model.log_likelihood(x, 3, &mut rng, &mut scratch).unwrap();
            let [value, error, samples] =
                [estimate.value, estimate.standard_error, estimate.effective_samples].map(f32::to_bits);
            writeln!(lines, "{name} importance {value:08x} {error:08x} {samples:08x}").unwrap();
        }
    }
    lines
}

/// Mel bands of three frames of 1024 samples, bands of 2048, and statistics: 118 features of three channels.
fn front_end_model(precision: Precision) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut layer = |rows, columns| random_layer(&mut rng, rows, columns, Activation::Tanh, 2.0);
    let encoder = vec![layer(6, 118)];
    let decoder = vec![Dense { activation: Activation::Identity, ..layer(118, 3) }];
    ModelFile {
        precision,
        channels: ["sound", "vibration", "current"].map(str::to_owned).to_vec(),
        window: 2048,
        hop: 512,
        front_ends: vec![
            FrontEnd::Mel { bands: 32, frames: 3, rate: 16_000 },
            FrontEnd::Bands(16),
            FrontEnd::Statistics,
        ],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 1.0)
    }
}

/// Compares host and cores on two models of the same shape and on windows (each followed by its condition).
fn compare(models: [ModelFile; 2], windows: &[f32], cores: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    for (name, model) in ["f32", "int8"].into_iter().zip(&models) {
        std::fs::write(directory.path().join(name).with_extension("vae"), model.to_bytes().unwrap()).unwrap();
    }
    let bytes: Vec<u8> = windows.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(directory.path().join("windows.f32"), bytes).unwrap();
    let expected = host(directory.path(), windows);
    for name in cores {
        let core = CORES.iter().find(|core| core.name == *name).unwrap();
        if !core.can_emulate() {
            continue;
        }
        let printed = core.run("bits", &[("VAE_BITS", directory.path())], &["bits"]).unwrap();
        for (index, (found, expected)) in printed.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{name}, line {index}");
        }
        assert_eq!(printed.lines().count(), expected.lines().count(), "{name}");
    }
}

// One test: they would build the same firmware at the same time.
#[test]
fn host_and_cores_give_the_same_bits() {
    // Every kernel, with and without an FPU.
    const ALL: [&str; 6] = ["Cortex-M4F", "Cortex-M33", "Cortex-M55", "Cortex-M3", "Cortex-M0", "RV32IMC"];
    const SOME: [&str; 3] = ["Cortex-M4F", "Cortex-M55", "Cortex-M3"];
    compare([Precision::F32, Precision::Int8].map(|precision| varied_model(precision, 3)), &windows(30), &ALL);

    // The first nine windows: one of each kind.
    let samples = &windows(3 * 2048)[..9 * 3 * 2048];
    compare([Precision::F32, Precision::Int8].map(front_end_model), samples, &ALL);

    let families = [
        (PosteriorKind::FullGaussian, LikelihoodKind::GaussianPredicted, 2),
        (PosteriorKind::Bernoulli, LikelihoodKind::Bernoulli, 0),
        (PosteriorKind::DiagonalGaussian, LikelihoodKind::GaussianCovariance(2), 0),
        (PosteriorKind::Categorical { categories: 3 }, LikelihoodKind::GaussianPerFeature, 2),
    ];
    for (posterior, likelihood, conditions) in families {
        let family = Family { posterior, likelihood, conditions };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let windows: Vec<f32> = (0..20 * (7 + conditions)).map(|_| rng.random_range(0.0..1.0)).collect();
        let models = [Precision::F32, Precision::Int8].map(|precision| family_model(family, precision, 6));
        compare(models, &windows, &SOME);
    }

    let windows: Vec<f32> = (0..20).flat_map(|seed| sample_window(2, seed)).collect();
    let models = [Precision::F32, Precision::Int8].map(|precision| mixed_model(2, precision));
    compare(models, &windows, &SOME);

    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let windows: Vec<f32> = (0..20 * 7).map(|_| rng.random_range(-3.0..3.0)).collect();
    let models = [Precision::F32, Precision::Int8].map(|precision| related_model(false, precision, 6));
    compare(models, &windows, &["Cortex-M4F", "Cortex-M55", "Cortex-M3", "RV32IMC"]);
}
