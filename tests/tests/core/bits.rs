//! The same model file and input give the same `f32` bits on the host and on every core.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, FrontEnd, ScoreKind, Scoring, Scratch,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_tests::{
    Family,
    bench::{CORES, Core, write_pack},
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

/// What `firmware-example/src/bin/bits.rs` prints of this pack, computed here.
fn host(pack: &[(ModelFile, Vec<f32>)]) -> String {
    let mut lines = String::new();
    for (name, (model, windows)) in pack.iter().enumerate() {
        let file = AlignedFile::new(&model.to_bytes().unwrap());
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

/// Compares host and core on models and their windows (each followed by its condition).
fn compare(pack: &[(ModelFile, Vec<f32>)], core: &Core) {
    let directory = tempfile::tempdir().unwrap();
    let files = pack.iter().map(|(model, windows)| (model.to_bytes().unwrap(), windows.clone()));
    write_pack(&directory.path().join("models.pack"), &files.collect::<Vec<_>>()).unwrap();
    let expected = host(pack);
    let printed = core.run("bits", &[("VAE_BITS", directory.path())], &["bits"]).unwrap();
    for (index, (found, expected)) in printed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{}, line {index}", core.name);
    }
    assert_eq!(printed.lines().count(), expected.lines().count(), "{}", core.name);
}

/// The same windows for a model of each precision.
fn pair(model: impl Fn(Precision) -> ModelFile, windows: &[f32]) -> [(ModelFile, Vec<f32>); 2] {
    [Precision::F32, Precision::Int8].map(|precision| (model(precision), windows.to_vec()))
}

/// Models of all kinds of posteriors, likelihoods and columns.
fn kinds() -> Vec<(ModelFile, Vec<f32>)> {
    let mut pack = Vec::new();
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
        pack.extend(pair(|precision| family_model(family, precision, 6), &windows));
    }
    let windows: Vec<f32> = (0..20).flat_map(|seed| sample_window(2, seed)).collect();
    pack.extend(pair(|precision| mixed_model(2, precision), &windows));
    pack
}

// One test: they would build the same firmware at the same time. One image for each core: to build it takes longer than to run it.
#[test]
fn host_and_cores_give_the_same_bits() {
    let mut pack = Vec::new();
    pack.extend(pair(|precision| varied_model(precision, 3), &windows(30)));
    // The first nine windows: one of each kind.
    pack.extend(pair(front_end_model, &windows(3 * 2048)[..9 * 3 * 2048]));
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let samples: Vec<f32> = (0..20 * 7).map(|_| rng.random_range(-3.0..3.0)).collect();
    pack.extend(pair(|precision| related_model(false, precision, 6), &samples));
    pack.extend(kinds());
    // The Cortex-M7 runs what the Cortex-M4F does.
    for core in CORES.iter().filter(|core| core.name != "Cortex-M7" && core.can_emulate()) {
        compare(&pack, core);
    }
}
