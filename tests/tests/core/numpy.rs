//! The program of `docs/score.py`, which has nothing but an exported safetensors file, against the core.

use std::{collections::BTreeMap, fs, process::Command};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, ChannelCalibration, FrontEnd, Model, ScoreKind, Scoring, Scratch, Tail,
    format::{FeatureFamily, LikelihoodKind, PosteriorKind, Precision},
};
use vae_tests::{
    Family, family_model, mixed::mixed_model, plain_model, random_layer, related_model, root, varied_model,
};
use vae_train::{
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    run::tensor_file::safetensors,
    weights::relations::Relations,
};

/// Windows of a case; a third of them has gaps.
const WINDOWS: usize = 48;

/// Columns of a case as the program gives them.
type Columns = BTreeMap<String, Vec<f64>>;

/// A model, and windows in physical units, each followed by its condition.
struct Case {
    file: ModelFile,
    windows: Vec<Vec<f32>>,
}

impl Case {
    fn new(mut file: ModelFile, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let samples = file.channels.len() * file.window;
        let (low, high) = match file.likelihood {
            LikelihoodKind::Bernoulli => (0.0, 1.0),
            _ => (-1.0, 2.0),
        };
        let window = |index: usize| {
            // Of some all features are within the range of relations, of others none.
            let narrow = if index.is_multiple_of(2) { 1.0 } else { 0.4 };
            let mut value = |_| match index % 3 {
                0 if rng.random_bool(0.3) => f32::NAN,
                _ => 0.5 + narrow * (rng.random_range(low..high) - 0.5),
            };
            let mut values: Vec<f32> = (0..samples).map(&mut value).collect();
            if index == 3 {
                // Of a channel nothing, and of another one half a window.
                let channels = file.channels.len();
                values.iter_mut().step_by(channels).for_each(|value| *value = f32::NAN);
                values
                    .iter_mut()
                    .skip(channels - 1)
                    .step_by(channels)
                    .take(file.window / 2)
                    .for_each(|v| *v = f32::NAN);
            }
            values.extend(file.conditions.iter().map(|_| rng.random_range(-1.0f32..1.0)));
            values
        };
        let mut windows: Vec<Vec<f32>> = (0..WINDOWS).map(window).collect();
        windows.iter_mut().for_each(|window| with_states(window, &file.families, &mut rng));
        file.calibration = calibration(file.channels.len(), seed);
        Self { file, windows }
    }

    fn write(&self, place: &std::path::Path, name: &str) {
        fs::write(place.join(name).with_extension("safetensors"), safetensors(&self.file).unwrap()).unwrap();
        let bytes: Vec<u8> = self.windows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(place.join(name).with_extension("f32"), bytes).unwrap();
    }

    /// Compares all columns with the core's.
    fn compare(&self, name: &str, columns: &Columns) {
        let file = AlignedFile::new(&self.file.to_bytes().unwrap());
        let model = file.model().unwrap();
        let calibration = model.calibration().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
        for (index, inputs) in self.windows.iter().enumerate() {
            let (samples, condition) = inputs.split_at(inputs.len() - model.conditions());
            let model: Model<'_> = model.given(condition).unwrap();
            let (mut work, mut x) = (vec![0.0; model.window()], vec![0.0; model.features()]);
            model.extract(samples, &mut work, &mut x).unwrap();
            let elbo = model.elbo_at_mean(&x[..], &mut scratch).unwrap();
            let score = model.score(&x[..], &calibration, scoring, &mut scratch).unwrap();
            let found = |column: &str| columns[column][index];
            assert_eq!(f64::from(elbo.missing), found("missing"), "{name} {index}");
            for (column, core) in
                [("elbo", elbo.elbo), ("reconstruction", elbo.reconstruction), ("kl", elbo.kl), ("score", score)]
            {
                let (core, found) = (f64::from(core), found(column));
                // Relative to the score's own size: features and the chain of layers lose a few of f32's 7 digits.
                let allowed = 2e-5 * found.abs().max(f64::from(elbo.reconstruction.abs())) + 1e-4;
                assert!((core - found).abs() <= allowed, "{name} {index}: {column} {core}, by the program {found}");
            }
            let (core, found) = (f64::from(calibration.p_value(score)), found("p_value"));
            // Scores of this size are known to a few thousandths of a nat, and p-values change by up to a hundredth a nat.
            assert!(
                (core - found).abs() <= 1e-3 * core + 1e-4,
                "{name} {index}: p-value {core}, by the program {found}"
            );
        }
    }
}

/// Zeros and ones where features are no numbers: of a column of categories one, or at times none, is 1; NaN in the first is NaN in all.
fn with_states(window: &mut [f32], families: &[FeatureFamily], rng: &mut ChaCha8Rng) {
    let mut start = 0;
    for column in families.chunk_by(|_, next| *next == FeatureFamily::NextCategory) {
        let values = &mut window[start..start + column.len()];
        start += column.len();
        match column[0] {
            FeatureFamily::Bernoulli => values[0] = if values[0] > 0.5 { 1.0 } else { 0.0 * values[0] },
            FeatureFamily::FirstCategory { .. } if values[0].is_nan() => values.fill(f32::NAN),
            FeatureFamily::FirstCategory { .. } => {
                values.fill(0.0);
                if let Some(seen) = values.get_mut(rng.random_range(0..=column.len())) {
                    *seen = 1.0;
                }
            }
            _ => {}
        }
    }
}

/// A calibration with channels of which all, the nats or nothing is known, and a Weibull, a Pareto or no tail.
fn calibration(channels: usize, seed: u64) -> CalibrationRecord {
    let known = |channel: usize| ChannelCalibration { nats: 1.5 + channel as f32, ..ChannelCalibration::UNKNOWN };
    // The quantiles say 0.31 where the tail begins: it counts that no p-value above is below 0.4.
    let tail = Tail { start: 40.0, rate: 0.4, scale: 15.0, shape: 0.7, base: 1.0 };
    let mut quantiles: Vec<f32> = (0..33).map(|index| -60.0 + 2.0 * index as f32).collect();
    quantiles[20] = quantiles[19];
    CalibrationRecord {
        quantiles,
        scores: 150,
        threshold: -40.0,
        tail: match seed % 3 {
            0 => tail,
            1 => Tail { base: 0.0, shape: 0.0, ..tail },
            _ => Tail::default(),
        },
        channels: match seed % 4 {
            0 => Vec::new(),
            1 => (0..channels).map(known).collect(),
            _ => (0..channels).map(|channel| ChannelCalibration { mean: 1.0, ..known(channel) }).collect(),
        },
        ..CalibrationRecord::default()
    }
}

/// A model of one layer each way of channels with these front-ends.
fn with_front_ends(front_ends: Vec<FrontEnd>, window: usize) -> ModelFile {
    let features = front_ends.iter().map(|front_end| front_end.features(window)).sum();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut layer = |rows, columns| random_layer(&mut rng, rows, columns, Activation::Identity, 1.0);
    let (encoder, decoder) = (vec![layer(4, features)], vec![layer(features, 2)]);
    ModelFile {
        channels: (0..front_ends.len()).map(|channel| format!("c{channel}")).collect(),
        window,
        front_ends,
        mean: vec![-1.0; features],
        scale: vec![3.0; features],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 0.5)
    }
}

/// Models of every kind by their names.
fn models() -> Vec<(String, ModelFile)> {
    let categorical = PosteriorKind::Categorical { categories: 4 };
    let posteriors =
        [PosteriorKind::DiagonalGaussian, PosteriorKind::FullGaussian, PosteriorKind::Bernoulli, categorical];
    let likelihoods = [
        LikelihoodKind::Bernoulli,
        LikelihoodKind::GaussianFixed,
        LikelihoodKind::GaussianPerFeature,
        LikelihoodKind::GaussianPredicted,
        LikelihoodKind::GaussianCovariance(2),
    ];
    let mut models = vec![("activations".to_owned(), varied_model(Precision::F32, 1))];
    for (posterior, likelihood) in posteriors.iter().flat_map(|p| likelihoods.iter().map(move |l| (*p, *l))) {
        for conditions in [0, 2] {
            let family = Family { posterior, likelihood, conditions };
            let file = family_model(family, Precision::F32, models.len() as u64);
            let name = |prior| format!("{posterior:?}, {likelihood:?}, {conditions} conditions, {prior} prior");
            if file.prior.is_some() {
                models.push((name("learned"), file.clone()));
            }
            models.push((name("standard"), ModelFile { prior: None, ..file }));
        }
    }
    for of_inputs in [false, true] {
        let file = related_model(of_inputs, Precision::F32, 3);
        let name = |mixture| format!("relations, of inputs {of_inputs}, {mixture} mixture");
        let relations = file.relations.clone().map(|relations| Relations { mixture: Vec::new(), ..relations });
        models.push((name("no"), ModelFile { relations, ..file.clone() }));
        models.push((name("a"), file));
    }
    let mel = |bands, frames| FrontEnd::Mel { bands, frames, rate: 8000 };
    let all = vec![FrontEnd::Bands(5), FrontEnd::Raw, FrontEnd::Mean, FrontEnd::Statistics, mel(6, 3), mel(9, 1)];
    models.push(("front-ends".to_owned(), with_front_ends(all, 64)));
    models.push(("bands".to_owned(), with_front_ends(vec![FrontEnd::Bands(60), FrontEnd::Bands(16)], 256)));
    for window in [1, 10] {
        models.push((format!("mixed, window {window}"), mixed_model(window, Precision::F32)));
    }
    models.push(("slow mel".to_owned(), with_front_ends(vec![FrontEnd::Mel { bands: 7, frames: 1, rate: 1600 }], 128)));
    models
}

#[test]
fn an_exported_file_and_numpy_give_the_score_of_every_kind_of_model() {
    let Some(python) = vae_tests::python("import numpy", "numpy") else { return };
    let place = tempfile::tempdir().unwrap();
    let models = models().into_iter().enumerate();
    let cases: Vec<(String, Case)> = models.map(|(seed, (name, file))| (name, Case::new(file, seed as u64))).collect();
    cases.iter().for_each(|(name, case)| case.write(place.path(), name));
    let script = root().join("tests/python/score.py");
    let output = Command::new(python).arg(script).arg(place.path()).arg(root().join("docs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeMap<String, Columns> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), cases.len());
    for (name, case) in &cases {
        case.compare(name, &found[name]);
    }
}
